"""An output in a store has one run at a time, whichever machines they are on; dead ones let go."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from lora_builder import pipeline, who
from lora_builder.claims import LOCK, Claim
from lora_builder.errors import Cancelled, ProjectBusy
from lora_builder.places import Place
from lora_builder.records import Stage
from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.store.notes import PLACE
from tests.far_servers import S3Server

FAR = "another-machine:1:0.00:x"
"""An owner of whom nobody here can tell whether it lives."""


@pytest.fixture(params=["memory", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty output in a store."""
    if request.param == "memory":
        return Place(f"memory://{tmp_path.name}")
    server: S3Server = request.getfixturevalue("s3")
    return Place(f"s3://{server.BUCKET}/{tmp_path.name}")


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners say more often that they live, and are dead sooner."""
    monkeypatch.setattr("lora_builder.claims.RENEW_S", 0.2)
    monkeypatch.setattr("lora_builder.claims.LOOK_S", 0.1)
    monkeypatch.setattr("lora_builder.claims.STALE_S", 3.0)


@pytest.fixture
def silent(brisk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners say nothing of themselves, as one does whose machine sleeps."""
    monkeypatch.setattr("lora_builder.claims.RENEW_S", 60.0)


def take(claim: Claim) -> list[str]:
    return list(claim.take())


def test_an_output_in_a_store_has_one_run(output: Place) -> None:
    """The second one is told who is at work; a machine's own lives for sure, so nobody waits for that."""
    with Claim(output) as one:
        assert take(one) == []
        with Claim(output) as two, pytest.raises(ProjectBusy, match=str(output)) as told:
            take(two)
        assert "at work" in told.value.message and "stop it" in told.value.remedy
        one.insist()
    assert output.files() == []
    with Claim(output) as three:
        assert take(three) == []


def test_a_run_of_another_machine_is_seen_to_live(output: Place) -> None:
    """Its mark changes while it is looked at, whatever the clocks of the two say."""
    with Claim(output, FAR) as one, Claim(output) as two:
        take(one)
        waits = two.take()
        assert str(output) in next(waits)
        with pytest.raises(ProjectBusy, match="at work"):
            next(waits)


def test_of_many_that_want_it_at_once_one_gets_it(output: Place) -> None:
    """Also where the run before died: then two may take its lock away, and one of them notices."""
    for left in (b"", b'{"owner": "another-machine:1:0.00:y", "machine": "b", "since": "", "mark": "1"}'):
        (output / LOCK).write(left)
        claims = [Claim(output, f"{FAR}{number}") for number in range(4)]
        got: deque[Claim] = deque()

        def want(claim: Claim, got: deque[Claim] = got) -> None:
            try:
                take(claim)
                time.sleep(0.5)
                claim.insist()
                got.append(claim)
            except ProjectBusy:
                pass

        threads = [threading.Thread(target=want, args=(claim,)) for claim in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        for claim in claims:
            claim.__exit__()


def test_a_dead_runs_lock_goes_at_once_on_its_own_machine(output: Place, silent: None) -> None:
    """Whoever was killed and starts again does not wait."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = Claim(output, f"{who.process(process.pid)}:x")
    take(dead)
    process.communicate()
    began = time.monotonic()
    with Claim(output) as ours:
        assert take(ours) == []
        assert time.monotonic() - began < 0.9
        with pytest.raises(ProjectBusy, match="taken over by a run on"):
            dead.insist()
        dead.__exit__()
        ours.insist()


def test_whoever_waits_can_be_stopped(output: Place) -> None:
    """Stop is heard while it is looked whether another one lives."""
    (output / LOCK).write(b"no note")
    with Claim(output) as ours, pytest.raises(Cancelled):
        list(ours.take(lambda: True))


def test_a_run_ends_before_it_writes_where_another_one_is(
    output: Place, silent: None, settings: Settings, tmp_path: Path, portrait_jpeg: bytes
) -> None:
    """A run in the way, or one that took over from a run that was silent: nothing is sent to the output."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(portrait_jpeg)
    with Store(settings.database) as store:
        project = store.project(tmp_path / "work", "ann", tmp_path / "in")
        store.notes.write(project.id, PLACE, {"url": str(output)})
        with Claim(output) as other:
            take(other)
            with pytest.raises(ProjectBusy, match="at work"):
                deque(pipeline.run(store, project, settings), 0)
        with pytest.raises(ProjectBusy, match="taken over"):
            for event in pipeline.run(store, project, settings):
                if event.stage is Stage.PACK:
                    taken_over(output)
        assert [file.inside for file in output.files()] == [LOCK]
        (output / LOCK).remove()
        deque(pipeline.run(store, project, settings), 0)
    assert "manifest.json" in [file.inside for file in output.files()]
    assert LOCK not in [file.inside for file in output.files()]


def taken_over(output: Place) -> None:
    """As another machine does that heard nothing for too long."""
    (output / LOCK).remove()
    take(Claim(output, FAR))
