"""People: who is in the photos, and which of them the project is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_builder.advice import doubts
from lora_builder.explain import printable
from lora_builder.grouping import FaceAt
from lora_builder.records import Measurement, Override
from lora_builder.ui.bench import Bench
from lora_builder.ui.desk import face_name
from lora_builder.ui.intake import Upload
from lora_builder.ui.steps import View
from lora_builder.ui.steps.drawn import Drawn, Served

MOST_PEOPLE, MOST_FACES = 24, 14
"""Shown: people in most photos, and of each the most typical faces."""

MOST_ALONE = 12
"""Faces shown, the largest first, where nobody appears more than once."""

BINS = 40
"""Bars of the histogram, from 0 to 1."""


class People(Drawn):
    """The people found, the references, and how alike one must be."""

    name = "people"
    frame, scripts, texts = "ldb-people", ("people.js",), ("people_",)

    def served(self) -> Sequence[Served]:
        return (self.load, self.mark, self.refer, self.threshold, self.undo)

    # Called by the script

    def load(self, view: View, data: dict[str, Any]) -> Any:
        """People, references, and the similarity of each photo's nearest face to the subject."""
        bench, settings = view.desk.bench(view.theirs), view.settings
        overrides = view.desk.store.overrides(view.theirs.id)
        names = {photo.sha256: photo.source.name for photo in bench.photos}
        found = bench.people(settings, overrides)
        people = [
            {
                "subject": person.subject,
                "photos": person.photos,
                "cover": self._face(view, bench, person.cover),
                "at": list(person.cover),
                "mark": _mark(overrides, person.cover),
                "faces": [
                    [*face, self._face(view, bench, face), _mark(overrides, face),
                     printable(names.get(face.sha256, ""))]
                    for face in person.faces[:MOST_FACES]
                ],
            }
            for person in found[:MOST_PEOPLE]
        ]  # fmt: skip
        verdicts = bench.judge(settings, overrides)
        alike = [v.scores["subject_similarity"] for v in verdicts if "subject_similarity" in v.scores]
        return {
            "people": people,
            **({} if found else self._alone(view, bench, overrides)),
            "doubts": doubts([person.photos for person in found], view.language),
            "photos": len(bench.photos),
            "bins": np.histogram(np.clip(alike, 0, 1), BINS, (0, 1))[0].tolist(),
            "alike": sorted(round(value, 3) for value in alike),
            "threshold": settings.subject_sim_th,
            "references": [printable(path.name) for path in settings.references],
            "others": [printable(path.name) for path in settings.not_references],
            "undo": view.desk.store.history.depth(view.theirs.id)[0],
        }

    def mark(self, view: View, data: dict[str, Any]) -> Any:
        """One face: `mark` true "this is the subject", false "not them", null nothing said.

        There is one subject: saying who it is takes the word back for everybody else.
        """
        bench = view.desk.bench(view.theirs)
        at, mark = data.get("at"), data.get("mark")
        if not isinstance(at, list) or len(at) != 2 or at[0] not in bench.looks:
            return self.load(view, data)
        face = FaceAt(str(at[0]), int(at[1]))
        clear: list[FaceAt] = []
        if mark is True:
            overrides = view.desk.store.overrides(view.theirs.id)
            clear = [FaceAt(sha, i) for sha, o in overrides.items() for i, yes in o.faces.items() if yes]
        value = mark if isinstance(mark, bool) else None
        view.desk.changes.mark_faces(view.theirs, {face: value}, clear)
        return self.load(view, data)

    def refer(self, view: View, data: dict[str, Any]) -> Any:
        """A reference photo that the script has uploaded, or none any more."""
        path = data.get("path")
        upload = Upload(Path(path), str(data.get("name", "photo"))) if isinstance(path, str) else None
        view.desk.refer(view.theirs, upload, theirs=bool(data.get("theirs")), language=view.language)
        return self.load(view, data)

    def threshold(self, view: View, data: dict[str, Any]) -> Any:
        """The similarity from which two faces are one person."""
        view.desk.set_settings(view.theirs, {"subject_sim_th": data.get("value")})
        return self.load(view, data)

    def undo(self, view: View, data: dict[str, Any]) -> Any:
        """Takes the newest change back."""
        view.desk.changes.undo(view.theirs)
        return self.load(view, data)

    def _alone(self, view: View, bench: Bench, overrides: Mapping[str, Override]) -> dict[str, Any]:
        """`alone`: single faces to name the subject by; `chosen`: how the subject was chosen among them."""
        theirs = bench.subject_faces(view.settings, overrides)
        names = {photo.sha256: photo.source.name for photo in bench.photos}
        faces = [
            {
                "at": list(face),
                "picture": self._face(view, bench, face),
                "name": printable(names.get(face.sha256, "")),
                "subject": face in theirs,
                "mark": _mark(overrides, face),
            }
            for face in bench.largest_faces(MOST_ALONE)
        ]
        named = bool(bench.references) or any(mark for o in overrides.values() for mark in o.faces.values())
        chosen = "named" if named else "largest" if theirs else "unsure" if faces else "no_faces"
        return {"alone": faces, "chosen": chosen}

    def _face(self, view: View, bench: Bench, face: FaceAt) -> str:
        look = bench.looks[face.sha256]
        if not isinstance(look, Measurement):
            return ""
        name = face_name(face.sha256, look.faces[face.face].box, look.width, look.height)
        return view.desk.signer.address("face", name, view.owner)


def _mark(overrides: Mapping[str, Override], face: FaceAt) -> bool | None:
    override = overrides.get(face.sha256)
    return override.faces.get(face.face) if override else None
