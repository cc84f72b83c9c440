"""What the workers of tests are given to do; apart, so that they import little."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lora_builder.errors import BadInput


def double(number: int) -> int:
    return 2 * number


def process(_: int) -> tuple[int, int]:
    time.sleep(0.2)
    return os.getppid(), os.getpid()


def trouble(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 5:
        time.sleep(60)
    return number


def refuse(number: int) -> int:
    raise BadInput(f"Photo {number} was there and is not any more.", "Put it back.")


def noted(number: int, marks: Path) -> int:
    """Says on the disk when it begins and ends."""
    with (marks / "begun").open("a") as file:
        file.write(f"{number}\n")
    time.sleep(0.1)
    with (marks / "ended").open("a") as file:
        file.write(f"{number}\n")
    return number


def tell_secrets(_: int) -> list[str]:
    return [value for value in os.environ.values() if "marked" in value]
