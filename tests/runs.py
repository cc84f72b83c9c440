"""Jobs without photos: runs in place of `pipeline.run`, and a wait for how they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from lora_builder.jobs import Jobs, Snapshot
from lora_builder.records import Event, Stage
from lora_builder.runner import Run
from lora_builder.settings import Settings
from lora_builder.store import Project, Store

Cancelled = Callable[[], bool]


def as_run(steps: Callable[[Project, Collection[Stage], Cancelled], Iterable[Event]]) -> Run:
    """A run that gives the events of `steps`: of a project, its stages, and whether it was asked to stop."""

    def run(
        store: Store, project: Project, settings: Settings, *, stages: Collection[Stage], cancelled: Cancelled
    ) -> Iterator[Event]:
        yield from steps(project, stages, cancelled)

    return run


def a_project(store: Store, tmp_path: Path, name: str = "ann") -> Project:
    """A project that nobody measures."""
    return store.project(tmp_path / name, name, tmp_path)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns once the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def wait(
    jobs: Jobs, id: str, until: Callable[[Snapshot], bool] = lambda s: s.finished, seconds: float = 30.0
) -> Snapshot:
    """The job's snapshot as soon as `until` holds; by default its last one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        snapshot = jobs.snapshot(id)
        assert snapshot is not None
        if until(snapshot):
            return snapshot
        time.sleep(0.01)
    raise AssertionError(f"still {snapshot}")


def counting(total: int) -> Run:
    """A run of two stages with so many photos."""

    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        for stage in (Stage.INGEST, Stage.MEASURE):
            for done in range(total + 1):
                yield Event(project.name, stage, done, total, f"{done}.jpg")

    return run


class Gate:
    """A run that stands at its first photo until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.run = as_run(self._steps)

    def _steps(self, project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        try:
            yield Event(project.name, Stage.INGEST, 0, 2)
            self.entered.set()
            while not self.opened.wait(0.01):
                if cancelled():
                    break
            yield Event(project.name, Stage.INGEST, 2, 2)
        finally:
            self.closed.set()
