"""Who the project is about: the people in the photos, and which of them is the subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lora_builder.grouping import (
    FEW_FACES,
    REFINED,
    FaceAt,
    FaceTable,
    Likeness,
    mean_face,
    mean_faces,
    nearest_mean,
    people,
)
from lora_builder.looks import Looks
from lora_builder.models.interface import Calibration
from lora_builder.records import Floats, Look, Override
from lora_builder.settings import Settings

FOUNDERS = 3
"""Photos that a group which hangs together only loosely must surely be in to be somebody."""

RIVAL_MARGIN = 0.05
"""Cosine by which another person may be nearer for a face to be undecided, not theirs."""

COVER_YAW = 30.0
"""Degrees; a person's cover face is one turned no further, where there is one."""


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
class Subject:
    """The subject in each photo.

    `face` (photos,): the index of their face, -1 where they are not; `doubt` (photos,): where they
    are not, the index of a face that may be theirs, else -1. `cosine` (photos,): of the nearest face
    to their mean face, -1 without faces. `found`: where nobody was named, in how many photos each of
    the people is, most first.
    """

    face: NDArray[np.intp]
    doubt: NDArray[np.intp]
    cosine: Floats
    found: tuple[int, ...] = ()


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
    columns = Looks.of(looks)
    shas = sorted(sha256 for sha256 in columns if columns.rejected(sha256) is None)
    faces = FaceTable.of(columns, columns.rows(shas), shas)
    likeness = Likeness.of(settings.subject_sim_th, calibration)
    labels = people(faces, likeness)
    told = Told.of(overrides or {}, references, others)
    subject = find_subject(faces, len(shas), likeness, told)
    theirs = subject.face[faces.photo] == faces.index
    found = []
    for label in range(labels.max(initial=-1) + 1):
        rows = np.flatnonzero(labels == label)
        typical = rows[
            np.argsort(-(faces.embeddings[rows] @ mean_face(faces.embeddings[rows])), kind="stable")
        ]
        clear = typical[: (len(rows) + 1) // 2]
        frontal = clear[np.abs(faces.yaw[clear]) <= COVER_YAW]
        shown = frontal if len(frontal) else clear
        found.append(
            Person(
                tuple(faces.at(row) for row in typical),
                faces.at(int(shown[np.argmax(faces.areas[shown])])),
                len(np.unique(faces.photo[rows])),
                bool(theirs[rows].sum() * 2 > len(rows)),
            )
        )
    return tuple(sorted(found, key=lambda person: (-person.photos, -len(person.faces), person.cover)))


def find_subject(faces: FaceTable, photos: int, likeness: Likeness, told: Told) -> Subject:
    """Who the project is about, in this order of authority.

    Faces marked by the user are what they say. References, and groups that hold a marked face, name
    the subject; where there are no groups, a marked face does. Else it is the person in most photos;
    between equals the one who is more often alone, then the one with the larger faces. The mean face of
    whoever it is collects the faces near it.
    """
    if not len(faces.embeddings):
        nobody = np.full(photos, -1, dtype=np.intp)
        return Subject(nobody, nobody, np.full(photos, -1, dtype=np.float32))
    marked, denied = faces.marked(told.marks, True), faces.marked(told.marks, False)
    labels = np.where(denied, -1, people(faces, likeness))
    unsure = (labels < 0).all() and len(labels) >= FEW_FACES and not told.references and not marked.any()
    if unsure:
        # Hard photos of one person hang together loosely; whoever else is there does not.
        labels = np.where(denied, -1, people(faces, replace(likeness, same=likeness.maybe)))
        if (labels < 0).all():
            return _nobody_stands_out(faces, photos, ~denied)
    anchors = np.array([*told.references, *faces.embeddings[marked]], dtype=np.float32)
    found: tuple[int, ...] = ()
    if told.references or (labels[marked] >= 0).any() or (marked.any() and (labels < 0).all()):
        chosen = np.isin(labels, labels[marked & (labels >= 0)]) | marked
        centre = mean_face(anchors) if told.references else mean_face(faces.embeddings[chosen])
    else:
        chosen, found = _most_frequent(faces, labels, _loosely(faces, labels, denied, likeness))
        centre = mean_face(faces.embeddings[chosen])
    others = np.array([*told.others, *faces.embeddings[denied]], dtype=np.float32)
    if len(others) and not told.references:
        # Those that may be the other one must not say what the subject looks like.
        alike = (faces.embeddings @ others.T).max(axis=1)
        centre = mean_face(faces.embeddings[chosen & (alike <= np.median(alike[chosen]))])
    against = _against(faces, np.where(chosen, -1, labels), centre, others, likeness)
    for _ in range(REFINED):
        own = faces.embeddings @ centre
        sure = (own >= likeness.same) & (own > against) & ~denied
        core = faces.embeddings[sure | marked]
        if len(core):
            # Whom the user named keeps a say, however many faces gather around them.
            again = max(1, len(core) // (2 * max(len(anchors), 1)))
            centre = mean_face(np.concatenate([core, *[anchors] * again]) if len(anchors) else core)
    own = faces.embeddings @ centre
    sure = (own >= likeness.same) & (own > against) & ~denied
    if unsure:
        # In so small a group no face may vouch for itself.
        rest = faces.embeddings[sure].sum(axis=0) - faces.embeddings
        alone = np.einsum("fd,fd->f", faces.embeddings, rest) / np.maximum(np.linalg.norm(rest, axis=1), 1e-9)
        sure &= alone >= likeness.same
        if len(np.unique(faces.photo[sure])) < FOUNDERS:
            return _nobody_stands_out(faces, photos, ~denied)
    maybe = (own >= likeness.maybe) & (own > against - RIVAL_MARGIN) & ~denied
    return _per_photo(faces, photos, own, sure | marked, maybe, marked, found)


def _nobody_stands_out(faces: FaceTable, photos: int, open_: NDArray[np.bool_]) -> Subject:
    """Many faces and no person among them: every photo's largest face is undecided, none is guessed."""
    doubt = np.full(photos, -1, dtype=np.intp)
    rows = np.flatnonzero(open_)
    rows = rows[np.argsort(faces.areas[rows], kind="stable")]
    doubt[faces.photo[rows]] = faces.index[rows]
    return Subject(np.full(photos, -1, dtype=np.intp), doubt, np.full(photos, -1, dtype=np.float32))


def _loosely(
    faces: FaceTable, labels: NDArray[np.intp], denied: NDArray[np.bool_], likeness: Likeness
) -> NDArray[np.intp]:
    """The labels, with faces that perhaps belong to a group counted to the nearest one: somebody whose
    photos are hard to recognise is not to be outnumbered for that."""
    groups = np.unique(labels[labels >= 0])
    if not len(groups):
        return labels
    means = mean_faces(faces.embeddings, labels)[groups]
    nearest, cosine = nearest_mean(faces.embeddings, means)
    perhaps = (labels < 0) & (cosine >= likeness.maybe) & ~denied
    return np.where(perhaps, groups[nearest], labels)


def _most_frequent(
    faces: FaceTable, sure: NDArray[np.intp], labels: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """Which faces surely belong to the person in most photos by `labels`; and in how many each is."""
    if (labels < 0).all():
        # Nobody appears twice: all that can be said is whose face is the largest.
        chosen = np.zeros(len(labels), dtype=bool)
        chosen[np.argmax(faces.areas)] = True
        return chosen, ()
    crowd = np.bincount(faces.photo)
    known = np.flatnonzero(labels >= 0)
    once = known[np.unique(np.stack([labels[known], faces.photo[known]]), axis=1, return_index=True)[1]]
    people_ = labels.max() + 1
    in_photos = np.bincount(labels[once], minlength=people_)
    alone = np.bincount(labels[once], weights=crowd[faces.photo[once]] == 1, minlength=people_)
    size = np.bincount(labels[known], weights=faces.areas[known], minlength=people_)
    order = np.lexsort((-size, -alone, -in_photos))
    return sure == order[0], tuple(int(in_photos[label]) for label in order if in_photos[label])


def _against(
    faces: FaceTable,
    labels: NDArray[np.intp],
    centre: Floats,
    others: Floats,
    likeness: Likeness,
) -> Floats:
    """(faces,): the cosine to the nearest of the other people: other groups, and those the user denied."""
    means = mean_faces(faces.embeddings, labels)[np.unique(labels[labels >= 0])]
    # A group this near to the subject is more of them, not a rival, unless the user said so.
    rivals = np.array([*means[means @ centre < likeness.merged], *others], dtype=np.float32)
    if not len(rivals):
        return np.full(len(faces.embeddings), -1, dtype=np.float32)
    return nearest_mean(faces.embeddings, rivals)[1]


def _per_photo(
    faces: FaceTable,
    photos: int,
    own: Floats,
    theirs: NDArray[np.bool_],
    maybe: NDArray[np.bool_],
    marked: NDArray[np.bool_],
    found: tuple[int, ...],
) -> Subject:
    """One face a photo: of several that are theirs (a mirror, a collage) a marked or the most typical."""
    face, doubt = np.full((2, photos), -1, dtype=np.intp)
    cosine = np.full(photos, -1, dtype=np.float32)
    np.maximum.at(cosine, faces.photo, own)
    order = np.lexsort((own, marked))
    for chosen, rows in ((doubt, order[maybe[order]]), (face, order[theirs[order]])):
        chosen[faces.photo[rows]] = faces.index[rows]
    cosine[faces.photo[order[theirs[order]]]] = own[order[theirs[order]]]
    doubt[face >= 0] = -1
    return Subject(face, doubt, cosine, found)
