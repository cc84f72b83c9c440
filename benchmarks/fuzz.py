"""Mutates real pictures and archives of every format, and sends them through the door in real workers.

    python benchmarks/fuzz.py --files 20000 --photos ../shared/photos

What must come out: a result for every file (measurable, or unreadable with a sentence), no end of the
job, no hang, and no worker above its memory limit. A worker may die; that costs its file, and is
counted. Prints a table by format; exit code 1 if anything else happened.
"""

from __future__ import annotations

import argparse
import functools
import io
import random
import struct
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lora_builder.decode import read_crop, read_photo
from lora_builder.errors import BadInput, UnreadablePhoto
from lora_builder.ingest import identify, list_sources, local_photo
from lora_builder.records import Box, Crop, Photo, Rejected
from lora_builder.resources import WORKER_BASE_MB
from lora_builder.settings import Settings, load
from lora_builder.workers import Processes

SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WebP": (".webp",), "HEIC": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",), "TIFF": (".tif", ".tiff"), "BMP": (".bmp",), "GIF": (".gif",), "MPO": (".mpo",),
    "JP2": (".jp2", ".j2k"), "RAW": (".dng",), "ZIP": (".zip",),
}  # fmt: skip

LARGEST_SEED = 400_000
"""Bytes; larger pictures take long to decode and show nothing that small ones do not."""

BATCH = 400
"""Mutants that lie on the disk at a time."""

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass
class Outcome:
    """What became of the files: counts by (format, kind), the fault lines, and the peak of a worker."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak_mb: float = 0.0


def seeds(photos: Path | None) -> dict[str, list[bytes]]:
    """Real files by format: those of the folder, and a portrait saved in each format."""
    found: dict[str, list[bytes]] = {name: [] for name in SUFFIXES}
    for path in sorted(photos.rglob("*")) if photos is not None else ():
        for name, suffixes in SUFFIXES.items():
            if path.is_file() and path.suffix.lower() in suffixes and 0 < path.stat().st_size <= LARGEST_SEED:
                found[name].append(path.read_bytes())
    from skimage.data import astronaut

    portrait = Image.fromarray(astronaut()).resize((200, 240))
    formats: dict[str, list[tuple[str, dict[str, object]]]] = {
        "JPEG": [("JPEG", {}), ("JPEG", {"progressive": True})], "PNG": [("PNG", {})],
        "WebP": [("WEBP", {}), ("WEBP", {"lossless": True})], "HEIC": [("HEIF", {})], "AVIF": [("AVIF", {})],
        "TIFF": [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"})],
        "BMP": [("BMP", {})], "GIF": [("GIF", {})], "JP2": [("JPEG2000", {})],
        "MPO": [("MPO", {"save_all": True, "append_images": [portrait.rotate(180)]})],
    }  # fmt: skip
    for name, ways in formats.items():
        for kind, options in ways:
            buffer = io.BytesIO()
            portrait.save(buffer, kind, **options)  # type: ignore[arg-type]
            found[name].append(buffer.getvalue())
    found["RAW"].append(raw(64, 48))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as package:
            for number in range(3):
                package.writestr(f"folder/{number}.jpg", found["JPEG"][-1])
        found["ZIP"].append(buffer.getvalue())
    return found


def raw(width: int, height: int) -> bytes:
    """A small camera RAW (DNG, uncompressed, 16 bits), made here because no library writes one."""
    pixels = b"".join(struct.pack("<H", (x * y * 37) % 4096) for y in range(height) for x in range(width))
    matrix = struct.pack(
        "<18i", *(n for c in range(9) for n in ((10000, 10000) if c % 4 == 0 else (0, 10000)))
    )
    entries: list[tuple[int, int, int, bytes]] = [  # tag, type, count, value
        (254, 4, 1, struct.pack("<I", 0)), (256, 4, 1, struct.pack("<I", width)),
        (257, 4, 1, struct.pack("<I", height)), (258, 3, 1, struct.pack("<H", 16)),
        (259, 3, 1, struct.pack("<H", 1)), (262, 3, 1, struct.pack("<H", 32803)),
        (271, 2, 5, b"Test\0"), (272, 2, 5, b"Test\0"), (273, 4, 1, b"PIXL"),
        (277, 3, 1, struct.pack("<H", 1)), (278, 4, 1, struct.pack("<I", height)),
        (279, 4, 1, struct.pack("<I", len(pixels))), (33421, 3, 2, struct.pack("<HH", 2, 2)),
        (33422, 1, 4, bytes((0, 1, 1, 2))), (50706, 1, 4, bytes((1, 4, 0, 0))),
        (50708, 2, 5, b"Test\0"), (50717, 4, 1, struct.pack("<I", 4095)), (50721, 10, 9, matrix),
        (50778, 3, 1, struct.pack("<H", 21)),
    ]  # fmt: skip
    place = 8 + 2 + 12 * len(entries) + 4
    tail, directory = b"", b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            directory += struct.pack("<HHII", tag, kind, count, place + len(tail))
            tail += value + b"\0" * (len(value) % 2)
        else:
            directory += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    directory = directory.replace(b"PIXL", struct.pack("<I", place + len(tail)))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + b"\0" * 4 + tail + pixels


def mutate(data: bytes, other: bytes, choose: random.Random) -> bytes:
    """One to four things that broken disks, broken writers and attackers do to a file."""
    for _ in range(choose.choice((1, 1, 2, 4))):
        data = choose.choice(MUTATIONS)(data or b"\0", other, choose)
    return data


def _flip(data: bytes, other: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 4, 40))):
        changed[choose.randrange(len(changed))] ^= 1 << choose.randrange(8)
    return bytes(changed)


def _head(data: bytes, other: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 3, 8))):
        changed[choose.randrange(min(len(changed), 600))] = choose.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
    return bytes(changed)


def _number(data: bytes, other: bytes, choose: random.Random) -> bytes:
    """A size, count or offset field at an extreme, in either byte order."""
    size = choose.choice((2, 4))
    code = choose.choice("<>") + {2: "H", 4: "I"}[size]
    value = struct.pack(code, choose.choice(EXTREMES) & (256**size - 1))
    place = choose.randrange(min(len(data), choose.choice((64, 600, len(data)))))
    return data[:place] + value + data[place + size :]


def _cut(data: bytes, other: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data))]


def _drop(data: bytes, other: bytes, choose: random.Random) -> bytes:
    begin = choose.randrange(len(data))
    return data[:begin] + data[begin + choose.choice((1, 16, 4096)) :]


def _repeat(data: bytes, other: bytes, choose: random.Random) -> bytes:
    begin = choose.randrange(len(data))
    return data[:begin] + data[begin : begin + 512] * choose.choice((2, 50)) + data[begin:]


def _splice(data: bytes, other: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data))] + other[choose.randrange(len(other)) :]


def _noise(data: bytes, other: bytes, choose: random.Random) -> bytes:
    begin = choose.randrange(len(data))
    return data[:begin] + choose.randbytes(64) + data[begin + 64 :]


def _zeros(data: bytes, other: bytes, choose: random.Random) -> bytes:
    begin = choose.randrange(len(data))
    return data[:begin] + bytes(4096) + data[begin + 4096 :]


Mutation = Callable[[bytes, bytes, random.Random], bytes]
MUTATIONS: tuple[Mutation, ...] = (
    _flip, _head, _head, _number, _number, _cut, _drop, _repeat, _splice, _noise, _zeros,
)  # fmt: skip


def mutants(known: dict[str, list[bytes]], count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """So many files as (format, name, bytes), the formats in turn."""
    choose = random.Random(seed)
    names = sorted(known)
    for number in range(count):
        kind = names[number % len(names)]
        data = mutate(choose.choice(known[kind]), choose.choice(known[kind]), choose)
        yield kind, f"{number:06}-{kind}{choose.choice(SUFFIXES[kind])}", data


def door(photo: Photo, settings: Settings) -> tuple[int, int] | Rejected:
    """What measuring and cutting do with a file, without the models."""
    try:
        with local_photo(photo, settings) as path:
            decoded = read_photo(path, settings.analysis_max_side, settings)
            side = min(decoded.width, decoded.height)
            read_crop(path, Crop(Box(0, 0, side, side), 256, 256), settings)
    except UnreadablePhoto as error:
        return Rejected(error.message, error.remedy, error.passing)
    return decoded.width, decoded.height


def fuzz(count: int, photos: Path | None, seed: int, workers: int = 2) -> Outcome:
    """Sends so many mutants through the door."""
    outcome = Outcome()
    known = seeds(photos)
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(outcome, stop), daemon=True)
    watch.start()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        settings = load(data_dir=Path(place) / "data", workers=workers)
        pool = Processes(workers, settings.photo_timeout_s, memory_mb=settings.photo_memory_mb)
        files = mutants(known, count, seed)
        with pool:
            for begin in range(0, count, BATCH):
                folder = Path(place) / f"batch{begin}"
                folder.mkdir()
                batch = [next(files) for _ in range(min(BATCH, count - begin))]
                for _, name, data in batch:
                    (folder / name).write_bytes(data)
                _through(folder, {name: kind for kind, name, _ in batch}, pool, settings, outcome)
                for path in folder.iterdir():
                    path.unlink()
                if sys.stderr.isatty():
                    print(f"\r{begin + len(batch)}/{count}", end="", file=sys.stderr)
    stop.set()
    watch.join()
    if outcome.peak_mb > WORKER_BASE_MB + settings.photo_memory_mb:
        outcome.faults.append(f"a worker took {outcome.peak_mb:.0f} MB")
    return outcome


def _through(
    folder: Path, kinds: dict[str, str], pool: Processes, settings: Settings, outcome: Outcome
) -> None:
    """One batch: what the pipeline does with a folder, up to the decoded pixels."""
    lines: Counter[str] = Counter()

    def note(name: str, kind: str) -> None:
        lines[name.split("/")[0]] += 1
        outcome.counts[kinds[name.split("/")[0]], kind] += 1

    begun = time.monotonic()
    listing = list_sources(folder, settings)
    for name, _ in listing.problems:
        note(name, "unreadable")
    photos: list[Photo] = []
    for source in listing.sources:
        try:
            photo: Photo | Rejected = identify(source, settings)
        except BadInput as error:
            outcome.faults.append(f"{source.name}: {error}")
            continue
        if isinstance(photo, Photo):
            photos.append(photo)
        else:
            note(source.name, "unreadable")
    work = functools.partial(door, settings=settings)
    for photo, result in pool.each(work, photos):
        note(photo.source.name, _kind(result))
    lost = [name for name in kinds if not lines[name] and not _emptied(folder / name, settings)]
    outcome.faults += [f"no line for {name}" for name in lost]
    if time.monotonic() - begun > 60 + len(kinds) * settings.photo_timeout_s:
        outcome.faults.append(f"the batch {folder.name} took {time.monotonic() - begun:.0f} s")


def _emptied(path: Path, settings: Settings) -> bool:
    """Whether a mutant has no line because it is an archive in which no picture is left by name."""
    if path.suffix != ".zip":
        return False
    listing = list_sources(path, settings)
    return not listing.sources and not listing.problems


def _kind(result: tuple[int, int] | Rejected) -> str:
    if not isinstance(result, Rejected):
        return "readable"
    for word, kind in (("crashed", "worker died"), ("took longer", "time"), ("enough memory", "memory")):
        if word in result.message:
            return kind
    return "unreadable"


def _watch(outcome: Outcome, stop: threading.Event) -> None:
    """Keeps the peak of the largest worker's resident memory, MB."""
    while not stop.wait(0.05):
        for child in psutil.Process().children():
            try:
                outcome.peak_mb = max(outcome.peak_mb, child.memory_info().rss / 2**20)
            except psutil.Error:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--photos", type=Path, help="folder of real files to mutate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    begun = time.monotonic()
    outcome = fuzz(arguments.files, arguments.photos, arguments.seed, arguments.workers)
    kinds = ("readable", "unreadable", "memory", "time", "worker died")
    print("\n| format | " + " | ".join(kinds) + " |\n|---" * 1 + "|---" * len(kinds) + "|")
    for name in sorted(SUFFIXES):
        print(f"| {name} | " + " | ".join(str(outcome.counts[name, kind]) for kind in kinds) + " |")
    seconds = time.monotonic() - begun
    print(f"\n{arguments.files} files in {seconds:.0f} s, largest worker {outcome.peak_mb:.0f} MB")
    print("\n".join(outcome.faults) or "no faults")
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
