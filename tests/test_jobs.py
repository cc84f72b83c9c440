"""Background jobs: the queue, the snapshots, stopping, and failing politely."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from lora_builder.errors import BadInput, BadSettings, ClusterUnavailable, ClusterUnfit, LoraBuilderError
from lora_builder.jobs import Jobs, Run, State
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.store.queue import MOST_TRIES
from tests.runs import Cancelled, Gate, a_project, as_run, counting, wait

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store(settings.database) as opened:
        yield opened


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another try comes at once, not after seconds."""
    monkeypatch.setattr("lora_builder.runner.AGAIN_S", 0.05)
    monkeypatch.setattr("lora_builder.jobs.LOOK_S", 0.05)


def failing(error: Exception) -> Run:
    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        yield Event(project.name, Stage.INGEST, 0, 1)
        raise error

    return run


def test_a_run_ends_with_every_stage_counted(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A job runs in the background and its last snapshot holds each stage's count."""
    jobs = Jobs(store, lambda _: settings, counting(3))
    last = wait(jobs, jobs.start(a_project(store, tmp_path)))
    assert last.state is State.DONE
    assert [(s.stage, s.done, s.total) for s in last.stages] == [
        (Stage.INGEST, 3, 3),
        (Stage.MEASURE, 3, 3),
    ]


def test_the_version_moves_only_with_news(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A page that saw a version need not draw again until it changes."""
    jobs = Jobs(store, lambda _: settings, counting(1))
    id = jobs.start(a_project(store, tmp_path))
    last = wait(jobs, id)
    assert jobs.snapshot(id) == last
    assert last.version > 1


def test_the_rate_counts_only_what_this_run_did(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Photos known from an earlier run do not make the estimate rosy."""
    now = iter([0.0, 10.0])
    gate = threading.Event()

    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        yield Event(project.name, Stage.MEASURE, 90, 120)
        yield Event(project.name, Stage.MEASURE, 100, 120)
        gate.wait(5)

    jobs = Jobs(store, lambda _: settings, run, clock=lambda: next(now))
    id = jobs.start(a_project(store, tmp_path))
    seen = wait(jobs, id, lambda s: s.rate is not None)
    gate.set()
    assert seen.rate == pytest.approx(1.0)
    assert seen.seconds_left == pytest.approx(20.0)


def test_one_at_a_time(store: Store, settings: Settings, tmp_path: Path) -> None:
    """The second job waits for the first and says how many are ahead."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    first = jobs.start(a_project(store, tmp_path, "ann"))
    assert gate.entered.wait(30)
    second = jobs.start(a_project(store, tmp_path, "ben"))
    waiting = jobs.snapshot(second)
    assert waiting is not None
    assert (waiting.state, waiting.ahead) == (State.QUEUED, 1)
    gate.opened.set()
    assert wait(jobs, first).state is State.DONE
    assert wait(jobs, second).state is State.DONE


def test_starting_twice_is_one_job(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A double click does not run a project twice."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    project = a_project(store, tmp_path)
    first = jobs.start(project)
    assert jobs.start(project) == first == jobs.latest(project.id)
    gate.opened.set()
    wait(jobs, first)
    assert jobs.start(project) != first


def test_cancelling_stops_the_run(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Cancel ends the job as cancelled, and the run is closed."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    id = jobs.start(a_project(store, tmp_path))
    assert gate.entered.wait(30)
    jobs.cancel(id)
    assert wait(jobs, id).state is State.CANCELLED
    assert gate.closed.wait(30)


def test_a_waiting_job_can_be_cancelled(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A job that waits is cancelled at once and never starts."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    first = jobs.start(a_project(store, tmp_path, "ann"))
    second = jobs.start(a_project(store, tmp_path, "ben"))
    jobs.cancel(second)
    waiting = jobs.snapshot(second)
    assert waiting is not None
    assert waiting.state is State.CANCELLED
    gate.opened.set()
    wait(jobs, first)
    assert waiting.stages == ()


def test_the_users_faults_come_with_a_remedy(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A failure of the user's world is told in its own words."""
    jobs = Jobs(store, lambda _: settings, failing(BadInput("There are no pictures.", "Choose others.")))
    last = wait(jobs, jobs.start(a_project(store, tmp_path)))
    assert (last.state, last.error, last.remedy) == (
        State.FAILED,
        "There are no pictures.",
        "Choose others.",
    )


LOST = ClusterUnavailable("The Dask scheduler at tcp://x:1 is not there any more.", "Start it again.")


def test_a_cluster_that_comes_back_is_waited_for(
    store: Store, settings: Settings, tmp_path: Path, impatient: None
) -> None:
    """The job is tried again by itself, and says meanwhile what it waits for."""
    back = threading.Event()

    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        yield Event(project.name, Stage.INGEST, 1, 1)
        if not back.is_set():
            raise LOST

    jobs = Jobs(store, lambda _: settings, run)
    id = jobs.start(a_project(store, tmp_path))
    waits = wait(jobs, id, lambda job: job.state is State.QUEUED and bool(job.error))
    assert (waits.error, waits.remedy) == (LOST.message, LOST.remedy)
    back.set()
    last = wait(jobs, id)
    assert (last.state, last.error) == (State.DONE, "")


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (LOST, MOST_TRIES),
        (ClusterUnfit("The worker on b has other versions than this machine.", "Install the same."), 1),
        (BadSettings("tcp://x:1 is not encrypted.", "Use tls://."), 1),
    ],
)
def test_a_cluster_is_not_waited_for_in_vain(
    store: Store, settings: Settings, tmp_path: Path, impatient: None, error: LoraBuilderError, tries: int
) -> None:
    """After so many tries, or where no try could end better, the job fails with the cluster's sentence."""
    jobs = Jobs(store, lambda _: settings, failing(error))
    id = jobs.start(a_project(store, tmp_path))
    last = wait(jobs, id)
    assert (last.state, last.error, last.remedy) == (State.FAILED, error.message, error.remedy)
    job = store.queue.find(id)
    assert job is not None and job.tries == tries


def test_a_long_job_outlives_more_failures_than_are_borne_in_a_row(
    store: Store, settings: Settings, tmp_path: Path, impatient: None
) -> None:
    """A cluster that restarts every night fails no job that gets on in between."""
    tries = 0

    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        nonlocal tries
        tries += 1
        yield Event(project.name, Stage.MEASURE, tries, 2 * MOST_TRIES)
        if tries < 2 * MOST_TRIES:
            raise LOST

    jobs = Jobs(store, lambda _: settings, run)
    id = jobs.start(a_project(store, tmp_path))
    assert wait(jobs, id).state is State.DONE
    assert tries == 2 * MOST_TRIES


def test_our_faults_are_logged_and_the_queue_lives_on(
    store: Store, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug ends its job with a traceback in the log, nothing of it in the snapshot, and no other job."""
    jobs = Jobs(store, lambda _: settings, failing(ZeroDivisionError("secret detail")))
    project = a_project(store, tmp_path)
    with caplog.at_level(logging.ERROR):
        last = wait(jobs, jobs.start(project))
    assert last.state is State.FAILED
    assert "secret detail" not in repr(last)
    assert "secret detail" in caplog.text
    assert wait(jobs, jobs.start(project)).state is State.FAILED


def test_the_callers_context_reaches_the_run(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Context variables of the page that started a job hold inside it."""
    seen: list[str] = []

    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        seen.append(COLOUR.get())
        yield Event(project.name, Stage.INGEST, 1, 1)

    jobs = Jobs(store, lambda _: settings, run)
    token = COLOUR.set("green")
    id = jobs.start(a_project(store, tmp_path))
    COLOUR.reset(token)
    wait(jobs, id)
    assert seen == ["green"]


def test_closing_stops_everything(store: Store, settings: Settings, tmp_path: Path) -> None:
    """When the app ends, the running job is stopped and waited for."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    jobs.start(a_project(store, tmp_path))
    assert gate.entered.wait(30)
    jobs.close()
    assert gate.closed.is_set()


def test_the_queue_outlives_the_app(store: Store, settings: Settings, tmp_path: Path) -> None:
    """What ran and what waited when the app ended goes on at its next start, in the same order."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    first = jobs.start(a_project(store, tmp_path, "ann"), (Stage.DECIDE,))
    assert gate.entered.wait(30)
    second = jobs.start(a_project(store, tmp_path, "ben"))
    jobs.close()
    ran: list[tuple[str, tuple[Stage, ...]]] = []

    @as_run
    def run(project: Project, stages: Collection[Stage], cancelled: Cancelled) -> Iterator[Event]:
        ran.append((project.name, tuple(stages)))
        yield Event(project.name, Stage.INGEST, 1, 1)

    again = Jobs(store, lambda _: settings, run)
    assert again.resume() == 2
    wait(again, second)
    assert wait(again, first).state is State.DONE
    assert ran == [("ann", (Stage.DECIDE,)), ("ben", tuple(Stage))]
    assert Jobs(store, lambda _: settings, run).resume() == 0


def test_one_hurries_only_past_ones_own(store: Store, settings: Settings, tmp_path: Path) -> None:
    """A waiting job can be moved before one's others; nobody else's job moves."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    names = ("running", "mine1", "theirs", "mine2")
    projects = {name: a_project(store, tmp_path, name) for name in names}
    ids = {"running": jobs.start(projects["running"])}
    assert gate.entered.wait(30)
    ids |= {name: jobs.start(projects[name]) for name in names[1:]}
    jobs.hurry(ids["mine2"], {projects["mine1"].id, projects["mine2"].id})
    assert [job.id for job in store.queue.waiting()] == [ids[n] for n in ("mine2", "theirs", "mine1")]
    jobs.hurry(ids["theirs"], {projects["mine1"].id})
    assert [job.id for job in store.queue.waiting()] == [ids[n] for n in ("mine2", "theirs", "mine1")]
    jobs.close()


def test_a_step_alone_goes_before_whole_runs(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Short jobs of higher priority do not wait behind long ones."""
    gate = Gate()
    jobs = Jobs(store, lambda _: settings, gate.run)
    jobs.start(a_project(store, tmp_path, "running"))
    assert gate.entered.wait(30)
    long = jobs.start(a_project(store, tmp_path, "long"))
    short = jobs.start(a_project(store, tmp_path, "short"), (Stage.DECIDE,), priority=1)
    assert [job.id for job in store.queue.waiting()] == [short, long]
    jobs.close()


def test_a_planned_start_is_told(store: Store, settings: Settings, tmp_path: Path) -> None:
    """Its snapshot names the time, and is another one when the job may begin now; it can be called off."""
    jobs = Jobs(store, lambda _: settings, counting(1))
    tomorrow = time.time() + 24 * 3600
    project = a_project(store, tmp_path)
    id = jobs.start(project, start_at=tomorrow)
    planned = jobs.snapshot(id)
    assert planned is not None
    assert (planned.state, planned.start_at) == (State.QUEUED, tomorrow)
    jobs.cancel(id)
    assert wait(jobs, id).state is State.CANCELLED
    again = jobs.start(project, start_at=tomorrow)
    assert jobs.start(project, start_at=0.0) == again
    last = wait(jobs, again)
    assert (last.state, last.start_at) == (State.DONE, 0.0)
    assert last.version != planned.version


def test_an_unknown_job_has_no_snapshot(store: Store, settings: Settings) -> None:
    """A page that remembers a job that was forgotten is told that it is gone."""
    jobs = Jobs(store, lambda _: settings, counting(1))
    assert jobs.snapshot("yesterday") is None
    jobs.cancel("yesterday")
