"""The frame around the steps: sidebar of projects, way of six steps, language, what a session is.

How a step lives in it (see `steps.Step` and `steps.View`; most steps are a `steps.drawn.Drawn`):

    class Crop(Drawn):
        name, frame, scripts, texts = "crop", "ldb-crop", ("crop.js",), ("crop_",)

        def served(self):                             # for the script: server.load_boxes(place())
            return (self.load_boxes,)

        def load_boxes(self, view, data): ...         # raise LoraBuilderError: the script gets a sentence

        def wire(self, shell):                        # a handler gets the View, then its inputs
            super().wire(shell)
            shell.on(self.save.click, self.do_save, [self.note], [self.note])

        def do_save(self, view, note): ...            # raise LoraBuilderError: it is shown as a notice

* **Session.** Nothing of a page is kept on the server: the component `shell.nav` holds the *place*
  (project, step, language) and travels with every event, so a page outlives a restart of the app.
  `steps.place(view)` is that place for components of your own; their scripts send it back with
  each call of a server function.
* **Owner.** `shell.on` and `shell.serve` are the only doors: both find out who asks (a cookie), check
  that the project is theirs, and only then call you. Never take an owner or a path from the page.
* **Marks.** After each handler the way of steps is drawn anew, so a step that your change made out of
  date says so at once. A server function that changes anything calls `trigger('changed')` in its
  script; wire it with `shell.on(component.changed, lambda view: {}, [], [])`.
* **Changes.** What the user decides about photos goes through `Desk.change(project, label, overrides)`:
  it is saved at once and can be undone (`Desk.undo`, `Desk.redo`).
* **Pictures.** `view.picture(sha256)` (400 px), `view.preview(sha256)` (1200 px): addresses signed for
  this visitor. Other kinds of pictures: one line in `Desk.read_picture`.
* **Texts.** `texts/NAME.py` of your step, English and Chinese; `tr(key, language)`. Scripts get theirs
  with `words_for("crop_", language)`. User text (file names, captions) enters HTML only through
  `presenters.text`, and scripts write it with `textContent`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from lora_builder.errors import LoraBuilderError
from lora_builder.ui import door, presenters
from lora_builder.ui.desk import Desk
from lora_builder.ui.progress import Progress
from lora_builder.ui.said import said, told
from lora_builder.ui.sidebar import Sidebar
from lora_builder.ui.static import script
from lora_builder.ui.steps import STEPS, Step, Updates, View, place
from lora_builder.ui.steps.caption import Caption
from lora_builder.ui.steps.choose import Choose
from lora_builder.ui.steps.crop import Crop
from lora_builder.ui.steps.export import Export
from lora_builder.ui.steps.people import People
from lora_builder.ui.steps.photos import Photos
from lora_builder.ui.texts import LANGUAGES, preferred, tr, words_for

BROWSER_SECRET = "lora-dataset-builder"
"""Keeps the browser's notes readable after a restart; it hides nothing, and nothing secret is noted."""

SILENT: dict[str, Any] = {
    "show_progress": "hidden",
    "queue": True,
    "concurrency_limit": None,
    "api_visibility": "private",
}
"""For every handler: no veil over the page, nobody waits for anybody, no public API."""

PLACE = ("project", "step", "language")


class Shell:
    """The page: built once, shared by all visitors, holding nothing of any of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.steps: tuple[Step, ...] = (Photos(), People(), Choose(), Crop(), Caption(), Export())
        self.typed: list[Any] = []
        """Boxes that a visitor may be typing in: what happens by itself leaves them alone."""
        self.saved_place = gr.BrowserState(None, storage_key="ldb-place", secret=BROWSER_SECRET)
        with gr.Row(elem_classes="ldb-frame", equal_height=False):
            with gr.Column(scale=0, min_width=0, elem_classes="ldb-side"):
                self.sidebar = Sidebar(self)
            with gr.Column(scale=1, min_width=0, elem_classes="ldb-main"):
                self._top()
                self.progress = Progress(self)
                self.columns: dict[str, Any] = {}
                for step in self.steps:
                    with gr.Column(
                        visible=step.name == STEPS[0], elem_classes="ldb-panel", elem_id=f"ldb-{step.name}"
                    ) as column:
                        step.build(self)
                    self.columns[step.name] = column

    def _top(self) -> None:
        self.nav = gr.HTML(
            {"project": None, "step": STEPS[0], "language": "en"},
            html_template='<div class="ldb-nav"></div>',
            js_on_load=script("nav.js"),
            apply_default_css=False,
            elem_id="ldb-nav",
        )
        self.notice = gr.HTML(visible=False, elem_id="ldb-notice")

    # The doors

    def on(
        self,
        event: Callable[..., Any],
        handler: Callable[..., Updates],
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
        *,
        needs_project: bool = True,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """Hangs `handler(view, *inputs)` on an event of a component.

        `detail`: the event's own data, a dict that the script sent, comes right after the view.
        `needs_project` False: also called where no project is open. Whatever the handler returns,
        the way of steps is drawn anew, and a LoraBuilderError becomes a notice.
        """
        # Gradio fills in arguments by their annotation, so the two kinds differ in their signature.
        if detail:

            def called(request: gr.Request, event: gr.EventData, place: Any, *values: Any) -> Updates:
                data = event._data if isinstance(event._data, dict) else {}
                return self._handle(request, place, handler, (data, *values), needs_project)
        else:

            def called(request: gr.Request, place: Any, *values: Any) -> Updates:  # type: ignore[misc]
                return self._handle(request, place, handler, values, needs_project)

        outputs = list(dict.fromkeys([*outputs, *self.marks()]))
        return event(called, [self.nav, *inputs], outputs, **{**SILENT, **options})

    def serve(self, handler: Callable[[View, dict[str, Any]], Any]) -> Callable[..., Any]:
        """`handler(view, data)` as a function that a script calls: `server.NAME({...place, ...})`.

        The script gets what the handler returns, or `{"error": sentence}`.
        """

        def served(data: Any, request: gr.Request) -> Any:
            data = data if isinstance(data, dict) else {}
            view = self.view(request, data)
            if view is None or view.project is None:
                return {"error": tr("not_yours", _language(data))}
            try:
                return handler(view, data)
            except LoraBuilderError as error:
                return {"error": told(error, view.language)}

        served.__name__ = handler.__name__
        return served

    def view(self, request: gr.Request, place: Any) -> View | None:
        """Who looks at what; None where the browser keeps no cookies."""
        owner = door.visitor(request.cookies)
        if not owner:
            return None
        place = place if isinstance(place, dict) else {}
        step = place.get("step")
        return View(
            self.desk,
            owner,
            self.desk.mine(place.get("project"), owner),
            _language(place),
            step if step in STEPS else STEPS[0],
        )

    def _handle(
        self,
        request: gr.Request,
        place: Any,
        handler: Callable[..., Updates],
        values: tuple[Any, ...],
        needs_project: bool,
    ) -> Updates:
        view = self.view(request, place)
        if view is None or (needs_project and view.project is None):
            language = _language(place)
            key = "no_cookies" if view is None else "not_yours"
            notice = presenters.notice(tr(key, language), tr(f"{key}_remedy", language))
            return {self.notice: shown(notice)}
        try:
            updates = handler(view, *values)
        except LoraBuilderError as error:
            words = [said(part, view.language) for part in (error.message, error.remedy)]
            return {self.notice: shown(presenters.notice(*words))}
        return {**self.drawn(view), **updates}

    # What is always there

    def marks(self) -> list[Any]:
        """The components that every handler may change."""
        return [self.nav, self.notice]

    def drawn(self, view: View) -> Updates:
        """The way of steps as it is now, and no notice."""
        return {self.nav: self.place(view), self.notice: shown("")}

    def place(self, view: View) -> dict[str, Any]:
        """The value of `nav`: the place, and each step's mark."""
        return {
            **place(view),
            "name": view.project.name if view.project else "",
            "marks": self.desk.marks(view.project),
            "busy": view.busy,
            "languages": dict(LANGUAGES),
            "words": words_for("nav_", view.language) | words_for("step_", view.language),
        }

    def everything(self) -> list[Any]:
        """All that changes with the project, the step or the language."""
        parts: list[Any] = [self.sidebar, self.progress, *self.steps]
        components = [component for part in parts for component in part.outputs()]
        return [*self.marks(), self.saved_place, *self.columns.values(), *components]

    def at(self, view: View, words: bool = False) -> Updates:
        """The page at that place; with `words` all texts too."""
        updates: Updates = {}
        if words:
            for step in self.steps:
                updates.update(step.words(view.language))
        for step in self.steps:
            if step.name == view.step:
                updates = _merged(updates, step.show(view))
        columns = {column: gr.update(visible=name == view.step) for name, column in self.columns.items()}
        return {
            **updates,
            **columns,
            **self.drawn(view),
            **self.sidebar.show(view),
            **self.progress.show(view),
            self.saved_place: place(view),
        }

    # Handlers of the frame

    def wire(self, blocks: gr.Blocks) -> None:
        blocks.load(self.load, [self.saved_place], self.everything(), **SILENT)
        whole = self.everything()
        self.on(self.nav.go, self.go, [], whole, needs_project=False, detail=True)
        self.on(self.nav.speak, self.speak, [], whole, needs_project=False, detail=True)
        self.on(self.nav.run, self.run, [], whole, detail=True)
        self.sidebar.wire(self)
        self.progress.wire(self)
        for step in self.steps:
            step.wire(self)

    def load(self, request: gr.Request, saved: Any) -> Updates:
        """The page as its address says, else as this browser left it."""
        saved = saved if isinstance(saved, dict) else {}
        asked = {key: request.query_params.get(key) for key in PLACE}
        wanted = {key: asked[key] or saved.get(key) for key in PLACE}
        if asked["project"] and not asked["step"]:
            wanted["step"] = None
        if wanted["language"] not in LANGUAGES:
            wanted["language"] = preferred(request.headers.get("accept-language"))
        view = self.view(request, wanted)
        if view is None:
            language = str(wanted["language"])
            notice = presenters.notice(tr("no_cookies", language), tr("no_cookies_remedy", language))
            return {self.notice: shown(notice)}
        if view.project is None:
            view = self.moved(view, step=STEPS[0])
        return self.at(replace(view, photo=request.query_params.get("photo", "")[:64]), words=True)

    def go(self, view: View, data: dict[str, Any]) -> Updates:
        """Another step."""
        return self.at(self.moved(view, step=str(data.get("step"))))

    def see(self, view: View, data: dict[str, Any]) -> Updates:
        """Another step, opened on one photo: a script says `trigger('see', {step, photo})`."""
        there = self.moved(view, step=str(data.get("step")))
        return self.at(replace(there, photo=str(data.get("photo", ""))[:64]))

    def speak(self, view: View, data: dict[str, Any]) -> Updates:
        """Another language."""
        language = str(data.get("language"))
        return self.at(self.moved(view, language=language if language in LANGUAGES else "en"), words=True)

    def run(self, view: View, data: dict[str, Any]) -> Updates:
        """Everything, or one step alone (`step`); now, or not before `at`, seconds since the epoch."""
        at = float(data["at"]) if isinstance(data.get("at"), int | float) else None
        self.desk.run(view.theirs, str(data["step"]) if data.get("step") in STEPS else None, at=at)
        return self.at(view)

    def moved(self, view: View, **changes: Any) -> View:
        """The view at another place."""
        here = {**place(view), **changes}
        step = here["step"] if here["step"] in STEPS else STEPS[0]
        project = view.desk.mine(here["project"], view.owner)
        return View(view.desk, view.owner, project, here["language"], step)


def shown(html: str) -> Any:
    """That HTML, or no empty gap in its place."""
    return gr.update(value=html, visible=bool(html))


def _language(place: Any) -> str:
    language = place.get("language") if isinstance(place, dict) else None
    return str(language) if language in LANGUAGES else "en"


def _merged(one: Updates, other: Updates) -> Updates:
    """Both; where both change a component, its properties come together."""
    result = dict(one)
    for component, update in other.items():
        before: Any = result.get(component)
        if _is_update(before):
            update = {**before, **(update if _is_update(update) else {"value": update})}
        result[component] = update
    return result


def _is_update(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"
