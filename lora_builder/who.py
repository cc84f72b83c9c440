"""Which process of which machine: names by which its fellows can tell that one is dead."""

from __future__ import annotations

import functools
import os
import platform
import secrets
from pathlib import Path

import psutil


def name_here() -> str:
    """A new name for a part of this process."""
    return f"{process(os.getpid())}:{secrets.token_hex(4)}"


def process(pid: int) -> str:
    """What the names of a process of this machine begin with."""
    return f"{_place()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def is_here(name: str) -> bool:
    """Whether it is the name of a process of this machine, dead or alive."""
    return name.partition(":")[0] == _place()


def is_dead(name: str) -> bool:
    """Whether that was a process of this machine, and is no more; False where nobody can tell."""
    if not is_here(name):
        return False
    try:
        return not name.startswith(process(int(name.split(":")[1])) + ":")
    except psutil.Error:
        return True
    except (ValueError, IndexError):  # a file that somebody wrote by hand
        return False


@functools.cache
def _place() -> str:
    """This machine, or this container: where a process number means one process."""
    try:
        space = (Path("/proc/self/ns/pid").stat().st_ino, Path("/proc/sys/kernel/random/boot_id").read_text())
    except OSError:
        space = (0, "")
    return f"{platform.node()}-{space[0]}-{space[1].strip()[:8]}".replace(":", "-")
