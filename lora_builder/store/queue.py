"""The queue of jobs: who waits, in which order, and how the last ones ended; it survives a restart."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lora_builder.records import Stage

_jobs = sa.table(
    "jobs",
    *map(sa.column, ("id", "project_id")),
    sa.column("stages", sa.JSON),
    *map(sa.column, ("priority", "state", "made_at", "ended_at", "error", "remedy")),
)

OPEN = ("queued", "running")

KEPT_S = 30 * 24 * 3600
"""Ended jobs are forgotten after this long, seconds."""


@dataclass(frozen=True)
class QueuedJob:
    """A job as the database knows it.

    `state`: queued, running, done, cancelled, failed. `priority`: the higher comes first; between
    equals the older. Times are seconds since the epoch. `error`, `remedy`: sentences for people.
    """

    id: str
    project_id: str
    stages: tuple[Stage, ...]
    priority: int
    state: str
    made_at: float
    ended_at: float | None
    error: str
    remedy: str


class JobQueue:
    """Jobs over the engine, in the order in which they will run."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, project_id: str, stages: Sequence[Stage], priority: int = 0) -> QueuedJob:
        """A new waiting job."""
        job = QueuedJob(
            secrets.token_urlsafe(24),
            project_id,
            tuple(stages),
            priority,
            "queued",
            time.time(),
            None,
            "",
            "",
        )
        row = {**vars(job), "stages": [stage.value for stage in job.stages]}
        with self._engine.begin() as connection:
            connection.execute(_jobs.insert().values(row))
            old = (_jobs.c.ended_at.is_not(None)) & (_jobs.c.ended_at < time.time() - KEPT_S)
            connection.execute(_jobs.delete().where(old))
        return job

    def waiting(self) -> list[QueuedJob]:
        """The jobs that wait, next one first."""
        order = (_jobs.c.priority.desc(), _jobs.c.made_at, _jobs.c.id)
        return self._read(_jobs.select().where(_jobs.c.state == "queued").order_by(*order))

    def find(self, id: str) -> QueuedJob | None:
        """The job of that id."""
        found = self._read(_jobs.select().where(_jobs.c.id == id))
        return found[0] if found else None

    def latest(self, project_id: str) -> QueuedJob | None:
        """The project's newest job."""
        query = _jobs.select().where(_jobs.c.project_id == project_id)
        found = self._read(query.order_by(_jobs.c.made_at.desc(), _jobs.c.id).limit(1))
        return found[0] if found else None

    def unfinished(self) -> list[QueuedJob]:
        """Jobs that wait, or ran when the app ended."""
        return self._read(_jobs.select().where(_jobs.c.state.in_(OPEN)))

    def change(self, id: str, **values: Any) -> None:
        """Sets columns of a job: `state`, `priority`, `error`, `remedy`, `ended_at`."""
        with self._engine.begin() as connection:
            connection.execute(_jobs.update().where(_jobs.c.id == id).values(values))

    def forget(self, connection: sa.Connection, project_id: str) -> None:
        """Removes a project's jobs, within the caller's transaction."""
        connection.execute(_jobs.delete().where(_jobs.c.project_id == project_id))

    def _read(self, query: Any) -> list[QueuedJob]:
        with self._engine.begin() as connection:
            return [
                QueuedJob(**(row._asdict() | {"stages": tuple(map(Stage, row.stages))}))
                for row in connection.execute(query)
            ]
