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

from lora_builder.figures import FACES, SAME_FACE, Comparer, PairFigures
from lora_builder.grouping import FaceTable
from lora_builder.identity import Subject
from lora_builder.looks import Looks
from lora_builder.memory import give_back
from lora_builder.neighbours import BLAS, Pairs, correlated, unique_pairs
from lora_builder.quality import Condition
from lora_builder.records import Crop, Floats, Look, Measurement, Photo, Reason, Verdict
from lora_builder.similarity import LOT, TURNS, spectra, spectra_turned, spectra_unturned

SAME_SCENE = 0.80
"""Correlation of two blurred pictures from which they may be one picture or one moment."""

SAME_TURNED = 0.85
"""The same, of a picture mirrored or rotated."""

SAME_LOOK, FACE_WEIGHT = 0.50, 0.8
"""Correlation of two faces' blurred pictures from which, with `SAME_FACE`, one may be cut out of the
other's photo; they are weighed together, recognition with this share."""

LARGEST_BURST = 64
"""Photos that hang together are all compared with each other up to this many."""

HANGS_TOGETHER = 0.60
"""Structural similarity after a shift from which frames hang together."""

KEPT_MEMORY = (32 << 20) - (1 << 16)
"""Bytes. Where memory of this size was freed once, glibc keeps such blocks for the next use (see
mallopt's M_MMAP_THRESHOLD); fetching them from the system anew, page by page, takes several times as
long as our sums over them."""


@dataclass(frozen=True, eq=False)
class Facts:
    """Figures for the scores, which no setting changes; by row, and by row of `FaceTable` for the faces.

    `faces`: how many; `first`: the row of the first one. `back`: whether somebody is seen from behind.
    """

    width: list[float]
    height: list[float]
    sharpness: list[float]
    brightness: list[float]
    faces: list[int]
    first: list[int]
    back: list[bool]
    face_sharpness: list[float]
    face_brightness: list[float]
    yaw: list[float]

    @classmethod
    def of(cls, looks: Looks, rows: NDArray[np.intp], table: FaceTable) -> Facts:
        photos, faces = looks.photos[rows], looks.faces[table.row]
        counts = photos["bodies"]
        owner = np.repeat(np.arange(len(rows)), counts)
        body = np.arange(len(owner)) + np.repeat(photos["first_body"] - np.cumsum(counts) + counts, counts)
        behind = owner[looks.bodies["face"][body] < 0]
        return cls(
            photos["width"].astype(float).tolist(),
            photos["height"].astype(float).tolist(),
            _rounded(photos["sharpness"], 4),
            _rounded(photos["exposure"][:, 0], 4),
            photos["faces"].tolist(),
            (np.cumsum(photos["faces"]) - photos["faces"]).tolist(),
            (np.bincount(behind, minlength=len(rows)) > 0).tolist(),
            _rounded(faces["sharpness"], 4),
            _rounded(faces["brightness"], 4),
            _rounded(faces["pose"][:, 0], 1),
        )


def _rounded(values: NDArray[np.float64], digits: int) -> list[float]:
    return [round(value, digits) for value in values.tolist()]


Judged = tuple[Reason | None, Mapping[str, float]]
"""Why a photo with that face is unusable, if it is, and its defects by name, as scores."""


Framed = tuple[Crop | None, int]
"""The crop of a photo with that face, if there is one, and how many other people's faces are in it."""


@dataclass
class FirstLook:
    """What can be told of each photo by itself: verdicts by row; good ones, and poor ones that are
    dropped unless they repeat a kept one. `preferred`: by the user, over those that they repeat."""

    verdicts: list[Verdict] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    poor: list[int] = field(default_factory=list)
    preferred: set[int] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One row a distinct content, sorted by source name; the caches hold what few settings change, by
    row and face (-1: none)."""

    photos: tuple[Photo, ...]
    looks: Mapping[str, Look]
    faces: FaceTable
    figures: PairFigures
    facts: Facts
    row_of: Mapping[str, int]
    subjects: dict[object, Subject] = field(default_factory=dict)
    ranks: dict[tuple[int, int], tuple[object, ...]] = field(default_factory=dict)
    framed: dict[object, dict[tuple[int, int], Framed]] = field(default_factory=dict)
    conditions: dict[tuple[int, int], Condition] = field(default_factory=dict)
    judged: dict[object, dict[tuple[int, int], Judged]] = field(default_factory=dict)
    firsts: dict[object, FirstLook] = field(default_factory=dict)

    def measurement(self, row: int) -> Measurement:
        """What was measured of a photo."""
        look = self.looks[self.photos[row].sha256]
        assert isinstance(look, Measurement)
        return look


def gather(photos: Sequence[Photo], looks: Mapping[str, Look]) -> Evidence:
    """The evidence of all readable photos. `looks` is by SHA-256; `Looks` are taken as they lie."""
    np.empty(KEPT_MEMORY, np.uint8)
    first: dict[str, Photo] = {}
    for photo in sorted(photos, key=lambda photo: photo.source.name):
        first.setdefault(photo.sha256, photo)
    columns = Looks.of(looks if isinstance(looks, Looks) else {sha256: looks[sha256] for sha256 in first})
    readable = tuple(photo for sha256, photo in first.items() if columns.rejected(sha256) is None)
    rows = columns.rows(photo.sha256 for photo in readable)
    faces = FaceTable.of(columns, rows, [photo.sha256 for photo in readable])
    with BLAS.limit(limits=1, user_api="blas"):
        figures = _figures(Comparer.of(columns, rows, faces))
    give_back()
    row_of = {photo.sha256: row for row, photo in enumerate(readable)}
    return Evidence(readable, looks, faces, figures, Facts.of(columns, rows, faces), row_of)


def _figures(comparer: Comparer) -> PairFigures:
    count = len(comparer.rows)
    vectors = spectra(comparer.greys, comparer.rows)
    alike = unique_pairs(np.concatenate([correlated(vectors, SAME_SCENE), _face_pairs(comparer)]), count)
    known = comparer.compare_telling(alike)
    more = _hanging_together(known, count)
    more = more[~np.isin(_numbers(more, count), _numbers(alike, count))]
    if len(more):
        known = PairFigures.of([known, comparer.compare_telling(more)])
    turned, turn = _turned_pairs(vectors)
    return _joined(known, comparer, turned, turn) if len(turned) else known


def _numbers(pairs: Pairs, count: int) -> NDArray[np.intp]:
    """One number a pair of `count` photos."""
    return pairs[:, 0] * count + pairs[:, 1]


def _face_pairs(comparer: Comparer) -> Pairs:
    """Pairs of photos with one face in one expression, wherever in the picture."""
    faces = comparer.faces
    rows = np.flatnonzero(faces.index < FACES)
    if not len(rows):
        return np.empty((0, 2), np.intp)
    seen = spectra(comparer.face_greys, faces.row[rows])
    width = faces.embeddings.shape[1]
    both = np.empty((len(rows), width + seen.shape[1]), np.float32)
    np.take(faces.embeddings, rows, axis=0, out=both[:, :width])
    both[:, :width] *= np.sqrt(FACE_WEIGHT)
    both[:, width:] = np.sqrt(1 - FACE_WEIGHT) * seen
    del seen
    found = correlated(both, FACE_WEIGHT * SAME_FACE + (1 - FACE_WEIGHT) * SAME_LOOK)
    photos: Pairs = faces.photo[rows][found]
    different: Pairs = photos[photos[:, 0] != photos[:, 1]]
    return different


def _turned_pairs(vectors: Floats) -> tuple[Pairs, NDArray[np.intp]]:
    """Pairs of which one may be the other mirrored or rotated, and how it is to be laid."""
    if len(vectors) < 2:
        return np.empty((0, 2), np.intp), np.empty(0, np.intp)
    pairs = correlated(spectra_unturned(vectors), SAME_TURNED)
    good, turns = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for begin in range(0, len(pairs), LOT):
        left, right = vectors[pairs[begin : begin + LOT]].swapaxes(0, 1)
        alike = np.stack([np.einsum("nd,nd->n", left, spectra_turned(right, turn)) for turn in TURNS], axis=1)
        best, upright = alike.max(axis=1), np.einsum("nd,nd->n", left, right)
        rows = np.flatnonzero((best >= SAME_TURNED) & (best > upright))
        good.append(begin + rows)
        turns.append(alike[rows].argmax(axis=1))
    return pairs[np.concatenate(good)], np.concatenate(turns)


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


def _joined(known: PairFigures, comparer: Comparer, pairs: Pairs, turn: NDArray[np.intp]) -> PairFigures:
    """The figures of the turned pairs after those that are known."""
    count = len(comparer.rows)
    numbers, wanted = _numbers(known.pairs, count), _numbers(pairs, count)
    fresh = ~np.isin(wanted, numbers)
    result = PairFigures.of([known, comparer.compare(pairs[fresh])])
    numbers = _numbers(result.pairs, count)
    order = np.argsort(numbers)
    places = order[np.searchsorted(numbers[order], wanted)]
    result.turned[places], result.turn[places] = comparer.compare_turned(pairs, turn), turn
    return result
