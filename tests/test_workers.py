from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from lora_builder.errors import Cancelled
from lora_builder.records import Rejected
from lora_builder.workers import each


def double(number: int) -> int:
    return 2 * number


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
    results = dict(each(double, range(30), workers=workers, timeout_s=20))
    assert results == {number: 2 * number for number in range(30)}


def test_a_crash_costs_one_photo() -> None:
    """A worker that dies of a photo takes only that one along, and names the signal."""
    results = dict(each(fall, range(6), workers=2, timeout_s=20))
    assert isinstance(results[3], Rejected) and "SIGSEGV" in results[3].message
    assert [results[number] for number in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]


def test_a_worker_that_was_killed_loses_nothing(tmp_path: Path) -> None:
    """Killed from outside, the photo in hand is tried again."""
    assert dict(each(partial(fall_once, marks=tmp_path), range(6), workers=2, timeout_s=20)) == dict(
        zip(range(6), range(6), strict=True)
    )


def test_a_hang_is_given_up() -> None:
    """The time limit is a verdict on one photo, not the end of the job."""
    results = dict(each(sleep_on, range(5), workers=2, timeout_s=2))
    assert isinstance(results[2], Rejected) and "2 s" in results[2].message
    assert results[4] == 4


def test_our_own_mistakes_end_the_run() -> None:
    """A bug is not a property of a photo."""
    with pytest.raises(TypeError, match="ours"):
        list(each(mistake, range(3), workers=1, timeout_s=20))


def test_cancel_acts_within_a_second() -> None:
    """Even while a worker is busy."""
    started = time.monotonic()
    asked: list[float] = []

    def cancelled() -> bool:
        if time.monotonic() - started > 3 and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Cancelled):
        list(each(sleep_on, [2, 2, 2], workers=1, timeout_s=50, cancelled=cancelled))
    assert time.monotonic() - asked[0] < 5
