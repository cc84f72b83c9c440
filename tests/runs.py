"""Runs that take no photos, in place of `pipeline.run`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

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
