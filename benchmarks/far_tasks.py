"""What the workers of `scale.py` are given to do; apart, so that they import little."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from lora_builder.records import Box, Exposure, Face, HeadPose, Measurement

EMBEDDING = np.full(128, 128**-0.5, np.float32)
FACE = Face(
    Box(100, 100, 400, 500), np.zeros((5, 2), np.float32), 0.9, EMBEDDING, HeadPose(0, 0, 0),
    np.zeros((64, 64), np.uint8), 1.0, 0.5, 0.9, 0.1,
)  # fmt: skip


def simulated(number: int) -> Measurement:
    """The measurement of a photo with one face, of real size, for nothing."""
    grey = np.full((64, 64), number % 256, np.uint8)
    exposure = Exposure(0.5, 0.2, 0.0, 0.0)
    return Measurement(f"{number:064x}", 2000, 3000, "JPEG", None, number, grey, 1.0, exposure, (FACE,))


def pause(number: int) -> int:
    """A photo that takes a tenth of a second and no processor."""
    time.sleep(0.1)
    return number


def noted(number: int, marks: Path) -> int:
    """`pause`, which says on the disk when it begins, for whom, and when it is done."""
    _note(marks / "begun", f"{number} {os.getppid()}\n")
    pause(number)
    _note(marks / "ended", f"{number}\n")
    return number


def _note(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line)
