"""The app: layout and wiring. Everything that can be tested without a browser is elsewhere."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from lora_builder import measure
from lora_builder.errors import BadInput, LoraBuilderError
from lora_builder.ingest import find_projects, readable
from lora_builder.jobs import Jobs
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from lora_builder.ui.presenters import choices, gallery, progress
from lora_builder.ui.texts import LANGUAGES, tr

STYLE = Path(__file__).with_name("style.css")
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Visit = dict[str, Any]
"""What the browser remembers: who it is (`owner`), and the ids of its project and job."""


def is_local() -> bool:
    """Whether only this machine can reach the app, so that paths on it may be typed in."""
    return "SPACE_ID" not in os.environ and os.environ.get("GRADIO_SERVER_NAME", LOOPBACK[0]) in LOOPBACK


class Session:
    """The handlers: plain methods over one store and one queue of jobs."""

    def __init__(self, store: Store, jobs: Jobs, settings: Settings) -> None:
        self.store, self.jobs, self.settings = store, jobs, settings

    def visit(self, visit: Visit | None) -> Visit:
        """A browser's memory, begun at its first visit."""
        return visit if visit and visit.get("owner") else {"owner": secrets.token_urlsafe(24)}

    def project(self, visit: Visit | None) -> Project | None:
        """The visitor's own project, and nobody else's."""
        project = self.store.find_project(str((visit or {}).get("project", "")))
        return project if project and visit and project.owner == visit.get("owner") else None

    def start(
        self, visit: Visit | None, files: list[str] | None, folder: str, name: str, **options: Any
    ) -> Visit:
        """Copies uploads into the project's own folder and queues the run."""
        visit = self.visit(visit)
        place = self.settings.data_dir / "projects" / secrets.token_urlsafe(16)
        if folder.strip() and is_local():
            inputs = find_projects(Path(folder.strip()).expanduser(), self.settings, single=True)
            source = inputs[0].path
            name = name.strip() or inputs[0].name
        elif files:
            source = place / "input"
            source.mkdir(parents=True)
            for number, file in enumerate(files):
                target = source / Path(file).name
                shutil.copyfile(file, target if not target.exists() else source / f"{number}-{target.name}")
        else:
            raise BadInput("no_input")
        settings = load(**{**self.settings.model_dump(exclude_unset=True), **options})
        project = self.store.project(place / "dataset", name.strip() or "dataset", source, visit["owner"])
        return visit | {"project": project.id, "job": self.jobs.start(project, settings)}

    def cancel(self, visit: Visit | None) -> None:
        """Stops the visitor's own job."""
        if self.project(visit) is not None and visit is not None:
            self.jobs.cancel(str(visit.get("job")))

    def status(self, visit: Visit | None, language: str) -> tuple[str, bool, int]:
        """Progress as HTML, whether to look again, and the snapshot's version."""
        snapshot = self.jobs.snapshot(str((visit or {}).get("job")))
        if snapshot is None or self.project(visit) is None:
            return "", False, -1
        return progress(snapshot, language), not snapshot.ended, snapshot.version

    def cards(self, visit: Visit | None, shown: str, language: str) -> str:
        """The gallery of one filter."""
        project = self.project(visit)
        decisions = self.store.decisions(project.id) if project else []
        return gallery(decisions, shown, partial(measure.thumbnail, self.settings), language)

    def filters(self, visit: Visit | None, language: str) -> list[tuple[str, str]]:
        """The filters that have photos."""
        project = self.project(visit)
        return choices(self.store.decisions(project.id), language) if project else []

    def download(self, visit: Visit | None, file: str) -> str | None:
        """A copy of one of the project's files, for the visitor alone to fetch."""
        project = self.project(visit)
        original = project.folder / file if project else None
        if original is None or not original.is_file() or project is None:
            return None
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in readable(project.name)) or "dataset"
        copy = Path(tempfile.mkdtemp(prefix="lora-builder-")) / f"{stem}-{file}"
        shutil.copyfile(original, copy)
        return str(copy)


def build(session: Session) -> gr.Blocks:
    """The page."""
    texts: list[tuple[Any, Callable[[str], dict[str, Any]]]] = []

    def worded(component: Any, **words: str) -> Any:
        """Remembers which texts of a component to change with the language."""
        texts.append((component, lambda language: {k: _word(v, language, session) for k, v in words.items()}))
        return component

    def first(key: str) -> str:
        return _word(key, "en", session)

    with gr.Blocks(title=first("title")) as page:
        visit = gr.BrowserState(None, storage_key="lora-dataset-builder")
        version = gr.State(-1)
        timer = gr.Timer(1.0, active=False)
        with gr.Row(equal_height=True):
            heading = gr.Markdown(_heading("en"))
            language = gr.Radio(
                [(name, code) for code, name in LANGUAGES.items()], value="en", label=first("language"),
                scale=0, min_width=220,
            )  # fmt: skip
        with gr.Row():
            with gr.Column(scale=3):
                files = worded(
                    gr.File(label=first("photos"), file_count="multiple", height=180), label="photos"
                )
                folder = worded(
                    gr.Textbox(label=first("folder"), placeholder=first("folder_hint"), visible=is_local()),
                    label="folder",
                )
            with gr.Column(scale=2):
                name = worded(gr.Textbox(label=first("name"), max_length=80), label="name")
                with gr.Row():
                    trigger = worded(
                        gr.Textbox(label=first("trigger"), placeholder=first("trigger_hint"), max_length=64),
                        label="trigger",
                    )
                    class_word = worded(
                        gr.Textbox("person", label=first("class_word"), max_length=64), label="class_word"
                    )
                with worded(gr.Accordion(first("options"), open=False), label="options"):
                    keep = worded(gr.Slider(1, 10, 2, step=1, label=first("keep")), label="keep")
                    size = worded(
                        gr.Dropdown([512, 768, 1024, 1536], value=1024, label=first("size")), label="size"
                    )
                    small = worded(gr.Radio(_pairs("en", "small_drop", "small_keep"), value="small_drop", label=first("small")), label="small")  # noqa: E501  # fmt: skip
                    format = worded(
                        gr.Radio(["png", "jpeg"], value="png", label=first("format")), label="format"
                    )
                    style = worded(gr.Radio(_pairs("en", "prose", "tags"), value="prose", label=first("style")), label="style")  # noqa: E501  # fmt: skip
                with gr.Row():
                    go = worded(gr.Button(first("build"), variant="primary"), value="build")
                    stop = worded(gr.Button(first("cancel"), interactive=False), value="cancel")
        status = gr.HTML("", padding=False)
        with gr.Row():
            shown = worded(gr.Radio([], label=first("show"), visible=False, scale=4), label="show")
            package = worded(gr.DownloadButton(first("download"), visible=False), label="download")
            report = worded(gr.DownloadButton(first("report"), visible=False), label="report")
        cards = gr.HTML(session.cards(None, "kept", "en"), padding=False)

        results = [shown, package, report, cards]
        watched = [status, version, timer, go, stop, *results]
        options = [keep, size, small, format, style]

        def finished(visit: Visit | None, language: str) -> list[Any]:
            filters = session.filters(visit, language)
            package_file = session.download(visit, "train_package.zip")
            report_file = session.download(visit, "report.html")
            return [
                gr.update(choices=filters, value="kept", visible=bool(filters)),
                gr.update(value=package_file, visible=package_file is not None),
                gr.update(value=report_file, visible=report_file is not None),
                session.cards(visit, "kept", language),
            ]

        def look(visit: Visit | None, seen: int, language: str) -> Any:
            text, again, now = session.status(visit, language)
            if now == seen and again:
                return gr.skip()
            state = [
                text,
                now,
                gr.Timer(active=again),
                gr.update(interactive=not again),
                gr.update(interactive=again),
            ]
            return [*state, *([gr.skip()] * 4 if again else finished(visit, language))]

        def begin(
            visit: Visit | None, files: Any, folder: str, name: str, trigger: str, class_word: str,
            keep: float, size: int, small: str, format: str, style: str, language: str,
        ) -> Any:  # fmt: skip
            try:
                visit = session.start(
                    visit, files, folder, name, trigger=trigger, class_word=class_word or "person",
                    keep_per_cluster=int(keep), resolution=int(size), small_photos=small.removeprefix("small_"),
                    image_format=format, caption_style=style, caption_language=language,
                )  # fmt: skip
            except LoraBuilderError as error:
                gr.Warning(tr("no_input", language) if error.message == "no_input" else str(error))
                return [visit, gr.skip(), gr.Timer(active=False)]
            return [visit, None, gr.Timer(active=True)]

        def reworded(visit: Visit | None, language: str, shown: str | None) -> list[Any]:
            filters = session.filters(visit, language)
            updates = [gr.update(**words(language)) for _, words in texts]
            return [
                _heading(language),
                session.status(visit, language)[0],
                gr.update(choices=_pairs(language, "small_drop", "small_keep")),
                gr.update(choices=_pairs(language, "prose", "tags")),
                gr.update(choices=filters),
                session.cards(visit, shown or "kept", language),
                *updates,
            ]

        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        go.click(
            begin,
            [visit, files, folder, name, trigger, class_word, *options, language],
            [visit, files, timer],
            **quiet,
        )
        stop.click(
            session.cancel, [visit], None, queue=False, show_progress="hidden", api_visibility="private"
        )
        timer.tick(look, [visit, version, language], watched, **quiet)
        shown.input(session.cards, [visit, shown, language], [cards], **quiet)
        language.change(
            reworded,
            [visit, language, shown],
            [heading, status, small, style, shown, cards, *(component for component, _ in texts)],
            **quiet,
        )
        page.load(session.visit, [visit], [visit], **quiet).then(
            look, [visit, version, language], watched, **quiet
        )
    return page


def _word(key: str, language: str, session: Session) -> str:
    return tr(key, language, mb=session.settings.max_upload_mb) if key == "photos" else tr(key, language)


def _pairs(language: str, *keys: str) -> list[tuple[str, str]]:
    return [(tr(key, language), key) for key in keys]


def _heading(language: str) -> str:
    return f"# {tr('title', language)}\n{tr('tagline', language)}"


def launch(settings: Settings) -> None:
    """Serves the app until it is stopped; host and port are Gradio's own environment names."""
    store = Store(settings.database)
    page = build(Session(store, Jobs(store), settings))
    page.queue(default_concurrency_limit=4).launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", LOOPBACK[0]),
        max_file_size=f"{settings.max_upload_mb}mb",
        css_paths=[STYLE],
        run_history=False,
        show_error=False,
        footer_links=[],
    )
