"""How fast and how flat exports are, and whether every loader that runs here takes them.

    python benchmarks/export.py [--pictures 500] [--most 5000]

The yardstick for speed is a plain copy loop over the same files, once where neither waits for the
disk and once where both do; runs alternate, the median ratio of five counts. Memory is the peak of a
fresh process. Prints the tables that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image
from skimage.data import astronaut

from lora_builder.export import writer
from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts import LAYOUTS
from lora_builder.export.package import build_dataset, write_zip
from lora_builder.export.packages import verify
from lora_builder.export.write import write_exports, write_layouts
from lora_builder.records import Box, Crop
from lora_builder.settings import load
from lora_builder.sums import Sums

DISTINCT = 20
"""Different pictures; the rest are copies under other names: the disk does not know."""

RUNS = 5


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


def copy_loop(images: list[TrainingImage], target: Path) -> None:
    """What anybody would write: copy each file, and its caption."""
    target.mkdir()
    for image in images:
        copy = target / image.image.name
        shutil.copyfile(image.image, copy)
        copy.with_suffix(".txt").write_text(image.caption)


def copy_loop_waiting(images: list[TrainingImage], target: Path) -> None:
    """The same, until all of it is on the disk."""
    copy_loop(images, target)
    for path in target.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


@contextmanager
def not_waiting() -> Iterator[None]:
    """Nothing of ours waits for the disk: like with like against a loop that does not."""
    fsync, os.fsync = os.fsync, lambda descriptor: None  # type: ignore[assignment]
    whole, writer._sync_file_system = writer._sync_file_system, lambda path: True
    try:
        yield
    finally:
        os.fsync, writer._sync_file_system = fsync, whole


def noted(images: list[TrainingImage]) -> Sums:
    """The pictures' sums as a run notes them when it makes the crops."""
    sums = Sums()
    for image in images:
        sums.of(image.image)
    return sums


def rounds(actions: dict[str, Callable[[Path], object]], place: Path) -> dict[str, list[tuple[float, float]]]:
    """Seconds on the clock and of the processor of a few alternating runs of each."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    for run in range(RUNS):
        for name, action in actions.items():
            target = place / f"out-{run}"
            os.sync()
            clock, busy = time.perf_counter(), time.process_time()
            action(target)
            found[name].append((time.perf_counter() - clock, time.process_time() - busy))
            shutil.rmtree(target, ignore_errors=True)
    return found


def speed(count: int) -> None:
    """The tables of times: nobody waits for the disk, then everybody does."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        images = pictures(place / "in", count, 1024)
        settings = load(trigger="ohwx", layouts=("kohya",))
        sums = noted(images)
        size = sum(image.image.stat().st_size for image in images) / 2**20
        ours: dict[str, Callable[[Path], object]] = {
            "ZIP, sums noted with the crops": lambda target: write_zip(target, images, settings, (), sums),
            "ZIP, sums not known": lambda target: write_zip(target, images, settings, (), Sums()),
            "dataset": lambda target: build_dataset(target, images, settings, sums),
            "all four: dataset, ZIP, kohya folder, kohya ZIP; sums not known": lambda target: write_exports(
                target, images, [], settings
            ),
        }
        for title, loop, waiting in (
            ("nobody waits for the disk", copy_loop, not_waiting()),
            ("everybody waits for the disk", copy_loop_waiting, nullcontext()),
        ):
            with waiting:
                found = rounds({"copy loop": functools.partial(loop, images), **ours}, place)
            table(f"{count} pictures of 1024 px, {size:.0f} MiB, {title}", found)


def table(title: str, found: dict[str, list[tuple[float, float]]]) -> None:
    """The fastest run of each, and the median of its ratios to the loop's run of the same round."""
    print(f"\n| {title} | seconds | of the processor | x the loop | x its processor |\n|---|---|---|---|---|")
    yard = found["copy loop"]
    for name, runs in found.items():
        clock, busy = (min(run[part] for run in runs) for part in (0, 1))
        ratios = [
            statistics.median(run[part] / other[part] for run, other in zip(runs, yard, strict=True))
            for part in (0, 1)
        ]
        print(f"| {name} | {clock:.2f} | {busy:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


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
