"""Worker processes of this machine: a photo that crashes, hangs or eats memory costs itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Generic

from pebble import CONSTS, ProcessExpired, ProcessPool

from lora_builder import memory
from lora_builder.errors import WorkersFailing
from lora_builder.records import Rejected
from lora_builder.workers.child import Start, begin, call
from lora_builder.workers.flight import WINDOW, Again, CrewLost, Flight, Task
from lora_builder.workers.here import Here
from lora_builder.workers.interface import Fault, Item, Result

TRIES = 2
"""A worker may die of another's fault (out of memory): its item is tried again once."""

CONSTS.sleep_unit = 0.25
"""How often Pebble's two threads look at a pool, seconds. At its own 0.1 they cost as much as the Dask
worker around them that waits."""

NO_MEMORY = "There was not enough memory for this photo."

STALL_S = 180.0
"""A pool that neither starts nor ends anything for this long, over the time limit, is built anew."""


class Processes:
    """Processes that live as long as a run; see Workers.

    `count` 0: in this process, in order, without limits. `timeout_s`: seconds an item may take.
    `memory_mb`: MiB it may take beyond what a worker has when it is warm; 0: no limit. `keys`: names of
    environment variables that workers keep although they look like secrets.
    """

    def __init__(
        self,
        count: int,
        timeout_s: float,
        cancelled: Callable[[], bool] = lambda: False,
        memory_mb: int = 0,
        keys: frozenset[str] = frozenset(),
    ) -> None:
        self._count = count
        self._timeout_s = timeout_s
        self._cancelled = cancelled
        self._memory_mb = memory_mb
        self._keys = keys
        self._pool: ProcessPool | None = None
        self._size = 0
        self._warm = False

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        warm_up: Callable[[], None] | None = None,
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        """See Workers."""
        if not self._count or not items:
            yield from Here(self._cancelled).each(function, items)
            return
        finished = False
        try:
            crew = _Pool(self, function, min(self._count, len(items)), warm_up, self._timeout_s)
            yield from Flight(crew, self._cancelled).over(items)
            finished = True
        finally:
            if not finished:
                self.stop()

    def started(self, size: int, warm_up: Callable[[], None] | None) -> ProcessPool:
        """The pool of the stage before, or another where that is too small or not warm."""
        if self._pool is None or self._size < size or (warm_up is not None and not self._warm):
            self.stop()
            self._pool = ProcessPool(
                max_workers=size,
                initializer=begin,
                initargs=(Start(os.getpid(), self._memory_mb, warm_up, self._keys),),
                context=get_context("spawn"),
            )
            self._size, self._warm = size, warm_up is not None
        return self._pool

    def stop(self) -> None:
        """Ends the processes, whatever they have in hand."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None


class _Pool(Generic[Item, Result]):
    """The processes as a flight sees them, for one function."""

    def __init__(
        self,
        processes: Processes,
        function: Callable[[Item], Result],
        size: int,
        warm_up: Callable[[], None] | None,
        timeout_s: float,
    ) -> None:
        self._processes = processes
        self._function = function
        self._size = size
        self._warm_up = warm_up
        self._timeout_s = timeout_s
        self._started = 0.0  # when an item was last seen to start

    @property
    def window(self) -> int:
        return WINDOW * self._size

    def parcel(self, left: int) -> int:
        return 1

    def send(self, items: Sequence[Item]) -> Future[Any]:
        pool = self._processes.started(self._size, self._warm_up)
        try:
            # Pebble's own time limit reads the wall clock, which may be set while a photo is in hand.
            future: Future[Any] = pool.schedule(call, args=(self._function, items[0]))
        except RuntimeError as error:  # the pool lost all its workers since the last look
            raise CrewLost from error
        return future

    def results(self, future: Future[Any], task: Task[Item]) -> Sequence[Result | Rejected]:
        try:
            return (future.result(),)
        except CancelledError:
            return (_overran(self._timeout_s),)
        except ProcessExpired as error:
            if error.exitcode == memory.EXIT_CODE:
                return (_no_memory(Fault),)
            if task.tries >= TRIES:
                return (_crashed(error),)
            raise Again from error
        except BrokenProcessPool as error:  # a worker died with nothing in hand: no item is to blame
            raise CrewLost from error
        except MemoryError:
            return (_no_memory(Rejected),)

    def watch(self, running: Mapping[Future[Any], Task[Item]], quiet_s: float) -> None:
        now = time.monotonic()
        for future, task in running.items():
            if task.since is None and future.running():
                task.since = self._started = now
            elif task.since is not None and now - task.since > self._timeout_s:
                future.cancel()
        if min(quiet_s, now - self._started) > self._timeout_s + STALL_S:
            raise CrewLost

    def renew(self) -> None:
        self._processes.stop()

    def failing(self) -> WorkersFailing:
        return WorkersFailing(
            "Worker processes end before they have begun.", "See `lora-dataset-builder doctor`."
        )


def _no_memory(kind: type[Rejected]) -> Rejected:
    return kind(NO_MEMORY, "Make it smaller, or use fewer workers.", passing=True)


def _overran(timeout_s: float) -> Fault:
    return Fault(
        f"Reading this photo took longer than {timeout_s:g} s.",
        "Save it anew as JPEG, or raise PHOTO_TIMEOUT_S.",
        passing=True,
    )


def _crashed(error: ProcessExpired) -> Fault:
    code = error.exitcode
    cause = f"code {code}"
    if isinstance(code, int) and code < 0:
        with contextlib.suppress(ValueError):
            cause = f"signal {signal.Signals(-code).name}"
    return Fault(
        f"The decoder crashed on this photo ({cause}).", "Save it anew as JPEG or PNG.", passing=True
    )
