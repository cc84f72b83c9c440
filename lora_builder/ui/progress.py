"""The project's job as the page shows it: bars, pace, the photo in hand, how it ended, and stopping it."""

from __future__ import annotations

import functools
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import gradio as gr

from lora_builder import measure, resources
from lora_builder.explain import printable
from lora_builder.jobs import Snapshot, StageProgress, State
from lora_builder.records import Stage
from lora_builder.store import Store
from lora_builder.ui.said import said
from lora_builder.ui.static import script
from lora_builder.ui.steps import STEPS, Updates, View, place
from lora_builder.ui.texts import tr, words_for

if TYPE_CHECKING:
    from lora_builder.ui.shell import Shell


class Progress:
    """Asks for news by itself while a job is at work; nothing of Gradio's queue waits for it."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.bars = gr.HTML(
            {},
            html_template='<div class="ldb-work"></div>',
            js_on_load=script("progress.js"),
            server_functions=[
                shell.serve(function) for function in (self.progress, self.cancel, self.begin, self.close)
            ],
            apply_default_css=False,
            elem_id="ldb-progress",
        )

    def outputs(self) -> list[Any]:
        """The component that a run changes."""
        return [self.bars]

    def show(self, view: View) -> Updates:
        """Where to ask for news."""
        words = words_for("progress_", view.language) | words_for("stage_", view.language)
        return {self.bars: {**place(view), "busy": view.busy, "words": words}}

    def wire(self, shell: Shell) -> None:
        """When a job ends, the page is drawn anew."""
        shell.on(self.bars.ended, self.ended, [], shell.everything())

    def ended(self, view: View) -> Updates:
        """The page after a job; who ran everything from the first step lands on the result."""
        view.desk.warm(view.theirs)
        job = view.desk.store.queue.latest(view.theirs.id)
        whole = job is not None and job.state == State.DONE.value and set(job.stages) == set(Stage)
        if whole and view.step == STEPS[0]:
            view = self.shell.moved(view, step=STEPS[-1])
        return {part: new for part, new in self.shell.at(view).items() if part not in self.shell.typed}

    def progress(self, view: View, data: dict[str, Any]) -> Any:
        """What is new since `seen`, [job, version]; None where nothing is."""
        desk, project = view.desk, view.theirs
        job = desk.jobs.latest(project.id)
        snapshot = desk.jobs.snapshot(job) if job else None
        if snapshot is None or desk.store.notes.read(project.id, "closed").get("job") == job:
            return {"job": None, "version": 0, "state": "done"}
        if data.get("seen") == [job, snapshot.version]:
            return None
        # The photos are not listed before the second stage.
        listed = snapshot.photo and len(snapshot.stages) > 1
        photo = _contents(desk.store, project.id, snapshot.job).get(snapshot.photo, "") if listed else ""
        return {
            "job": job,
            "version": snapshot.version,
            "state": snapshot.state.value,
            "stopping": desk.jobs.stopping(snapshot.job),
            "line": status(snapshot, view.language, desk.jobs.stopping(snapshot.job))
            + (free(view) if desk.local and _just_begun(snapshot) else ""),
            "remedy": _remedy(snapshot, view.language),
            "start": snapshot.start_at,
            "photo": printable(PurePosixPath(snapshot.photo).name),
            "picture": view.picture(photo)
            if photo and measure.preview_path(desk.settings, photo).exists()
            else "",
            "stages": stages(snapshot, view.language),
        }

    def cancel(self, view: View, data: dict[str, Any]) -> Any:
        """Stops the project's job."""
        view.desk.call_off(view.theirs)
        return True

    def begin(self, view: View, data: dict[str, Any]) -> Any:
        """Starts the project's planned job now."""
        view.desk.start_now(view.theirs)
        return True

    def close(self, view: View, data: dict[str, Any]) -> Any:
        """The visitor has read how the job ended."""
        job = view.desk.jobs.latest(view.theirs.id)
        view.desk.store.notes.write(view.theirs.id, "closed", {"job": job})
        return True


def free(view: View) -> str:
    """What this machine has to give to the run, while there is no pace to tell yet."""
    found = resources.look(view.desk.settings.data_dir)
    memory, disk = f"{found.memory_mb / 1024:.1f}", f"{found.disk_mb / 1024:.1f}"
    return " · " + tr("progress_free", view.language, cores=found.cores, memory=memory, disk=disk)


def _just_begun(snapshot: Snapshot) -> bool:
    return snapshot.state is State.RUNNING and snapshot.rate is None and len(snapshot.stages) < 3


def status(snapshot: Snapshot, language: str, stopping: bool) -> str:
    """How the job stands, in one line."""
    if snapshot.state is State.FAILED:
        return said(snapshot.error, language) or tr("progress_bug", language)
    if snapshot.state is State.QUEUED and snapshot.error:
        return f"{said(snapshot.error, language)} {tr('progress_again', language)}"
    if snapshot.state is State.QUEUED:
        key = "progress_queued" if snapshot.ahead else "progress_starting"
        return tr(key, language, ahead=snapshot.ahead)
    if snapshot.state is not State.RUNNING:
        return tr(f"progress_{snapshot.state.value}", language)
    if stopping:
        return tr("progress_stopping", language)
    if not snapshot.stages:
        return tr("progress_starting", language)
    words = [tr(f"stage_{snapshot.stages[-1].stage.value}", language)]
    if snapshot.rate is not None and snapshot.seconds_left is not None:
        words.append(tr("progress_rate", language, rate=f"{snapshot.rate:.1f}"))
        left = snapshot.seconds_left
        key, n = ("progress_s", max(1, round(left))) if left < 90 else ("progress_min", round(left / 60))
        words.append(tr(key, language, n=n))
    return " · ".join(words)


def stages(snapshot: Snapshot, language: str) -> list[dict[str, Any]]:
    """A bar a stage: name, mark (`waiting`, `active`, `whole`), share in percent, figure."""
    known = {entry.stage: entry for entry in snapshot.stages}
    current = snapshot.stages[-1].stage if snapshot.stages else None
    return [_bar(stage, known.get(stage), stage is current and not snapshot.finished) for stage in Stage]


def _bar(stage: Stage, entry: StageProgress | None, active: bool) -> dict[str, Any]:
    total = entry.total if entry else 0
    count = entry.done if entry else 0
    share = 100 * count / total if total else (100.0 if entry and not active else 0.0)
    whole = share >= 100
    # The steps that are one deed for all photos have no count that would tell anything.
    figure = f"{count} / {total}" if total > 1 else ("✓" if whole else "")
    mark = "active" if active and not whole else "whole" if whole else "waiting"
    return {"name": stage.value, "mark": mark, "share": share, "figure": figure}


def _remedy(snapshot: Snapshot, language: str) -> str:
    if snapshot.state is not State.FAILED:
        return ""
    return said(snapshot.remedy, language) if snapshot.error else tr("progress_bug_remedy", language)


@functools.lru_cache(maxsize=16)
def _contents(store: Store, project_id: str, job: str) -> dict[str, str]:
    """SHA-256 by source name; `job` is in the key because the next one may read other files."""
    photos, _ = store.photos(project_id)
    return {photo.source.name: photo.sha256 for photo in photos}
