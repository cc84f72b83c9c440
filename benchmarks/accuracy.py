"""How right the choice is, against photos of which the truth is known.

    python benchmarks/accuracy.py --photos ../shared/photos [--data FOLDER] [--only subject,...]

Photos are measured once into the data folder; every scenario then only decides. Seeds are fixed.
Prints the tables that docs/benchmarks.md quotes; intervals are 95%.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.made_up import made_up
from benchmarks.pairs import by_hash, dropped_for, pair_truth, score
from benchmarks.scenarios import VARIANTS, Truth, bootstrap, load_truth, overlap, strangers, variants, wilson
from lora_builder import figures
from lora_builder.decide import decide
from lora_builder.evidence import SAME_SCENE
from lora_builder.models import calibration
from lora_builder.neighbours import correlated
from lora_builder.records import Measurement, Verdict
from lora_builder.selection import Traits, choose, traits_of, worth
from lora_builder.settings import Settings, load
from lora_builder.similarity import correlation_shifted, sketches, spectra, ssim_shifted

FEWEST = 5
"""Photos of a person from which scenarios are made of them."""

MIXES = 20
"""Scenarios a person."""

SCENARIOS = 500
"""Sets chosen among lookalikes."""

MADE_UP = 6000
"""Made-up photos whose unrelated pictures are alike when blurred."""

RESTARTS = 12
"""Starts of the search for the best set."""


def judged(truth: Truth, paths: Sequence[str], settings: Settings, **more: object) -> dict[str, Verdict]:
    photos = [truth.photos[path] for path in dict.fromkeys(paths)]
    return {
        verdict.photo.source.name: verdict
        for verdict in decide(photos, truth.looks, settings, calibration(settings), **more)  # type: ignore[arg-type]
    }


def everything(settings: Settings) -> Settings:
    """Judged by repetition alone, whoever is in the photos."""
    return settings.model_copy(update={"about": "anything", "several_people": "keep"})


def people(truth: Truth, fewest: int) -> list[str]:
    return [name for name in truth.names if len(truth.of(name)) >= fewest]


class Tally:
    """Photos with and without the subject, found and not."""

    def __init__(self) -> None:
        self.hits, self.found, self.there, self.scenarios, self.led = 0, 0, 0, 0, 0
        self.wrong: set[str] = set()
        self.missed: set[str] = set()

    def add(self, truth: Truth, name: str, verdicts: dict[str, Verdict]) -> None:
        right = 0
        for path, verdict in verdicts.items():
            shows = name in truth.labels[path].names
            found = verdict.subject is not None
            if found and shows and truth.labels[path].identity == name:
                look, box = truth.look(path), truth.labels[path].box
                assert isinstance(look, Measurement)
                assert box is not None
                found = overlap(look.faces[verdict.subject or 0].box, box) > 0
                shows = shows and truth.labels[path].sure
            self.there += shows
            self.found += found
            self.hits += found and shows
            right += found and shows
            if found and not shows:
                self.wrong.add(path)
            if shows and not found:
                self.missed.add(path)
        self.scenarios += 1
        self.led += right * 2 >= sum(name in truth.labels[path].names for path in verdicts)

    def row(self, title: str) -> str:
        return (
            f"| {title} | {self.scenarios} | {wilson(self.led, self.scenarios)} "
            f"| {wilson(self.hits, self.found)} | {wilson(self.hits, self.there)} |"
        )


def alone(truth: Truth, name: str) -> Iterator[list[str]]:
    """Mixes as a user brings them: half to two thirds theirs, strangers, and groups."""
    mine = truth.of(name)
    for seed in range(MIXES):
        rng = random.Random(f"{name}{seed}")
        share = rng.uniform(0.5, 0.67)
        own = rng.sample(mine, rng.randint(FEWEST, len(mine)))
        others = strangers(
            truth, name, rng, max(3, round(len(own) * (1 - share) / share)), alike=seed % 2 == 1
        )
        yield [*own, *others]


def subject_table(truth: Truth, settings: Settings) -> None:
    print("\n| who it is about | scenarios | the right person | precision | recall |\n|---|---|---|---|---|")
    total, ends = Tally(), Tally()
    for name in people(truth, FEWEST):
        tally = Tally()
        for paths in alone(truth, name):
            verdicts = judged(truth, paths, settings)
            tally.add(truth, name, verdicts)
            total.add(truth, name, verdicts)
        print(tally.row(f"found alone: {name}"))
    print(total.row("**found alone, all**"))
    for name in people(truth, FEWEST + 3):
        tally = Tally()
        for seed in range(MIXES):
            rng = random.Random(f"ref{name}{seed}")
            own = rng.sample(truth.of(name), 3 + 4)
            references = [_embedding(truth, path) for path in own[:3]]
            others = strangers(truth, name, rng, 9 * len(own[3:]), alike=False)
            groups = [p for p, label in truth.labels.items() if label.identity == "_groups"]
            verdicts = judged(truth, [*own[3:], *others, *groups], settings, references=references)
            tally.add(truth, name, verdicts)
            ends.add(truth, name, verdicts)
        print(tally.row(f"three references, in one photo of ten: {name}"))
    print(ends.row("**three references, all**"))
    print(f"\nWrong: {sorted(total.wrong | ends.wrong)}\nMissed: {sorted(total.missed | ends.missed)}")


def _embedding(truth: Truth, path: str):  # type: ignore[no-untyped-def]
    look, index = truth.look(path), truth.target(path)
    assert isinstance(look, Measurement)
    return look.faces[index or 0].embedding


def redundancy_table(truth: Truth, settings: Settings) -> None:
    """Groups as the ground truth has them, and each pair that can be told."""
    settings = everything(settings)
    verdicts = judged(truth, list(truth.photos), settings)
    ended: defaultdict[str, list[bool]] = defaultdict(list)
    print("\n| wrong group | expected | kept |\n|---|---|---|")
    for group in truth.groups:
        paths = [path for path in group.paths if path in verdicts]
        alone = judged(truth, paths, settings)
        survivors = sum(verdict.kept for verdict in alone.values())
        right = survivors == 1 if group.expect == "collapse" else survivors == len(paths)
        ended[group.expect].append(right)
        if not right and group.expect != "optional":
            left = f"{survivors} of {len(paths)}"
            print(f"| {group.id}: {group.relation} | {group.expect} | {left} |")
    print("\n| groups | right |\n|---|---|")
    for expect in ("collapse", "keep"):
        print(f"| {expect} | {sum(ended[expect])} of {len(ended[expect])} |")
    copies = {frozenset((a, b)) for g in truth.groups for a in g.paths for b in g.paths}
    distinct = [path for name in truth.names for path in truth.of(name)]
    wrong = []
    for name in truth.names:
        for path, verdict in judged(truth, truth.of(name), settings).items():
            keeper = verdict.because_of
            if keeper is not None and frozenset((path, keeper)) not in copies:
                wrong.append((path, keeper, verdict.reason.value, verdict.scores.get("kind")))
    print(f"\nDropped among one person's distinct photos: {wilson(len(wrong), len(distinct))}")
    for row in wrong:
        print("  ", *row)


def pair_table(truth: Truth, settings: Settings) -> None:
    """Pairs that are one picture or moment, by kind, beside a baseline of thirty lines."""
    pairs = pair_truth(truth)
    ours = dropped_for(judged(truth, pairs.paths, everything(settings)).values())
    hashed = by_hash(truth, pairs.paths)
    print("\n| repetition | groups | pairs | by | precision | recall | F1 | F1, each group once |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in (*pairs.kinds, None):
        for title, found in (("ours", ours), ("pHash <= 6", hashed)):
            result = score(pairs, found, kind)
            size = f"{kind or '**all**'} | {len(result.there)} | {result.there.total()} | {title}"
            print(f"| {size} | {result.precision} | {result.recall} | {result.f1} | {result.even_f1} |")
    print("\nWrong pairs:", *score(pairs, ours).wrong or ["none"])


def variant_table(truth: Truth, settings: Settings) -> None:
    """Copies made of known originals: pairs found, false pairs, and which of the copies stays."""
    rng = random.Random(7)
    mine = [path for name in truth.names for path in truth.of(name)]
    paths = rng.sample(mine, min(40, len(mine)))
    settings = everything(settings)
    found: Counter[str] = Counter()
    kept_original: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        made = variants(truth, paths, Path(place), settings)
        for path in paths:
            for name, copy in made[path].items():
                photos = [truth.photos[path], copy]
                pair = decide(photos, truth.looks, settings, calibration(settings))
                found[name] += sum(verdict.kept for verdict in pair) == 1
                kept_original[name] += next(v.kept for v in pair if v.photo.sha256 == photos[0].sha256)
    print("\n| copy | kind | found | the original stays |\n|---|---|---|---|")
    for name, (kind, _) in VARIANTS.items():
        row = wilson(found[name], len(paths)), wilson(kept_original[name], len(paths))
        print(f"| {name} | {kind} | {row[0]} | {row[1]} |")


def sketch_table(truth: Truth, settings: Settings) -> None:
    """Pairs that are alike when blurred: which of them are worth comparing after a shift, and does leaving
    the others out change a verdict."""
    real = np.array([look.grey for look in truth.looks.values() if isinstance(look, Measurement)])
    made = np.array([look.grey for _, look in made_up(MADE_UP)])
    print("\n| pictures | pairs alike when blurred | sketches alike | least of pairs 0.6 alike | 0.5 alike |")
    print("|---|---|---|---|---|")
    for title, greys in (("real", real), ("made up", made)):
        pairs = correlated(spectra(greys), SAME_SCENE, len(greys))
        sketched = correlation_shifted(sketches(greys, np.arange(len(greys))), pairs)
        alike = ssim_shifted(greys, pairs)
        worth_it = f"{(sketched >= figures.MOVING_SKETCH).mean():.1%}"
        least = " | ".join(f"{sketched[alike >= floor].min():.2f}" for floor in (0.6, 0.5))
        print(f"| {len(greys)} {title} | {len(pairs)} | {worth_it} | {least} |")
    settings, paths = everything(settings), list(truth.photos)
    usual = judged(truth, paths, settings)
    with patch.object(figures, "MOVING_SKETCH", -2.0):
        all_compared = judged(truth, paths, settings)
    differ = sum(usual[path] != all_compared[path] for path in usual)
    print(f"\nVerdicts that differ when every such pair is compared: {differ} of {len(usual)}")


def impostor_table(truth: Truth, settings: Settings) -> None:
    """Sets of 30 chosen among the nearest strangers: how many of these come through."""
    settings = settings.model_copy(update={"target_count": 30})
    names = people(truth, FEWEST)
    through: set[str] = set()
    chosen = 0
    for number in range(SCENARIOS):
        name = names[number % len(names)]
        rng = random.Random(f"impostor{number}")
        own = rng.sample(truth.of(name), rng.randint(FEWEST, len(truth.of(name))))
        near = strangers(truth, name, rng, 40, alike=True)
        others = rng.sample(near, min(len(own) - 1, 20)) if number % 2 else near[: len(own) - 1]
        for path, verdict in judged(truth, [*own, *others], settings).items():
            chosen += verdict.kept
            if verdict.kept and name not in truth.labels[path].names:
                through.add(f"{path} as {name}")
    print(f"\n{SCENARIOS} sets among lookalikes, {chosen} photos chosen: {len(through)} impostors")
    print(*sorted(through), sep="\n")


def coverage_table(truth: Truth, settings: Settings) -> None:
    """Twelve chosen of one person's photos: what the set is worth, against the best of a long search."""
    rows: defaultdict[str, list[float]] = defaultdict(list)
    for name in people(truth, 14):
        paths = truth.of(name)
        looks = [truth.look(path) for path in paths]
        faces = [truth.target(path) for path in paths]
        measurements = [look for look in looks if isinstance(look, Measurement)]
        traits = traits_of(measurements, faces, [1.0] * len(paths))
        target = min(12, len(paths) - 2)
        best = _searched(traits, target, random.Random(name))
        sharp = sorted(range(len(paths)), key=lambda i: -measurements[i].faces[faces[i] or 0].sharpness)
        vectors = np.array([_embedding(truth, path) for path in paths])
        for title, sets in {
            "ours": [[pick.row for pick in choose(traits, target)]],
            "sharpest": [sharp[:target]],
            "farthest faces": [_farthest(vectors, target)],
            "random": [random.Random(i).sample(range(len(paths)), target) for i in range(50)],
        }.items():
            rows[title] += [worth(traits, chosen) / best for chosen in sets]
    print("\n| a set of 12 by | worth, of the best found |\n|---|---|")
    for title, shares in rows.items():
        print(f"| {title} | {bootstrap(shares)} |")


def _searched(traits: Traits, target: int, rng: random.Random) -> float:
    """The best worth that swapping photos finds from many starts."""
    count = len(traits.quality)
    best = worth(traits, [pick.row for pick in choose(traits, target)])
    for _ in range(RESTARTS):
        chosen = rng.sample(range(count), target)
        value, better = worth(traits, chosen), True
        while better:
            better = False
            for i in range(target):
                for other in set(range(count)) - set(chosen):
                    moved = [*chosen[:i], other, *chosen[i + 1 :]]
                    if worth(traits, moved) > value + 1e-9:
                        chosen, value, better = moved, worth(traits, moved), True
        best = max(best, value)
    return best


def _farthest(vectors, target: int) -> list[int]:  # type: ignore[no-untyped-def]
    chosen = [0]
    while len(chosen) < target:
        chosen.append(int((vectors @ vectors[chosen].T).max(axis=1).argmin()))
    return chosen


TABLES = {
    "subject": subject_table,
    "redundancy": redundancy_table,
    "pairs": pair_table,
    "copies": variant_table,
    "sketches": sketch_table,
    "coverage": coverage_table,
    "impostors": impostor_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="where measurements are kept; default: a temporary folder")
    parser.add_argument("--only", default=",".join(TABLES), help=f"of {', '.join(TABLES)}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        settings = load(data_dir=arguments.data or Path(place), small_photos="keep")
        truth = load_truth(arguments.photos.resolve(), settings)
        print(f"{len(truth.photos)} photos, {len(truth.labels)} labelled, {len(truth.groups)} groups")
        for name in arguments.only.split(","):
            TABLES[name](truth, settings)


if __name__ == "__main__":
    main()
