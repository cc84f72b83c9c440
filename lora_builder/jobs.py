"""Runs in the background: one worker thread, a queue in the database, and snapshots of each run.

Pages come and go; a run does not notice. A page asks for the snapshot of its project's job, whose
`version` says whether there is anything new to show. The queue outlives the app: `resume` takes up
what waited or ran when it ended, and a run that begins again goes on where it was.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol, cast

from lora_builder.errors import Cancelled, LoraBuilderError
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, QueuedJob, Store

log = logging.getLogger(__name__)

REMEMBERED = 200
"""Finished jobs whose stages are remembered; how they ended is in the store."""

ALL = tuple(Stage)

RATE_AFTER_S = 1.5
"""Seconds into a stage before its rate is worth telling: the first photos pay for loading models."""


class Run(Protocol):
    """`pipeline.run`, or what a test puts in its place."""

    def __call__(
        self,
        store: Store,
        project: Project,
        settings: Settings,
        *,
        stages: Collection[Stage],
        cancelled: Callable[[], bool],
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
    """A job that runs, or ran since the app started."""

    snapshot: Snapshot
    stop: threading.Event = field(default_factory=threading.Event)
    stage_began: float = 0.0
    done_at_start: int = 0


class Jobs:
    """The queue and its one worker thread; every method may be called from any thread.

    `settings_of` gives the settings of a project at the moment its run begins.
    """

    def __init__(
        self,
        store: Store,
        settings_of: Callable[[Project], Settings],
        run: Run,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings_of = settings_of
        self._run = run
        self._clock = clock
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._jobs: dict[str, _Job] = {}
        self._contexts: dict[str, contextvars.Context] = {}
        self._running: str | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def resume(self) -> int:
        """Takes up the jobs that the last start of the app left, and says how many."""
        left = self._store.queue.unfinished()
        for job in left:
            self._store.queue.change(job.id, state=State.QUEUED.value)
        if left:
            self._wake()
        return len(left)

    def start(self, project: Project, stages: Sequence[Stage] = ALL, priority: int = 0) -> str:
        """The id of a new job for the project, or of the one that is already at work on it.

        A job that still waits takes over the stages asked for.
        """
        with self._lock:
            latest = self._store.queue.latest(project.id)
            if latest is not None and not self._ended(latest) and not self.stopping(latest.id):
                if latest.state == State.QUEUED.value and not set(stages) <= set(latest.stages):
                    both = [stage.value for stage in Stage if stage in {*stages, *latest.stages}]
                    self._store.queue.change(latest.id, stages=both)
                return latest.id
            job = self._store.queue.add(project.id, stages, priority)
            self._contexts[job.id] = contextvars.copy_context()
        self._wake()
        return job.id

    def cancel(self, job_id: str) -> None:
        """Asks a job to stop; a waiting one never starts. Unknown and finished jobs are left alone."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None:
                job.stop.set()
                return
            queued = self._store.queue.find(job_id)
            if queued is not None and queued.state == State.QUEUED.value:
                self._store.queue.change(job_id, state=State.CANCELLED.value, ended_at=time.time())

    def hurry(self, job_id: str, mine: Collection[str]) -> None:
        """Lets a waiting job run before the others of the projects `mine`; nobody else's moves."""
        with self._lock:
            places = [job for job in self._store.queue.waiting() if job.project_id in mine]
            if job_id not in {job.id for job in places}:
                return
            order = sorted(places, key=lambda job: job.id != job_id)
            for place, job in zip(places, order, strict=True):
                self._store.queue.change(job.id, made_at=place.made_at, priority=place.priority)

    def stopping(self, job_id: str) -> bool:
        """Whether a job was asked to stop and has not stopped yet."""
        with self._lock:
            job = self._jobs.get(job_id)
            return job is not None and job.stop.is_set() and not job.snapshot.finished

    def snapshot(self, job_id: str) -> Snapshot | None:
        """How far the job is; of a job of an earlier start of the app, how it ended."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None:
                return job.snapshot
            queued = self._store.queue.find(job_id)
            return None if queued is None else self._of_store(queued)

    def latest(self, project_id: str) -> str | None:
        """The id of the project's newest job."""
        job = self._store.queue.latest(project_id)
        return None if job is None else job.id

    def wait_for(self, job_id: str, timeout_s: float) -> bool:
        """Waits until the job has let go of everything; False if it has not by then."""
        with self._news:
            return self._news.wait_for(lambda: self._running != job_id, timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Stops the running job and waits for it; it and those that wait are there at the next start."""
        with self._lock:
            self._closing = True
            running = self._jobs.get(self._running or "")
            if running is not None:
                running.stop.set()
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _ended(self, job: QueuedJob) -> bool:
        return State(job.state) in FINISHED

    def _of_store(self, queued: QueuedJob) -> Snapshot:
        state = State(queued.state)
        ahead = 0
        if state is State.QUEUED:
            waiting = [job.id for job in self._store.queue.waiting()]
            before = waiting.index(queued.id) if queued.id in waiting else 0
            ahead = before + (self._running is not None)
        return Snapshot(
            queued.id,
            queued.project_id,
            version=-1 - ahead,
            state=state,
            ahead=ahead,
            error=queued.error,
            remedy=queued.remedy,
        )

    def _wake(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lora-jobs", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                waiting = [] if self._closing else self._store.queue.waiting()
                if self._closing:
                    return
                if not waiting:
                    self._news.wait()
                    continue
                queued = waiting[0]
                project = self._store.find_project(queued.project_id)
                if project is None:
                    self._store.queue.change(queued.id, state=State.CANCELLED.value, ended_at=time.time())
                    continue
                self._store.queue.change(queued.id, state=State.RUNNING.value)
                job = _Job(Snapshot(queued.id, project.id, state=State.RUNNING))
                self._jobs[queued.id], self._running = job, queued.id
                self._forget()
            context = self._contexts.pop(queued.id, None) or contextvars.copy_context()
            context.run(self._run_one, job, project, queued.stages)

    def _run_one(self, job: _Job, project: Project, stages: Collection[Stage]) -> None:
        try:
            settings = self._settings_of(project)
            events = self._run(self._store, project, settings, stages=stages, cancelled=job.stop.is_set)
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
            log.exception("The run of project %s failed.", project.name)
            self._finish(job, State.FAILED)
        else:
            self._finish(job, State.DONE)

    def _finish(self, job: _Job, state: State, error: str = "", remedy: str = "") -> None:
        with self._lock:
            self._running = None
            self._news.notify_all()
            if self._closing and state is State.CANCELLED:
                return  # Nobody asked this run to stop but the app's end: the next start takes it up.
            self._store.queue.change(
                job.snapshot.job, state=state.value, ended_at=time.time(), error=error, remedy=remedy
            )
            self._change(job, state=state, photo="", rate=None, seconds_left=None, error=error, remedy=remedy)

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
