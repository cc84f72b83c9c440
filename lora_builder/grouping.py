"""Groups all faces of all photos into people.

A face is compared with the mean of a person's faces, not with single ones: that tells people apart
where single pairs do not (`benchmarks/accuracy.py` measures it), and no chain of lookalikes can join
two people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.sparse import csr_array
from scipy.spatial.distance import squareform

from lora_builder.looks import Looks
from lora_builder.models.interface import Calibration
from lora_builder.neighbours import shared_out
from lora_builder.records import Floats

FEW_FACES = 8
"""Below this many faces two alike ones make a person; from here on it takes three (Immich's rule)."""

SAMPLE = 512
"""Faces grouped at a time, evenly taken; all others join the nearest group. Bounds time and memory."""

ROUNDS = 6
"""Samples taken at most, each of the faces that are in no group yet: rare people come late."""

REFINED = 3
"""Times a person's mean face is computed anew from the faces nearest to it; it settles in two."""

ONE_PERSON = 0.75
"""Common similarity of two groups' mean faces from which they are one person: the median of pairs."""

BLOCK = 16_384
"""Faces compared with all mean faces at a time."""

DOUBT = 0.10
"""Common similarity below `subject_sim_th` down to which a face is undecided, not somebody else's."""


class FaceAt(NamedTuple):
    """One face: the SHA-256 of its photo, and its index among the photo's faces."""

    sha256: str
    face: int


@dataclass(frozen=True, eq=False)
class FaceTable:
    """All faces of all photos, one row a face.

    `embeddings` (faces, d) of unit length; `photo` and `index` (faces,): which photo, and which of
    its faces; `row` (faces,): where the face is in the columns of `Looks`; `areas` (faces,): of the face
    box, square pixels; `yaw` (faces,): degrees. `shas`: of the photos.
    """

    embeddings: Floats
    photo: NDArray[np.intp]
    index: NDArray[np.intp]
    row: NDArray[np.intp]
    areas: Floats
    yaw: Floats
    shas: tuple[str, ...]

    @classmethod
    def of(cls, looks: Looks, rows: NDArray[np.intp], shas: Sequence[str]) -> FaceTable:
        """The faces of the photos in these rows of the columns; `shas`: their SHA-256."""
        first, counts = looks.photos["first_face"][rows], looks.photos["faces"][rows]
        photo = np.repeat(np.arange(len(rows)), counts)
        index = np.arange(len(photo)) - np.repeat(np.cumsum(counts) - counts, counts)
        row = np.repeat(first, counts) + index
        faces = looks.faces[row]
        areas = faces["box"][:, 2] * faces["box"][:, 3]
        yaw = faces["pose"][:, 0]
        return cls(
            looks.embeddings[row],
            photo,
            index,
            row,
            areas.astype(np.float32),
            yaw.astype(np.float32),
            tuple(shas),
        )

    def at(self, row: int | np.intp) -> FaceAt:
        """Which face a row is."""
        return FaceAt(self.shas[self.photo[row]], int(self.index[row]))

    def marked(self, marks: Mapping[FaceAt, bool], value: bool) -> NDArray[np.bool_]:
        """(faces,): which are marked so."""
        wanted = {face for face, mark in marks.items() if mark is value}
        return np.array(
            [bool(wanted) and self.at(row) in wanted for row in range(len(self.photo))], dtype=bool
        )


@dataclass(frozen=True)
class Likeness:
    """Cosines to a mean face: from `same` on it is that person, from `maybe` on perhaps; two groups
    whose mean faces reach `merged` are one person."""

    same: float
    maybe: float
    merged: float

    @classmethod
    def of(cls, threshold: float, calibration: Calibration) -> Likeness:
        """Of `subject_sim_th` on the common scale."""
        return cls(
            calibration.cosine(threshold),
            calibration.cosine(max(threshold - DOUBT, 0.0)),
            calibration.cosine(max(ONE_PERSON, threshold)),
        )


def people(faces: FaceTable, likeness: Likeness) -> NDArray[np.intp]:
    """Labels (faces,): 0, 1, ... by person, -1 for faces that match nobody.

    DBSCAN's idea of a person (a few faces that are all near each other) without its chains: groups
    of a sample by average linkage, whose mean faces then collect all others. Samples are taken until
    one holds no new group.
    """
    count = len(faces.embeddings)
    labels = np.full(count, -1, dtype=np.intp)
    fewest = 2 if count < FEW_FACES else 3
    means = np.empty((0, faces.embeddings.shape[1]), dtype=np.float32)
    for _ in range(ROUNDS):
        rest = np.flatnonzero(labels < 0)
        if len(rest) < fewest:
            break
        sample = rest[np.linspace(0, len(rest) - 1, min(SAMPLE, len(rest))).astype(np.intp)]
        groups = _groups(faces.embeddings[sample], likeness.same)
        large = np.flatnonzero(np.bincount(groups) >= fewest)
        if not len(large):
            break
        fresh = mean_faces(faces.embeddings[sample], groups)[large]
        means = _merged(np.concatenate([means, fresh]), likeness.merged)
        means, labels = _collected(faces.embeddings, means, likeness)
    sizes = np.bincount(labels[labels >= 0], minlength=len(means))
    renamed = np.full(len(means) + 1, -1, dtype=np.intp)
    renamed[np.flatnonzero(sizes >= fewest)] = np.arange((sizes >= fewest).sum())
    return renamed[labels]


def _groups(embeddings: Floats, cosine: float) -> NDArray[np.intp]:
    """Labels 0, 1, ... of groups by average linkage: pairs across two groups average `cosine` or more."""
    if len(embeddings) < 2:
        return np.zeros(len(embeddings), dtype=np.intp)
    distances = squareform(np.maximum(1 - embeddings @ embeddings.T, 0), checks=False)
    tree = hierarchy.linkage(distances, "average")
    labels: NDArray[np.intp] = hierarchy.fcluster(tree, 1 - cosine, "distance").astype(np.intp) - 1
    return labels


def _merged(means: Floats, cosine: float) -> Floats:
    """The mean faces, those of one person made one."""
    return mean_faces(means, _groups(means, cosine))


def _collected(embeddings: Floats, means: Floats, likeness: Likeness) -> tuple[Floats, NDArray[np.intp]]:
    """The means again, each of the faces nearest to it, and those faces' labels (-1: near to none)."""
    labels = np.full(len(embeddings), -1, dtype=np.intp)
    for _ in range(REFINED):
        before = labels
        nearest, cosine = nearest_mean(embeddings, means)
        labels = np.where(cosine >= likeness.same, nearest, -1)
        if (labels == before).all():
            break
        fresh = mean_faces(embeddings, labels)
        there = np.flatnonzero(fresh.any(axis=1))
        means = means.copy()
        means[there] = fresh[there]
    return means, labels


def nearest_mean(embeddings: Floats, means: Floats) -> tuple[NDArray[np.intp], Floats]:
    """By face (n,) which of the mean faces is nearest, and the cosine to it."""

    def nearest(begin: int) -> tuple[NDArray[np.intp], Floats]:
        alike = embeddings[begin : begin + BLOCK] @ means.T
        best = alike.argmax(axis=1)
        return best, alike[np.arange(len(best)), best]

    # In blocks: a million faces by a thousand people would take gigabytes.
    parts = shared_out(nearest, range(0, max(len(embeddings), 1), BLOCK))
    best, cosines = zip(*parts, strict=True)
    return np.concatenate(best), np.concatenate(cosines)


def mean_face(embeddings: Floats) -> Floats:
    """The unit vector of their mean."""
    mean: Floats = embeddings.sum(axis=0)
    result: Floats = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return result


def mean_faces(embeddings: Floats, labels: NDArray[np.intp]) -> Floats:
    """(largest label + 1, d): the unit vectors of the means by label; zeros where a label is nobody's."""
    rows = np.flatnonzero(labels >= 0)
    shape = (int(labels.max(initial=-1)) + 1, len(labels))
    sums = csr_array((np.ones(len(rows), np.float32), (labels[rows], rows)), shape=shape) @ embeddings
    result: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return result
