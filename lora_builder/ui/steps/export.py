"""Export: for which trainers, what is written, what is wrong with it, and getting it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_builder.base_models import BASE_MODELS
from lora_builder.errors import BadInput
from lora_builder.explain import printable
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS
from lora_builder.export.packages import read_project
from lora_builder.export.plan import (
    MUCH_LOST,
    TOLERATED_CUT,
    TOLERATED_SCALE,
    LayoutPlan,
    Preview,
    Problem,
    plan,
    preview,
)
from lora_builder.focus import NAMES
from lora_builder.records import Decision
from lora_builder.settings import Settings
from lora_builder.ui.desk import DELIVERABLES, part_name
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.steps.drawn import Drawn, Served
from lora_builder.ui.steps.push import PushToHub
from lora_builder.ui.texts import TEXTS, tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

MOST_IMAGES = 12
"""Pictures named with a problem; the rest are counted."""

MOST_FATES = 200
"""Pictures shown as a trainer sees them, the worst first; the rest are counted."""


class Export(Drawn):
    """The plan, and the files."""

    name = "export"
    frame, scripts, texts = "ldb-export", ("export.js",), ("export_",)

    def __init__(self) -> None:
        self.push = PushToHub()

    def served(self) -> Sequence[Served]:
        return (self.load, self.choose, self.fates)

    def build(self, shell: Shell) -> None:
        super().build(shell)
        self.push.build(shell)

    def outputs(self) -> list[Any]:
        return [*super().outputs(), *self.push.outputs()]

    def show(self, view: View) -> Updates:
        return {**super().show(view), **self.push.show(view)}

    def wire(self, shell: Shell) -> None:
        super().wire(shell)
        shell.on(self.body.see, shell.see, [], shell.everything(), detail=True)
        shell.on(self.body.write, self.write, [], shell.everything())

    def write(self, view: View) -> Updates:
        """Packs again, with what it needs."""
        view.desk.run(view.theirs, self.name)
        return self.shell.at(view)

    # Called by the script

    def load(self, view: View, data: dict[str, Any]) -> Any:
        """The choices, the plan of each trainer, and the files that are there."""
        settings, project = view.settings, view.theirs
        images = _images(project.folder)
        planned = plan(images, settings)
        names = {d.sha256: d.source for d in view.desk.store.decisions(project.id)}
        return {
            "images": len(images),
            "bases": [[name, model.title] for name, model in BASE_MODELS.items()],
            "base": settings.base_model,
            "layouts": [[name, layout.title, name in settings.layouts] for name, layout in LAYOUTS.items()],
            "buckets": bool(settings.buckets),
            "extras": [[name, name in settings.extra_crops] for name in NAMES],
            "plans": [self._plan(view, layout, images, names, settings) for layout in planned.layouts],
            "problems": [self._problem(view, p, "", images, names) for p in planned.problems]
            if images
            else [],
            "blocked": planned.blocked,
            "files": self._files(view),
            "folder": printable(str(project.folder)) if view.desk.local else "",
        }

    def choose(self, view: View, data: dict[str, Any]) -> Any:
        """Another base model, other trainers, another shape, further pictures of each photo."""
        wanted = data.get("layouts")
        changes: dict[str, Any] = {}
        if data.get("base") in BASE_MODELS:
            changes["base_model"] = data["base"]
        if isinstance(wanted, list):
            changes["layouts"] = tuple(name for name in LAYOUTS if name in wanted)
        if isinstance(data.get("buckets"), bool):
            changes["buckets"] = ("auto",) if data["buckets"] else ()
        if isinstance(extras := data.get("extras"), list):
            changes["extra_crops"] = tuple(name for name in NAMES if name in extras)
        view.desk.set_settings(view.theirs, changes)
        return self.load(view, data)

    def fates(self, view: View, data: dict[str, Any]) -> Any:
        """What one trainer does to each picture: what it keeps, and the face in it; the worst first."""
        layout = LAYOUTS.get(str(data.get("layout")))
        images = _images(view.theirs.folder)
        decisions = {d.sha256: d for d in view.desk.store.decisions(view.theirs.id)}
        found = []
        for image in images:
            seen = preview(layout, image, view.settings.base_model) if layout else None
            if seen is not None and image.photo in decisions:
                found.append(_fate(view, image, seen, decisions[image.photo]))
        found.sort(key=lambda fate: (-fate["cut"], not fate["small"], not fate["bad"]))
        return {"pictures": found[:MOST_FATES], "more": max(0, len(found) - MOST_FATES)}

    def _plan(
        self,
        view: View,
        planned: LayoutPlan,
        images: list[TrainingImage],
        names: dict[str, str],
        settings: Settings,
    ) -> dict[str, Any]:
        return {
            "name": planned.name,
            "title": planned.title,
            "previewed": bool(planned.previews),
            "files": planned.files,
            "size": _size(planned.bytes),
            "repeats": planned.repeats,
            "steps": planned.steps,
            "resolutions": ", ".join(map(str, planned.resolutions)),
            "buckets": [[f"{w} × {h}", count] for (w, h), count in planned.buckets],
            "command": planned.command,
            "problems": [self._problem(view, p, planned.title, images, names) for p in planned.problems],
        }

    def _problem(
        self, view: View, problem: Problem, title: str, images: list[TrainingImage], names: dict[str, str]
    ) -> dict[str, Any]:
        key = f"problem_{problem.code}"
        known = key in TEXTS
        text = tr(key, view.language, title=title) if known else f"{problem.message} {problem.remedy}"
        photos = {image.name: image.photo for image in images}
        named = [
            [photos[name], printable(names[photos[name]]), view.picture(photos[name])]
            for name in problem.images[:MOST_IMAGES]
            if photos.get(name) in names
        ]
        return {
            "text": text,
            "blocks": problem.blocks,
            "step": "caption" if problem.code == "no_caption" else "crop",
            "images": named,
            "more": len(problem.images) - len(named),
        }

    def _files(self, view: View) -> list[dict[str, Any]]:
        found = []
        for what in DELIVERABLES:
            path = view.theirs.folder / what
            if path.is_file():
                name = {"train_package.zip": "package", "report.html": "report"}.get(what, "decisions")
                if what.startswith("exports/"):
                    label, info = LAYOUTS[Path(what).stem].title, ""
                else:
                    label = tr(f"export_{name}", view.language)
                    info = tr(f"export_{name}_info", view.language)
                address = view.desk.signer.address(
                    "file", f"{view.theirs.id}~{what.replace('/', '~')}", view.owner
                )
                found.append(
                    {"label": label, "info": info, "size": _size(path.stat().st_size), "href": address}
                )
        return found


def _fate(view: View, image: TrainingImage, seen: Preview, decision: Decision) -> dict[str, Any]:
    """One picture at the largest resolution; boxes are left, top, width, height in percent of it."""
    fate, face = seen.fates[-1], seen.faces[-1] if seen.faces else None
    wide, high = fate.scaled
    kept = [part / side for part, side in zip(fate.offset + fate.bucket, fate.scaled * 2, strict=True)]
    box = image.face.clamped(*seen.size) if image.face else None
    crop = image.crop
    assert crop is not None, "a picture without one has no preview"
    name = part_name(image.photo, crop.box, decision.width or 1, decision.height or 1)
    cut = face.cut > TOLERATED_CUT if face else False
    return {
        "name": image.name,
        "photo": image.photo,
        "picture": view.desk.signer.address("face", name, view.owner),
        "mirror": "mirror" in image.edits.split(","),
        "size": [wide, high],
        "from": f"{seen.size[0]} × {seen.size[1]}",
        "to": ", ".join(dict.fromkeys(f"{f.bucket[0]} × {f.bucket[1]}" for f in seen.fates)),
        "kept": [round(100 * part, 2) for part in kept],
        "face": [round(100 * part / side, 2) for part, side in zip(box, seen.size * 2, strict=True)]
        if box
        else None,
        "cells": f"{face.cells[0]:.0f} × {face.cells[1]:.0f}" if face else "",
        "cut": round(100 * face.cut) if face and cut else 0,
        "small": bool(face and face.small),
        "scale": round(100 * fate.enlarged(seen.size)),
        "bad": bool(
            cut
            or (face and face.small)
            or fate.enlarged(seen.size) > TOLERATED_SCALE
            or fate.lost() > MUCH_LOST
        ),
    }


def _images(folder: Path) -> list[TrainingImage]:
    try:
        return read_project(folder)
    except BadInput:  # nothing was packed yet
        return []


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.0f} kB"
