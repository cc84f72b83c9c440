"""How memory grows: with the number of photos, and with the size of one.

    python benchmarks/memory.py [--photos 100 1000] [--side 10000]

Runs the whole job in a fresh process with one worker and samples the resident memory of the parent
and of the worker every 50 ms. The photos are made: a real portrait (NASA, from scikit-image) on
varied backgrounds, so that all are measured, cropped and packed. Prints the tables that
docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from skimage.data import astronaut

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
SAMPLE_S = 0.05


def made_photos(folder: Path, count: int) -> None:
    """`count` different JPEGs of one person, 1600 x 1200."""
    portrait = Image.fromarray(astronaut()).resize((1100, 1100), Image.Resampling.LANCZOS)
    for i in range(count):
        rng = np.random.default_rng(i)
        ground = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        photo = ground.resize((1600, 1200), Image.Resampling.BICUBIC)
        photo.paste(portrait, (int(rng.integers(0, 500)), int(rng.integers(0, 100))))
        photo.save(folder / f"{i:05d}.jpg", quality=85)


def large_photo(path: Path, side: int) -> None:
    """A JPEG of `side` x `side` pixels with a face in it."""
    Image.fromarray(astronaut()).resize((side, side), Image.Resampling.BICUBIC).save(path, quality=88)


def peaks(photos: Path) -> dict[str, float]:
    """MiB at most of a whole run with one worker: of the parent, and of the worker."""
    with tempfile.TemporaryDirectory() as place:
        environment = os.environ | {"LORA_DATA_DIR": f"{place}/data", "WORKERS": "1"}
        command = [sys.executable, "-m", "lora_builder", "run-all", "-i", str(photos), "-o", f"{place}/out"]
        started = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        parent = psutil.Process(started.pid)
        most: dict[int, float] = {}
        while started.poll() is None:
            for process in [parent, *_children(parent)]:
                try:
                    most[process.pid] = max(most.get(process.pid, 0.0), process.memory_info().rss / MIB)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(SAMPLE_S)
        if started.returncode:
            raise SystemExit(f"The run on {photos} failed with code {started.returncode}.")
    workers = [value for pid, value in most.items() if pid != started.pid]
    return {"parent": most[started.pid], "worker": max(workers)}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--side", type=int, default=10_000, help="of the large square JPEG, pixels")
    arguments = parser.parse_args()
    print("| photos | parent MiB | worker MiB | together |\n|---|---|---|---|")
    sums = []
    with tempfile.TemporaryDirectory() as place:
        for count in arguments.photos:
            folder = Path(place) / f"{count} photos"
            folder.mkdir()
            made_photos(folder, count)
            found = peaks(folder)
            sums.append(sum(found.values()))
            print(f"| {count} | {found['parent']:.0f} | {found['worker']:.0f} | {sums[-1]:.0f} |", flush=True)
        if len(sums) > 1:
            print(f"\n{arguments.photos[-1]} photos take {sums[-1] / sums[0]:.2f} x the memory of "
                  f"{arguments.photos[0]}.")  # fmt: skip
        small, large = Path(place) / "small", Path(place) / "large"
        for folder, side in ((small, 1200), (large, arguments.side)):
            folder.mkdir()
            large_photo(folder / "photo.jpg", side)
        base, huge = peaks(small)["worker"], peaks(large)["worker"]
        print(f"\n| one JPEG | worker MiB |\n|---|---|\n| 1.4 megapixels | {base:.0f} |")
        print(f"| {arguments.side**2 / 1e6:.0f} megapixels | {huge:.0f}, {huge - base:.0f} more |")


if __name__ == "__main__":
    main()
