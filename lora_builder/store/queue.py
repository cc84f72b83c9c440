"""The queue of jobs: who waits, who is at work on which, and how the last ones ended.

It survives a restart, and it is the one truth: a job is run by whoever took it here, and nobody else.
A worker says again and again that it is alive (`report`); whoever was silent for too long has lost
its job, and the next `take` gives it to another.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import sqlalchemy as sa

from lora_builder.records import Stage
from lora_builder.store.database import writing

_jobs = sa.table(
    "jobs",
    *map(sa.column, ("id", "project_id")),
    sa.column("stages", sa.JSON),
    *map(sa.column, ("priority", "state", "made_at", "ended_at", "error", "remedy")),
    *map(sa.column, ("start_at", "home", "worker", "beat_at", "tries")),
    sa.column("stop", sa.Boolean),
    sa.column("progress", sa.JSON(none_as_null=True)),
)

OPEN = ("queued", "running")

ORDER = (_jobs.c.priority.desc(), _jobs.c.made_at, _jobs.c.id)

KEPT_S = 30 * 24 * 3600
"""Ended jobs are forgotten after this long, seconds."""

MOST_TRIES = 5
"""Times that a job is taken, and no try comes further than those before, until it is given up: workers
die, databases and clusters go away."""

GIVEN_UP = (
    f"{MOST_TRIES} workers in a row died at this job.",
    "What was done is kept. Look into the log; with WORKERS=1 it needs the least memory.",
)


class Told(Enum):
    """What a worker hears when it reports: go on, stop, or that the job is not its own any more."""

    GO_ON = 0
    STOP = 1
    LOST = 2


@dataclass(frozen=True)
class QueuedJob:
    """A job as the database knows it.

    `state`: queued, running, done, cancelled, failed. `priority`: the higher comes first; between
    equals the older. Times are seconds since the epoch; `start_at`: not before. `error`, `remedy`:
    sentences for people, why it failed or, while it waits, why it must be tried again. `home`: the
    process that alone may run it, empty: any. `worker`: who has it. `tries`: how often it was taken and
    not brought to an end, since one of them last came further than all before. `stop`: it was asked to
    stop. `progress`: as `progress.to_json` wrote it, None before the first report.
    """

    id: str
    project_id: str
    stages: tuple[Stage, ...]
    priority: int
    state: str
    made_at: float
    ended_at: float | None = None
    error: str = ""
    remedy: str = ""
    start_at: float = 0.0
    home: str = ""
    worker: str = ""
    beat_at: float = 0.0
    tries: int = 0
    stop: bool = False
    progress: Mapping[str, Any] | None = None


class JobQueue:
    """Jobs over the engine, in the order in which they will run."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    # Who wants something done

    def ask(
        self,
        project_id: str,
        stages: Sequence[Stage],
        priority: int = 0,
        start_at: float | None = None,
        home: str = "",
    ) -> QueuedJob:
        """A new job for the project, or the one that is already at work on it.

        A job that still waits takes over the stages asked for, and the time if one is named. One that
        runs and was asked to stop does not count.
        """
        for _ in range(2):
            try:
                return self._ask(project_id, stages, priority, start_at, home)
            except sa.exc.IntegrityError:
                continue  # somebody asked for the same project at the same moment: now theirs is there
        return self._ask(project_id, stages, priority, start_at, home)

    def _ask(
        self, project_id: str, stages: Sequence[Stage], priority: int, start_at: float | None, home: str
    ) -> QueuedJob:
        with writing(self._engine) as connection:
            ours = (_jobs.c.project_id == project_id) & _jobs.c.state.in_(OPEN)
            for known in _read(connection, _jobs.select().where(ours).with_for_update()):
                if known.state == "queued":
                    both = [stage.value for stage in Stage if stage in {*stages, *known.stages}]
                    home = known.home or home
                    begins = known.start_at if start_at is None else start_at
                    self._set(connection, known.id, stages=both, home=home, start_at=begins)
                    return known
                if not known.stop:
                    return known
            now = _now(connection)
            job = QueuedJob(
                secrets.token_urlsafe(24), project_id, tuple(stages), priority, "queued", now,
                start_at=start_at or 0.0, home=home, beat_at=now,
            )  # fmt: skip
            connection.execute(_jobs.insert().values({**vars(job), "stages": [s.value for s in job.stages]}))
            connection.execute(_jobs.delete().where(_jobs.c.ended_at < now - KEPT_S))
        return job

    def stop(self, id: str) -> None:
        """A waiting job never starts; whoever runs one hears of it at the next report."""
        with writing(self._engine) as connection:
            ours = _jobs.c.id == id
            ended = {"state": "cancelled", "ended_at": _now(connection)}
            connection.execute(_jobs.update().where(ours, _jobs.c.state == "queued").values(ended))
            connection.execute(_jobs.update().where(ours, _jobs.c.state == "running").values(stop=True))

    def hurry(self, id: str, project_ids: Collection[str]) -> None:
        """Moves a waiting job before the others of those projects; nobody else's moves."""
        with writing(self._engine) as connection:
            theirs = (_jobs.c.state == "queued") & _jobs.c.project_id.in_(list(project_ids))
            places = _read(connection, _jobs.select().where(theirs).order_by(*ORDER).with_for_update())
            if id not in {job.id for job in places}:
                return
            order = sorted(places, key=lambda job: job.id != id)
            for place, job in zip(places, order, strict=True):
                self._set(connection, job.id, made_at=place.made_at, priority=place.priority)

    def find(self, id: str) -> QueuedJob | None:
        """The job of that id."""
        found = self._rows(_jobs.select().where(_jobs.c.id == id))
        return found[0] if found else None

    def latest(self, project_id: str) -> QueuedJob | None:
        """The project's newest job."""
        query = _jobs.select().where(_jobs.c.project_id == project_id)
        found = self._rows(query.order_by(_jobs.c.made_at.desc(), _jobs.c.id).limit(1))
        return found[0] if found else None

    def waiting(self) -> list[QueuedJob]:
        """The jobs that wait, next one first."""
        return self._rows(_jobs.select().where(_jobs.c.state == "queued").order_by(*ORDER))

    def running(self) -> list[QueuedJob]:
        """The jobs that somebody has taken."""
        return self._rows(_jobs.select().where(_jobs.c.state == "running"))

    def unfinished(self) -> list[QueuedJob]:
        """Both."""
        return self._rows(_jobs.select().where(_jobs.c.state.in_(OPEN)))

    def ahead(self, job: QueuedJob) -> int:
        """How many waiting jobs whose time has come are before this one."""
        before = sa.or_(
            _jobs.c.priority > job.priority,
            (_jobs.c.priority == job.priority)
            & sa.or_(_jobs.c.made_at < job.made_at, (_jobs.c.made_at == job.made_at) & (_jobs.c.id < job.id)),
        )
        query = sa.select(sa.func.count()).select_from(_jobs).where(_jobs.c.state == "queued", before)
        with self._engine.begin() as connection:
            due = _jobs.c.start_at <= _now(connection)
            return int(connection.execute(query.where(due)).scalar_one())

    # Who does it

    def due(self, worker: str, lease_s: float, only_own: bool = False) -> bool:
        """Whether there is something to take; a look that keeps nobody waiting."""
        with self._engine.begin() as connection:
            now = _now(connection)
            lost = (_jobs.c.state == "running") & (_jobs.c.beat_at < now - lease_s)
            for wanted in (_free(worker, now, lease_s, only_own), lost):
                if connection.execute(sa.select(_jobs.c.id).where(wanted).order_by(*ORDER).limit(1)).first():
                    return True
        return False

    def take(self, worker: str, lease_s: float, only_own: bool = False) -> QueuedJob | None:
        """The next job, from now on `worker`'s; None where none is to be had.

        Two that ask at once never get the same one. `lease_s`: whoever was silent for longer has lost
        its job. `only_own`: only jobs whose home is `worker`.
        """
        try:
            with writing(self._engine) as connection:
                now = _now(connection)
                lost = (_jobs.c.state == "running") & (_jobs.c.beat_at < now - lease_s)
                for job in _read(connection, _jobs.select().where(lost).with_for_update(skip_locked=True)):
                    self._drop(connection, job, now)
                free = _jobs.select().where(_free(worker, now, lease_s, only_own)).order_by(*ORDER).limit(1)
                found = _read(connection, free.with_for_update(skip_locked=True))
                if not found:
                    return None
                taken = {"state": "running", "worker": worker, "beat_at": now, "tries": found[0].tries + 1}
                self._set(connection, found[0].id, **taken, error="", remedy="")
        except sa.exc.IntegrityError:
            return None  # another took a job of the same project at the same moment
        return self.find(found[0].id)

    def report(self, id: str, worker: str, progress: Mapping[str, Any], further: bool = False) -> Told:
        """Says that `worker` is alive and how far it is; what it is told.

        `further`: than any try before, so those who failed at the job count no more.
        """
        with writing(self._engine) as connection:
            values = {"beat_at": _now(connection), "progress": progress} | ({"tries": 1} if further else {})
            mine = (_jobs.c.id == id) & (_jobs.c.worker == worker) & (_jobs.c.state == "running")
            row = connection.execute(
                _jobs.update().where(mine).values(values).returning(_jobs.c.stop)
            ).first()
        return Told.LOST if row is None else Told.STOP if row.stop else Told.GO_ON

    def finish(
        self, id: str, worker: str, state: str, progress: Mapping[str, Any], error: str = "", remedy: str = ""
    ) -> None:
        """How the job ended; nothing happens where it is not `worker`'s any more."""
        with writing(self._engine) as connection:
            ended = {"state": state, "ended_at": _now(connection), "error": error, "remedy": remedy}
            mine = (_jobs.c.id == id) & (_jobs.c.worker == worker) & (_jobs.c.state == "running")
            connection.execute(_jobs.update().where(mine).values({**ended, "progress": progress}))

    def release(
        self, id: str, worker: str, after_s: float | None = None, error: str = "", remedy: str = ""
    ) -> None:
        """Gives the job back: at once, uncounted; or (`after_s`) to be tried again after so long, and why."""
        with writing(self._engine) as connection:
            mine = (_jobs.c.id == id) & (_jobs.c.worker == worker) & (_jobs.c.state == "running")
            for job in _read(connection, _jobs.select().where(mine).with_for_update()):
                now = _now(connection)
                if after_s is None:
                    self._drop(connection, job, now, tries=job.tries - 1)
                else:
                    self._drop(connection, job, now, start_at=now + after_s, error=error, remedy=remedy)

    def at_home(self, home: str) -> None:
        """Says that the process that alone may run these waiting jobs is alive."""
        waiting = (_jobs.c.home == home) & (_jobs.c.state == "queued")
        with self._engine.begin() as connection:
            if connection.execute(sa.select(_jobs.c.id).where(waiting).limit(1)).first() is None:
                return
        with writing(self._engine) as connection:
            connection.execute(_jobs.update().where(waiting).values(beat_at=_now(connection)))

    def bury(self, dead: Callable[[str], bool]) -> int:
        """Frees what workers had that are known to be dead, and says how many jobs are open."""
        with writing(self._engine) as connection:
            now = _now(connection)
            known = _read(connection, _jobs.select().where(_jobs.c.state.in_(OPEN)).with_for_update())
            for job in known:
                if job.home and dead(job.home):
                    self._set(connection, job.id, home="")
                if job.state == "running" and dead(job.worker):
                    self._drop(connection, job, now)
        return len(known)

    def forget(self, connection: sa.Connection, project_id: str) -> None:
        """Removes a project's jobs, within the caller's transaction."""
        connection.execute(_jobs.delete().where(_jobs.c.project_id == project_id))

    def _drop(self, connection: sa.Connection, job: QueuedJob, now: float, **more: Any) -> None:
        """A running job waits again, unless it was asked to stop or was tried too often."""
        values: dict[str, Any] = {"state": "queued", "worker": "", "beat_at": now} | more
        if job.stop:
            values |= {"state": "cancelled", "ended_at": now}
        elif job.tries >= MOST_TRIES and "tries" not in more:
            values |= {"state": "failed", "ended_at": now, "error": GIVEN_UP[0], "remedy": GIVEN_UP[1]}
        self._set(connection, job.id, **values)

    def _set(self, connection: sa.Connection, id: str, **values: Any) -> None:
        connection.execute(_jobs.update().where(_jobs.c.id == id).values(values))

    def _rows(self, query: Any) -> list[QueuedJob]:
        with self._engine.begin() as connection:
            return _read(connection, query)


def _free(worker: str, now: float, lease_s: float, only_own: bool) -> sa.ColumnElement[bool]:
    """What `worker` may take: jobs whose time has come, for which nobody else is at work or at home."""
    other = _jobs.alias()
    busy = sa.exists().where(other.c.project_id == _jobs.c.project_id, other.c.state == "running")
    anybodys = (_jobs.c.home == "") | (_jobs.c.beat_at < now - lease_s)
    may = _jobs.c.home == worker if only_own else sa.or_(_jobs.c.home == worker, anybodys)
    return sa.and_(_jobs.c.state == "queued", _jobs.c.start_at <= now, may, ~busy)


def _read(connection: sa.Connection, query: Any) -> list[QueuedJob]:
    names = [field.name for field in fields(QueuedJob)]
    return [
        QueuedJob(
            **({name: getattr(row, name) for name in names} | {"stages": tuple(map(Stage, row.stages))})
        )
        for row in connection.execute(query)
    ]


def _now(connection: sa.Connection) -> float:
    """The database's own clock: those of several machines never agree."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return time.time()
