"""What this machine has to give: cores, free memory, free disk; looked at before work and during it."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from lora_builder.errors import OutputUnwritable
from lora_builder.settings import Settings

MIB = 1 << 20

WORKER_MB = 1200
"""Memory that one worker wants: models 450 MB, libraries 150, an everyday photo in hand 300, and room."""

WORKER_BASE_MB = 700
"""Of that, what a worker holds with no photo in hand."""

SHARE = 0.8
"""Of the free memory that workers may plan with; the rest is for everybody else."""

LEAST_PHOTO_MB = 1024
"""A photo is always allowed this much, however little is free: 24 megapixels need a third of it."""

CGROUP_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
"""A container's memory limit and use, versions 2 and 1."""


@dataclass(frozen=True)
class Resources:
    """What is free: `cores` this process may use, `memory_mb` and `disk_mb` in MiB."""

    cores: int
    memory_mb: int
    disk_mb: int

    def __str__(self) -> str:
        memory, disk = self.memory_mb / 1024, self.disk_mb / 1024
        return f"{self.cores} cores, {memory:.1f} GB of memory and {disk:.1f} GB of disk free"


@dataclass(frozen=True)
class Plan:
    """How many workers, and how much memory a photo may take in each, MiB."""

    workers: int
    photo_mb: int


def look(folder: Path) -> Resources:
    """What is free now; the disk is that of `folder`, which need not exist yet."""
    return Resources(cores(), memory_mb(), disk_mb(folder))


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory_mb() -> int:
    """Memory that can be had without swapping, MiB: the machine's, or the container's if that is less."""
    free = int(psutil.virtual_memory().available)
    for limit, used in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            free = min(free, max(0, int(limit.read_text()) - int(used.read_text())))
    return free // MIB


def disk_mb(folder: Path) -> int:
    """Free space where `folder` is or will be, MiB."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return int(shutil.disk_usage(place).free) // MIB


def plan(settings: Settings) -> Plan:
    """`settings.workers`, or one a core as far as the free memory goes; and what a photo may take.

    One photo may never take more than is free, so that it costs itself and not the machine.
    """
    workers = settings.workers or max(1, min(cores(), int(memory_mb() * SHARE) // WORKER_MB))
    return Plan(workers, photo_mb(settings.photo_memory_mb, workers))


def photo_mb(most: int, workers: int) -> int:
    """What a photo may take in each of so many workers of this machine, MiB; at most `most`."""
    return min(most, max(LEAST_PHOTO_MB, int(memory_mb() * SHARE) - workers * WORKER_BASE_MB))


def check_disk(settings: Settings, *folders: Path) -> None:
    """Raises OutputUnwritable if a disk of the folders has less than `reserve_disk_mb` free."""
    for folder in folders:
        free = disk_mb(folder)
        if free < settings.reserve_disk_mb:
            raise OutputUnwritable(
                f"The disk of {folder} has {free} MB left, and {settings.reserve_disk_mb} are kept free. "
                "Stopped; what was done is kept.",
                "Free some space and run again, choose another folder, or lower RESERVE_DISK_MB.",
            )
