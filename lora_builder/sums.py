"""What our finished files hold, noted when they are written, so that nobody reads them again to know.

A crop's bytes are in memory when it is made: its checksums cost next to nothing there, while reading
500 crops for them later takes three times as long as copying them (benchmarks/export.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from lora_builder.files import atomic_write

NAME = ".cache/sums.json"
"""Where a project keeps the sums of its files, below its folder."""

CHUNK = 1 << 20
"""Bytes read at a time."""


@dataclass(frozen=True)
class Sum:
    """A file as it was written: bytes, modification time in ns, SHA-256 in hex, CRC-32 as ZIPs have it.

    Good for as long as size and time are the file's own, as in git's index.
    """

    bytes: int
    modified: int
    sha256: str
    crc32: int


class Sums:
    """The sums of files by their path. `folder`: the project whose files are noted for the next time."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[Path, Sum] = {}
        if folder is not None:
            self._known = _read(folder)

    def note(self, written: Mapping[Path, Sum]) -> None:
        """Remembers what these files hold, told by whoever wrote them."""
        self._known |= written

    def note_copies(self, copies: Mapping[Path, Path]) -> None:
        """Remembers that the files named first hold what those named second do."""
        for copy, source in copies.items():
            self._known[copy] = replace(self.of(source), modified=copy.stat().st_mtime_ns)

    def of(self, path: Path) -> Sum:
        """The file's sum; it is read only where nothing is known of it as it is now. Raises OSError."""
        known, now = self._known.get(path), path.stat()
        if known is None or (known.bytes, known.modified) != (now.st_size, now.st_mtime_ns):
            known = self._known[path] = _sum(path, now)
        return known

    def save(self) -> None:
        """Notes the sums of the project's files that are still there. Raises OutputUnwritable."""
        if self._folder is None:
            return
        lines = {
            path.relative_to(self._folder).as_posix(): astuple(found)
            for path, found in sorted(self._known.items())
            if path.is_relative_to(self._folder) and path.exists()
        }
        atomic_write(self._folder / NAME, json.dumps(lines, indent=0).encode())


def sum_of(data: bytes, path: Path) -> Sum:
    """The sum of a file that was just written with these bytes."""
    return Sum(len(data), path.stat().st_mtime_ns, hashlib.sha256(data).hexdigest(), zlib.crc32(data))


def _sum(path: Path, now: os.stat_result) -> Sum:
    digest, crc, size = hashlib.sha256(), 0, 0
    buffer = bytearray(CHUNK)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            piece = memoryview(buffer)[:count]
            digest.update(piece)
            crc = zlib.crc32(piece, crc)
            size += count
    return Sum(size, now.st_mtime_ns, digest.hexdigest(), crc)


def _read(folder: Path) -> dict[Path, Sum]:
    """What was noted; nothing where that cannot be read: sums can be taken again."""
    try:
        lines = json.loads((folder / NAME).read_bytes())
        return {
            folder / name: Sum(int(size), int(modified), str(sha256), int(crc32))
            for name, (size, modified, sha256, crc32) in lines.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
