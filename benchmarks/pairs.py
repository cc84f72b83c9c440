"""Which pairs of photos are one picture or one moment, and how well a tool tells them.

A pair is the same where both photos are in one `collapse` group of the ground truth (or one is a copy
that we made of the other), and different otherwise. Left out of the count, for nobody knows: pairs that
hang together in another way only, through an `optional` group, one video clip, or `SEEN`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath
from typing import TypeAlias

import imagehash
import numpy as np
from PIL import Image, ImageOps

from benchmarks.scenarios import VARIANTS, Truth, wilson
from lora_builder.records import Verdict

Pair: TypeAlias = tuple[str, str]
"""Two photos by path, in order."""

SEEN = (
    ("people/_groups/004_two_people.jpg", "people/barack_obama/010_obama3.jpg"),
    ("people/_groups/004_two_people.jpg", "people/joe_biden/001_biden.jpg"),
    ("people/barack_obama/002_obama.jpg", "people/barack_obama/014_obama.jpg"),
    ("people/barack_obama/002_obama.jpg", "people/barack_obama/004_obama-1080p.jpg"),
    ("people/bryce_dallas_howard/014_00000016.jpg", "people/bryce_dallas_howard/023_00000028.jpg"),
    ("people/will_smith/024_00000023.jpg", "people/will_smith/025_00000024.jpg"),
)
"""Crops of one photo that the ground truth does not list; looked at. Neither right nor wrong to find."""

CLIPS = PurePosixPath("neardup/bursts")
"""Each folder below holds frames of one clip: those of no one group may be alike or not."""

KINDS = {
    "re-encode": "re-encoded, resized, toned",
    "resize+gray": "re-encoded, resized, toned",
    "same photo, other size/compression/tone": "re-encoded, resized, toned",
    "same portrait: pillar-boxed at 4 sizes, small crop": "bars around it",
    "same picture stored with EXIF orientation 1..8": "EXIF orientation",
    "same scene, HDR on/off": "HDR on and off",
    "5 frames 0.1 s apart": "burst",
    "consecutive video frames": "burst",
    "consecutive frames (no person)": "burst",
}
"""What the ground truth's relations are, for people."""

ROUNDS = 1000
"""Times the groups are drawn again for an interval."""


@dataclass(frozen=True)
class PairTruth:
    """`paths`: one a distinct content. `same`: by pair its group and kind; `unknown`: neither right nor
    wrong."""

    paths: tuple[str, ...]
    same: Mapping[Pair, tuple[str, str]]
    unknown: frozenset[Pair]

    @property
    def kinds(self) -> list[str]:
        return sorted({kind for _, kind in self.same.values()})


@dataclass(frozen=True)
class Score:
    """Pairs found by group (`hits` of `there`), and those that are `wrong`."""

    there: Counter[str]
    hits: Counter[str]
    wrong: tuple[Pair, ...]

    @property
    def precision(self) -> str:
        return wilson(self.hits.total(), self.hits.total() + len(self.wrong))

    @property
    def recall(self) -> str:
        return wilson(self.hits.total(), self.there.total())

    @property
    def f1(self) -> str:
        """With its interval, over groups and wrong pairs drawn again."""
        return _interval(self._units)

    @property
    def even_f1(self) -> str:
        """The same where each group counts once, however many pairs it has, and a wrong pair as much."""
        return _interval(self._even_units)

    @property
    def value(self) -> float:
        """F1, 0..1."""
        return _f1(np.array(self._units).sum(axis=0))

    @property
    def even_value(self) -> float:
        """F1 where each group counts once, 0..1."""
        return _f1(np.array(self._even_units).sum(axis=0))

    @property
    def _even_units(self) -> list[tuple[float, float, float]]:
        return [(hits / max(there, 1), wrong, min(there, 1.0)) for hits, wrong, there in self._units]

    @property
    def _units(self) -> list[tuple[float, float, float]]:
        """(found, wrong, there) of each group and each wrong pair."""
        groups = [(float(self.hits[group]), 0.0, float(there)) for group, there in self.there.items()]
        return groups + [(0.0, 1.0, 0.0)] * len(self.wrong)


def score(truth: PairTruth, found: Iterable[Pair], kind: str | None = None) -> Score:
    """How right the pairs found are; of one kind: all wrong ones count against it."""
    there = Counter(group for group, name in truth.same.values() if kind in (None, name))
    hits: Counter[str] = Counter()
    wrong = []
    for pair in set(found):
        group, name = truth.same.get(pair, ("", ""))
        if group:
            hits[group] += kind in (None, name)
        elif pair not in truth.unknown:
            wrong.append(pair)
    return Score(there, hits, tuple(sorted(wrong)))


def pair_truth(truth: Truth, made: Mapping[str, Mapping[str, str]] | None = None) -> PairTruth:
    """Of the labelled photos; with `made` (original: {variant: path}) only of those copies, among all."""
    first: dict[str, str] = {}
    for path, photo in sorted(truth.photos.items()):
        first.setdefault(photo.sha256, path)
    name = {path: first[photo.sha256] for path, photo in truth.photos.items()}
    same: dict[Pair, tuple[str, str]] = {}
    together: list[Iterable[str]] = [(name[one], name[other]) for one, other in SEEN if one in name]
    clips: defaultdict[PurePosixPath, list[str]] = defaultdict(list)
    for path in name:
        if PurePosixPath(path).is_relative_to(CLIPS):
            clips[PurePosixPath(path).parent].append(name[path])
    together += clips.values()
    for group in truth.groups:
        if group.expect == "keep":
            continue
        members = [name[path] for path in group.paths if path in name]
        together.append(members)
        if group.expect == "collapse" and made is None:
            kind = KINDS[group.relation]
            same.update(dict.fromkeys(pairs_within(members), (group.id, kind)))
    for original, copies in (made or {}).items():
        together.append([name[original], *copies.values()])
        for variant, path in copies.items():
            same[ordered(name[original], path)] = (path, VARIANTS[variant][0])
    paths = (*first.values(), *(path for copies in (made or {}).values() for path in copies.values()))
    unknown = {pair for group in joined(together) for pair in pairs_within(group)} - set(same)
    return PairTruth(paths, same, frozenset(unknown))


def ordered(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def pairs_within(paths: Iterable[str]) -> list[Pair]:
    return list(combinations(sorted(set(paths)), 2))


def joined(sets: Iterable[Iterable[str]]) -> list[set[str]]:
    """Sets that share a member made one."""
    result: list[set[str]] = []
    for members in map(set, sets):
        touching = [other for other in result if other & members]
        result = [other for other in result if not other & members]
        result.append(members.union(*touching))
    return result


def closed(links: Iterable[Pair]) -> set[Pair]:
    """All pairs of photos that links lead from one to the other: what ends in one group."""
    return {pair for group in joined(links) for pair in pairs_within(group)}


def dropped_for(verdicts: Iterable[Verdict]) -> set[Pair]:
    """Our pairs: a photo dropped as a repetition and the kept one, and all dropped for the same one."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for verdict in verdicts:
        if verdict.because_of is not None:
            groups[verdict.because_of] |= {verdict.because_of, verdict.photo.source.name}
    return {pair for group in groups.values() for pair in pairs_within(group)}


def by_hash(truth: Truth, paths: Sequence[str], most: int = 6) -> set[Pair]:
    """The baseline: upright photos whose perceptual hashes differ in at most `most` of 64 bits."""
    hashes = []
    for path in paths:
        with Image.open(truth.photos[path].source.path) as image:
            image.draft("RGB", (512, 512))
            hashes.append(imagehash.phash(ImageOps.exif_transpose(image).convert("RGB")).hash.ravel())
    bits = np.array(hashes)
    near = [(i, j) for i in range(len(bits)) for j in np.flatnonzero((bits[i] ^ bits).sum(axis=1) <= most)]
    return {ordered(paths[i], paths[int(j)]) for i, j in near if i < j}


def _f1(sums: np.ndarray) -> float:
    hits, wrong, there = (float(value) for value in sums)
    return 2 * hits / max(hits + wrong + there, 1e-9)


def _interval(units: Sequence[tuple[float, float, float]]) -> str:
    table, rng = np.array(units), random.Random(1)
    drawn = sorted(
        _f1(table[rng.choices(range(len(table)), k=len(table))].sum(axis=0)) for _ in range(ROUNDS)
    )
    low, high = drawn[round(0.025 * ROUNDS)], drawn[round(0.975 * ROUNDS) - 1]
    return f"{_f1(table.sum(axis=0)):.2%} ({low:.1%}-{high:.1%})"
