"""Who the project is about: groups all faces of all photos into people, and picks the subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from lora_builder.models.interface import Calibration
from lora_builder.records import Floats, Look, Measurement, Override
from lora_builder.settings import Settings

FEW_FACES = 8
"""Below this many faces two alike ones make a person; from here on it takes three (Immich's rule)."""

COVER_YAW = 30.0
"""Degrees; a person's cover face is one turned no further, where there is one."""


class FaceAt(NamedTuple):
    """One face: the SHA-256 of its photo, and its index among the photo's faces."""

    sha256: str
    face: int


@dataclass(frozen=True)
class Person:
    """One of the people found. `faces`: theirs, the most typical first; `cover`: the one to show.

    `photos`: in how many different photos they are. `subject`: whether the project is about them.
    """

    faces: tuple[FaceAt, ...]
    cover: FaceAt
    photos: int
    subject: bool


@dataclass(frozen=True, eq=False)
class Told:
    """What the user says about who is who.

    `references`: embeddings of the subject; `others`: of people who are not, such as a sibling.
    `marks`: by face, True "this is them", False "not them".
    """

    references: tuple[Floats, ...]
    others: tuple[Floats, ...]
    marks: Mapping[FaceAt, bool]

    @classmethod
    def of(
        cls,
        overrides: Mapping[str, Override],
        references: Sequence[Floats] = (),
        others: Sequence[Floats] = (),
    ) -> Told:
        marks = {
            FaceAt(sha256, index): mark
            for sha256, override in sorted(overrides.items())
            for index, mark in sorted(override.faces.items())
        }
        return cls(tuple(references), tuple(others), marks)

    @property
    def key(self) -> object:
        """Equal for equal content."""
        vectors = (tuple(vector.tobytes() for vector in group) for group in (self.references, self.others))
        return *vectors, tuple(self.marks.items())


@dataclass(frozen=True, eq=False)
class FaceTable:
    """All faces of all photos, one row a face.

    `embeddings` (faces, d) of unit length; `photo` and `index` (faces,): which photo, and which of
    its faces; `areas` (faces,): of the face box, square pixels. `shas`: of the photos.
    """

    embeddings: Floats
    photo: NDArray[np.intp]
    index: NDArray[np.intp]
    areas: Floats
    yaw: Floats
    shas: tuple[str, ...]

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> FaceTable:
        rows = [(p, i, face) for p, m in enumerate(measurements) for i, face in enumerate(m.faces)]
        return cls(
            np.array([face.embedding for _, _, face in rows], dtype=np.float32).reshape(
                len(rows), len(rows[0][2].embedding) if rows else 0
            ),
            np.array([p for p, _, _ in rows], dtype=np.intp),
            np.array([i for _, i, _ in rows], dtype=np.intp),
            np.array([face.box.area for _, _, face in rows], dtype=np.float32),
            np.array([face.pose.yaw for _, _, face in rows], dtype=np.float32),
            tuple(m.sha256 for m in measurements),
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


@dataclass(frozen=True, eq=False)
class Subject:
    """The subject's face in each photo: its index or -1, and its cosine to the subject's mean face."""

    face: NDArray[np.intp]
    cosine: Floats


def people_found(
    looks: Mapping[str, Look],
    settings: Settings,
    calibration: Calibration,
    overrides: Mapping[str, Override] | None = None,
    references: Sequence[Floats] = (),
    others: Sequence[Floats] = (),
) -> tuple[Person, ...]:
    """The people who appear more than once, those in most photos first.

    To make one of them the subject, mark their cover face:
    `store.set_override(project.id, cover.sha256, override.marked(cover.face, True))`.
    """
    measurements = [m for _, m in sorted(looks.items()) if isinstance(m, Measurement)]
    faces = FaceTable.of(measurements)
    cosine = calibration.cosine(settings.subject_sim_th)
    labels = people(faces, cosine)
    told = Told.of(overrides or {}, references, others)
    subject = find_subject(faces, len(measurements), cosine, told)
    theirs = subject.face[faces.photo] == faces.index
    found = []
    for label in range(labels.max(initial=-1) + 1):
        rows = np.flatnonzero(labels == label)
        likeness = faces.embeddings[rows] @ _mean(faces.embeddings[rows])
        rows = rows[np.argsort(-likeness, kind="stable")]
        typical = rows[: (len(rows) + 1) // 2]
        frontal = typical[np.abs(faces.yaw[typical]) <= COVER_YAW]
        shown = frontal if len(frontal) else typical
        cover = shown[np.argmax(faces.areas[shown])]
        found.append(
            Person(
                tuple(faces.at(row) for row in rows),
                faces.at(int(cover)),
                len(np.unique(faces.photo[rows])),
                bool(theirs[rows].sum() * 2 > len(rows)),
            )
        )
    return tuple(sorted(found, key=lambda person: (-person.photos, -len(person.faces), person.cover)))


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


def find_subject(faces: FaceTable, photos: int, cosine: float, told: Told) -> Subject:
    """Who the project is about, in this order of authority.

    Faces marked by the user are what they say. References, and marked faces, name the subject:
    the faces close enough to any of them, and the groups that hold a marked one. Else it is the
    person in most photos; between equals the one with the larger faces.
    """
    if not len(faces.embeddings):
        return _per_photo(faces, photos, np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
    theirs, denied = faces.marked(told.marks, True), faces.marked(told.marks, False)
    labels = people(faces, cosine)
    named = np.unique(labels[theirs & (labels >= 0)])
    references = np.array([*told.references, *faces.embeddings[theirs]], dtype=np.float32)
    if len(named) or len(told.references):
        chosen = np.isin(labels, named) | _near(faces.embeddings, references, cosine)
    else:
        chosen = _most_frequent(faces, np.where(denied, -1, labels))
    others = np.array([*told.others, *faces.embeddings[denied]], dtype=np.float32)
    if len(others) and (chosen | theirs).any():
        against = (faces.embeddings @ others.T).max(axis=1)
        # Those that may be the other one must not say what the subject looks like.
        sure = (chosen | theirs) & (against <= np.median(against[chosen | theirs]))
        chosen &= faces.embeddings @ _mean(faces.embeddings[sure]) > against
    return _per_photo(faces, photos, (chosen | theirs) & ~denied, theirs)


def _most_frequent(faces: FaceTable, labels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which faces belong to the person in most photos."""
    known = labels >= 0
    if not known.any():
        # Nobody appears twice: all that can be said is whose face is the largest.
        chosen = np.zeros(len(labels), dtype=bool)
        chosen[np.argmax(faces.areas)] = True
        return chosen
    candidates = np.unique(labels[known])
    in_photos = [len(np.unique(faces.photo[labels == label])) for label in candidates]
    size = [float(faces.areas[labels == label].sum()) for label in candidates]
    best = max(range(len(candidates)), key=lambda i: (in_photos[i], size[i]))
    result: NDArray[np.bool_] = labels == candidates[best]
    return result


def _per_photo(
    faces: FaceTable, photos: int, theirs: NDArray[np.bool_], marked: NDArray[np.bool_]
) -> Subject:
    """One face a photo: of several that are theirs (a mirror, a collage) a marked or the most typical."""
    face = np.full(photos, -1, dtype=np.intp)
    cosine = np.full(photos, -1, dtype=np.float32)
    if len(faces.embeddings) and theirs.any():
        likeness = faces.embeddings @ _mean(faces.embeddings[theirs])
        np.maximum.at(cosine, faces.photo, likeness)
        for row in sorted(np.flatnonzero(theirs), key=lambda row: (bool(marked[row]), float(likeness[row]))):
            face[faces.photo[row]] = faces.index[row]
            cosine[faces.photo[row]] = likeness[row]
    return Subject(face, cosine)


def _near(embeddings: Floats, references: Floats, cosine: float) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = (embeddings @ references.T).max(axis=1, initial=-1.0) >= cosine
    return result


def _mean(embeddings: Floats) -> Floats:
    """The unit vector of their mean."""
    mean: Floats = embeddings.sum(axis=0)
    result: Floats = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return result
