"""Files that appear whole or not at all, and scratch space that outlives nobody."""

from __future__ import annotations

import atexit
import errno
import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from lora_builder.errors import OutputUnwritable, ProjectBusy

TEMPORARY = ".*.tmp"
"""Pattern of the unfinished files that a kill may leave beside the finished ones."""

SCRATCH = "scratch"
"""Folder in the data folder in which each process has a folder of its own."""

GONE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN}
    | {errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH}
)
"""What a file that was there says when it, its drive or its server is there no more."""

LOCK = ".lock"

_RECONNECT = "Connect its drive again, then run again: what was done is kept."

_REMEDIES = {
    errno.ENOSPC: "Free some space on its disk, or choose another folder.",
    errno.EDQUOT: "Free some of your quota, or choose another folder.",
    errno.EROFS: "Its disk is read-only: choose another folder.",
    errno.EACCES: "Allow writing to it, or choose another folder.",
    errno.EPERM: "Allow writing to it, or choose another folder.",
    errno.EFBIG: "Its disk holds no files of this size: choose another folder.",
    errno.ENOTDIR: "A file is in its place: move that away, or choose another folder.",
    errno.EEXIST: "A file is in its place: move that away, or choose another folder.",
    errno.EISDIR: "A folder is in its place: move that away, or choose another folder.",
    errno.ENAMETOOLONG: "Choose a folder with a shorter path.",
    errno.ENOENT: _RECONNECT,
    errno.EIO: _RECONNECT,
    errno.ENODEV: _RECONNECT,
    errno.ENXIO: _RECONNECT,
    errno.ESTALE: _RECONNECT,
    errno.ENOTCONN: _RECONNECT,
    errno.ETIMEDOUT: _RECONNECT,
    errno.EHOSTDOWN: _RECONNECT,
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
def atomic_file(path: Path, root: Path | None = None) -> Iterator[BinaryIO]:
    """An open file that becomes `path` when the block ends well, and vanishes when it does not.

    Until then it lies beside `path`, or in the scratch space of `root`, on the same disk: for folders
    so large that nobody would look through them for what a kill left. Raises OutputUnwritable where
    the disk refuses.
    """
    # The process and thread in the name keep two writers of one content-named file apart.
    name = f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp"
    temporary = path.with_name(name) if root is None else scratch(root) / name
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


def atomic_write(path: Path, data: bytes, root: Path | None = None, mode: int | None = None) -> None:
    """Makes `path` hold exactly `data`, safely on the disk; a kill leaves what was there before.

    Raises OutputUnwritable where the disk refuses. `root`: see `atomic_file`. `mode`: who may read it,
    from its first byte on; None: as the system says.
    """
    with atomic_file(path, root) as stream:
        if mode is not None:
            Path(stream.name).chmod(mode)
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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One run on a folder at a time; the lock of a process that died is free.

    Raises ProjectBusy, and OutputUnwritable where the folder cannot be made or written.
    """
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", blocking=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise ProjectBusy(f"Another run is at work on {folder}.", "Wait for it, or stop it.") from error
        except NotImplementedError as error:
            raise OutputUnwritable(
                f"{folder} cannot be locked.", "Choose a folder on another disk."
            ) from error
    try:
        yield
    finally:
        lock.release()


def scratch(root: Path) -> Path:
    """This process's own folder below `root`, for files that nobody needs after it.

    It goes when the process ends; what a killed one left, `sweep` finds by its lock, which no dead
    process holds. Raises OutputUnwritable.
    """
    return _own_scratch(root, os.getpid())


@functools.cache
def _own_scratch(root: Path, _process: int) -> Path:
    with writing_to(root / SCRATCH):
        (root / SCRATCH).mkdir(parents=True, exist_ok=True)
        while True:
            place = Path(tempfile.mkdtemp(dir=root / SCRATCH))
            lock = FileLock(_lock_of(place))
            lock.acquire()
            if place.is_dir():  # else a sweep came between the two lines above
                break
    atexit.register(_let_go, place, lock)
    return place


@contextmanager
def swept(root: Path) -> Iterator[None]:
    """No scratch space of the dead below `root`, neither before the block nor after it."""
    sweep(root)
    try:
        yield
    finally:
        sweep(root)


def sweep(root: Path) -> None:
    """Removes the scratch space of processes that are no more."""
    names = {path.name for path in (root / SCRATCH).glob("*")}
    # A kill may fall between the folder and its lock, either way round.
    names = {name[1 : -len(LOCK)] if name.endswith(LOCK) else name for name in names}
    for place in ((root / SCRATCH) / name for name in sorted(names)):
        lock = FileLock(_lock_of(place), blocking=False)
        try:
            lock.acquire()
        except (Timeout, OSError):
            continue  # alive, or not ours to touch
        _let_go(place, lock)


def _lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}{LOCK}")


def _let_go(place: Path, lock: FileLock) -> None:
    shutil.rmtree(place, ignore_errors=True)
    _lock_of(place).unlink(missing_ok=True)
    lock.release()
