"""Are the thresholds chosen, or fitted? Each is chosen anew without one person, then judged on that person.

    python benchmarks/heldout.py --photos ../shared/photos [--data FOLDER] [--seeds 3] [--only subject,...]

For every person the value is taken that does best on everybody else (of equals the one nearest to the
default), and scored on the one left out: what is told so is what strangers' photos may expect. Beside it
stands what the default does there. `--seeds`: other draws of the scenarios. Prints the tables that
docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy import FEWEST, Tally, everything, judged, people
from benchmarks.pairs import Pair, PairTruth, dropped_for, pair_truth
from benchmarks.scenarios import Truth, load_truth, strangers
from lora_builder.settings import Settings, load

MIXES = 8
"""Scenarios a person and seed."""

VALUES: Mapping[str, Sequence[float]] = {
    "subject_sim_th": (0.45, 0.50, 0.55, 0.60, 0.65),
    "burst_ssim_th": (0.50, 0.55, 0.60, 0.65, 0.70),
    "burst_sim_th": (0.60, 0.65, 0.70, 0.75, 0.80),
    "crop_sim_th": (0.80, 0.85, 0.88, 0.90, 0.95),
    "crop_ssim_th": (0.50, 0.60, 0.65, 0.70, 0.80),
}
"""What is tried of each setting; the default is added."""

Counts: TypeAlias = tuple[float, float, float]
"""Right, found or dropped in all, there in all."""


def f1(counts: Sequence[Counts]) -> float:
    right, found, there = (sum(column) for column in zip(*counts, strict=True))
    return 2 * right / max(found + there, 1e-9)


def subject_counts(truth: Truth, name: str, settings: Settings, seed: int) -> Counts:
    """Photos of the subject found, over mixes as a user brings them."""
    tally, mine = Tally(), truth.of(name)
    for number in range(MIXES):
        rng = random.Random(f"heldout{seed}{name}{number}")
        own = rng.sample(mine, rng.randint(FEWEST, len(mine)))
        others = strangers(truth, name, rng, max(3, len(own) // 2), alike=number % 2 == 1)
        tally.add(truth, name, judged(truth, [*own, *others], settings))
    return float(tally.hits), float(tally.found), float(tally.there)


def fold_of(path: str) -> str:
    """Whose photo it is, or which folder of scenes or clip it belongs to."""
    parts = Path(path).parts
    return "/".join(parts[:-1]) if parts[1] == "bursts" else "/".join(parts[:2])


def repeat_counts(truth: Truth, pairs: PairTruth, fold: str, settings: Settings) -> Counts:
    """Pairs found among the photos of one fold, each group of the ground truth counting once."""
    inside = [path for path in pairs.paths if fold_of(path) == fold]
    found = dropped_for(judged(truth, inside, settings).values())
    known = {pair: told for pair, told in pairs.same.items() if set(pair) <= set(inside)}
    sizes = Counter(group for group, _ in known.values())
    right = sum(1 / sizes[known[pair][0]] for pair in found if pair in known)
    wrong = sum(1.0 for pair in found if _wrong(pair, pairs))
    return right, right + wrong, float(len(sizes))


def _wrong(pair: Pair, pairs: PairTruth) -> bool:
    return pair not in pairs.same and pair not in pairs.unknown


def table(setting: str, folds: Sequence[str], counts: Callable[[str, float], Counts], default: float) -> str:
    """One row: what is chosen when a fold is left out, and F1 on the folds left out."""
    values = sorted({*VALUES[setting], default})
    known = {(fold, value): counts(fold, value) for fold in folds for value in values}
    chosen = {
        fold: max(
            values,
            key=lambda value: (
                round(f1([known[other, value] for other in folds if other != fold]), 4),
                -abs(value - default),
            ),
        )
        for fold in folds
    }
    often = ", ".join(f"{value:g} ({times})" for value, times in Counter(chosen.values()).most_common())
    heldout = f1([known[fold, chosen[fold]] for fold in folds])
    fixed = f1([known[fold, default] for fold in folds])
    sweep = ", ".join(f"{value:g} {f1([known[fold, value] for fold in folds]):.2%}" for value in values)
    return f"| `{setting}` | {default:g} | {often} | {heldout:.2%} | {fixed:.2%} | {sweep} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="where measurements are kept; default: a temporary folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(VALUES), help=f"of {', '.join(VALUES)}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        settings = load(data_dir=arguments.data or Path(place), small_photos="keep")
        truth = load_truth(arguments.photos.resolve(), settings)
        pairs = pair_truth(truth)
        names, folds = people(truth, FEWEST), sorted({fold_of(path) for path in pairs.paths})
        print(f"{len(names)} people for the subject, {len(folds)} people and scenes for repetition\n")
        print(
            "| setting | default | chosen without one (times) | F1 held out | at the default | F1 by value |"
        )
        print("|---|---|---|---|---|---|")
        for setting in arguments.only.split(","):
            default = float(getattr(settings, setting))

            def moved(value: float, name: str = setting) -> Settings:
                return settings.model_copy(update={name: value})

            if setting == "subject_sim_th":
                for seed in range(arguments.seeds):
                    print(
                        table(
                            setting,
                            names,
                            lambda name, value, seed=seed: subject_counts(truth, name, moved(value), seed),  # type: ignore[misc]
                            default,
                        ),
                        flush=True,
                    )
            else:
                print(
                    table(
                        setting,
                        folds,
                        lambda fold, value: repeat_counts(truth, pairs, fold, everything(moved(value))),
                        default,
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
