"""Jobs as the app sees them: asked for, looked at, stopped; where they run is the runners' business.

Pages come and go, and so do processes; a run does not notice. A page asks for the snapshot of its
project's job, whose `version` says whether there is anything new to show. The queue is in the
database: it outlives the app, and several processes share it.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Collection, Sequence

from lora_builder.bell import Bell
from lora_builder.progress import FINISHED as FINISHED
from lora_builder.progress import Snapshot as Snapshot
from lora_builder.progress import StageProgress as StageProgress
from lora_builder.progress import State as State
from lora_builder.progress import from_json
from lora_builder.records import Stage
from lora_builder.runner import LEASE_S, LOOK_S, Runner
from lora_builder.runner import Run as Run
from lora_builder.settings import Settings
from lora_builder.store import Project, QueuedJob, Store
from lora_builder.who import is_dead

ALL = tuple(Stage)

ASK_S = 0.2
"""How often a wait for a job that runs elsewhere looks whether it has ended."""


class Jobs:
    """The queue, and this process's own runner; every method may be called from any thread.

    `settings_of` gives the settings of a project at the moment its run begins. `here` False: this
    process runs only the jobs that nobody else can. `at_home` says of which projects and stages that
    is so: what they need, as a visitor's key, is in this process's memory alone. `bell` is rung for
    jobs that others may take.
    """

    def __init__(
        self,
        store: Store,
        settings_of: Callable[[Project], Settings],
        run: Run,
        clock: Callable[[], float] = time.monotonic,
        *,
        here: bool = True,
        at_home: Callable[[Project, Sequence[Stage]], bool] = lambda project, stages: False,
        bell: Bell | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._store = store
        self._here = here
        self._at_home = at_home
        self._bell = bell
        self._runner = Runner(store, settings_of, run, clock=clock, lease_s=lease_s, only_own=not here)
        self._lock = threading.Lock()
        self._rung = threading.Event()
        self._looks = False
        self._thread: threading.Thread | None = None

    def resume(self) -> int:
        """Takes up the jobs that the last start of the app left, and says how many are open.

        From here on it also looks by itself whether there is something to do.
        """
        left = self._store.queue.bury(is_dead)
        self._looks = True
        self._wake()
        return left

    def start(
        self,
        project: Project,
        stages: Sequence[Stage] = ALL,
        priority: int = 0,
        start_at: float | None = None,
    ) -> str:
        """The id of a new job for the project, or of the one that is already at work on it.

        A job that still waits takes over the stages asked for, and `start_at` if one is given: not
        before then, seconds since the epoch.
        """
        own = self._at_home(project, stages)
        home = self._runner.name if own else ""
        job = self._store.queue.ask(project.id, stages, priority, start_at, home)
        if self._here or own:
            self._runner.is_home |= own
            self._runner.contexts[job.id] = contextvars.copy_context()
            self._wake()
        if self._bell is not None and not own:
            self._bell.ring()
        return job.id

    def cancel(self, job_id: str) -> None:
        """Asks a job to stop; a waiting one never starts. Unknown and finished jobs are left alone."""
        self._store.queue.stop(job_id)
        self._runner.stop(job_id)

    def hurry(self, job_id: str, mine: Collection[str]) -> None:
        """Lets a waiting job run before the others of the projects `mine`; nobody else's moves."""
        self._store.queue.hurry(job_id, mine)

    def stopping(self, job_id: str) -> bool:
        """Whether a job was asked to stop and has not stopped yet."""
        job = self._store.queue.find(job_id)
        return job is not None and job.stop and job.state == State.RUNNING.value

    def snapshot(self, job_id: str) -> Snapshot | None:
        """How far the job is, wherever it runs."""
        here = self._runner.snapshot(job_id)
        if here is not None:
            return here
        queued = self._store.queue.find(job_id)
        return None if queued is None else self._of_store(queued)

    def latest(self, project_id: str) -> str | None:
        """The id of the project's newest job."""
        job = self._store.queue.latest(project_id)
        return None if job is None else job.id

    def wait_for(self, job_id: str, timeout_s: float) -> bool:
        """Waits until the job has let go of everything; False if it has not by then."""
        until = time.monotonic() + timeout_s
        while self._runner.wait_for(job_id, max(0.0, until - time.monotonic())):
            job = self._store.queue.find(job_id)
            if job is None or job.state != State.RUNNING.value:
                return True
            if time.monotonic() > until:
                return False
            time.sleep(ASK_S)
        return False

    def close(self, timeout_s: float = 10.0) -> None:
        """Stops the job in hand and waits for it; it and those that wait are there at the next start."""
        self._runner.close()
        self._rung.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _of_store(self, queued: QueuedJob) -> Snapshot:
        state = State(queued.state)
        ahead, start_at = 0, 0.0
        if state is State.QUEUED:
            ahead = self._store.queue.ahead(queued) + bool(self._store.queue.running())
            # A job that is tried again waits for seconds: that is no plan of anybody's.
            start_at = queued.start_at if queued.start_at > time.time() and not queued.tries else 0.0
        version = -1 - int(start_at or ahead)
        snapshot = Snapshot(
            queued.id,
            queued.project_id,
            version,
            start_at=start_at,
            error=queued.error,
            remedy=queued.remedy,
        )
        if queued.progress is not None and state is not State.QUEUED:
            snapshot = from_json(snapshot, queued.progress)
        return snapshot.with_(state=state, ahead=ahead)

    def _wake(self) -> None:
        with self._lock:
            if self._thread is None:
                work, wait = self._runner.work, self._wait
                self._thread = threading.Thread(target=work, args=(wait,), name="lora-jobs", daemon=True)
                self._thread.start()
        self._rung.set()

    def _wait(self) -> None:
        """Until somebody asks for a job here, or it is time to look whether there is one."""
        self._rung.wait(LOOK_S if self._looks or self._store.queue.waiting() else None)
        self._rung.clear()
