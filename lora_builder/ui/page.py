"""The app's one page: layout and wiring. `presenters` say what is shown, `actions` what is done."""

from __future__ import annotations

from typing import Any, TypeAlias

import gradio as gr

from lora_builder.errors import LoraBuilderError
from lora_builder.store import Project
from lora_builder.ui import presenters
from lora_builder.ui.actions import Deliverable, Desk, new_owner
from lora_builder.ui.texts import LANGUAGES, preferred, tr

Updates: TypeAlias = dict[Any, Any]
"""New values or properties by component."""

TICK_S = 1.0
SIZES = (512, 640, 768, 896, 1024, 1280, 1536)
"""Sides of the square crop offered, pixels."""

BROWSER_SECRET = "lora-dataset-builder"
"""Keeps the browser's notes readable after a restart; it hides nothing, and nothing secret is noted."""

SILENT: dict[str, Any] = {
    "show_progress": "hidden",
    "queue": True,
    "concurrency_limit": None,
    "api_visibility": "private",
}
"""For every handler: no veil over the page, nobody waits for anybody, no public API."""

CLICK_LINK = "() => document.querySelector('#ldb-file a, a#ldb-file, button#ldb-file')?.click()"
SHOW_PROGRESS = """() => document.querySelector('#ldb-progress')
    ?.scrollIntoView({block: 'nearest', behavior: 'smooth'})"""


class Page:
    """The components, top to bottom, and what each does."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._memory()
        self._top()
        self._photos_step()
        self._build_step()
        self._results_step()
        self.timer = gr.Timer(TICK_S, active=False)

    # Layout

    def _memory(self) -> None:
        def note(key: str, default: Any = None) -> gr.BrowserState:
            return gr.BrowserState(default, storage_key=f"ldb-{key}", secret=BROWSER_SECRET)

        self.owner, self.project, self.saved_form = note("owner"), note("project"), note("form")
        self.saved_language = note("language")
        self.seen = gr.State(("", -1))
        self.page = gr.State(0)

    def _top(self) -> None:
        with gr.Row(elem_classes="ldb-top"):
            self.header = gr.HTML(presenters.header("en"), elem_classes="ldb-header")
            self.language = gr.Radio(
                [(name, code) for code, name in LANGUAGES.items()],
                value="en",
                label=tr("language", "en"),
                show_label=False,
                container=False,
                elem_id="ldb-language",
                elem_classes="ldb-language",
            )

    def _photos_step(self) -> None:
        settings = self.desk.settings
        self.photos_intro = gr.HTML()
        self.upload = gr.File(file_count="multiple", elem_id="ldb-upload", height=180)
        self.folder = gr.Textbox(visible=self.desk.local, max_lines=1, elem_id="ldb-folder")
        with gr.Row():
            self.name = gr.Textbox(max_lines=1, max_length=80, elem_id="ldb-name", min_width=200)
            self.trigger = gr.Textbox(settings.trigger, max_lines=1, max_length=64, min_width=200)
            self.class_word = gr.Textbox(settings.class_word, max_lines=1, max_length=64, min_width=200)
        with gr.Accordion(open=False) as self.accordion:
            with gr.Row():
                self.keep_per_cluster = gr.Slider(1, 10, settings.keep_per_cluster, step=1, min_width=240)
                sizes = sorted({*SIZES, settings.resolution})
                self.resolution = gr.Dropdown(
                    [(f"{side} × {side}", side) for side in sizes], value=settings.resolution, min_width=240
                )
                self.small_photos = gr.Radio(value=settings.small_photos, min_width=240)
            with gr.Row():
                self.image_format = gr.Radio(
                    [("PNG", "png"), ("JPEG", "jpeg")], value=settings.image_format, min_width=240
                )
                self.caption_style = gr.Radio(value=settings.caption_style, min_width=240)
                self.caption_language = gr.Radio(
                    [(name, code) for code, name in LANGUAGES.items()],
                    value=settings.caption_language,
                    min_width=240,
                )
        self.form = {
            "trigger": self.trigger,
            "class_word": self.class_word,
            "keep_per_cluster": self.keep_per_cluster,
            "resolution": self.resolution,
            "small_photos": self.small_photos,
            "image_format": self.image_format,
            "caption_style": self.caption_style,
            "caption_language": self.caption_language,
        }

    def _build_step(self) -> None:
        self.hint = gr.HTML()
        with gr.Row():
            self.build = gr.Button(variant="primary", interactive=False, elem_id="ldb-build", scale=3)
            self.cancel = gr.Button(variant="stop", visible=False, elem_id="ldb-cancel", scale=1)
        self.notice = gr.HTML(visible=False, elem_id="ldb-notice")
        self.progress = gr.HTML(visible=False, elem_id="ldb-progress")

    def _results_step(self) -> None:
        self.results_heading = gr.HTML()
        self.earlier = gr.Dropdown([], visible=False, filterable=False, elem_id="ldb-earlier")
        self.summary = gr.HTML(elem_id="ldb-summary")
        with gr.Column(visible=False) as self.results:
            with gr.Row():
                self.zip = gr.Button(variant="primary", elem_id="ldb-zip", min_width=220)
                self.report = gr.Button(elem_id="ldb-report", min_width=220)
            self.group = gr.Radio([], elem_id="ldb-group")
            self.grid = gr.HTML(elem_id="ldb-grid")
            with gr.Row(visible=False, elem_classes="ldb-pager") as self.pager:
                self.previous = gr.Button(size="sm", min_width=80)
                self.place = gr.HTML()
                self.next = gr.Button(size="sm", min_width=80)
        self.file = gr.DownloadButton(visible="hidden", elem_id="ldb-file")

    # Wiring

    def wire(self, blocks: gr.Blocks) -> None:
        who = [self.project, self.owner, self.language]
        view = [self.group, self.page]
        changing = self._changing()
        blocks.load(
            self.load,
            [self.owner, self.project, self.saved_language, self.saved_form],
            [*changing, *self._worded(), *self.form.values(), self.owner, self.language, self.saved_language],
            **SILENT,
        )
        start = self.build.click(
            self.start,
            [*who, self.upload, self.folder, self.name, *self.form.values()],
            [*changing, self.upload, self.folder, self.name],
            **SILENT,
        )
        start.then(None, js=SHOW_PROGRESS)
        self.cancel.click(self.stop, who, [self.progress, self.cancel], **{**SILENT, "queue": False})
        self.timer.tick(self.tick, [*who, self.seen, *view], changing, **SILENT)
        self.language.input(
            self.relabel, [*who, *view], [*changing, *self._worded(), self.saved_language], **SILENT
        )
        self.earlier.input(self.open, [self.earlier, self.owner, self.language], changing, **SILENT)
        shown = [self.grid, self.page, self.pager, self.place, self.previous, self.next]
        self.group.input(self.browse, [*who, self.group, gr.State(0)], shown, **SILENT)
        self.previous.click(self.turn(-1), [*who, *view], shown, **SILENT)
        self.next.click(self.turn(1), [*who, *view], shown, **SILENT)
        files: list[tuple[Any, Deliverable]] = [(self.zip, "train_package.zip"), (self.report, "report.html")]
        for button, what in files:
            fetched = button.click(self.fetch(what), who, [self.file, self.notice], **SILENT)
            fetched.success(None, js=CLICK_LINK)
        for control in self.form.values():
            control.change(None, list(self.form.values()), self.saved_form, js="(...values) => [values]")

    def _changing(self) -> list[Any]:
        """What a run changes."""
        return [
            self.project, self.seen, self.page, self.timer, self.hint, self.build, self.cancel, self.notice,
            self.progress, self.earlier, self.summary, self.results, self.group, self.grid, self.pager,
            self.place, self.previous, self.next,
        ]  # fmt: skip

    def _worded(self) -> list[Any]:
        return list(self.words("en"))

    # Handlers

    def load(self, owner: Any, project_id: Any, language: Any, form: Any, request: gr.Request) -> Updates:
        """The page as this visitor left it."""
        known = isinstance(owner, str) and len(owner) >= 20
        owner = owner if known else new_owner()
        if language not in LANGUAGES:
            language = preferred(request.headers.get("accept-language"))
        updates: Updates = {self.owner: owner, self.saved_language: language}
        project = self.desk.mine(project_id, owner) if isinstance(project_id, str) else None
        updates |= self.words(language) | self.view(project, owner, language)
        updates[self.language] = _with_value(updates[self.language], language)
        if isinstance(form, list) and len(form) == len(self.form):
            for component, value in zip(self.form.values(), form, strict=True):
                updates[component] = _with_value(updates.get(component), value)
        return updates

    def start(
        self, project_id: Any, owner: Any, language: str, uploads: Any, folder: str, name: str, *form: Any
    ) -> Updates:
        current = self.desk.mine(project_id, owner)
        try:
            settings = self.desk.adjusted(dict(zip(self.form, form, strict=True)))
            project = self.desk.open_project(
                owner, uploads or [], folder or "", name or "", current, language
            )
            self.desk.jobs.start(project, settings)
        except LoraBuilderError as error:
            return {self.notice: _shown(presenters.notice(error.message, error.remedy))}
        return self.view(project, owner, language) | {self.upload: None, self.folder: "", self.name: ""}

    def stop(self, project_id: Any, owner: Any, language: str) -> Updates:
        project = self.desk.mine(project_id, owner)
        job = self.desk.jobs.latest(project.id) if project else None
        if project is None or job is None:
            return {self.cancel: gr.update(visible=False)}
        self.desk.jobs.cancel(job)
        return {
            self.progress: self._progress(project, job, language),
            self.cancel: gr.update(interactive=False),
        }

    def tick(
        self, project_id: Any, owner: Any, language: str, seen: Any, group: Any, page: int
    ) -> Updates | Any:
        """What is new since the version that the page has seen."""
        project = self.desk.mine(project_id, owner)
        job = self.desk.jobs.latest(project.id) if project else None
        snapshot = self.desk.jobs.snapshot(job) if job else None
        if project is None or job is None or snapshot is None:
            return {self.timer: gr.Timer(active=False)}
        if tuple(seen) == (job, snapshot.version):
            return gr.skip()
        if snapshot.finished:
            return self.view(project, owner, language, group, page)
        return {self.seen: (job, snapshot.version), self.progress: self._progress(project, job, language)}

    def relabel(self, project_id: Any, owner: Any, language: str, group: Any, page: int) -> Updates:
        project = self.desk.mine(project_id, owner)
        view = self.view(project, owner, language, group, page)
        return self.words(language) | view | {self.saved_language: language}

    def open(self, project_id: Any, owner: Any, language: str) -> Updates:
        return self.view(self.desk.mine(project_id, owner), owner, language)

    def browse(self, project_id: Any, owner: Any, language: str, group: Any, page: int) -> Updates:
        project = self.desk.mine(project_id, owner)
        if project is None:
            return {self.grid: presenters.notice(tr("not_yours", language), tr("not_yours_remedy", language))}
        decisions = self.desk.store.decisions(project.id)
        group = presenters.chosen_group(decisions, group)
        count = len(presenters.members(decisions, group))
        last = presenters.last_page(count)
        page = min(max(0, int(page)), last)
        label = presenters.page_label(count, page, language)
        return {
            self.grid: presenters.grid(decisions, group, page, language, self.desk.picture),
            self.page: page,
            self.pager: gr.update(visible=bool(label)),
            self.place: presenters.hint(label),
            self.previous: gr.update(value=tr("previous", language), interactive=page > 0),
            self.next: gr.update(value=tr("next", language), interactive=page < last),
        }

    def turn(self, step: int) -> Any:
        def turn(project_id: Any, owner: Any, language: str, group: Any, page: int) -> Updates:
            return self.browse(project_id, owner, language, group, page + step)

        return turn

    def fetch(self, what: Deliverable) -> Any:
        def fetch(project_id: Any, owner: Any, language: str) -> Updates:
            project = self.desk.mine(project_id, owner)
            try:
                if project is None:
                    raise LoraBuilderError(tr("not_yours", language), tr("not_yours_remedy", language))
                path = self.desk.deliver(project, what, language)
            except LoraBuilderError as error:
                return {
                    self.file: None,
                    self.notice: _shown(presenters.notice(error.message, error.remedy)),
                }
            return {self.file: str(path), self.notice: _shown("")}

        return fetch

    # What is shown

    def view(
        self, project: Project | None, owner: Any, language: str, group: Any = None, page: int = 0
    ) -> Updates:
        """Everything that depends on the visitor's project."""
        job = self.desk.jobs.latest(project.id) if project else None
        snapshot = self.desk.jobs.snapshot(job) if job else None
        busy = snapshot is not None and not snapshot.finished
        mine = self.desk.all_mine(owner)
        hint = tr("again", language, name=project.name) if project else tr("fresh", language)
        updates: Updates = {
            self.project: project.id if project else None,
            self.seen: (job, snapshot.version) if snapshot else ("", -1),
            self.timer: gr.Timer(active=busy),
            self.hint: presenters.heading(2, "build", language) + ("" if busy else presenters.hint(hint)),
            self.build: gr.update(interactive=not busy, value=tr("build", language)),
            self.cancel: gr.update(visible=busy, interactive=True, value=tr("cancel", language)),
            self.notice: _shown(""),
            self.progress: self._progress(project, job, language) if project and job else _shown(""),
            self.earlier: gr.update(
                choices=presenters.projects(mine),
                value=project.id if project else None,
                visible=len(mine) > 1 and not busy,
                label=tr("earlier", language),
            ),
        }
        return updates | self._outcome(project, busy, bool(job), language, group, page)

    def _outcome(
        self, project: Project | None, busy: bool, told: bool, language: str, group: Any, page: int
    ) -> Updates:
        """The results, or what stands in their place."""
        decisions = self.desk.store.decisions(project.id) if project and not busy else []
        if project is None or not decisions:
            message = tr("running" if busy else "empty", language)
            if project is not None and not busy and not told:
                message = tr("interrupted", language, name=project.name)
            return {self.summary: presenters.hint(message), self.results: gr.update(visible=False)}
        group = presenters.chosen_group(decisions, group)
        folder = project.folder if self.desk.local else None
        return {
            self.summary: presenters.summary(decisions, language, folder),
            self.results: gr.update(visible=True),
            self.group: gr.update(
                choices=presenters.filters(decisions, language), value=group, label=tr("show", language)
            ),
        } | self.browse(project.id, project.owner, language, group, page)

    def _progress(self, project: Project, job: str, language: str) -> Any:
        snapshot = self.desk.jobs.snapshot(job)
        if snapshot is None:
            return _shown("")
        picture = self.desk.photo_in_hand(project, snapshot.photo)
        return _shown(presenters.progress(snapshot, language, picture, self.desk.jobs.stopping(job)))

    def words(self, language: str) -> Updates:
        """Every text that depends on the language alone."""

        def t(key: str) -> str:
            return tr(key, language)

        def label(key: str, **more: Any) -> Any:
            return gr.update(label=t(key), **more)

        return {
            self.header: presenters.header(language),
            self.photos_intro: presenters.heading(1, "photos", language)
            + presenters.promise(language, self.desk.local, self.desk.settings.max_upload_mb),
            self.upload: label("upload"),
            self.folder: label("folder", info=t("folder_info"), placeholder=t("folder_example")),
            self.name: label("name", info=t("name_info"), placeholder=t("name_example")),
            self.trigger: label("trigger", info=t("trigger_info"), placeholder="ohwx"),
            self.class_word: label("class_word", info=t("class_info")),
            self.accordion: label("settings"),
            self.keep_per_cluster: label("keep_per_cluster"),
            self.resolution: label("resolution"),
            self.small_photos: label(
                "small_photos", choices=[(t("small_drop"), "drop"), (t("small_keep"), "keep")]
            ),
            self.image_format: label("image_format"),
            self.caption_style: label(
                "caption_style", choices=[(t("style_prose"), "prose"), (t("style_tags"), "tags")]
            ),
            self.caption_language: label("caption_language"),
            self.results_heading: presenters.heading(3, "results", language),
            self.zip: gr.update(value=t("download_zip")),
            self.report: gr.update(value=t("download_report")),
            self.language: gr.update(label=t("language")),
        }


def _shown(html: str) -> Any:
    """That HTML, or no empty gap in its place."""
    return gr.update(value=html, visible=bool(html))


def _with_value(update: Any, value: Any) -> Any:
    """The same update of a component, and a value."""
    return {**update, "value": value} if isinstance(update, dict) else value
