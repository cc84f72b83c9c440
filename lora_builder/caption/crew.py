"""A bounded number of threads over a list, for work that waits on servers; stops within a second."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from lora_builder.errors import Cancelled

MOST_THREADS = 64
"""Threads at once: they wait for servers most of the time."""

JOIN_S = 1.0
"""Seconds that a stopped run waits for its threads; requests end within `network.POLL_S`."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def crew(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    threads: int,
    stop: threading.Event,
    cancelled: Callable[[], bool],
    tick: Callable[[], None] = lambda: None,
) -> Generator[tuple[Item, Result], None, None]:
    """The items with what `work` made of each, as they come.

    Closing the iterator sets `stop`, which `work` looks at; `tick` is called a few times a second.
    Raises Cancelled when `cancelled()` turns true, and whatever `work` raises.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[Item, Result] | BaseException] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def labour() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results.put((item, work(item)))
            except BaseException as error:  # noqa: BLE001  raised again by the reader of the queue
                results.put(error)

    # Daemons: one that hangs in a name server must not keep the program from ending.
    team = [
        threading.Thread(target=labour, name=f"crew-{number}", daemon=True)
        for number in range(min(len(items), threads, MOST_THREADS))
    ]
    try:
        for thread in team:
            thread.start()
        for _ in items:
            while True:
                if cancelled():
                    raise Cancelled("Stopped. What was answered is kept.", "Run again to go on.")
                tick()
                try:
                    result = results.get(timeout=0.1)
                    break
                except queue.Empty:
                    continue
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stop.set()
        until = time.monotonic() + JOIN_S
        for thread in team:
            thread.join(max(0.0, until - time.monotonic()))
