"""Inside a worker process that decodes: its limits, and what it is not told."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from lora_builder import memory
from lora_builder.errors import LoraBuilderError
from lora_builder.workers.interface import Item, Result

SECRET_VARIABLES = (
    *("_TOKEN", "_API_KEY", "_ACCESS_KEY", "_SECRET", "_PASSWORD"),
    *("DATABASE_URL", "REDIS_URL", "LOGIN"),
)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Start:
    """What a new worker is told. `memory_mb`: MiB an item may take; `keys`: secrets that it keeps."""

    parent: int
    memory_mb: int
    warm_up: Callable[[], None] | None
    keys: frozenset[str]


_not_ready: LoraBuilderError | None = None
"""Why this worker's warm-up failed; its first item tells the run."""


def call(function: Callable[[Item], Result], item: Item) -> Result:
    """What `function` makes of the item. Raises what kept this worker from getting ready."""
    if _not_ready is not None:
        raise _not_ready
    return function(item)


def begin(start: Start) -> None:
    """The first thing a worker process does."""
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
        if name not in start.keys:
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
