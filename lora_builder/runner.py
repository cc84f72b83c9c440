"""Takes jobs off the queue and runs them, one at a time; in the app, or in a `worker` anywhere.

While one runs, the runner says every second that it is alive and how far it is, and hears whether to
stop. A run is not a transaction: whatever stops it, the next one goes on where it was.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, cast

from lora_builder.errors import Cancelled, LoraBuilderError, ProjectBusy, StoreUnavailable
from lora_builder.progress import Pace, Snapshot, State, advanced, from_json, to_json
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, QueuedJob, Store
from lora_builder.store.queue import MOST_TRIES, Told
from lora_builder.who import name_here

log = logging.getLogger(__name__)

LEASE_S = 30.0
"""A worker that was silent for this long is taken for dead, seconds."""

REPORT_S = 1.0
"""How often a worker says that it is alive, and hears whether to stop."""

LOOK_S = 2.0
"""How often an idle runner looks at the queue without being rung."""

AGAIN_S = 2.0
"""Pause before the second try of a job; each further one, up to `MOST_TRIES`, waits twice as long."""


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


@dataclass
class _Job:
    """The job in hand. `lost`: another worker has it by now."""

    queued: QueuedJob
    snapshot: Snapshot
    pace: Pace = field(default_factory=Pace)
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    lost: bool = False

    @property
    def further(self) -> bool:
        """Whether this try has come further than all before."""
        before = self.queued.progress or {}
        return self.snapshot.furthest > int(before.get("furthest", 0))

    @property
    def tries(self) -> int:
        """Tries in a row that came no further, this one too."""
        return 1 if self.further else self.queued.tries


class Runner:
    """One worker of the queue; every method may be called from any thread.

    `settings_of` gives the settings of a project at the moment its run begins. `only_own`: takes
    only jobs whose home it is.
    """

    def __init__(
        self,
        store: Store,
        settings_of: Callable[[Project], Settings],
        run: Run,
        *,
        clock: Callable[[], float] = time.monotonic,
        lease_s: float = LEASE_S,
        only_own: bool = False,
    ) -> None:
        self.name = name_here()
        self.contexts: dict[str, contextvars.Context] = {}
        """The context in which a job was asked for, where that was here."""
        self.is_home = only_own
        """Whether jobs may wait that nobody else can run."""
        self._store = store
        self._settings_of = settings_of
        self._run = run
        self._clock = clock
        self._lease_s = lease_s
        self._only_own = only_own
        self._lock = threading.Lock()
        self._let_go = threading.Condition(self._lock)
        self._closing = threading.Event()
        self._job: _Job | None = None

    @property
    def closing(self) -> bool:
        """Whether it takes no more jobs."""
        return self._closing.is_set()

    def work(self, wait: Callable[[], None]) -> None:
        """Runs jobs until it is closed; `wait` returns when there may be something to do."""
        while not self.closing:
            try:
                busy = self.run_next()
            except StoreUnavailable as error:
                log.warning("The queue cannot be read: %s", error)
                busy = False
            if not busy and not self.closing:
                wait()

    def run_next(self) -> bool:
        """Takes the next job and brings it to an end; False where there is none."""
        queue = self._store.queue
        if self.is_home:
            queue.at_home(self.name)
        if not queue.due(self.name, self._lease_s, self._only_own):
            return False
        queued = queue.take(self.name, self._lease_s, self._only_own)
        if queued is None:
            return False
        snapshot = Snapshot(queued.id, queued.project_id, state=State.RUNNING)
        if queued.progress is not None:
            snapshot = from_json(snapshot, queued.progress).with_(stages=())
        job = _Job(queued, snapshot)
        with self._lock:
            self._job = job
        watch = threading.Thread(target=self._watch, args=(job,), name="lora-report", daemon=True)
        watch.start()
        try:
            context = self.contexts.pop(queued.id, None) or contextvars.copy_context()
            context.run(self._bring_to_an_end, job)
        finally:
            job.over.set()
            watch.join()
            with self._let_go:
                self._job = None
                self._let_go.notify_all()
        return True

    def snapshot(self, job_id: str) -> Snapshot | None:
        """How far the job is, if it is the one in hand."""
        with self._lock:
            return self._job.snapshot if self._job is not None and self._job.queued.id == job_id else None

    def stop(self, job_id: str) -> bool:
        """Stops the job if it is the one in hand; whether it was."""
        with self._lock:
            mine = self._job is not None and self._job.queued.id == job_id
            if mine and self._job is not None:
                self._job.stop.set()
            return mine

    def wait_for(self, job_id: str, timeout_s: float) -> bool:
        """Waits until the job is not in hand; False if it still is by then."""

        def free() -> bool:
            return self._job is None or self._job.queued.id != job_id

        with self._let_go:
            return self._let_go.wait_for(free, timeout_s)

    def close(self) -> None:
        """Stops the job in hand, which goes back to the queue, and takes no more."""
        self._closing.set()
        with self._lock:
            if self._job is not None:
                self._job.stop.set()

    def _bring_to_an_end(self, job: _Job) -> None:
        queued = job.queued
        project = self._store.find_project(queued.project_id)
        try:
            if project is None:
                raise Cancelled("The project is gone.")
            self._go_through(job, project)
        except Cancelled:
            if self.closing and not self._stopped(job):
                self._give_back(job, None)  # nobody asked this run to stop but our end
            else:
                self._end(job, State.CANCELLED)
        except LoraBuilderError as error:
            if job.tries < MOST_TRIES and self._passes(error, queued):
                log.warning("Job %s is tried again: %s", queued.id[:12], error)
                self._give_back(job, AGAIN_S * 2 ** (job.tries - 1), error)
            else:
                self._end(job, State.FAILED, error.message, error.remedy)
        except Exception:  # a bug of ours must end this job, not the queue of everybody
            log.exception("A run failed.", extra={"project": queued.project_id[:12], "job": queued.id[:12]})
            self._end(job, State.FAILED)
        else:
            self._end(job, State.DONE)

    def _passes(self, error: LoraBuilderError, queued: QueuedJob) -> bool:
        """Whether another try may end better."""
        if isinstance(error, StoreUnavailable):
            return self._store.on_server  # one that restarts comes back; a broken file does not
        if isinstance(error, ProjectBusy):
            return queued.tries > 1  # a dead worker's lock on the folder goes with it
        return error.passing

    def _go_through(self, job: _Job, project: Project) -> None:
        settings = self._settings_of(project)
        events = self._run(
            self._store, project, settings, stages=job.queued.stages, cancelled=job.stop.is_set
        )
        with closing(cast("Generator[Event, None, None]", events)):
            for event in events:
                if job.stop.is_set():
                    raise Cancelled("Stopped.")
                now = self._clock()
                with self._lock:
                    job.snapshot, job.pace = advanced(job.snapshot, job.pace, event, now)

    def _stopped(self, job: _Job) -> bool:
        """Whether somebody asked this very job to stop."""
        try:
            known = self._store.queue.find(job.queued.id)
        except StoreUnavailable:
            return False
        return known is None or known.stop

    def _watch(self, job: _Job) -> None:
        while not job.over.wait(REPORT_S):
            try:
                told = self._report(job)
                if self.is_home:
                    self._store.queue.at_home(self.name)
            except StoreUnavailable:
                continue  # whoever runs the job will notice too, or it comes back before
            if told is not Told.GO_ON:
                job.lost = told is Told.LOST
                job.stop.set()

    def _report(self, job: _Job) -> Told:
        return self._store.queue.report(job.queued.id, self.name, to_json(job.snapshot), job.further)

    def _end(self, job: _Job, state: State, error: str = "", remedy: str = "") -> None:
        ended = job.snapshot.with_(
            state=state, photo="", rate=None, seconds_left=None, error=error, remedy=remedy
        )
        plain = to_json(ended)

        def failed() -> None:
            with self._lock:
                job.snapshot = ended  # who looks at the page here need not wait for the database

        self._settle(
            job,
            lambda: self._store.queue.finish(job.queued.id, self.name, state.value, plain, error, remedy),
            failed,
        )

    def _give_back(self, job: _Job, after_s: float | None, why: LoraBuilderError | None = None) -> None:
        said = (why.message, why.remedy) if why is not None else ("", "")

        def release() -> None:
            self._report(job)  # the next try is measured by how far this one came
            self._store.queue.release(job.queued.id, self.name, after_s, *said)

        self._settle(job, release, lambda: None)

    def _settle(self, job: _Job, write: Callable[[], None], failed: Callable[[], None]) -> None:
        """Does `write` as soon as the database can be reached, or leaves it to the end of the lease."""
        while not job.lost:
            try:
                write()
                return
            except StoreUnavailable as error:
                log.warning("The end of job %s cannot be noted yet: %s", job.queued.id[:12], error)
                failed()
                if self._closing.wait(REPORT_S):
                    return
