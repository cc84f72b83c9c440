"""Writes packages, as folders and as ZIPs, streaming: memory does not grow with the pictures.

Pictures are copied, never hard-linked: a picture edited in place in one package would change in all,
and in the cache it was linked from. Where the file system can share blocks, a copy costs nothing.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from lora_builder.errors import BadInput
from lora_builder.export.layouts.interface import Entry, Shard
from lora_builder.export.manifest import NAME as MANIFEST
from lora_builder.export.manifest import Written
from lora_builder.files import atomic_file, sync_folder, writing_to
from lora_builder.sums import Sum, Sums

CHUNK = 1 << 20
"""Bytes read at a time, where the kernel cannot copy by itself."""

_CANNOT = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})
"""What a kernel or a file system says that cannot copy from file to file."""

COPY = 1 << 30
"""Bytes that the kernel is asked to copy at a time: more than any picture has."""

ZIP_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The time of every member of a ZIP, so that the same members are the same bytes."""

FEW_FILES = 32
"""Up to so many files are waited for one by one: on a busy disk that does not wait for others' data."""

SMALL = 1 << 20
"""Bytes up to which a former export's file is read to see whether it is still as we wrote it."""

Finish = Callable[[list[Written]], bytes]
"""What was written -> the text of the package's manifest, its last file."""


def write_folder(target: Path, entries: Iterable[Entry], sums: Sums, finish: Finish) -> list[Written]:
    """Makes the folder `target` hold exactly the entries and their manifest.

    It appears whole or not at all: a kill leaves the old or the new one, and perhaps a folder whose
    name begins with a dot, which the next call clears. What a trainer or the user left in the old
    one (a trained LoRA!) is moved to `target.yours-1`, never deleted. Raises OutputUnwritable.
    """
    fresh, old = (target.with_name(f".{target.name}.{kind}") for kind in ("new", "old"))
    with writing_to(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _recover(target, fresh, old)
        fresh.mkdir()
        written, paths = [], []
        for entry in entries:
            path = fresh / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as stream:
                written.append(put(entry, stream, sums))
            paths.append(path)
        (fresh / MANIFEST).write_bytes(finish(written))
        sync_files([*paths, fresh / MANIFEST])
        if target.exists():
            target.replace(old)
        fresh.replace(target)
        sync_folder(target.parent)
        if old.exists():
            _discard(old, target)
    return written


def remove_folder(target: Path) -> None:
    """Takes a former export away; what is not ours in it is kept as `target.yours-1`."""
    old = target.with_name(f".{target.name}.old")
    with writing_to(target.parent):
        if old.exists():  # a kill came between the two steps below
            _discard(old, target)
        if (target / MANIFEST).is_file():
            target.replace(old)
            _discard(old, target)


def write_zip(target: Path, entries: Iterable[Entry], sums: Sums, finish: Finish) -> list[Written]:
    """Writes the entries and their manifest as a ZIP; the same entries always give the same bytes.

    Nothing is compressed: pictures already are. Raises OutputUnwritable; BadInput for a file that
    changes while it is copied.
    """
    written = []
    with atomic_file(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as package:
        for entry in entries:
            info = _member(entry.path)
            if isinstance(entry.content, Path):
                found = sums.of(entry.content)
                _append(package, stream, info, entry.content, found)
                written.append(Written(entry.path, found.bytes, found.sha256))
                continue
            with package.open(info, "w", force_zip64=isinstance(entry.content, Shard)) as member:
                written.append(put(entry, cast("BinaryIO", member), sums))
        with package.open(_member(MANIFEST), "w") as member:
            member.write(finish(written))
    return written


def _append(
    package: zipfile.ZipFile, stream: BinaryIO, info: zipfile.ZipInfo, path: Path, found: Sum
) -> None:
    """Adds a file whose checksum is known: its header, then the kernel copies.

    `ZipFile.write` would read every byte for the checksum, in Python.
    """
    info.header_offset = stream.tell()
    info.file_size = info.compress_size = found.bytes
    info.CRC = found.crc32
    stream.write(info.FileHeader())
    _copy(path, stream, found)
    # As `ZipFile.mkdir` adds what has no content to read.
    package.filelist.append(info)
    package.NameToInfo[info.filename] = info
    package.start_dir = stream.tell()


def put(entry: Entry, out: BinaryIO, sums: Sums) -> Written:
    """Writes one entry and says what was written."""
    if isinstance(entry.content, bytes):
        out.write(entry.content)
        return Written(entry.path, len(entry.content), hashlib.sha256(entry.content).hexdigest())
    if isinstance(entry.content, Shard):
        return _put_shard(entry.path, entry.content, out)
    found = sums.of(entry.content)
    _copy(entry.content, out, found)
    return Written(entry.path, found.bytes, found.sha256)


def _copy(path: Path, out: BinaryIO, found: Sum) -> None:
    """Appends the file to `out`, by the kernel where it can. Raises BadInput if it is another by now."""
    out.flush()
    start = out.tell()
    with path.open("rb", buffering=0) as source:
        try:
            while os.copy_file_range(source.fileno(), out.fileno(), COPY):
                pass
        except (AttributeError, io.UnsupportedOperation):
            pass
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        out.seek(0, os.SEEK_END)
        # What the kernel left, which is nothing or all.
        source.seek(out.tell() - start)
        shutil.copyfileobj(source, out, CHUNK)
    if out.tell() - start != found.bytes:
        raise BadInput(f"{path.name} changed while it was copied.", "Run again.")


def _put_shard(path: str, shard: Shard, out: BinaryIO) -> Written:
    """A tar of the members without owner, moment or mode of this machine."""
    counted = _Counted(out)
    with tarfile.open(fileobj=cast("BinaryIO", counted), mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in shard.members:
            info = tarfile.TarInfo(name)
            info.mode = 0o644
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.size = content.stat().st_size
                with content.open("rb") as source:
                    archive.addfile(info, source)
    return Written(path, counted.size, counted.digest.hexdigest())


class _Counted:
    """A stream that hashes and counts what passes."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self.size += len(data)
        self.digest.update(data)
        return len(data)


def _member(name: str) -> zipfile.ZipInfo:
    """A ZIP member without traces of this machine or moment."""
    info = zipfile.ZipInfo(name, ZIP_MOMENT)
    info.compress_type = zipfile.ZIP_STORED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def sync_files(paths: Iterable[Path]) -> None:
    """Waits until the files' bytes and names are on the disk; they lie on one file system.

    Called after all are written: the disk then works on many at once. For many files one call for
    the whole file system takes a tenth of the time (benchmarks/export.py), where there is one.
    """
    files = list(paths)
    folders = {path.parent for path in files}
    if len(files) > FEW_FILES and _sync_file_system(files[0]):
        return
    for path in files:
        with _descriptor(path, os.O_RDWR) as descriptor:
            os.fsync(descriptor)
    for folder in folders:
        sync_folder(folder)


def _sync_file_system(path: Path) -> bool:
    """Waits for everything on the file system of `path`; False where the system has no such call."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):
        return False
    with _descriptor(path, os.O_RDONLY) as descriptor:
        if syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    return True


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _recover(target: Path, fresh: Path, old: Path) -> None:
    """Clears what a killed run left: an old folder without a new one is put back."""
    if old.exists():
        if target.exists():
            _discard(old, target)
        else:
            old.replace(target)
    if fresh.exists():
        shutil.rmtree(fresh)


def _discard(old: Path, target: Path) -> None:
    """Deletes what we wrote in a former export; what is left is somebody's, and is moved aside."""
    for path, size, digest in _listed(old):
        file = old / path
        if not file.is_file() or file.is_symlink() or file.stat().st_size != size:
            continue
        # A caption may have been rewritten at the same length; a picture hardly.
        if size > SMALL or hashlib.sha256(file.read_bytes()).hexdigest() == digest:
            file.unlink()
    (old / MANIFEST).unlink(missing_ok=True)
    for folder in sorted((p for p in old.rglob("*") if p.is_dir() and not p.is_symlink()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    if not any(old.iterdir()):
        old.rmdir()
        return
    number = 1
    while (aside := target.with_name(f"{target.name}.yours-{number}")).exists():
        number += 1
    old.replace(aside)


def _listed(folder: Path) -> list[tuple[str, int, str]]:
    """What the folder's manifest says we wrote: path inside, size, SHA-256; nothing where it says none."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        listed = [(str(file["path"]), int(file["bytes"]), str(file["sha256"])) for file in files]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [
        entry for entry in listed if ".." not in Path(entry[0]).parts and not Path(entry[0]).is_absolute()
    ]
