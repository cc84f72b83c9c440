"""Where work runs: this process, or a pool of worker processes; one interface.

A worker that dies or overruns its time costs its photo, not the job.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, TimeoutError, wait
from multiprocessing import get_context
from typing import TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from lora_builder.errors import Cancelled
from lora_builder.records import Rejected
from lora_builder.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW = 4
"""Items in flight a worker: enough to keep it busy, few enough to hold no results in memory."""

POLL_S = 0.2
"""How often a wait looks whether it was cancelled, seconds."""

TRIES = 2
"""A worker may die of another's fault (out of memory): its item is tried again once."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def worker_count(settings: Settings) -> int:
    """`settings.workers`, or the number of cores this process may use."""
    if settings.workers:
        return settings.workers
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Workers:
    """Worker processes that live as long as a run, so that they start and load their models once.

    `count` 0: in this process, in order, without a time limit. `timeout_s`: seconds an item may take.
    Raises Cancelled soon after `cancelled()` turns true.
    """

    def __init__(
        self,
        count: int,
        timeout_s: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._count = count
        self._timeout_s = timeout_s
        self._cancelled = cancelled
        self._pool: ProcessPool | None = None
        self._size = 0
        self._warm = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def here(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Like `each`, in this process: for work that is too light to send away."""
        for item in items:
            _check(self._cancelled)
            yield item, function(item)

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        warm_up: Callable[[], None] | None = None,
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        """Each item with what `function` made of it, as they come.

        `warm_up` runs once a worker before its first item and does not count against the time limit.
        A crash, an overrun or a lack of memory gives Rejected; any exception of `function` ends the
        run as it is. Closing the iterator stops the workers.
        """
        if not self._count or not items:
            yield from self.here(function, items)
            return
        finished = False
        try:
            pool = self._started(min(self._count, len(items)), warm_up)
            yield from self._drive(pool, function, iter(items))
            finished = True
        finally:
            if not finished:
                self._stop()

    def _started(self, size: int, warm_up: Callable[[], None] | None) -> ProcessPool:
        """The pool of the stage before, or another where that is too small or not warm."""
        if self._pool is None or self._size < size or (warm_up is not None and not self._warm):
            self._stop()
            self._pool = ProcessPool(
                max_workers=size,
                initializer=_start_worker,
                initargs=(warm_up,),
                context=get_context("spawn"),
            )
            self._size, self._warm = size, warm_up is not None
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def _drive(
        self, pool: ProcessPool, function: Callable[[Item], Result], items: Iterator[Item]
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        running: dict[ProcessFuture, tuple[Item, int]] = {}
        waiting: Iterator[tuple[Item, int]] = ((item, 1) for item in items)
        again: deque[tuple[Item, int]] = deque()
        while True:
            while len(running) < WINDOW * self._size:
                item_and_tries = again.popleft() if again else next(waiting, None)
                if item_and_tries is None:
                    break
                future = pool.schedule(function, args=(item_and_tries[0],), timeout=self._timeout_s)
                running[future] = item_and_tries
            if not running:
                return
            _check(self._cancelled)
            done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                item, tries = running.pop(future)
                outcome = _outcome(future, self._timeout_s)
                if outcome is None and tries < TRIES:
                    again.append((item, tries + 1))
                else:
                    yield item, _crashed(future) if outcome is None else outcome[0]


def _outcome(future: ProcessFuture, timeout_s: float) -> tuple[Result | Rejected] | None:
    """The result in a tuple of one, or None where the worker died."""
    try:
        return (future.result(),)
    except ProcessExpired:
        return None
    except TimeoutError:
        return (
            Rejected(
                f"Reading this photo took longer than {timeout_s:g} s.",
                "Save it anew as JPEG, or raise photo_timeout_s.",
            ),
        )
    except MemoryError:
        return (
            Rejected("There was not enough memory for this photo.", "Make it smaller, or use fewer workers."),
        )


def _crashed(future: ProcessFuture) -> Rejected:
    error = future.exception()
    code = getattr(error, "exitcode", None)
    cause = f"code {code}"
    if isinstance(code, int) and code < 0:
        with contextlib.suppress(ValueError):
            cause = f"signal {signal.Signals(-code).name}"
    return Rejected(f"The decoder crashed on this photo ({cause}).", "Save it anew as JPEG or PNG.")


def _check(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("Stopped. What was done is kept.", "Run again to go on.")


def _start_worker(warm_up: Callable[[], None] | None) -> None:
    # Ctrl-C is the parent's business; a parent that was killed takes its workers along.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    import cv2

    cv2.setNumThreads(1)
    if warm_up is not None:
        warm_up()


def _die_with_parent() -> None:
    import ctypes

    pr_set_pdeathsig = 1  # linux/prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
