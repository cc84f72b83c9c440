"""A project's measured photos, laid out once and judged as often as a slider moves.

Nothing is measured here, and no rule of judgement is: `decide` is called with the evidence of the
first call, as the pipeline does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from lora_builder import measure
from lora_builder.decide import Evidence, decide, gather, subject_of
from lora_builder.grouping import FaceAt
from lora_builder.identity import Person, people_found
from lora_builder.models import calibration
from lora_builder.records import Floats, Look, Override, Photo, Rejected, Verdict
from lora_builder.settings import Settings
from lora_builder.store import Project, Store

Answer = TypeVar("Answer")

MOST = 4
"""Projects on benches at a time; one of 5,000 photos takes about 60 MB."""


@dataclass(frozen=True, eq=False)
class Bench:
    """The photos of one project, those not measured yet left out.

    `photos` are sorted by source name; their positions are the ids that a page knows them by.
    `problems`: files that no photo can be had of. `looks` by SHA-256.
    """

    photos: tuple[Photo, ...]
    problems: tuple[tuple[str, Rejected], ...]
    looks: Mapping[str, Look]
    evidence: Evidence
    references: Sequence[Floats]
    others: Sequence[Floats]
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _said: dict[str, tuple[Settings, Mapping[str, Override], Any]] = field(default_factory=dict, repr=False)

    def judge(self, settings: Settings, overrides: Mapping[str, Override]) -> list[Verdict]:
        """A verdict a photo, in their order."""

        def verdicts() -> list[Verdict]:
            return decide(
                self.photos,
                self.looks,
                settings,
                calibration(settings),
                overrides,
                self.references,
                self.others,
                self.evidence,
            )

        return self._once("verdicts", settings, overrides, verdicts)

    def people(self, settings: Settings, overrides: Mapping[str, Override]) -> tuple[Person, ...]:
        """The people who appear more than once, those in most photos first."""

        def people() -> tuple[Person, ...]:
            return people_found(
                self.looks, settings, calibration(settings), overrides, self.references, self.others
            )

        return self._once("people", settings, overrides, people)

    def _once(
        self, what: str, settings: Settings, overrides: Mapping[str, Override], find: Callable[[], Answer]
    ) -> Answer:
        """What `find` gives, or gave when the same was asked last: most steps look at what stands."""
        # The evidence remembers what was found out, and a page may ask several things at once.
        with self._turn:
            if what in self._said:
                of_settings, of_overrides, answer = self._said[what]
                if of_overrides == overrides and (of_settings is settings or of_settings == settings):
                    return cast(Answer, answer)
            found = find()
            self._said[what] = (settings, dict(overrides), found)
            return found

    def subject_faces(self, settings: Settings, overrides: Mapping[str, Override]) -> set[FaceAt]:
        """The faces that are surely the subject's."""
        with self._turn:
            subject = subject_of(
                self.evidence, settings, calibration(settings), overrides, self.references, self.others
            )
        shas = self.evidence.faces.shas
        return {FaceAt(shas[row], int(face)) for row, face in enumerate(subject.face) if face >= 0}

    def largest_faces(self, most: int) -> tuple[FaceAt, ...]:
        """The `most` largest faces of all photos, largest first: who could be meant where nobody recurs."""
        faces = self.evidence.faces
        return tuple(faces.at(row) for row in np.argsort(-faces.areas, kind="stable")[:most])


class Benches:
    """The benches in use, the least recently used one cleared away first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[object, ...], Bench] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def get(self, store: Store, project: Project, settings: Settings, moment: str) -> Bench:
        """The project's bench; `moment` changes when its photos may have."""
        key = (
            project.id,
            moment,
            measure.recipe(settings),
            settings.references,
            settings.not_references,
        )
        with self._lock:
            making = self._making.setdefault(project.id, threading.Lock())
        with making:  # Two pages of one project wait for one bench.
            with self._lock:
                if key in self._made:
                    self._made.move_to_end(key)
                    return self._made[key]
            bench = _laid_out(store, project, settings)
            with self._lock:
                for old in [known for known in self._made if known[0] == project.id]:
                    del self._made[old]
                self._made[key] = bench
                while len(self._made) > MOST:
                    self._making.pop(str(self._made.popitem(last=False)[0][0]), None)
        return bench


def _laid_out(store: Store, project: Project, settings: Settings) -> Bench:
    photos, problems = store.photos(project.id)
    looks = store.looks({photo.sha256 for photo in photos}, measure.recipe(settings))
    measured = tuple(photo for photo in photos if photo.sha256 in looks)
    return Bench(
        measured,
        tuple(problems),
        looks,
        gather(measured, looks),
        [measure.reference(path, settings) for path in settings.references],
        [measure.reference(path, settings) for path in settings.not_references],
    )
