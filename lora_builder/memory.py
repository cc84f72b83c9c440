"""How much memory a worker may take: what the system enforces, or else what a watchman does.

| system | what holds a photo back |
|---|---|
| Linux | RLIMIT_DATA: allocating past the limit fails at once, in whatever library |
| macOS, Windows | a thread of the worker looks at its memory twenty times a second, and ends the process |

The watchman sees memory after it was taken, and not while a library holds Python's lock: a photo may
overshoot for a moment. Everywhere the limits on pixels and time hold as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import time
from pathlib import Path

import psutil

EXIT_CODE = 86
"""With this code the watchman ends a worker that took too much."""

LOOK_S = 0.05
"""Time between two looks of the watchman, seconds."""


def limit(megabytes: int) -> None:
    """Lets this process take so many MiB more than it has now."""
    if sys.platform == "linux":
        _limit_data(megabytes)
    else:
        watch(megabytes)


def watch(megabytes: int) -> None:
    """Ends this process with EXIT_CODE once its resident memory is so many MiB above what it is now."""
    process = psutil.Process()
    most = process.memory_info().rss + (megabytes << 20)

    def look() -> None:
        while process.memory_info().rss <= most:
            time.sleep(LOOK_S)
        os._exit(EXIT_CODE)

    threading.Thread(target=look, name="lora-memory", daemon=True).start()


def give_back() -> None:
    """Hands memory that was freed back to the system; glibc would keep it for the next use."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl has none
            ctypes.CDLL(None).malloc_trim(0)


def _limit_data(megabytes: int) -> None:
    """The limit on data counts what is really written to, not the address space that libraries reserve."""
    with contextlib.suppress(OSError, ValueError, ImportError):
        import resource

        with Path("/proc/self/status").open() as status:
            used = next(int(line.split()[1]) for line in status if line.startswith("VmData:")) << 10
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = used + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
