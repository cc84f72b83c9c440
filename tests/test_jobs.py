"""Background jobs: the queue, the snapshots, stopping, and failing politely."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lora_builder.errors import BadInput
from lora_builder.jobs import Jobs, Run, Snapshot, State
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, Store

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store(settings.database) as opened:
        yield opened


def a_project(store: Store, tmp_path: Path, name: str = "ann") -> Project:
    return store.project(tmp_path / name, name, tmp_path)


def wait(jobs: Jobs, id: str, until: Callable[[Snapshot], bool] = lambda s: s.finished) -> Snapshot:
    for _ in range(500):
        snapshot = jobs.snapshot(id)
        assert snapshot is not None
        if until(snapshot):
            return snapshot
        time.sleep(0.01)
    raise AssertionError(f"still {snapshot}")


def counting(total: int) -> Run:
    def run(
        store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        for stage in (Stage.INGEST, Stage.MEASURE):
            for done in range(total + 1):
                yield Event(project.name, stage, done, total, f"{done}.jpg")

    return run


def failing(error: Exception) -> Run:
    def run(
        store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        yield Event(project.name, Stage.INGEST, 0, 1)
        raise error

    return run


class Gate:
    """A run that stands at its first photo until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened, self.closed = threading.Event(), threading.Event(), threading.Event()

    def __call__(
        self, store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        try:
            yield Event(project.name, Stage.INGEST, 0, 2)
            self.entered.set()
            while not self.opened.wait(0.01):
                if cancelled():
                    break
            yield Event(project.name, Stage.INGEST, 2, 2)
        finally:
            self.closed.set()


def test_a_run_ends_with_every_stage_counted(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A job runs in the background and its last snapshot holds each stage's count."""
    jobs = Jobs(store, settings, counting(3))
    last = wait(jobs, jobs.start(a_project(store, tmp_path), settings))
    assert last.state is State.DONE
    assert [(s.stage, s.done, s.total) for s in last.stages] == [
        (Stage.INGEST, 3, 3),
        (Stage.MEASURE, 3, 3),
    ]


def test_the_version_moves_only_with_news(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A page that saw a version need not draw again until it changes."""
    jobs = Jobs(store, settings, counting(1))
    id = jobs.start(a_project(store, tmp_path), settings)
    last = wait(jobs, id)
    assert jobs.snapshot(id) == last
    assert last.version > 1


def test_the_rate_counts_only_what_this_run_did(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Photos known from an earlier run do not make the estimate rosy."""
    now = iter([0.0, 10.0])
    gate = threading.Event()

    def run(
        store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        yield Event(project.name, Stage.MEASURE, 90, 120)
        yield Event(project.name, Stage.MEASURE, 100, 120)
        gate.wait(5)

    jobs = Jobs(store, settings, run, clock=lambda: next(now))
    id = jobs.start(a_project(store, tmp_path), settings)
    seen = wait(jobs, id, lambda s: s.rate is not None)
    gate.set()
    assert seen.rate == pytest.approx(1.0)
    assert seen.seconds_left == pytest.approx(20.0)


def test_one_at_a_time(store: Store, settings: Settings, tmp_path: Path) -> None:
    """The second job waits for the first and says how many are ahead."""
    gate = Gate()
    jobs = Jobs(store, settings, gate)
    first = jobs.start(a_project(store, tmp_path, "ann"), settings)
    second = jobs.start(a_project(store, tmp_path, "ben"), settings)
    assert gate.entered.wait(5)
    waiting = jobs.snapshot(second)
    assert waiting is not None
    assert (waiting.state, waiting.ahead) == (State.QUEUED, 1)
    gate.opened.set()
    assert wait(jobs, first).state is State.DONE
    assert wait(jobs, second).state is State.DONE


def test_starting_twice_is_one_job(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A double click does not run a project twice."""
    gate = Gate()
    jobs = Jobs(store, settings, gate)
    project = a_project(store, tmp_path)
    first = jobs.start(project, settings)
    assert jobs.start(project, settings) == first == jobs.latest(project.id)
    gate.opened.set()
    wait(jobs, first)
    assert jobs.start(project, settings) != first


def test_cancelling_stops_the_run(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Cancel ends the job as cancelled, and the run is closed."""
    gate = Gate()
    jobs = Jobs(store, settings, gate)
    id = jobs.start(a_project(store, tmp_path), settings)
    assert gate.entered.wait(5)
    jobs.cancel(id)
    assert wait(jobs, id).state is State.CANCELLED
    assert gate.closed.wait(5)


def test_a_waiting_job_can_be_cancelled(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A job that waits is cancelled at once and never starts."""
    gate = Gate()
    jobs = Jobs(store, settings, gate)
    first = jobs.start(a_project(store, tmp_path, "ann"), settings)
    second = jobs.start(a_project(store, tmp_path, "ben"), settings)
    jobs.cancel(second)
    waiting = jobs.snapshot(second)
    assert waiting is not None
    assert waiting.state is State.CANCELLED
    gate.opened.set()
    wait(jobs, first)
    assert waiting.stages == ()


def test_the_users_faults_come_with_a_remedy(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A failure of the user's world is told in its own words."""
    jobs = Jobs(store, settings, failing(BadInput("There are no pictures.", "Choose others.")))
    last = wait(jobs, jobs.start(a_project(store, tmp_path), settings))
    assert (last.state, last.error, last.remedy) == (
        State.FAILED,
        "There are no pictures.",
        "Choose others.",
    )


def test_our_faults_are_logged_and_the_queue_lives_on(
    store: Store, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug ends its job with a traceback in the log, nothing of it in the snapshot, and no other job."""
    jobs = Jobs(store, settings, failing(ZeroDivisionError("secret detail")))
    project = a_project(store, tmp_path)
    with caplog.at_level(logging.ERROR):
        last = wait(jobs, jobs.start(project, settings))
    assert last.state is State.FAILED
    assert "secret detail" not in repr(last)
    assert "secret detail" in caplog.text
    assert wait(jobs, jobs.start(project, settings)).state is State.FAILED


def test_the_callers_context_reaches_the_run(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Context variables of the page that started a job hold inside it."""
    seen: list[str] = []

    def run(
        store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        seen.append(COLOUR.get())
        yield Event(project.name, Stage.INGEST, 1, 1)

    jobs = Jobs(store, settings, run)
    token = COLOUR.set("green")
    id = jobs.start(a_project(store, tmp_path), settings)
    COLOUR.reset(token)
    wait(jobs, id)
    assert seen == ["green"]


def test_closing_stops_everything(store: Store, settings: Settings, tmp_path: Path) -> None:
    """When the app ends, the running job is stopped and waited for."""
    gate = Gate()
    jobs = Jobs(store, settings, gate)
    jobs.start(a_project(store, tmp_path), settings)
    assert gate.entered.wait(5)
    jobs.close()
    assert gate.closed.is_set()


def test_an_unknown_job_has_no_snapshot(store: Store, settings: Settings) -> None:
    """A page that remembers a job of yesterday is told that it is gone."""
    jobs = Jobs(store, settings, counting(1))
    assert jobs.snapshot("yesterday") is None
    jobs.cancel("yesterday")
