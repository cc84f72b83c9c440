"""The best N of the photos that may be kept: a set that covers much, not N good photos.

What a set is worth is the sum over traits (framing, view, expression, light, ...) of
`weight * log(1 + count)` over their classes, plus a little for each photo's own quality. Every new
photo of a class adds less than the last: the worth is monotone and submodular, so taking the photo
that adds most, again and again, comes to at least 1 - 1/e = 63% of the best possible set (Nemhauser,
Wolsey and Fisher 1978); with quotas, a partition matroid, to at least half (Fisher et al. 1978).
`benchmarks/accuracy.py` measures how near it really comes. Who is in a photo is decided before: no
variety can buy a stranger in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lora_builder.measure import shot
from lora_builder.records import Measurement, Shot

TRAITS: Mapping[str, float] = {
    "framing": 1.0,
    "view": 1.0,
    "pitch": 0.4,
    "expression": 0.7,
    "light": 0.5,
    "colour": 0.5,
    "scene": 1.0,
}
"""What a set should vary in, and how much each counts."""

QUALITY = 0.35
"""Weight of a photo's own quality, 0..1, against the traits."""

VIEWS, PITCHES, LIGHTS = (-55.0, -15.0, 15.0, 55.0), (-12.0, 12.0), (0.25, 0.45, 0.65)
"""Where classes of yaw (degrees), pitch (degrees) and brightness (0..1) end."""

SMILE = 0.6
"""`Face.smile` from which a face smiles, as in captions."""

GREYISH = 18
"""Difference of the mean colour's channels below which a scene has no hue."""

CRISP = 0.5
"""Face sharpness from which more adds no quality (`pixels.sharpness`; the third quartile measured)."""

LARGE = 512.0
"""Pixels of a face from which more adds no quality."""


@dataclass(frozen=True)
class Pick:
    """One chosen photo: which, the trait to which it added most, and how much it added in all."""

    row: int
    trait: str
    added: float


@dataclass(frozen=True, eq=False)
class Traits:
    """The classes of some photos: `classes` (n, traits), numbered from 0 within each trait; `quality`
    (n,), 0..1; `framing`: each photo's shot."""

    classes: NDArray[np.intp]
    quality: NDArray[np.float64]
    framing: tuple[Shot, ...]


def traits_of(
    measurements: Sequence[Measurement], faces: Sequence[int | None], likeness: Sequence[float]
) -> Traits:
    """The traits of photos, each with its subject's face and the face's similarity to the subject."""
    framing = tuple(shot(m, face) for m, face in zip(measurements, faces, strict=True))
    keys = [_keys(m, face, f) for m, face, f in zip(measurements, faces, framing, strict=True)]
    columns = [np.unique([str(key[i]) for key in keys], return_inverse=True)[1] for i in range(len(TRAITS))]
    quality = [_quality(m, face, like) for m, face, like in zip(measurements, faces, likeness, strict=True)]
    return Traits(np.stack(columns, axis=1).astype(np.intp), np.array(quality), framing)


def worth(traits: Traits, rows: Sequence[int]) -> float:
    """What the set of these photos is worth."""
    chosen = np.array(rows, dtype=np.intp)
    total = QUALITY * float(traits.quality[chosen].sum())
    for column, weight in enumerate(TRAITS.values()):
        total += weight * float(np.log1p(np.bincount(traits.classes[chosen, column])).sum())
    return total


def choose(
    traits: Traits, target: int, must: Collection[int] = (), quotas: Mapping[Shot, float] | None = None
) -> list[Pick]:
    """At most `target` photos in the order of what they add; those of `must` first.

    `quotas`: the most of each framing, as shares of `target`. What a quota leaves empty for lack of
    photos the other framings fill. Deterministic: between equals the earlier row.
    """
    count = len(traits.quality)
    caps = {kind: round(share * target) for kind, share in (quotas or {}).items()}
    picks: list[Pick] = []
    free = np.ones(count, dtype=bool)
    counts = [np.zeros(traits.classes[:, i].max(initial=0) + 1) for i in range(len(TRAITS))]
    weights = list(TRAITS.values())
    queue = sorted(must)
    while len(picks) < min(target, count) or queue:
        gains = np.stack(
            [w * np.log1p(1 / (1 + counts[i][traits.classes[:, i]])) for i, w in enumerate(weights)], axis=1
        )
        total = gains.sum(axis=1) + QUALITY * traits.quality
        if queue:
            row = queue.pop(0)
        else:
            open_ = free & _allowed(traits, picks, caps)
            if not open_.any():
                caps = {}
                continue
            row = int(np.where(open_, total, -np.inf).argmax())
        free[row] = False
        for i in range(len(weights)):
            counts[i][traits.classes[row, i]] += 1
        picks.append(Pick(row, list(TRAITS)[int(gains[row].argmax())], float(total[row])))
    return picks


def stand_in(traits: Traits, row: int, picks: Sequence[Pick]) -> int:
    """The chosen photo that shows most of what this one shows."""
    weights = np.array(list(TRAITS.values()))
    chosen = np.array([pick.row for pick in picks], dtype=np.intp)
    alike = (traits.classes[chosen] == traits.classes[row]) @ weights
    return int(chosen[alike.argmax()])


def quotas_of(texts: Sequence[str]) -> dict[Shot, float]:
    """`("face=40", "body=25")`, in percent, as shares by framing."""
    pairs = (text.split("=") for text in texts)
    return {Shot(name.strip()): float(percent) / 100 for name, percent in pairs}


def _allowed(traits: Traits, picks: Sequence[Pick], caps: Mapping[Shot, int]) -> NDArray[np.bool_]:
    if not caps:
        return np.ones(len(traits.framing), dtype=bool)
    used = [traits.framing[pick.row] for pick in picks]
    full = {kind for kind, cap in caps.items() if used.count(kind) >= cap}
    return np.array([kind not in full for kind in traits.framing], dtype=bool)


def _keys(measurement: Measurement, index: int | None, framing: Shot) -> tuple[object, ...]:
    """The classes of one photo, in the order of `TRAITS`."""
    face = measurement.faces[index] if index is not None else None
    halves = measurement.colours.reshape(2, -1, 3).mean(axis=1)
    mean = halves.mean(axis=0)
    hue = int(mean.argmax()) * 3 + int(mean.argmin()) if np.ptp(mean) >= GREYISH else -1
    day = None if measurement.captured_at is None else int(measurement.captured_at // 3600)
    return (
        framing.value,
        np.searchsorted(VIEWS, face.pose.yaw) if face else None,
        np.searchsorted(PITCHES, face.pose.pitch) if face else None,
        None if face is None or face.smile is None else face.smile >= SMILE,
        np.searchsorted(LIGHTS, measurement.exposure.brightness),
        hue,
        (day, *(halves // 64).astype(int).ravel().tolist()),
    )


def _quality(measurement: Measurement, index: int | None, likeness: float) -> float:
    """How good a photo is by itself, 0..1: surely them, sharp, large, eyes open."""
    if index is None:
        return 0.25
    face = measurement.faces[index]
    parts = (
        max(likeness, 0.0),
        min(face.sharpness / CRISP, 1.0),
        min(face.box.height / LARGE, 1.0),
        1.0 if face.eyes_open is None else face.eyes_open,
    )
    return sum(parts) / len(parts)
