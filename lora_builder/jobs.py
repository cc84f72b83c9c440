"""Background jobs for the app: one at a time, watched by short snapshots, cancelled at once."""

from __future__ import annotations

import contextvars
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lora_builder.errors import Cancelled, LoraBuilderError
from lora_builder.pipeline import run
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, Store

log = logging.getLogger(__name__)

Run = Callable[..., Iterator[Event]]


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment. `version` grows with every change; `stages` is (done, total) by stage.

    `state`: queued, running, done, cancelled or failed. `seconds_left` is of the current stage.
    """

    project_id: str
    state: str = "queued"
    version: int = 0
    stages: Mapping[Stage, tuple[int, int]] = field(default_factory=dict)
    photo: str = ""
    rate: float | None = None
    seconds_left: float | None = None
    error: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ("done", "cancelled", "failed")


class Jobs:
    """A queue of runs and the one thread that works it off."""

    def __init__(self, store: Store, run: Run = run) -> None:
        self._store, self._run = store, run
        self._lock = threading.Lock()
        self._snapshots: dict[str, Snapshot] = {}
        self._stops: dict[str, threading.Event] = {}
        self._queue: queue.Queue[tuple[contextvars.Context, str, Project, Settings]] = queue.Queue()
        threading.Thread(target=self._work, name="jobs", daemon=True).start()

    def start(self, project: Project, settings: Settings) -> str:
        """Queues a run and returns the job's id, which cannot be guessed."""
        job_id = secrets.token_urlsafe(24)
        with self._lock:
            self._snapshots[job_id] = Snapshot(project.id)
            self._stops[job_id] = threading.Event()
        self._queue.put((contextvars.copy_context(), job_id, project, settings))
        return job_id

    def cancel(self, job_id: str) -> None:
        """Stops the job within a second; what it did is kept."""
        if job_id in self._stops:
            self._stops[job_id].set()

    def snapshot(self, job_id: str) -> Snapshot | None:
        """The job as it is now; None for a job of another time."""
        with self._lock:
            return self._snapshots.get(job_id)

    def _work(self) -> None:
        while True:
            context, job_id, project, settings = self._queue.get()
            context.run(self._one, job_id, project, settings)

    def _one(self, job_id: str, project: Project, settings: Settings) -> None:
        stop = self._stops[job_id]
        self._change(job_id, state="running")
        stage, since, first = None, 0.0, 0
        try:
            for event in self._run(self._store, project, settings, cancelled=stop.is_set):
                if event.stage is not stage:
                    stage, since, first = event.stage, time.monotonic(), event.done
                elapsed, fresh = time.monotonic() - since, event.done - first
                rate = fresh / elapsed if fresh > 0 and elapsed > 0 else None
                self._change(
                    job_id,
                    stages={**self._snapshots[job_id].stages, event.stage: (event.done, event.total)},
                    photo=event.photo,
                    rate=rate,
                    seconds_left=(event.total - event.done) / rate if rate else None,
                )
            self._change(job_id, state="done")
        except Cancelled:
            self._change(job_id, state="cancelled")
        except LoraBuilderError as error:
            self._change(job_id, state="failed", error=str(error))
        except Exception:  # noqa: BLE001  the thread must outlive any bug of one job
            log.exception("job %s failed", job_id)
            self._change(job_id, state="failed", error="Something unexpected happened; the log says more.")

    def _change(self, job_id: str, **changes: object) -> None:
        with self._lock:
            old = self._snapshots[job_id]
            self._snapshots[job_id] = replace(old, version=old.version + 1, **changes)  # type: ignore[arg-type]
