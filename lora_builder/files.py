"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lora_builder.errors import OutputUnwritable

TEMPORARY = ".*.tmp"
"""Pattern of the unfinished files that a kill may leave beside the finished ones."""

_REMEDIES = {
    errno.ENOSPC: "Free some space on its disk, or choose another folder.",
    errno.EDQUOT: "Free some of your quota, or choose another folder.",
    errno.EROFS: "Its disk is read-only: choose another folder.",
    errno.EACCES: "Allow writing to it, or choose another folder.",
    errno.EPERM: "Allow writing to it, or choose another folder.",
    errno.EFBIG: "Its disk holds no files of this size: choose another folder.",
    errno.ENOTDIR: "A file is in its place: move that away, or choose another folder.",
    errno.EEXIST: "A file is in its place: move that away, or choose another folder.",
}


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turns what the disk may refuse into OutputUnwritable that names `folder` and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        raise OutputUnwritable(f"Cannot write to {folder}: {error.strerror}.", remedy) from error


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """An open file that becomes `path` when the block ends well, and vanishes when it does not.

    Raises OutputUnwritable where the disk refuses.
    """
    # The process and thread in the name keep two writers of one content-named file apart.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def atomic_write(path: Path, data: bytes) -> None:
    """Makes `path` hold exactly `data`, safely on the disk; a kill leaves what was there before.

    Raises OutputUnwritable where the disk refuses.
    """
    with atomic_file(path) as stream:
        stream.write(data)


def sync_folder(folder: Path) -> None:
    """Waits until the names in `folder` are on the disk (Windows cannot, and needs not)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
