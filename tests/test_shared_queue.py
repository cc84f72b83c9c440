"""Several processes, one queue: what one runs the others see and stop, and no job is lost with a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from lora_builder import pipeline
from lora_builder.bell import BrokerBell
from lora_builder.errors import BadSettings, StoreUnavailable
from lora_builder.jobs import Jobs, Snapshot, State
from lora_builder.records import Event, Stage
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from lora_builder.ui.runs import jobs_of
from tests.runs import Gate, a_project, counting, until, wait
from tests.servers import PostgreSQL, Redis, postgresql_programs, postgresql_server, redis

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[Store, Store]]:
    """Two doors to one database, as two processes have."""
    with Store(database_url) as one, Store(database_url) as other:
        yield one, other


@contextlib.contextmanager
def worker(settings: Settings, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`lora-dataset-builder worker` in a process of its own."""
    names = ("database_url", "redis_url", "job_lease_s", "workers")
    variables = {name.upper(): str(getattr(settings, name)) for name in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "lora_builder", "worker", *more],
        cwd=ROOT,
        env=os.environ | variables | {"LORA_DATA_DIR": str(settings.data_dir)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_job_is_seen_and_stopped_from_another_process(
    two: tuple[Store, Store], settings: Settings, tmp_path: Path
) -> None:
    """Whichever process answers the page, it shows the bars of the one that works, and can stop it."""
    gate = Gate()
    works, answers = (Jobs(store, lambda _: settings, gate.run, lease_s=5.0) for store in two)
    project = a_project(two[0], tmp_path)
    id = works.start(project)
    assert gate.entered.wait(30)

    def seen() -> Snapshot:
        snapshot = answers.snapshot(id)
        assert snapshot is not None
        return snapshot

    until(lambda: bool(seen().stages), 5)
    assert (seen().state, seen().stages[0].total) == (State.RUNNING, 2)
    assert answers.start(project) == id
    answers.cancel(id)
    assert answers.stopping(id) or seen().finished
    assert answers.wait_for(id, 10)
    assert seen().state is State.CANCELLED and gate.closed.is_set()
    works.close()


def test_a_visitors_key_keeps_the_job_where_it_is(
    two: tuple[Store, Store], settings: Settings, tmp_path: Path
) -> None:
    """A job that needs a key of one process's memory runs in that very process; others go elsewhere."""
    ran: list[str] = []

    def noting(where: str) -> Callable[..., Iterator[Event]]:
        def run(store: Store, project: Project, settings: Settings, **_: object) -> Iterator[Event]:
            ran.append(f"{project.name} in {where}")
            yield Event(project.name, Stage.INGEST, 1, 1)

        return run

    keyed = a_project(two[0], tmp_path, "keyed")
    page = Jobs(two[0], lambda _: settings, noting("page"), here=False, at_home=lambda p, _: p == keyed)
    page.resume()
    elsewhere = Jobs(two[1], lambda _: settings, noting("worker"))
    ids = [page.start(project) for project in (keyed, a_project(two[0], tmp_path, "plain"))]
    elsewhere.resume()
    for id in ids:
        wait(page, id)
    assert sorted(ran) == ["keyed in page", "plain in worker"]
    page.close()
    elsewhere.close()


def test_a_database_that_was_away_does_not_fail_the_job(
    two: tuple[Store, Store], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database is a server, the job is tried again; a file fails at once."""
    monkeypatch.setattr("lora_builder.runner.AGAIN_S", 0.1)
    tries: list[int] = []

    def run(
        store: Store, project: Project, settings: Settings, *, stages: Collection[Stage], cancelled: object
    ) -> Iterator[Event]:
        tries.append(1)
        yield Event(project.name, Stage.INGEST, 1, 1)
        if len(tries) == 1:
            raise StoreUnavailable("The database cannot be used.", "Check it.")

    jobs = Jobs(two[0], lambda _: settings, run)
    jobs.resume()
    last = wait(jobs, jobs.start(a_project(two[0], tmp_path)))
    assert last.state is (State.DONE if two[0].on_server else State.FAILED)
    jobs.close()


def test_the_broker_is_told_nothing_about_anybody(settings: Settings, tmp_path: Path) -> None:
    """A ring is empty: nothing of a project lies in Redis, so nothing must be deleted there."""
    client = pytest.importorskip("redis")
    with redis(tmp_path / "redis") as server, Store(settings.database) as store:
        jobs = Jobs(store, lambda _: settings, counting(1), here=False, bell=BrokerBell(server.url))
        project = store.project(tmp_path / "Annabelle", "Annabelle", tmp_path, "a-visitor")
        id = jobs.start(project)
        broker = client.Redis.from_url(server.url)
        until(lambda: bool(broker.exists("lora-jobs")), 10)
        kept = b"".join(key + broker.dump(key) for key in broker.scan_iter())
        for private in (project.id, id, "Annabelle", "a-visitor", str(tmp_path)):
            assert private.encode() not in kept
        broker.close()


def test_a_bell_is_heard_again_after_its_broker_was_gone(tmp_path: Path) -> None:
    """Without a broker a worker looks by itself; with it back, rings are heard as before."""
    with redis(tmp_path / "redis") as server:
        bell = BrokerBell(server.url)
        rung = _heard(bell)
        assert rung < 1.5
        server.kill()
        bell.ring()
        assert bell.wait(0.1)  # nobody can hear, so somebody should look
        server.start()
        assert _heard(bell) < 5
        bell.close()


def _heard(bell: BrokerBell) -> float:
    began = time.monotonic()
    bell.ring()
    while not bell.wait(0.5):
        assert time.monotonic() - began < 20
    return time.monotonic() - began


def test_a_broker_must_prove_who_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With rediss:// nobody is rung whose certificate is not vouched for; with its authority named, it is."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    with redis(tmp_path / "redis", tls=(key, certificate)) as server:
        stranger, known = BrokerBell(server.url), BrokerBell(f"{server.url}?ssl_ca_certs={certificate}")
        stranger.ring()
        assert stranger.wait(0.1)  # nobody heard
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.text.upper()
        known._ring()
        assert known.wait(5) and not known._deaf
        known.close()


def test_a_broker_that_cannot_be_used_is_told_in_a_sentence() -> None:
    """A wrong REDIS_URL stops the start, not the first job."""
    with pytest.raises(BadSettings):
        BrokerBell("http://127.0.0.1:1")


def _photos(folder: Path, portrait: Image.Image) -> None:
    folder.mkdir()
    large = portrait.resize((1400, 1400), Image.Resampling.LANCZOS)
    for number in range(6):
        turned = large.crop((number * 20, 0, 1100 + number * 20, 1100))
        ImageEnhance.Brightness(turned).enhance(0.8 + number / 25).save(folder / f"{number}.png")


def test_a_job_outlives_its_worker_the_database_and_the_broker(tmp_path: Path, portrait: Image.Image) -> None:
    """A worker is killed, PostgreSQL and Redis crash and come back: the dataset has the same bytes."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    _photos(tmp_path / "in", portrait)
    quiet = load(data_dir=tmp_path / "quiet", workers=0)
    with Store(quiet.database) as store:
        for _ in pipeline.run(store, store.project(tmp_path / "a", "ann", tmp_path / "in"), quiet):
            pass
    with postgresql_server(programs) as database, redis(tmp_path / "redis") as broker:
        stormy = load(
            data_dir=tmp_path / "stormy",
            workers=1,
            database_url=f"{database.url}/postgres",
            redis_url=broker.url,
            job_lease_s=3.0,
        )
        with Store(stormy.database) as store:
            _through_the_storm(store, stormy, tmp_path, database, broker)
    for name in ("decisions.jsonl", "dataset"):
        assert _bytes(tmp_path / "b" / name) == _bytes(tmp_path / "a" / name)


def _through_the_storm(
    store: Store, settings: Settings, tmp_path: Path, database: PostgreSQL, broker: Redis
) -> None:
    jobs = jobs_of(store, settings)
    id = jobs.start(store.project(tmp_path / "b", "ann", tmp_path / "in"))

    def measured() -> int:
        snapshot = jobs.snapshot(id)
        assert snapshot is not None and not snapshot.finished
        return next((entry.done for entry in snapshot.stages if entry.stage is Stage.MEASURE), 0)

    with worker(settings) as one:
        until(lambda: measured() >= 1)
        one.kill()
    with worker(settings) as two:
        until(lambda: _tries(store, id) == 2)
        until(lambda: measured() >= 2)
        database.stop()
        broker.kill()
        database.start()
        broker.start()
        assert wait(jobs, id, seconds=90).state is State.DONE
        two.send_signal(signal.SIGTERM)
        assert two.wait(10) == 0


def _tries(store: Store, id: str) -> int:
    job = store.queue.find(id)
    assert job is not None
    return job.tries


def _bytes(path: Path) -> dict[str, bytes]:
    files = path.rglob("*") if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files if file.is_file()}
