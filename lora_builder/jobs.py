"""Runs in the background: one worker thread, a queue, and snapshots of how far each run is.

Pages come and go; a run does not notice. A page keeps a job's id and asks for its snapshot, whose
`version` says whether there is anything new to show.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol, cast

from lora_builder.errors import Cancelled, LoraBuilderError
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, Store

log = logging.getLogger(__name__)

REMEMBERED = 200
"""Finished jobs whose snapshots are kept; the datasets themselves are in the store."""

RATE_AFTER_S = 1.5
"""Seconds into a stage before its rate is worth telling: the first photos pay for loading models."""


class Run(Protocol):
    """`pipeline.run`, or what a test puts in its place."""

    def __call__(
        self, store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
    ) -> Iterator[Event]: ...


class State(str, Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


FINISHED = frozenset({State.DONE, State.CANCELLED, State.FAILED})


@dataclass(frozen=True)
class StageProgress:
    """How many of a stage's photos are done."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment; `version` grows with every change.

    `ahead`: jobs that come first. `rate`: photos a second in the present stage, and `seconds_left`
    of that stage, None while unknown. `error` and `remedy`: sentences for people; both empty when
    the fault is ours, and then `state` is `failed` and the traceback is in the log.
    """

    job: str
    project: str
    version: int = 0
    state: State = State.QUEUED
    ahead: int = 0
    stages: tuple[StageProgress, ...] = ()
    photo: str = ""
    rate: float | None = None
    seconds_left: float | None = None
    message: str = ""
    error: str = ""
    remedy: str = ""

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


@dataclass
class _Job:
    project: Project
    settings: Settings
    snapshot: Snapshot
    context: contextvars.Context
    stop: threading.Event = field(default_factory=threading.Event)
    stage_began: float = 0.0
    done_at_start: int = 0


class Jobs:
    """The queue and its one worker thread; every method may be called from any thread."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        run: Run,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._store = store
        self._run = run
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, project: Project, settings: Settings | None = None) -> str:
        """The id of a new job for the project, or of the one that is already at work on it."""
        with self._lock:
            for id, job in self._jobs.items():
                if job.project.id == project.id and not job.snapshot.finished and not job.stop.is_set():
                    return id
            id = secrets.token_urlsafe(12)
            self._jobs[id] = _Job(
                project, settings or self.settings, Snapshot(id, project.id), contextvars.copy_context()
            )
            self._forget()
            self._queue.put(id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lora-jobs", daemon=True)
                self._thread.start()
        return id

    def cancel(self, job_id: str) -> None:
        """Asks a job to stop; a waiting one never starts. Unknown and finished jobs are left alone."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.snapshot.finished:
                return
            job.stop.set()
            if job.snapshot.state is State.QUEUED:
                self._change(job, state=State.CANCELLED)

    def stopping(self, job_id: str) -> bool:
        """Whether a job was asked to stop and has not stopped yet."""
        with self._lock:
            job = self._jobs.get(job_id)
            return job is not None and job.stop.is_set() and not job.snapshot.finished

    def snapshot(self, job_id: str) -> Snapshot | None:
        """How far the job is; None for a job of an earlier start of the app."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return None
            if job.snapshot.state is not State.QUEUED:
                return job.snapshot
            ahead = 0
            for other in self._jobs.values():
                if other is job:
                    break
                ahead += not other.snapshot.finished
            if ahead != job.snapshot.ahead:
                self._change(job, ahead=ahead)
            return job.snapshot

    def latest(self, project_id: str) -> str | None:
        """The id of the project's newest job."""
        with self._lock:
            ids = [id for id, job in self._jobs.items() if job.project.id == project_id]
        return ids[-1] if ids else None

    def close(self, timeout_s: float = 10.0) -> None:
        """Stops every job and waits for the worker; what was done is kept."""
        with self._lock:
            ids = list(self._jobs)
        for id in ids:
            self.cancel(id)
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            id = self._queue.get()
            if id is None:
                return
            with self._lock:
                job = self._jobs.get(id)
                if job is None or job.snapshot.finished:
                    continue
                self._change(job, state=State.RUNNING, ahead=0)
            job.context.run(self._run_one, job)

    def _run_one(self, job: _Job) -> None:
        try:
            events = self._run(self._store, job.project, job.settings, cancelled=job.stop.is_set)
            with closing(cast("Generator[Event, None, None]", events)):
                for event in events:
                    if job.stop.is_set():
                        raise Cancelled("Stopped.")
                    self._note(job, event)
        except Cancelled:
            self._finish(job, State.CANCELLED)
        except LoraBuilderError as error:
            self._finish(job, State.FAILED, error=error.message, remedy=error.remedy)
        except Exception:  # a bug of ours must end this job, not the queue of everybody
            log.exception("The run of project %s failed.", job.project.name)
            self._finish(job, State.FAILED)
        else:
            self._finish(job, State.DONE)

    def _finish(self, job: _Job, state: State, **changes: Any) -> None:
        with self._lock:
            self._change(job, state=state, photo="", rate=None, seconds_left=None, **changes)

    def _note(self, job: _Job, event: Event) -> None:
        """Turns an event into the next snapshot."""
        now = self._clock()
        with self._lock:
            before = {entry.stage: entry for entry in job.snapshot.stages}
            current = job.snapshot.stages[-1].stage if job.snapshot.stages else None
            if event.stage is not current:
                job.stage_began, job.done_at_start = now, event.done
                # A stage that comes again (a crop failed, so decide anew) moves to the end.
                before.pop(event.stage, None)
            before[event.stage] = StageProgress(event.stage, event.done, event.total)
            elapsed, made = now - job.stage_began, event.done - job.done_at_start
            rate = made / elapsed if made > 0 and elapsed >= RATE_AFTER_S else None
            left = (event.total - event.done) / rate if rate else None
            self._change(
                job,
                stages=tuple(before.values()),
                photo=event.photo,
                message=event.message,
                rate=rate,
                seconds_left=left,
            )

    def _change(self, job: _Job, **changes: Any) -> None:
        job.snapshot = replace(job.snapshot, version=job.snapshot.version + 1, **changes)

    def _forget(self) -> None:
        finished = [id for id, job in self._jobs.items() if job.snapshot.finished]
        for id in finished[: max(0, len(finished) - REMEMBERED)]:
            del self._jobs[id]
