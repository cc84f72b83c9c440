"""The queue in the database, SQLite and PostgreSQL alike: order, claims, leases, stops."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_builder import who
from lora_builder.records import Stage
from lora_builder.store import QueuedJob, Store
from lora_builder.store.queue import MOST_TRIES, Told
from tests.runs import until

LEASE_S = 60.0
DONE = {"version": 1, "stages": [], "photo": "", "rate": None, "seconds_left": None, "message": ""}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as opened:
        yield opened


def taken(store: Store, worker: str, lease_s: float = LEASE_S) -> QueuedJob:
    job = store.queue.take(worker, lease_s)
    assert job is not None
    return job


def waited_for(store: Store, job: QueuedJob) -> float:
    """Takes the job as soon as the queue gives it, and says when it did, seconds since the epoch."""
    until(lambda: store.queue.due("one", LEASE_S))
    assert taken(store, "one").id == job.id
    return time.time()


def test_a_hundred_jobs_of_ten_users_run_in_order_and_none_twice(store: Store) -> None:
    """Whoever has the higher priority comes first, then whoever came first; eight workers share the work."""
    asked = [store.queue.ask(f"user{n % 10} project{n}", tuple(Stage), priority=n % 3) for n in range(100)]
    order = [job.id for job in sorted(asked, key=lambda job: (-job.priority, job.made_at, job.id))]
    assert [job.id for job in store.queue.waiting()] == order
    took: list[tuple[float, str]] = []

    def work(name: str) -> None:
        while store.queue.due(name, LEASE_S):
            job = store.queue.take(name, LEASE_S)
            if job is not None:
                took.append((job.beat_at, job.id))  # by the database's clock: a thread may be held up
                store.queue.finish(job.id, name, "done", DONE)

    team = [threading.Thread(target=work, args=(f"worker{n}",)) for n in range(8)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    assert Counter(id for _, id in took) == Counter(order)
    # Eight at once may note their catch in another order; nobody is passed by more than those eight.
    places = {id: place for place, id in enumerate(order)}
    assert all(abs(places[id] - place) <= 8 for place, (_, id) in enumerate(sorted(took)))


def test_a_project_has_one_job_at_a_time(store: Store) -> None:
    """A double click in two processes is one job; another begins only when the stopped one has let go."""
    asked: list[str] = []
    team = [
        threading.Thread(target=lambda: asked.append(store.queue.ask("ann", [Stage.CROP]).id))
        for _ in range(6)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    assert len(asked) == 6 and len(set(asked)) == 1
    first = taken(store, "one")
    assert store.queue.ask("ann", tuple(Stage)).id == first.id
    store.queue.stop(first.id)
    second = store.queue.ask("ann", [Stage.PACK])
    assert second.id != first.id
    assert store.queue.take("two", LEASE_S) is None
    assert store.queue.report(first.id, "one", DONE) is Told.STOP
    store.queue.finish(first.id, "one", "cancelled", DONE)
    assert taken(store, "two").id == second.id


def test_a_job_that_waits_takes_over_what_else_is_asked(store: Store) -> None:
    """Two steps asked for one after the other are done in one go, in their order."""
    job = store.queue.ask("ann", [Stage.PACK])
    assert store.queue.ask("ann", [Stage.CROP]).id == job.id
    assert taken(store, "one").stages == (Stage.CROP, Stage.PACK)


def test_a_silent_workers_job_goes_to_another(store: Store) -> None:
    """Whoever says nothing for the lease loses the job, hears so, and can no longer end it."""
    job = store.queue.ask("ann", tuple(Stage))
    assert taken(store, "one").id == job.id
    assert store.queue.take("two", LEASE_S) is None
    time.sleep(0.06)
    again = taken(store, "two", 0.05)
    assert (again.id, again.tries) == (job.id, 2)
    assert store.queue.report(job.id, "one", DONE) is Told.LOST
    store.queue.finish(job.id, "one", "failed", DONE)
    known = store.queue.find(job.id)
    assert known is not None and known.state == "running"
    assert store.queue.report(job.id, "two", DONE) is Told.GO_ON


def test_a_job_that_kills_every_worker_is_given_up(store: Store) -> None:
    """One bad project does not take the whole team down for good; its owner is told."""
    job = store.queue.ask("ann", tuple(Stage))
    for number in range(MOST_TRIES):
        assert taken(store, f"worker{number}", -1.0).id == job.id
    assert store.queue.take("last", -1.0) is None
    known = store.queue.find(job.id)
    assert known is not None and known.state == "failed" and known.error and known.remedy


def test_only_tries_that_come_no_further_count(store: Store) -> None:
    """A job of many hours is not given up for the workers that died at it days apart."""
    job = store.queue.ask("ann", tuple(Stage))
    for number in range(2 * MOST_TRIES):
        assert taken(store, f"worker{number}", -1.0).id == job.id
        store.queue.report(job.id, f"worker{number}", DONE, further=True)
    for number in range(MOST_TRIES - 1):
        assert taken(store, f"worker{number}", -1.0).id == job.id
        store.queue.report(job.id, f"worker{number}", DONE)
    assert store.queue.take("last", -1.0) is None


def test_a_job_given_back_in_order_counts_no_death(store: Store) -> None:
    """Workers may be restarted as often as one likes."""
    job = store.queue.ask("ann", tuple(Stage))
    for _ in range(2 * MOST_TRIES):
        assert taken(store, "one").id == job.id
        store.queue.release(job.id, "one")
    assert taken(store, "one").tries == 1


def test_a_job_begins_when_its_time_has_come(store: Store) -> None:
    """A scheduled job waits although nobody is at work; one tried again waits a little."""
    tomorrow = store.queue.ask("ben", tuple(Stage), start_at=time.time() + 24 * 3600)
    assert not store.queue.due("one", LEASE_S) and store.queue.take("one", LEASE_S) is None
    soon = store.queue.ask("ann", tuple(Stage), start_at=time.time() + 0.3)
    assert waited_for(store, soon) >= soon.start_at
    released_at = time.time()
    store.queue.release(soon.id, "one", after_s=0.3)
    assert waited_for(store, soon) >= released_at + 0.3
    again, still = store.queue.find(soon.id), store.queue.find(tomorrow.id)
    assert again is not None and again.tries == 2 and still is not None and still.state == "queued"


def test_a_planned_job_may_begin_at_another_time(store: Store) -> None:
    """Whoever asks for more of it leaves its time alone; whoever names a time moves it."""
    tomorrow = time.time() + 24 * 3600
    job = store.queue.ask("ann", [Stage.PACK], start_at=tomorrow)
    other = store.queue.ask("ben", [Stage.PACK])
    assert store.queue.ahead(other) == 0, "nobody waits for what is planned"
    store.queue.ask("ann", [Stage.CROP])
    assert taken(store, "one").id == other.id and not store.queue.due("two", LEASE_S)
    assert store.queue.ask("ann", [Stage.PACK], start_at=0.0).id == job.id
    assert taken(store, "two").stages == (Stage.CROP, Stage.PACK)


def test_a_job_that_needs_its_home_waits_for_it(store: Store) -> None:
    """A job with a key in one process's memory runs there; elsewhere only when that process is gone."""
    job = store.queue.ask("ann", tuple(Stage), home="page")
    store.queue.ask("ben", tuple(Stage))
    assert taken(store, "other").project_id == "ben"
    assert store.queue.take("other", LEASE_S) is None
    store.queue.at_home("page")
    mine = store.queue.take("page", LEASE_S, only_own=True)
    assert mine is not None and mine.id == job.id
    store.queue.release(job.id, "page")
    time.sleep(0.06)
    assert taken(store, "other", 0.05).id == job.id


def test_the_dead_of_this_machine_are_buried_at_once(store: Store) -> None:
    """An app that was killed and started again goes on at once; the living are left alone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = f"{who.process(process.pid)}:0"
    assert not who.is_dead(dead)
    process.kill()
    process.communicate()
    assert who.is_dead(dead) and not who.is_dead("elsewhere:1:0.00:x")
    for name in ("ann", "ben"):
        store.queue.ask(name, tuple(Stage))
    assert taken(store, dead).project_id == "ann"
    assert taken(store, "elsewhere:1:0.00:x").project_id == "ben"
    assert store.queue.bury(who.is_dead) == 2
    assert [job.project_id for job in store.queue.waiting()] == ["ann"]


def test_a_place_in_the_queue_is_counted(store: Store) -> None:
    """Who waits is told how many come first."""
    jobs = [store.queue.ask(name, tuple(Stage), priority) for name, priority in zip("abc", (0, 1, 0), strict=True)]  # noqa: E501  # fmt: skip
    assert [store.queue.ahead(job) for job in jobs] == [1, 0, 2]


def test_a_deleted_projects_jobs_are_gone(store: Store, tmp_path: Path) -> None:
    """Nothing of a job outlives its project; whoever runs it hears so."""
    project = store.project(tmp_path / "a", "a", tmp_path)
    job = store.queue.ask(project.id, tuple(Stage))
    taken(store, "one")
    store.delete_project(project.id)
    assert store.queue.find(job.id) is None
    assert store.queue.report(job.id, "one", DONE) is Told.LOST
