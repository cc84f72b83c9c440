from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from lora_builder.errors import Cancelled
from lora_builder.records import Rejected
from lora_builder.workers import Workers


def run(function: Callable[[int], object], items: Sequence[int], workers: int, timeout_s: float = 20) -> dict:
    """What each item gave."""
    with Workers(workers, timeout_s) as pool:
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
    with Workers(2, 20) as pool:
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

    with pytest.raises(Cancelled), Workers(1, 50, cancelled) as pool:
        list(pool.each(sleep_on, [2, 2, 2]))
    assert time.monotonic() - asked[0] < 5
