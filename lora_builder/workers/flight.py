"""The items that are with a crew of workers, and what to do when an item or the crew fails."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from lora_builder.errors import LoraBuilderError
from lora_builder.records import Rejected
from lora_builder.workers.interface import Item, Result, Streak, check

WINDOW = 4
"""Items in flight a worker: enough to keep it busy, few enough to hold no results in memory."""

POLL_S = 0.2
"""How often a wait looks whether it was cancelled, seconds."""

Made = TypeVar("Made", covariant=True)

LOST_CREWS = 3
"""Crews lost in a row, without one result between, before the run is given up."""


class Again(Exception):
    """The items are to be tried again, each by itself."""


class CrewLost(Exception):
    """The whole crew is gone or hangs; what it had in hand goes to the next one."""


@dataclass
class Task(Generic[Item]):
    """Items in flight together; `since` is when they were seen to run, on the monotonic clock."""

    items: Sequence[Item]
    tries: int = 1
    since: float | None = None


class Crew(Protocol[Item, Made]):
    """One engine's workers, as a flight sees them."""

    @property
    def window(self) -> int:
        """How many tasks may be in flight."""
        ...

    def parcel(self, left: int) -> int:
        """How many items make the next task, where so many are still to be sent."""
        ...

    def send(self, items: Sequence[Item]) -> Future[Any]:
        """Hands items over. Raises CrewLost."""
        ...

    def results(self, future: Future[Any], task: Task[Item]) -> Sequence[Made | Rejected]:
        """What became of each. Raises Again, CrewLost, or what ends the run."""
        ...

    def watch(self, running: Mapping[Future[Any], Task[Item]], quiet_s: float) -> None:
        """Looks after time limits; `quiet_s`: seconds since anything was heard. Raises CrewLost."""
        ...

    def renew(self) -> None:
        """Does away with the present crew; the next item finds another."""
        ...

    def failing(self) -> LoraBuilderError:
        """What to say when one crew after the other is lost."""
        ...


class Flight(Generic[Item, Result]):
    """Keeps a crew busy with items, and gives each result once."""

    def __init__(self, crew: Crew[Item, Result], cancelled: Callable[[], bool]) -> None:
        self._crew = crew
        self._cancelled = cancelled
        self._running: dict[Future[Any], Task[Item]] = {}
        self._sent = 0  # items that were handed over at least once
        self._again: deque[Task[Item]] = deque()
        self._streak = Streak()
        self._lost = 0  # in a row
        self._heard = time.monotonic()

    def over(self, items: Sequence[Item]) -> Iterator[tuple[Item, Result | Rejected]]:
        """Each item with its result, as they come."""
        while True:
            self._fill(items)
            if not self._running:
                return
            check(self._cancelled)
            done, _ = wait(self._running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                task = self._running.pop(future, None)
                if task is not None:  # else the crew was lost meanwhile
                    for item, result in zip(task.items, self._results(future, task), strict=False):
                        yield item, self._streak.seen(result)
            try:
                self._crew.watch(self._running, time.monotonic() - self._heard)
            except CrewLost:
                self._lose()

    def _fill(self, items: Sequence[Item]) -> None:
        while len(self._running) < self._crew.window:
            if self._again:
                task = self._again.popleft()
            elif left := len(items) - self._sent:
                task = Task(items[self._sent : self._sent + self._crew.parcel(left)])
                self._sent += len(task.items)
            else:
                return
            task.since = None
            try:
                self._running[self._crew.send(task.items)] = task
            except CrewLost:
                self._again.appendleft(task)
                self._lose()

    def _results(self, future: Future[Any], task: Task[Item]) -> Sequence[Result | Rejected]:
        """The results, or none where the items are tried again."""
        try:
            results = self._crew.results(future, task)
        except Again:
            # Of several, only one may be to blame: none is blamed yet.
            tries = task.tries + (len(task.items) == 1)
            self._again.extend(Task([item], tries) for item in task.items)
            return ()
        except CrewLost:
            self._again.append(task)
            self._lose()
            return ()
        self._lost, self._heard = 0, time.monotonic()
        return results

    def _lose(self) -> None:
        self._lost += 1
        if self._lost > LOST_CREWS:
            raise self._crew.failing()
        self._crew.renew()
        self._again.extend(self._running.values())
        self._running.clear()
        self._heard = time.monotonic()
