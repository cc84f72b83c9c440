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
from lora_builder.export.plan import LayoutPlan, Problem, plan
from lora_builder.settings import Settings
from lora_builder.ui.desk import DELIVERABLES
from lora_builder.ui.steps import Updates, View
from lora_builder.ui.steps.drawn import Drawn, Served
from lora_builder.ui.steps.push import PushToHub
from lora_builder.ui.texts import TEXTS, tr

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

MOST_IMAGES = 12
"""Pictures named with a problem; the rest are counted."""


class Export(Drawn):
    """The plan, and the files."""

    name = "export"
    frame, scripts, texts = "ldb-export", ("export.js",), ("export_",)

    def __init__(self) -> None:
        self.push = PushToHub()

    def served(self) -> Sequence[Served]:
        return (self.load, self.choose)

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
        shas = {d.source: d.sha256 for d in view.desk.store.decisions(project.id)}
        return {
            "images": len(images),
            "bases": [[name, model.title] for name, model in BASE_MODELS.items()],
            "base": settings.base_model,
            "layouts": [[name, layout.title, name in settings.layouts] for name, layout in LAYOUTS.items()],
            "plans": [self._plan(view, layout, images, shas, settings) for layout in planned.layouts],
            "problems": [self._problem(view, p, "", images, shas) for p in planned.problems]
            if images
            else [],
            "blocked": planned.blocked,
            "files": self._files(view),
            "folder": printable(str(project.folder)) if view.desk.local else "",
        }

    def choose(self, view: View, data: dict[str, Any]) -> Any:
        """Another base model, or other trainers."""
        wanted = data.get("layouts")
        changes: dict[str, Any] = {}
        if data.get("base") in BASE_MODELS:
            changes["base_model"] = data["base"]
        if isinstance(wanted, list):
            changes["layouts"] = tuple(name for name in LAYOUTS if name in wanted)
        view.desk.set_settings(view.theirs, changes)
        return self.load(view, data)

    def _plan(
        self,
        view: View,
        planned: LayoutPlan,
        images: list[TrainingImage],
        shas: dict[str, str],
        settings: Settings,
    ) -> dict[str, Any]:
        return {
            "title": planned.title,
            "files": planned.files,
            "size": _size(planned.bytes),
            "repeats": planned.repeats,
            "steps": planned.steps,
            "resolutions": ", ".join(map(str, planned.resolutions)),
            "buckets": [[f"{w} × {h}", count] for (w, h), count in planned.buckets],
            "command": planned.command,
            "problems": [self._problem(view, p, planned.title, images, shas) for p in planned.problems],
        }

    def _problem(
        self, view: View, problem: Problem, title: str, images: list[TrainingImage], shas: dict[str, str]
    ) -> dict[str, Any]:
        key = f"problem_{problem.code}"
        known = key in TEXTS
        text = tr(key, view.language, title=title) if known else f"{problem.message} {problem.remedy}"
        photos = {image.name: image.photo for image in images}
        named = [
            [shas[photos[name]], printable(photos.get(name, "")), view.picture(shas[photos[name]])]
            for name in problem.images[:MOST_IMAGES]
            if photos.get(name) in shas
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


def _images(folder: Path) -> list[TrainingImage]:
    try:
        return read_project(folder)
    except BadInput:  # nothing was packed yet
        return []


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.0f} kB"
