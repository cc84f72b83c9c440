"""The same work without the page: named endpoints for `gradio_client`, curl and other programs.

Each takes the caller's token, which is all that says whose a project is: 32 or more characters that
nobody guesses, made by the caller. See docs/api.md.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import gradio as gr

from lora_builder.errors import LoraBuilderError
from lora_builder.export.package import record
from lora_builder.jobs import FINISHED, Snapshot
from lora_builder.records import Box, Override
from lora_builder.store import Project
from lora_builder.ui.desk import Desk
from lora_builder.ui.door import TOKEN
from lora_builder.ui.fence import ADDRESS
from lora_builder.ui.intake import Upload
from lora_builder.ui.steps import STEPS

EVENTS_EVERY_S = 0.5
"""How often `events` looks for news, seconds."""

SHA256 = re.compile(r"[0-9a-f]{64}")

Answer = TypeVar("Answer")


class Api:
    """The endpoints, in the order in which a program calls them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def publish(self) -> None:
        """Adds the endpoints to the `gr.Blocks` being built."""
        with gr.Column(visible=False):
            token, name, project, what = (gr.Textbox(visible=False) for _ in range(4))
            files, file = gr.File(visible=False, file_count="multiple"), gr.File(visible=False)
            settings, answer = gr.JSON(visible=False), gr.JSON(visible=False)
            button = gr.Button(visible=False)
        button.click(self.create, [token, files, name, settings], answer, api_name="create")
        button.click(self.download, [token, project, what], file, api_name="download")
        for endpoint in (self.run, self.status, self.events, self.decisions, self.set_override, self.delete):
            gr.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)

    def create(
        self,
        token: str,
        files: list[str],
        name: str,
        settings: dict[str, Any] | None,
        request: gr.Request,
    ) -> Any:
        """Makes a project of photos or ZIPs and runs everything.

        `settings`: names and values as `lora-dataset-builder config` lists them. Returns `project`
        and `job`.
        """

        def make() -> Any:
            owner = self._seen(token, request)
            project = self.desk.intake.create(owner, name or "", "en")
            try:
                uploads = [Upload(Path(file), Path(file).name) for file in files or []]
                self.desk.intake.add(project, uploads, "en")
                if settings:
                    self.desk.set_settings(project, settings)
            except LoraBuilderError:
                self.desk.delete(project)
                raise
            return {"project": project.id, "job": self.desk.run(project, ordered=True)}

        return _told(make)

    def run(
        self, token: str, project: str, request: gr.Request, step: str = "", start_at: float = 0.0
    ) -> dict[str, Any]:
        """Runs everything again, or one step: photos, people, choose, crop, caption, export.

        `start_at`: not before then, seconds since the epoch; 0: now.
        """

        def again() -> dict[str, Any]:
            self._seen(token, request)
            mine = self._mine(token, project)
            return {"job": self.desk.run(mine, _step(step), ordered=True, at=start_at or None)}

        return _told(again)

    def status(self, token: str, project: str) -> dict[str, Any]:
        """How far the project's run is, how it ended, and which steps are out of date."""
        return _told(lambda: self._status(self._mine(token, project)))

    async def events(self, token: str, project: str) -> AsyncIterator[dict[str, Any]]:
        """The status again and again, whenever it changed, until the run has ended."""
        mine = _told(lambda: self._mine(token, project))
        seen = None
        while True:
            status = self._status(mine)
            if status != seen:
                yield status
                seen = status
            if status["state"] in {state.value for state in FINISHED} | {"none"}:
                return
            await asyncio.sleep(EVENTS_EVERY_S)

    def decisions(self, token: str, project: str) -> list[dict[str, Any]]:
        """One record a photo, with the fields of `decisions.jsonl`."""
        return _told(
            lambda: [record(line) for line in self.desk.store.decisions(self._mine(token, project).id)]
        )

    def set_override(
        self,
        token: str,
        project: str,
        sha256: str,
        keep: bool | None = None,
        crop: list[float] | None = None,
        caption: str | None = None,
    ) -> dict[str, Any]:
        """The user's word on one photo, which outlives every run; what is null is left to the app.

        `crop`: x, y, width, height in pixels of the upright original. Run again to have it done.
        """

        def change() -> dict[str, Any]:
            mine = self._mine(token, project)
            known = {photo.sha256 for photo in self.desk.store.photos(mine.id)[0]}
            if not SHA256.fullmatch(sha256) or sha256 not in known:
                raise LoraBuilderError("The project has no such photo.", "Take sha256 from decisions.")
            if crop is not None and (len(crop) != 4 or min(crop[2:]) <= 0):
                raise LoraBuilderError("That is no box.", "Give x, y, width and height.")
            before = self.desk.store.overrides(mine.id).get(sha256, Override())
            after = replace(before, keep=keep, crop=Box(*crop) if crop else None, caption=caption or None)
            self.desk.changes.make(mine, "keep", {sha256: None if after.empty else after})
            return {"marks": self.desk.marks(mine)}

        return _told(change)

    def download(self, token: str, project: str, what: str) -> Any:
        """A file of the project: train_package.zip, report.html, decisions.jsonl, exports/NAME.zip."""
        return _told(lambda: str(self.desk.deliver(self._mine(token, project), what, "en")))

    def delete(self, token: str, project: str) -> dict[str, Any]:
        """Deletes the project with its files."""

        def forget() -> dict[str, Any]:
            self.desk.delete(self._mine(token, project))
            return {"deleted": project}

        return _told(forget)

    def _seen(self, token: str, request: gr.Request) -> str:
        """The owner; their limits are their address's too, for a token costs nothing."""
        owner = self._owner(token)
        self.desk.quotas.seen(owner, request.headers.get(ADDRESS.decode(), ""))
        return owner

    def _owner(self, token: Any) -> str:
        """Whom the token stands for: whoever made it in the app, else whoever made it up."""
        known = _checked(token)
        return self.desk.store.tokens.owner_of(known) or known

    def _mine(self, token: str, project: str) -> Project:
        mine = self.desk.mine(project, self._owner(token))
        if mine is None:
            raise LoraBuilderError("There is no such project.", "Check the project and the token.")
        return mine

    def _status(self, project: Project) -> dict[str, Any]:
        job = self.desk.jobs.latest(project.id)
        snapshot = self.desk.jobs.snapshot(job) if job else None
        return {**_state(snapshot), "marks": self.desk.marks(project)}


def _state(snapshot: Snapshot | None) -> dict[str, Any]:
    if snapshot is None:
        return {"state": "none", "job": None}
    return {
        "state": snapshot.state.value,
        "job": snapshot.job,
        "ahead": snapshot.ahead,
        "start_at": snapshot.start_at,
        "stages": [
            {"stage": entry.stage.value, "done": entry.done, "total": entry.total}
            for entry in snapshot.stages
        ],
        "photo": snapshot.photo,
        "rate": snapshot.rate,
        "seconds_left": snapshot.seconds_left,
        "error": snapshot.error,
        "remedy": snapshot.remedy,
    }


def _checked(token: Any) -> str:
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise LoraBuilderError(
            "That is no token.",
            "Make one that nobody guesses, as secrets.token_urlsafe(24) does: 32 to 128 letters, "
            "digits, - and _.",
        )
    return token


def _step(step: str) -> str | None:
    if step and step not in STEPS:
        raise LoraBuilderError(f"There is no step {step!r}.", f"There are: {', '.join(STEPS)}.")
    return step or None


def _told(work: Callable[[], Answer]) -> Answer:
    """What `work` gives; what the caller can mend reaches them as a plain sentence."""
    try:
        return work()
    except LoraBuilderError as error:
        raise cast(Exception, gr.Error(str(error), print_exception=False)) from error
