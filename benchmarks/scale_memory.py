"""How the coordinator's memory grows with the number of photos: simulated ones, through real processes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import far_tasks

from lora_builder.looks import Looks
from lora_builder.store.measurement_codec import encode
from lora_builder.workers import Processes

MIB = 1 << 20

BEGIN = 1000
"""Photos after which the memory counts as the start's."""


def run(arguments: argparse.Namespace) -> None:
    facts, arrays = encode(far_tasks.simulated(1))
    print("| simulated photos | start, MiB | end, MiB | bytes a photo | of it measurements, in columns |")
    print("|---|---|---|---|---|")
    for size in arguments.sizes:
        command = [sys.executable, __file__, str(size)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        start, end, columns = (float(value) for value in found)
        grown = (end - start) * MIB / (size - BEGIN)
        print(f"| {size:,} | {start:.0f} | {end:.0f} | {grown:.0f} | {columns / size:.0f} |", flush=True)
    print(f"\nA measurement with one face in the store: {len(facts) + len(arrays):,} bytes.")


def grow(size: int) -> None:
    """Takes so many measurements as a run does: columns in memory, pictures in a file."""
    process = psutil.Process()
    start = 0.0
    with tempfile.TemporaryDirectory() as place, Processes(2, 60) as workers:
        looks = Looks(folder=Path(place))
        for count, (_, look) in enumerate(workers.each(far_tasks.simulated, range(size)), 1):
            looks[look.sha256] = look  # type: ignore[union-attr]
            if count == BEGIN:
                start = process.memory_info().rss / MIB
        columns = sum(column.nbytes for column in (looks.photos, looks.faces, looks.bodies, looks.embeddings))
        print(start, process.memory_info().rss / MIB, columns)


if __name__ == "__main__":
    grow(int(sys.argv[1]))
