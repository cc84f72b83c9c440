"""How fast and how flat exports are, and whether every loader that runs here takes them.

    python benchmarks/export.py [--pictures 500] [--most 5000]

The yardstick for speed is a plain copy loop over the same files, with and without waiting for the
disk; runs alternate, the best of three counts. Memory is the peak of a fresh process.
Prints the tables that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image
from skimage.data import astronaut

from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS
from lora_builder.export.package import build_dataset, write_zip
from lora_builder.export.packages import verify
from lora_builder.export.write import write_exports, write_layouts
from lora_builder.export.writer import Digests
from lora_builder.records import Box, Crop
from lora_builder.settings import Settings, load

DISTINCT = 20
"""Different pictures; the rest are copies under other names: the disk does not know."""

RUNS = 3


def pictures(folder: Path, count: int, side: int) -> list[TrainingImage]:
    """`count` finished PNGs of `side` pixels."""
    folder.mkdir(parents=True)
    base = np.asarray(Image.fromarray(astronaut()).resize((side, side)), np.int16)
    made = []
    for number in range(1, count + 1):
        path = folder / f"{number:05d}.png"
        if number <= DISTINCT:
            noise = np.random.default_rng(number).integers(-6, 7, base.shape)
            Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8)).save(path, compress_level=1)
        else:
            shutil.copyfile(folder / f"{(number - 1) % DISTINCT + 1:05d}.png", path)
        crop = Crop(Box(0, 0, side, side), side, side)
        made.append(
            TrainingImage(
                f"{number:04d}", path, f"ohwx woman, picture {number}.", "composer", f"{number:064x}", crop
            )
        )
    return made


def copy_loop(images: list[TrainingImage], target: Path, wait: bool) -> None:
    """What anybody would write: copy each file, and its caption."""
    target.mkdir()
    for image in images:
        copy = target / image.image.name
        shutil.copyfile(image.image, copy)
        copy.with_suffix(".txt").write_text(image.caption)
    if wait:
        for path in target.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def unsynced(target: Path, images: list[TrainingImage], settings: Settings, hashed: Digests) -> None:
    """`write_zip` without waiting for the disk: like with like against the loop that does not."""
    fsync, os.fsync = os.fsync, lambda descriptor: None  # type: ignore[assignment]
    try:
        write_zip(target, images, settings, (), hashed)
    finally:
        os.fsync = fsync


def best(actions: dict[str, Callable[[Path], object]], place: Path) -> dict[str, float]:
    """Seconds of the fastest of a few alternating runs."""
    seconds = dict.fromkeys(actions, float("inf"))
    for run in range(RUNS):
        for name, action in actions.items():
            target = place / f"{name.replace(' ', '-')}-{run}"
            os.sync()
            started = time.perf_counter()
            action(target)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
            shutil.rmtree(target, ignore_errors=True)
    return seconds


def speed(count: int) -> None:
    """The table of times."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        images = pictures(place / "in", count, 1024)
        settings = load(trigger="ohwx", layouts=("kohya",))
        hashed = Digests()
        build_dataset(place / "hashed", images, settings, hashed)
        size = sum(image.image.stat().st_size for image in images) / 2**20
        seconds = best(
            {
                "copy loop": lambda target: copy_loop(images, target, wait=False),
                "copy loop, on the disk": lambda target: copy_loop(images, target, wait=True),
                "ZIP": lambda target: write_zip(target, images, settings, (), Digests()),
                "ZIP, pictures hashed before": lambda target: write_zip(target, images, settings, (), hashed),
                "ZIP, hashed before, not waiting": lambda target: unsynced(target, images, settings, hashed),
                "dataset": lambda target: build_dataset(target, images, settings, Digests()),
                "dataset, ZIP, kohya folder and ZIP": lambda target: write_exports(
                    target, images, [], settings
                ),
            },
            place,
        )
    yard = seconds["copy loop, on the disk"]
    print(
        f"| {count} pictures of 1024 px, {size:.0f} MiB | seconds | x the loop on the disk |\n|---|---|---|"
    )
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {value / yard:.2f} |")


def memory(counts: list[int]) -> None:
    """The table of peaks, each in a fresh process."""
    print("\n| pictures | peak MiB of a process that writes dataset, ZIP and three layouts |\n|---|---|")
    for count in counts:
        peak = subprocess.run(
            [sys.executable, __file__, "--peak", str(count)], check=True, capture_output=True, text=True
        ).stdout
        print(f"| {count} | {peak.strip()} |")


def peak(count: int) -> None:
    """Prints the peak of this process after one export."""
    with tempfile.TemporaryDirectory() as folder:
        images = pictures(Path(folder) / "in", count, 192)
        settings = load(layouts=("kohya", "imagefolder", "webdataset"))
        write_exports(Path(folder) / "out", images, [], settings)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def loaders() -> None:
    """Which loaders take the exports of one project."""
    import datasets
    import webdataset

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        images = pictures(place / "in", 12, 512)
        names = tuple(name for name in LAYOUTS if name != "musubi")
        made = write_layouts(place, images, [], load(layouts=names))
        made += write_layouts(place, images, [], load(layouts=("musubi",), base_model="z-image"))
        whole = sum(not verify(path).faults for path in made)
        print(f"\n| loader | accepted |\n|---|---|\n| our own `verify` | {whole} of {len(made)} packages |")
        exports = place / "exports"
        rows = datasets.load_dataset(
            "imagefolder",
            data_dir=str(exports / "imagefolder/train"),
            cache_dir=str(place / "hf"),
            split="train",
        )
        print(f"| `datasets` {datasets.__version__}, imagefolder | {len(rows)} of 12 pictures |")
        shards = [str(path) for path in sorted((exports / "webdataset/shards").iterdir())]
        found = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
        print(f"| `webdataset` | {len(found)} of 12 pictures |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--most", type=int, default=5000)
    parser.add_argument("--peak", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments.peak)
        return
    speed(arguments.pictures)
    memory([count for count in (100, 1000, 5000) if count <= arguments.most])
    loaders()


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
