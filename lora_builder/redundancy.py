"""Which photos repeat which, by kind, and which of them stays.

| kind | what it is | proof | leaves |
|---|---|---|---|
| copy | the same photo re-encoded, resized, toned | hashes, then pixels | one |
| crop | the same photo, cut or with more around it | one face, one expression: recognised, and pixels | one |
| turned | the same photo mirrored or rotated | pixels of the picture laid otherwise | one |
| burst | the same moment, an instant later | pixels after a shift; where faces can tell, they agree | one |
| take | the same shot again | face, its pixels, place, size and pose, clock | `keep_per_cluster` |

One session with another pose, and one place from another side, are none of these.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from lora_builder.evidence import Evidence
from lora_builder.figures import PairFigures
from lora_builder.models.interface import Calibration
from lora_builder.records import Face, Floats, Measurement, Photo, Reason, Verdict
from lora_builder.settings import Settings

SAME_MOMENT_SECONDS = 60.0
"""Photos whose cameras' clocks are further apart were not taken in one moment."""

EYES_CLOSED = 0.25
"""`Face.eyes_open` below this is a blink."""

UNBARRED, COLOURLESS = 0.97, 8
"""Share of the picture that bars leave when there are none; spread of channels that is no colour."""

LYING = 45.0
"""Degrees of roll from which a face is lying: of a photo and its rotated copy, the upright one stays."""

CLIPPED_STEP = 0.02
"""Share of a picture that one copy must have burnt out or crushed more to count as the lesser one."""

LOSSLESS = {"PNG", "TIFF", "BMP", "RAW"}


class Kind(str, Enum):
    """How one photo repeats another; the order is that in which a pair that is several is named."""

    COPY = "copy"
    TURNED = "turned"
    CROP = "crop"
    BURST = "burst"
    TAKE = "take"

    @property
    def code(self) -> int:
        """For `scores`, which hold numbers: 1 copy, 2 turned, 3 crop, 4 burst, 5 take."""
        return list(Kind).index(self) + 1

    @property
    def reason(self) -> Reason:
        return Reason.SAME_SHOT if self in (Kind.BURST, Kind.TAKE) else Reason.NEAR_DUPLICATE


@dataclass(frozen=True, eq=False)
class Repeats:
    """By photo the photos that it repeats, each with the kind and the row of the pair's figures."""

    of: Mapping[int, Mapping[int, tuple[Kind, int]]]
    figures: PairFigures
    similarity: Floats

    def scores(self, index: int, kind: Kind) -> dict[str, float]:
        """The figures that speak for it, by the names that reports use."""
        figures = self.figures
        named: dict[str, float] = {
            "hash_distance": float(figures.bits[index]),
            "picture_ssim": float(figures.turned[index] if kind is Kind.TURNED else figures.picture[index]),
            "shifted_ssim": float(figures.shifted[index]) if kind is Kind.BURST else math.nan,
            "face_similarity": float(self.similarity[index]),
            "face_ssim": float(figures.face[index]),
            "pose_similarity": float(figures.pose[index]),
            "center_apart": float(figures.center[index]),
            "size_apart": float(figures.size[index]),
            "seconds_apart": float(figures.seconds[index]),
        }
        numbers = {name: round(value, 4) for name, value in named.items() if math.isfinite(value)}
        return {"kind": float(kind.code), **numbers}


def repeats(evidence: Evidence, settings: Settings, calibration: Calibration) -> Repeats:
    """Which pairs are which kind of repetition under these settings."""
    f = evidence.figures
    similarity = calibration.similarity(f.cosine).astype(np.float32)
    kinds = {
        Kind.COPY: (f.bits <= settings.phash_threshold)
        & (f.picture >= settings.near_ssim_th)
        & _agree(f, similarity, settings.face_sim_th2),
        Kind.TURNED: f.turned >= settings.near_ssim_th,
        Kind.CROP: (similarity >= settings.crop_sim_th) & (f.face >= settings.crop_ssim_th),
        Kind.BURST: (f.shifted >= settings.burst_ssim_th)
        & _agree(f, similarity, settings.burst_sim_th)
        & ~(f.seconds > SAME_MOMENT_SECONDS),
        Kind.TAKE: _takes(f, similarity, settings),
    }
    found: defaultdict[int, dict[int, tuple[Kind, int]]] = defaultdict(dict)
    taken = np.zeros(len(f.pairs), dtype=bool)
    for kind in Kind:
        if kind.value not in settings.duplicates:
            continue
        for index in np.flatnonzero(kinds[kind] & ~taken):
            left, right = (int(row) for row in f.pairs[index])
            found[left][right] = found[right][left] = (kind, int(index))
        taken |= kinds[kind]
    return Repeats(found, f, similarity)


def _agree(f: PairFigures, similarity: Floats, least: float) -> NDArray[np.bool_]:
    """Whether nothing in the faces says that these are two moments."""
    result: NDArray[np.bool_] = ~f.telling | (similarity >= least)
    return result


def _takes(f: PairFigures, similarity: Floats, settings: Settings) -> NDArray[np.bool_]:
    proof = np.where(similarity >= settings.face_sim_th2, settings.face_ssim_th1, settings.face_ssim_th2)
    result: NDArray[np.bool_] = (
        (similarity >= settings.face_sim_th1)
        & (f.face >= proof)
        & (f.pose >= settings.pose_sim_th)
        & (f.center <= settings.bbox_tol_c)
        & (f.size <= settings.bbox_tol_wh)
        & ~(f.seconds > SAME_MOMENT_SECONDS)
    )
    return result


def best_first(
    evidence: Evidence,
    repeated: Repeats,
    verdicts: Sequence[Verdict],
    rows: Sequence[int],
    preferred: set[int],
) -> list[int]:
    """The rows in the order in which they stay: the user's choice, open eyes, a face that is upright,
    resolution, no bars around it, colour, a lossless format, the camera's clock (copies lose it), not
    saved again (`traces.py`), nothing burnt out or crushed, sharpness, bytes a pixel, JPEG quality, the
    photo that stands for most others, bytes, name.

    Resolution, sharpness and bytes a pixel go in steps, so that noise in one does not outrank the
    next; bars around the picture are no resolution.
    """

    def rank(row: int) -> tuple[object, ...]:
        verdict = verdicts[row]
        return (
            verdict.reason is not Reason.BY_USER,
            row not in preferred,
            merits_of(evidence, row, -1 if verdict.subject is None else verdict.subject),
            -len(repeated.of.get(row, ())),
            -verdict.photo.bytes,
            verdict.photo.source.name,
        )

    return sorted(rows, key=rank)


def merits_of(evidence: Evidence, row: int, face: int) -> tuple[object, ...]:
    """What a photo with that face (-1: none) has for it as a keeper, remembered in the evidence; the best
    ones come first."""
    merits = evidence.ranks.get((row, face))
    if merits is None:
        merits = evidence.ranks[row, face] = merits_in(evidence.measurement(row), evidence.photos[row], face)
    return merits


def merits_in(measurement: Measurement, photo: Photo, index: int) -> tuple[object, ...]:
    """The same, of what was measured."""
    face = measurement.faces[index] if index >= 0 else None
    blink = face is not None and face.eyes_open is not None and face.eyes_open < EYES_CLOSED
    sharpness = face.sharpness if face is not None else measurement.sharpness
    content = measurement.content
    area = content.area if content else float(measurement.width * measurement.height)
    return (
        blink,
        not _upright(measurement, face),
        -round(4 * math.log2(area)),
        area < UNBARRED * measurement.width * measurement.height,
        int((measurement.colours.max(axis=2) - measurement.colours.min(axis=2)).max()) < COLOURLESS,
        measurement.format not in LOSSLESS,
        measurement.captured_at is None,
        measurement.saved_again >= 1,
        int((measurement.exposure.clipped_bright + measurement.exposure.clipped_dark) / CLIPPED_STEP),
        -round(3 * math.log(max(sharpness, 1e-6))),
        -round(2 * math.log2(max(photo.bytes, 1) / area)),
        -(measurement.jpeg_quality or 100),
    )


def _upright(measurement: Measurement, face: Face | None) -> bool:
    """Whether the subject's face, or without one any face, is upright."""
    faces = measurement.faces if face is None else (face,)
    return any(abs(face.pose.roll) < LYING for face in faces)


def keeper_of(row: int, repeated: Repeats, kept: set[int], keep_per_cluster: int) -> tuple[int, Kind] | None:
    """The kept photo because of which this one is not needed, and how it repeats it."""
    if row not in repeated.of:
        return None
    same = {other: how for other, how in repeated.of[row].items() if other in kept}
    firm = {other: how for other, how in same.items() if how[0] is not Kind.TAKE}
    if not firm and len(same) < keep_per_cluster:
        return None
    candidates = firm or same

    def strength(other: int) -> tuple[int, float, int]:
        kind, index = candidates[other]
        f = repeated.figures
        alike = np.nan_to_num([f.picture[index], f.turned[index], f.shifted[index], f.face[index]], nan=-1)
        return -kind.code, float(alike.max()), -other

    best = max(candidates, key=strength)
    return best, candidates[best][0]
