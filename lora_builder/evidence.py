"""What the measurements alone say, whatever the settings: which photos may repeat which, and how much.

Cheap likeness nominates pairs (blurred pictures, recognised faces, frames that hang together), and
the dear comparisons are made once for those. Judging again after a slider moved then costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import ThreadpoolController

from lora_builder.grouping import FaceTable
from lora_builder.identity import Subject
from lora_builder.quality import Light
from lora_builder.records import Crop, Floats, Look, Measurement, Photo, Verdict
from lora_builder.similarity import (
    TURNS,
    Pairs,
    correlated,
    spectra,
    spectra_turned,
    spectra_unturned,
    ssim,
    ssim_shifted,
    ssim_turned,
)

BLAS = ThreadpoolController()
"""Products of a few thousand rows take one core milliseconds, and several cores, where others work
too, three times as long: they wait for each other at the end of each. So `limit(limits=1)`."""

SAME_SCENE = 0.80
"""Correlation of two blurred pictures from which they may be one picture or one moment."""

SAME_TURNED = 0.85
"""The same, of a picture mirrored or rotated."""

SAME_FACE, SAME_LOOK, FACE_WEIGHT = 0.88, 0.50, 0.8
"""Cosine of two faces, and correlation of their blurred pictures, from which one may be cut out of
the other's photo; they are weighed together, recognition with this share."""

FACES = 3
"""Faces of each photo that are compared, the largest ones."""

TELLING_SIDE = 48.0
"""Pixels of the analysis picture from which a face is large enough to say that two moments differ."""

ANALYSED = 1280.0
"""Side of the analysis picture, pixels, by which `TELLING_SIDE` is meant."""

COMPARED_BITS = 12
"""Hash distance up to which pictures are compared pixel by pixel, so that the slider costs nothing."""

COMPARED_FACE, COMPARED_APART, COMPARED_POSE = 0.60, 0.20, 0.50
"""The same for two takes of one shot: least cosine, most distance and size difference, least pose."""

MOVING_FACE = 0.80
"""Cosine of two telling faces below which no shift makes one moment of two pictures."""

LARGEST_BURST = 64
"""Photos that hang together are all compared with each other up to this many."""

HANGS_TOGETHER = 0.60
"""Structural similarity after a shift from which frames hang together."""

POSE_SPAN = 45.0
"""Degrees of head rotation between two photos at which their pose similarity is 0."""


@dataclass(frozen=True, eq=False)
class PairFigures:
    """How much pairs of photos are alike; (n,) each, NaN where it was not worth comparing.

    `bits`: between the hashes. `picture`, `shifted`, `turned`: structural similarity as they are, after
    the best shift, and laid as `TURNS[turn]`. `cosine`, `face`, `pose`: of the two faces most alike:
    recognition, structural similarity, head pose. `center`, `size`: how far those faces are apart and
    differ in size, as shares of the picture. `telling`: whether both are large enough to count.
    `seconds`: between the exposures.
    """

    pairs: Pairs
    bits: Floats
    picture: Floats
    shifted: Floats
    turned: Floats
    turn: NDArray[np.intp]
    cosine: Floats
    face: Floats
    pose: Floats
    center: Floats
    size: Floats
    telling: NDArray[np.bool_]
    seconds: Floats


@dataclass
class FirstLook:
    """What can be told of each photo by itself, by row: good ones, and poor ones that are dropped
    unless they repeat a kept one. `preferred`: by the user, over those that they repeat."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    good: list[int] = field(default_factory=list)
    poor: list[int] = field(default_factory=list)
    preferred: set[int] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One row a distinct content, sorted by source name; the caches hold what few settings change."""

    photos: tuple[Photo, ...]
    measurements: tuple[Measurement, ...]
    faces: FaceTable
    figures: PairFigures
    subjects: dict[object, Subject] = field(default_factory=dict)
    crops: dict[object, dict[tuple[int, int], Crop | None]] = field(default_factory=dict)
    lights: dict[tuple[int, int], Light] = field(default_factory=dict)
    ranks: dict[tuple[int, int], tuple[object, ...]] = field(default_factory=dict)
    firsts: dict[object, FirstLook] = field(default_factory=dict)


def gather(photos: Sequence[Photo], looks: Mapping[str, Look]) -> Evidence:
    """The evidence of all readable photos. `looks` is by SHA-256."""
    first: dict[str, Photo] = {}
    for photo in sorted(photos, key=lambda photo: photo.source.name):
        first.setdefault(photo.sha256, photo)
    rows = [(p, m) for p in first.values() if isinstance(m := looks[p.sha256], Measurement)]
    measurements = tuple(m for _, m in rows)
    faces = FaceTable.of(measurements)
    with BLAS.limit(limits=1, user_api="blas"):
        figures = _figures(measurements)
    return Evidence(tuple(p for p, _ in rows), measurements, faces, figures)


@dataclass(frozen=True, eq=False)
class _Faces:
    """The largest faces of each photo: (photos, FACES) tables, rows of zeros where there are fewer."""

    embedding: Floats
    place: Floats
    angle: Floats
    telling: NDArray[np.bool_]
    grey: Sequence[Sequence[NDArray[np.uint8]]]

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> _Faces:
        count = len(measurements)
        width = next((len(m.faces[0].embedding) for m in measurements if m.faces), 1)
        table = cls(
            np.zeros((count, FACES, width), np.float32),
            np.zeros((count, FACES, 4), np.float32),
            np.zeros((count, FACES, 3), np.float32),
            np.zeros((count, FACES), bool),
            [[face.grey for face in m.faces[:FACES]] for m in measurements],
        )
        for row, m in enumerate(measurements):
            scale = min(1.0, ANALYSED / max(m.width, m.height))
            for i, face in enumerate(m.faces[:FACES]):
                (x, y), box = face.box.center, face.box
                table.embedding[row, i] = face.embedding
                table.place[row, i] = x / m.width, y / m.height, box.width / m.width, box.height / m.height
                table.angle[row, i] = face.pose.yaw, face.pose.pitch, face.pose.roll
                table.telling[row, i] = min(box.width, box.height) * scale >= TELLING_SIDE
        return table


def _figures(measurements: Sequence[Measurement]) -> PairFigures:
    greys = [m.grey for m in measurements]
    vectors = spectra(greys)
    faces = _Faces.of(measurements)
    upright = np.unique(np.concatenate([correlated(vectors, SAME_SCENE), _face_pairs(faces)]), axis=0)
    known = _compared(measurements, faces, greys, upright)
    more = _hanging_together(known, len(greys))
    more = more[~np.isin(_numbers(more, len(greys)), _numbers(upright, len(greys)))]
    if len(more):
        known = _followed(known, _compared(measurements, faces, greys, more))
    turned, turn = _turned_pairs(vectors)
    if len(turned):
        known = _joined(known, measurements, faces, greys, turned, turn)
    return known


def _numbers(pairs: Pairs, count: int) -> NDArray[np.intp]:
    """One number a pair of `count` photos."""
    return pairs[:, 0] * count + pairs[:, 1]


def _followed(known: PairFigures, more: PairFigures) -> PairFigures:
    """The figures of one lot of pairs and then of another."""
    names = PairFigures.__dataclass_fields__
    return PairFigures(
        **{name: np.concatenate([getattr(known, name), getattr(more, name)]) for name in names}
    )


def _face_pairs(faces: _Faces) -> Pairs:
    """Pairs of photos with one face in one expression, wherever in the picture."""
    photo, index = np.nonzero(faces.embedding.any(axis=2))
    looks = spectra([faces.grey[int(p)][int(i)] for p, i in zip(photo, index, strict=True)])
    recognised, seen = faces.embedding[photo, index], looks
    both = np.concatenate(
        [np.sqrt(FACE_WEIGHT) * recognised, np.sqrt(1 - FACE_WEIGHT) * seen], axis=1, dtype=np.float32
    )
    found = correlated(both, FACE_WEIGHT * SAME_FACE + (1 - FACE_WEIGHT) * SAME_LOOK)
    left, right = photo[found].T
    different = left != right
    return np.sort(np.stack([left, right], axis=1)[different], axis=1).astype(np.intp)


def _turned_pairs(vectors: Floats) -> tuple[Pairs, NDArray[np.intp]]:
    """Pairs of which one may be the other mirrored or rotated, and how it is to be laid."""
    if len(vectors) < 2:
        return np.empty((0, 2), np.intp), np.empty(0, np.intp)
    pairs = correlated(spectra_unturned(vectors), SAME_TURNED)
    left, right = vectors[pairs[:, 0]], vectors[pairs[:, 1]]
    alike = np.stack([np.einsum("nd,nd->n", left, spectra_turned(right, turn)) for turn in TURNS], axis=1)
    best = alike.argmax(axis=1)
    upright = np.einsum("nd,nd->n", left, right)
    good = (alike.max(axis=1) >= SAME_TURNED) & (alike.max(axis=1) > upright)
    return pairs[good], best[good]


def _compared(
    measurements: Sequence[Measurement], faces: _Faces, greys: list[NDArray[np.uint8]], pairs: Pairs
) -> PairFigures:
    count = len(pairs)
    left, right = pairs.T
    hashes = np.array([m.phash for m in measurements], dtype=np.uint64)
    times = np.array([np.nan if m.captured_at is None else m.captured_at for m in measurements])
    bits = np.bitwise_count(hashes[left] ^ hashes[right]).astype(np.float32)
    alike = np.einsum("nid,njd->nij", faces.embedding[left], faces.embedding[right]).reshape(count, FACES**2)
    one, other = np.divmod(alike.argmax(axis=1) if count else np.empty(0, np.intp), FACES)
    there = faces.embedding[left, one].any(axis=1) & faces.embedding[right, other].any(axis=1)
    cosine = np.where(there, alike.max(axis=1, initial=-1), np.nan).astype(np.float32)
    apart = np.abs(faces.place[left, one] - faces.place[right, other])
    turned = np.abs(faces.angle[left, one] - faces.angle[right, other]).max(axis=1, initial=0)
    telling = there & faces.telling[left, one] & faces.telling[right, other]
    center, size = apart[:, :2].max(axis=1, initial=0), apart[:, 2:].max(axis=1, initial=0)
    pose = np.clip(1 - turned / POSE_SPAN, 0, 1)
    near = (center <= COMPARED_APART) & (size <= COMPARED_APART) & (pose >= COMPARED_POSE)
    faced = np.flatnonzero((cosine >= SAME_FACE) | ((cosine >= COMPARED_FACE) & near))
    face = np.full(count, np.nan, np.float32)
    first, second = np.stack([left, one], axis=1), np.stack([right, other], axis=1)
    face[faced] = _face_ssim(faces, first[faced], second[faced])
    picture = _where(bits <= COMPARED_BITS, lambda rows: ssim(greys, pairs[rows]))
    moved = ~telling | (cosine >= MOVING_FACE)
    shifted = _where(moved, lambda rows: ssim_shifted(greys, pairs[rows]))
    nothing = np.full(count, np.nan, np.float32)
    return PairFigures(
        pairs, bits, picture, shifted, nothing, np.full(count, -1, np.intp), cosine, face,
        np.where(there, pose, np.nan), np.where(there, center, np.nan), np.where(there, size, np.nan),
        telling, np.abs(times[left] - times[right]),
    )  # fmt: skip


def _face_ssim(faces: _Faces, left: Pairs, right: Pairs) -> Floats:
    """Of the faces (photo, index) in each row of `left` and `right`."""
    greys = [faces.grey[int(p)][int(i)] for p, i in [*left, *right]]
    rows = np.arange(len(left))
    return ssim(greys, np.stack([rows, rows + len(left)], axis=1))


def _where(chosen: NDArray[np.bool_], compare) -> Floats:  # type: ignore[no-untyped-def]
    result = np.full(len(chosen), np.nan, np.float32)
    rows = np.flatnonzero(chosen)
    if len(rows):
        result[rows] = compare(rows)
    return result


def _hanging_together(known: PairFigures, count: int) -> Pairs:
    """All pairs within each set of frames that hang together: its ends may still be one moment."""
    linked = (known.shifted >= HANGS_TOGETHER) | (known.face >= HANGS_TOGETHER)
    left, right = known.pairs[linked].T
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels, minlength=1)
    found = [np.empty((0, 2), np.intp)]
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for label in np.flatnonzero((sizes > 2) & (sizes <= LARGEST_BURST)):
        rows = np.sort(order[starts[label] : starts[label + 1]])
        first, second = np.triu_indices(len(rows), 1)
        found.append(np.stack([rows[first], rows[second]], axis=1))
    return np.concatenate(found)


def _joined(
    known: PairFigures,
    measurements: Sequence[Measurement],
    faces: _Faces,
    greys: list[NDArray[np.uint8]],
    pairs: Pairs,
    turn: NDArray[np.intp],
) -> PairFigures:
    """The figures of the turned pairs after those that are known."""
    keys = {tuple(pair): i for i, pair in enumerate(known.pairs.tolist())}
    fresh = np.array([tuple(pair) not in keys for pair in pairs.tolist()], dtype=bool)
    result = _followed(known, _compared(measurements, faces, greys, pairs[fresh]))
    places = np.empty(len(pairs), np.intp)
    places[fresh] = np.arange(fresh.sum()) + len(known.pairs)
    places[~fresh] = [keys[tuple(pair)] for pair in pairs[~fresh].tolist()]
    result.turned[places], result.turn[places] = ssim_turned(greys, pairs, turn), turn
    return result
