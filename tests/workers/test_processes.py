from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from lora_builder import memory
from lora_builder.errors import Cancelled, ModelUnavailable, WorkersFailing
from lora_builder.records import Rejected
from lora_builder.settings import load
from lora_builder.workers import Processes
from lora_builder.workers.interface import FIRST_FAILURES
from tests.workers.tasks import tell_secrets


def run(function: Callable[[int], object], items: Sequence[int], workers: int, timeout_s: float = 20) -> dict:
    """What each item gave."""
    with Processes(workers, timeout_s) as pool:
        return dict(pool.each(function, items))


def double(number: int) -> int:
    return 2 * number


def process(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def fall(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def fall_once(number: int, marks: Path) -> int:
    mark = marks / str(number)
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleep_on(number: int) -> int:
    time.sleep(60 if number == 2 else 0)
    return number


def mistake(number: int) -> int:
    raise TypeError("ours")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_item_comes_back_once(workers: int) -> None:
    """Here, in one process, in two: the same results."""
    results = run(double, range(30), workers)
    assert results == {number: 2 * number for number in range(30)}


def test_the_stages_of_a_run_share_their_processes() -> None:
    """Models are loaded once a worker, not once a stage; a larger stage gets more workers."""
    with Processes(2, 20) as pool:
        first = {pid for _, pid in pool.each(process, [0])}
        assert {pid for _, pid in pool.each(process, [0])} == first
        assert len({pid for _, pid in pool.each(process, range(8))}) == 2


def test_a_crash_costs_one_photo() -> None:
    """A worker that dies of a photo takes only that one along, and names the signal."""
    results = run(fall, range(6), 2)
    assert isinstance(results[3], Rejected) and "SIGSEGV" in results[3].message
    assert [results[number] for number in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]


def test_a_worker_that_was_killed_loses_nothing(tmp_path: Path) -> None:
    """Killed from outside, the photo in hand is tried again."""
    assert run(partial(fall_once, marks=tmp_path), range(6), 2) == dict(zip(range(6), range(6), strict=True))


def test_a_hang_is_given_up() -> None:
    """The time limit is a verdict on one photo, not the end of the job."""
    results = run(sleep_on, range(5), 2, timeout_s=2)
    assert isinstance(results[2], Rejected) and "2 s" in results[2].message
    assert results[4] == 4


def test_our_own_mistakes_end_the_run() -> None:
    """A bug is not a property of a photo."""
    with pytest.raises(TypeError, match="ours"):
        run(mistake, range(3), 1)


def test_cancel_acts_within_a_second() -> None:
    """Even while a worker is busy."""
    started = time.monotonic()
    asked: list[float] = []

    def cancelled() -> bool:
        if time.monotonic() - started > 3 and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Cancelled), Processes(1, 50, cancelled) as pool:
        list(pool.each(sleep_on, [2, 2, 2]))
    assert time.monotonic() - asked[0] < 5


def grab(megabytes: int) -> int:
    return len(bytearray(megabytes << 20))


def fall_always(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def cannot_start() -> None:
    raise ModelUnavailable("The face model is not here.", "Install it.")


def die_at_start() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_photo_that_eats_memory_costs_itself() -> None:
    """Past its share of memory a photo is given up, and the next one goes on in the same machine."""
    with Processes(1, 60, memory_mb=512) as pool:
        results = dict(pool.each(grab, [10, 2000, 20]))
    assert isinstance(results[2000], Rejected) and "memory" in results[2000].message
    assert results[10] == 10 << 20 and results[20] == 20 << 20


def fill(megabytes: int) -> int:
    held = b"x" * (megabytes << 20)
    time.sleep(0.5)
    return len(held)


def test_where_the_system_sets_no_limit_a_watchman_does() -> None:
    """On macOS and Windows too a photo that eats memory is given up alone, with the same words."""
    with Processes(1, 60) as pool:
        results = dict(pool.each(fill, [10, 900, 20], warm_up=partial(memory.watch, 400)))
    assert isinstance(results[900], Rejected) and "memory" in results[900].message
    assert results[10] == 10 << 20 and results[20] == 20 << 20


def test_when_every_first_photo_kills_its_worker_the_run_says_so() -> None:
    """A broken installation is not blamed on a thousand photos, one after the other."""
    started: list[int] = []

    def items() -> list[int]:
        return list(range(1000))

    with pytest.raises(WorkersFailing, match="SIGKILL"), Processes(3, 60) as pool:
        for number, _ in pool.each(fall_always, items()):
            started.append(number)
    assert len(started) < FIRST_FAILURES


def test_a_model_that_is_missing_is_told_in_its_own_words() -> None:
    """What a worker cannot load ends the run with that sentence, not with a broken pool."""
    with pytest.raises(ModelUnavailable, match="not here"), Processes(2, 60) as pool:
        list(pool.each(double, range(10), cannot_start))


def test_workers_that_cannot_start_end_the_run() -> None:
    """They are not started for ever."""
    with pytest.raises(WorkersFailing), Processes(1, 60) as pool:
        list(pool.each(double, range(3), die_at_start))


@pytest.mark.parametrize("jump_s", [-7200, 7200])
def test_the_time_limit_does_not_read_the_wall_clock(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    """A clock that is set while photos are in hand neither ends them nor lets one hang."""
    true, begun = time.time, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: true() + (jump_s if time.monotonic() > begun + 1 else 0))
    results = run(sleep_on, range(4), 1, timeout_s=3)
    assert isinstance(results[2], Rejected) and (results[0], results[1], results[3]) == (0, 1, 3)


def test_workers_are_given_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that decode what strangers made are handed none of the user's keys."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-marked-key")
    monkeypatch.setenv("MODELSCOPE_TOKEN", "ms-marked-key")
    assert run(tell_secrets, [1], 1) == {1: []}
    held = load(modelscope_token="ms-marked-key", endpoint_keys={"a": "sk-marked-key"}, login="a:marked")
    assert b"marked" in pickle.dumps(held) and b"marked" not in pickle.dumps(held.without_secrets)
