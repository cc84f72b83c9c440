"""Where work runs: this process, or a pool of worker processes; one interface.

A worker that dies, overruns its time or its memory costs its photo, not the job.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from lora_builder import memory
from lora_builder.errors import Cancelled, LoraBuilderError, WorkersFailing
from lora_builder.records import Rejected

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW = 4
"""Items in flight a worker: enough to keep it busy, few enough to hold no results in memory."""

POLL_S = 0.2
"""How often a wait looks whether it was cancelled, seconds."""

TRIES = 2
"""A worker may die of another's fault (out of memory): its item is tried again once."""

FIRST_FAILURES, FAILURES = 5, 20
"""So many photos in a row that kill or stall their workers, at the start or later: it is not the photos."""

NO_MEMORY = "There was not enough memory for this photo."

LOST_POOLS = 3
"""Pools lost in a row, without one result between, before the run is given up."""

STALL_S = 180.0
"""A pool that neither starts nor ends anything for this long, over the time limit, is built anew."""

SECRET_VARIABLES = ("_TOKEN", "_API_KEY", "_SECRET", "_PASSWORD", "DATABASE_URL", "LOGIN")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Workers:
    """Worker processes that live as long as a run, so that they start and load their models once.

    `count` 0: in this process, in order, without limits. `timeout_s`: seconds an item may take.
    `memory_mb`: MiB it may take beyond what a worker has when it is warm; 0: no limit. Raises
    Cancelled soon after `cancelled()` turns true.
    """

    def __init__(
        self,
        count: int,
        timeout_s: float,
        cancelled: Callable[[], bool] = lambda: False,
        memory_mb: int = 0,
    ) -> None:
        self._count = count
        self._timeout_s = timeout_s
        self._cancelled = cancelled
        self._memory_mb = memory_mb
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

        `warm_up` runs once a worker before its first item and counts against no limit. A crash, an
        overrun or a lack of memory gives Rejected, passing; any exception of `function` or `warm_up`
        ends the run as it is. Raises WorkersFailing where workers die of no photo's fault. Closing
        the iterator stops the workers.
        """
        if not self._count or not items:
            yield from self.here(function, items)
            return
        finished = False
        try:
            size = min(self._count, len(items))
            flight = _Flight(function, WINDOW * size, self._timeout_s)
            yield from flight.over(
                iter(items), self._cancelled, lambda: self._started(size, warm_up), self._stop
            )
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
                initargs=(_Start(os.getpid(), self._memory_mb, warm_up),),
                context=get_context("spawn"),
            )
            self._size, self._warm = size, warm_up is not None
        return self._pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None


@dataclass
class _Task(Generic[Item]):
    """An item in flight; `since` is when it was seen to run, on the monotonic clock."""

    item: Item
    tries: int = 1
    since: float | None = None


class _Flight(Generic[Item, Result]):
    """The items that are with the workers, and what to do when an item or the pool fails."""

    def __init__(self, function: Callable[[Item], Result], window: int, timeout_s: float) -> None:
        self._function = function
        self._window = window
        self._timeout_s = timeout_s
        self._running: dict[ProcessFuture, _Task[Item]] = {}
        self._again: deque[_Task[Item]] = deque()
        self._failures = 0  # in a row
        self._succeeded = False
        self._lost_pools = 0  # in a row
        self._progress = time.monotonic()

    def over(
        self,
        items: Iterator[Item],
        cancelled: Callable[[], bool],
        pool: Callable[[], ProcessPool],
        stop: Callable[[], None],
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        """Each item with its result; `pool` gives the present pool, or a new one after `stop`."""
        fresh: Iterator[_Task[Item]] = (_Task(item) for item in items)
        while True:
            while len(self._running) < self._window:
                task = self._again.popleft() if self._again else next(fresh, None)
                if task is None:
                    break
                self._submit(task, pool, stop)
            if not self._running:
                return
            _check(cancelled)
            done, _ = wait(self._running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                task = self._running.pop(future, None)
                outcome = self._outcome(future, task, stop) if task is not None else None
                if task is not None and outcome is not None:
                    yield task.item, outcome[0]
            self._mind_the_time()
            if not done and time.monotonic() - self._progress > self._timeout_s + STALL_S:
                self._lose_pool(stop)

    def _submit(self, task: _Task[Item], pool: Callable[[], ProcessPool], stop: Callable[[], None]) -> None:
        task.since = None
        try:
            # Pebble's own time limit reads the wall clock, which may be set while a photo is in hand.
            future = pool().schedule(_call, args=(self._function, task.item))
        except RuntimeError:  # the pool lost all its workers since the last look
            self._again.appendleft(task)
            self._lose_pool(stop)
        else:
            self._running[future] = task

    def _outcome(
        self, future: ProcessFuture, task: _Task[Item], stop: Callable[[], None]
    ) -> tuple[Result | Rejected] | None:
        """The result in a tuple of one, or None where the item is tried again."""
        try:
            result: Result | Rejected = future.result()
        except CancelledError:
            return (self._failed(_overran(self._timeout_s)),)
        except ProcessExpired as error:
            if error.exitcode == memory.EXIT_CODE:
                return (self._failed(_no_memory()),)
            if task.tries >= TRIES:
                return (self._failed(_crashed(error)),)
            task.tries += 1
            self._again.append(task)
            return None
        except BrokenProcessPool:
            # A worker died with nothing in hand: no item is to blame.
            self._again.append(task)
            self._lose_pool(stop)
            return None
        except MemoryError:
            result = _no_memory()
        self._succeeded, self._failures, self._lost_pools = True, 0, 0
        self._progress = time.monotonic()
        return (result,)

    def _failed(self, rejected: Rejected) -> Rejected:
        """Counts a photo that took its worker along; raises when it cannot be the photos any more."""
        self._failures += 1
        self._progress = time.monotonic()
        if self._failures >= (FAILURES if self._succeeded else FIRST_FAILURES):
            raise WorkersFailing(
                f"{self._failures} photos in a row failed alike: {rejected.message}",
                "It is hardly the photos: see `lora-dataset-builder doctor`.",
            )
        return rejected

    def _mind_the_time(self) -> None:
        now = time.monotonic()
        for future, task in self._running.items():
            if task.since is None and future.running():
                task.since = self._progress = now
            elif task.since is not None and now - task.since > self._timeout_s:
                future.cancel()

    def _lose_pool(self, stop: Callable[[], None]) -> None:
        """Does away with the pool; what it had in hand goes to the next one."""
        self._lost_pools += 1
        if self._lost_pools > LOST_POOLS:
            raise WorkersFailing(
                "Worker processes end before they have begun.", "See `lora-dataset-builder doctor`."
            )
        stop()
        self._again.extend(self._running.values())
        self._running.clear()
        self._progress = time.monotonic()


def _no_memory() -> Rejected:
    return Rejected(NO_MEMORY, "Make it smaller, or use fewer workers.", passing=True)


def _overran(timeout_s: float) -> Rejected:
    return Rejected(
        f"Reading this photo took longer than {timeout_s:g} s.",
        "Save it anew as JPEG, or raise PHOTO_TIMEOUT_S.",
        passing=True,
    )


def _crashed(error: ProcessExpired) -> Rejected:
    code = error.exitcode
    cause = f"code {code}"
    if isinstance(code, int) and code < 0:
        with contextlib.suppress(ValueError):
            cause = f"signal {signal.Signals(-code).name}"
    return Rejected(
        f"The decoder crashed on this photo ({cause}).", "Save it anew as JPEG or PNG.", passing=True
    )


def _check(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("Stopped. What was done is kept.", "Run again to go on.")


# In the worker


@dataclass(frozen=True)
class _Start:
    """What a new worker is told."""

    parent: int
    memory_mb: int
    warm_up: Callable[[], None] | None


_not_ready: LoraBuilderError | None = None
"""Why this worker's warm-up failed; its first item tells the run."""


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    if _not_ready is not None:
        raise _not_ready
    return function(item)


def _start_worker(start: _Start) -> None:
    global _not_ready
    # Ctrl-C is the parent's business; a parent that was killed takes its workers along.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(start.parent)
    # Decoders chatter about damaged files, with their full paths, and into the output of `--json`.
    # What matters comes back as a result.
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    for name in [name for name in os.environ if name.upper().endswith(SECRET_VARIABLES)]:
        del os.environ[name]  # decoding needs no key
    import cv2

    cv2.setNumThreads(1)
    if start.warm_up is not None:
        try:
            start.warm_up()
        except LoraBuilderError as error:
            _not_ready = error
    if start.memory_mb:
        memory.limit(start.memory_mb)


def _die_with_parent(parent: int) -> None:
    import ctypes

    pr_set_pdeathsig = 1  # linux/prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)
