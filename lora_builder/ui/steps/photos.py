"""Photos: what the project is made of, how more comes in, and what it will train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder import measure
from lora_builder.errors import BadInput
from lora_builder.explain import printable
from lora_builder.places import Place
from lora_builder.records import Rejected
from lora_builder.store import Project
from lora_builder.ui import samples
from lora_builder.ui.editors.sent import names_of
from lora_builder.ui.intake import INPUT, Upload
from lora_builder.ui.said import said
from lora_builder.ui.static import script
from lora_builder.ui.steps import Updates, View, place
from lora_builder.ui.texts import tr, words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell

SIZES = (512, 640, 768, 896, 1024, 1280, 1536)
"""Sides of the square training pictures offered, pixels."""

FINISHED: dict[str, Any] = {"buckets": ["auto"], "small_photos": "keep"}
"""Settings of a project of ready-made crops: they stay as they are."""


class Photos:
    """Uploads, folders of this machine or a store, a sample, the few settings that matter from the start."""

    name = "photos"

    def build(self, shell: Shell) -> None:
        self.shell = shell
        settings = shell.desk.settings
        with gr.Row(visible=False) as self.form:
            self.trigger = gr.Textbox(settings.trigger, max_lines=1, max_length=64, min_width=180)
            self.class_word = gr.Textbox(settings.class_word, max_lines=1, max_length=64, min_width=180)
            self.resolution = gr.Dropdown(
                [(f"{side} × {side}", side) for side in sorted({*SIZES, settings.resolution})],
                value=settings.resolution,
                min_width=180,
            )
        self.zone = gr.HTML(
            {},
            html_template='<div class="ldb-photos"></div>',
            js_on_load=script("tiles.js", "photos.js"),
            server_functions=[shell.serve(self.gallery)],
            apply_default_css=False,
            elem_id="ldb-photos-zone",
        )
        with gr.Row(visible=shell.desk.local, elem_classes="ldb-line") as self.local:
            self.folder = gr.Textbox(max_lines=1, elem_id="ldb-folder", scale=5)
            self.open = gr.Button(elem_id="ldb-folder-open", scale=0, min_width=150)

        shell.typed += [self.trigger, self.class_word, self.resolution]

    def outputs(self) -> list[Any]:
        return [
            self.zone, self.local, self.folder, self.open, self.form, self.trigger, self.class_word,
            self.resolution,
        ]  # fmt: skip

    def words(self, language: str) -> Updates:
        def label(key: str) -> Any:
            return gr.update(label=tr(key, language), info=tr(f"{key}_info", language))

        return {
            self.folder: {**label("folder"), "placeholder": tr("folder_example", language)},
            self.open: gr.update(value=tr("folder_open", language)),
            self.trigger: label("trigger"),
            self.class_word: label("class_word"),
            self.resolution: label("resolution"),
        }

    def show(self, view: View) -> Updates:
        desk, project, settings = view.desk, view.project, view.settings
        where = tr("private_local" if desk.local else "private_host", view.language)
        limits = tr("limits", view.language, mb=f"{desk.settings.max_upload_mb:,}")
        reads = project is not None and not desk.intake.owns_input(project)
        value = {
            **place(view),
            "words": words_for("photos_", view.language) | words_for("step_", view.language),
            "limit": desk.settings.max_upload_mb,
            "promise": f"{where} {limits}",
            "empty": project is None or not (reads or any((project.folder / INPUT).iterdir())),
            "reads": printable(str(project.input)) if project is not None and reads else "",
            "store": project is not None and isinstance(project.input, Place),
            "removed": [[name, printable(name)] for name in settings.removed] if project else [],
            "moment": desk.jobs.latest(project.id) if project else None,
            "busy": view.busy,
        }
        return {
            self.zone: value,
            self.local: gr.update(visible=desk.local and bool(value["empty"])),
            self.form: gr.update(visible=project is not None),
            self.trigger: gr.update(value=settings.trigger),
            self.class_word: gr.update(value=settings.class_word),
            self.resolution: gr.update(value=settings.resolution),
        }

    def wire(self, shell: Shell) -> None:
        whole = shell.everything()
        shell.on(self.zone.arrived, self.take, [], whole, needs_project=False, detail=True)
        shell.on(self.zone.sample, self.sample, [], whole, needs_project=False)
        shell.on(self.zone.again, self.again, [], whole)
        shell.on(self.zone.remove, self.remove, [], whole, detail=True)
        shell.on(self.zone.restore, self.restore, [], whole, detail=True)
        shell.on(self.open.click, self.read_folder, [self.folder], whole, needs_project=False)
        for name in ("trigger", "class_word"):
            box = getattr(self, name)
            shell.on(box.input, self._set(name), [box], [], trigger_mode="always_last")
        shell.on(self.resolution.input, self._set("resolution"), [self.resolution], [])

    # Handlers

    def take(self, view: View, data: dict[str, Any]) -> Updates:
        """Uploads go into the open project or a new one; with `each` every ZIP and folder is one."""
        language, intake = view.language, view.desk.intake
        uploads = [
            Upload(Path(str(file["path"])), str(file["name"]))
            for file in data.get("files", [])
            if isinstance(file, dict) and {"path", "name"} <= file.keys()
        ]
        if not uploads:
            raise BadInput(tr("no_photos", language), tr("no_photos_remedy", language))
        projects: list[Project] = []
        if data.get("each"):
            for name, heap in _heaps(uploads).items():
                projects.append(intake.create(view.owner, name, language))
                intake.add(projects[-1], heap, language)
        else:
            heaps = _heaps(uploads)
            name = next(iter(heaps)) if len(heaps) == 1 else ""
            projects.append(view.project or intake.create(view.owner, name, language))
            intake.add(projects[-1], uploads, language)
        for project in projects:
            if data.get("finished"):
                view.desk.take_as_finished(project, FINISHED)
            view.desk.run(project, self.name)
        return self.shell.at(self.shell.moved(view, project=projects[0].id))

    def sample(self, view: View) -> Updates:
        """A project with pictures that come with the app."""
        intake = view.desk.intake
        project = view.project or intake.create(view.owner, tr("sample_name", view.language), view.language)
        samples.write_samples(project.folder / INPUT)
        view.desk.set_settings(project, {"resolution": samples.RESOLUTION, "trigger": "ohwx"})
        view.desk.run(project)
        return self.shell.at(self.shell.moved(view, project=project.id))

    def again(self, view: View) -> Updates:
        """Reads the folder again, which may hold more by now."""
        view.desk.run(view.theirs, self.name)
        return self.shell.at(view)

    def read_folder(self, view: View, folder: str) -> Updates:
        """The projects of a folder on this machine or in a store."""
        made = view.desk.intake.of_folder(view.owner, folder or "", "", view.language)
        for project in made:
            view.desk.run(project, self.name)
        there = self.shell.moved(view, project=made[0].id)
        return {**self.shell.at(there), self.folder: gr.update(value="")}

    def remove(self, view: View, data: dict[str, Any]) -> Updates:
        """Takes files out of the project (`names`); the files themselves stay where they are."""
        names = names_of(view, data, "names")
        return self._removed(view, tuple(dict.fromkeys([*view.settings.removed, *names])))

    def restore(self, view: View, data: dict[str, Any]) -> Updates:
        """Puts removed files (`names`) back."""
        back = set(names_of(view, data, "names"))
        return self._removed(view, tuple(name for name in view.settings.removed if name not in back))

    def _removed(self, view: View, names: tuple[str, ...]) -> Updates:
        before = view.settings.removed
        view.desk.set_settings(view.theirs, {"removed": names})
        if names != before:
            view.desk.run(view.theirs, self.name)
        return self.shell.at(view)

    def gallery(self, view: View, data: dict[str, Any]) -> Any:
        """The photos known so far, those looked at with their picture; `same` where nothing changed."""
        desk = view.desk
        removed, job = frozenset(view.settings.removed), desk.jobs.latest(view.theirs.id)
        rest = "" if view.busy else f"{job} {hash(removed)}"
        if rest and data.get("seen") == rest:  # only a run brings photos
            return {"same": True}
        photos, problems = desk.store.photos(view.theirs.id)
        photos = [photo for photo in photos if photo.source.name not in removed]
        problems = [(name, problem) for name, problem in problems if name not in removed]
        # The previews are there before the measurements are: those are saved many at a time.
        seen = {p.sha256 for p in photos if measure.preview_path(desk.settings, p.sha256).exists()}
        key = rest or f"{len(photos)} {len(problems)} {len(seen)} {job}"
        if data.get("seen") == key:
            return {"same": True}
        if rest:
            # Nobody works at these any more: what has no picture could not be read.
            unseen = {p.sha256 for p in photos} - seen
            looks = desk.store.looks(unseen, measure.recipe(view.settings))
            faulty = {sha256: look for sha256, look in looks.items() if isinstance(look, Rejected)}
            problems += [(p.source.name, faulty[p.sha256]) for p in photos if p.sha256 in faulty]
            photos = [photo for photo in photos if photo.sha256 not in faulty]
        return {
            "key": key,
            "photos": [
                [printable(p.source.name), view.picture(p.sha256) if p.sha256 in seen else "", p.source.name]
                for p in photos
            ],
            "problems": [
                [printable(name), said(f"{p.message} {p.remedy}".strip(), view.language), name]
                for name, p in problems
            ],
        }

    def _set(self, name: str) -> Any:
        def change(view: View, value: Any) -> Updates:
            # Saved with every letter: a history of those would help nobody.
            view.desk.set_settings(view.theirs, {name: value}, undoable=False)
            return {}

        return change


def _heaps(uploads: list[Upload]) -> dict[str, list[Upload]]:
    """Uploads by their ZIP or top folder, without its name: that becomes the project's."""
    heaps: dict[str, list[Upload]] = {}
    for upload in uploads:
        top, slash, rest = upload.name.partition("/")
        if slash:
            heaps.setdefault(top, []).append(Upload(upload.path, rest))
        elif top.lower().endswith(".zip"):
            heaps.setdefault(top[:-4], []).append(upload)
        else:
            heaps.setdefault("", []).append(upload)
    return heaps
