"""Who the project is about: groups all faces of all photos into people, and picks the subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from lora_builder.records import Floats, Measurement

FEW_FACES = 8
"""Below this many faces two alike ones make a person; from here on it takes three (Immich's rule)."""


@dataclass(frozen=True, eq=False)
class FaceTable:
    """All faces of all photos, one row a face.

    `embeddings` (faces, d) of unit length; `photo` and `index` (faces,): which photo, and which of
    its faces; `areas` (faces,): of the face box, square pixels.
    """

    embeddings: Floats
    photo: NDArray[np.intp]
    index: NDArray[np.intp]
    areas: Floats

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> FaceTable:
        rows = [(p, i, face) for p, m in enumerate(measurements) for i, face in enumerate(m.faces)]
        return cls(
            np.array([face.embedding for _, _, face in rows], dtype=np.float32).reshape(len(rows), -1),
            np.array([p for p, _, _ in rows], dtype=np.intp),
            np.array([i for _, i, _ in rows], dtype=np.intp),
            np.array([face.box.area for _, _, face in rows], dtype=np.float32),
        )


@dataclass(frozen=True, eq=False)
class Subject:
    """The subject's face in each photo: its index or -1, and its cosine to the subject's mean face."""

    face: NDArray[np.intp]
    cosine: Floats


def people(faces: FaceTable, cosine: float) -> NDArray[np.intp]:
    """Labels (faces,): 0, 1, ... by person, -1 for faces that match nobody.

    DBSCAN over all embeddings; `cosine` is the similarity from which two faces are one person.
    """
    if len(faces.embeddings) == 0:
        return np.empty(0, dtype=np.intp)
    radius = float(np.sqrt(max(0.0, 2 - 2 * cosine)))
    neighbours = 2 if len(faces.embeddings) < FEW_FACES else 3
    labels: NDArray[np.intp] = DBSCAN(eps=radius, min_samples=neighbours).fit_predict(faces.embeddings)
    return labels


def find_subject(faces: FaceTable, photos: int, cosine: float) -> Subject:
    """The person in most photos; between equals the one with the larger faces."""
    labels = people(faces, cosine)
    known = labels >= 0
    if not known.any():
        # Nobody appears twice: all that can be said is whose face is the largest.
        chosen = np.zeros(len(labels), dtype=bool)
        chosen[np.argmax(faces.areas) if len(labels) else slice(0)] = True
        return _per_photo(faces, photos, chosen)
    candidates = np.unique(labels[known])
    in_photos = [len(np.unique(faces.photo[labels == label])) for label in candidates]
    size = [float(faces.areas[labels == label].sum()) for label in candidates]
    best = max(range(len(candidates)), key=lambda i: (in_photos[i], size[i]))
    return _per_photo(faces, photos, labels == candidates[best])


def match_references(faces: FaceTable, photos: int, references: Floats, cosine: float) -> Subject:
    """The person of the reference embeddings (references, d): faces close enough to any of them."""
    if len(faces.embeddings) == 0:
        return _per_photo(faces, photos, np.zeros(0, dtype=bool))
    return _per_photo(faces, photos, (faces.embeddings @ references.T).max(axis=1) >= cosine)


def _per_photo(faces: FaceTable, photos: int, theirs: NDArray[np.bool_]) -> Subject:
    """One face a photo: of several that are theirs (a mirror, a collage) the most typical."""
    face = np.full(photos, -1, dtype=np.intp)
    cosine = np.full(photos, -1, dtype=np.float32)
    if len(faces.embeddings) and theirs.any():
        typical = faces.embeddings[theirs].mean(axis=0)
        likeness = faces.embeddings @ (typical / max(float(np.linalg.norm(typical)), 1e-9))
        np.maximum.at(cosine, faces.photo, likeness)
        for row in sorted(np.flatnonzero(theirs), key=lambda row: float(likeness[row])):
            face[faces.photo[row]] = faces.index[row]
            cosine[faces.photo[row]] = likeness[row]
    return Subject(face, cosine)
