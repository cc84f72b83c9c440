"""ZIP files as folders of photos: readable names, nothing extracted, no bomb expanded."""

from __future__ import annotations

import errno
import functools
import io
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from charset_normalizer import from_bytes

from lora_builder.errors import UnreadablePhoto
from lora_builder.files import GONE
from lora_builder.places import Location, Place
from lora_builder.records import Rejected
from lora_builder.settings import Settings

ENCODINGS = ("gb18030", "shift_jis", "big5", "cp949", "cp866", "cp437")
"""What names without the UTF-8 flag are written in; the first that reads best wins."""

CYRILLIC_WORDS = re.compile(rb"(?:[\x80-\xaf\xe0-\xf1]{2,}|[A-Za-z]+|[\x00-\x40\x5b-\x60\x7b-\x7f])*")
"""CP866 as people write it: whole words of its Cyrillic letters. No statistics on a few bytes see that."""

UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
UNICODE_PATH = 0x7075
"""Info-ZIP's extra field with the UTF-8 name (APPNOTE 4.6.9)."""

BOMB_RATIO, BOMB_BYTES = 200, 50 << 20
"""A member that expands this much, to at least this size, is no photo."""

DIRECTORY_BYTES_A_FILE = 1024
"""Most bytes of an archive's directory for each file that it may hold; a longer one is not even read."""

CHUNK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
AGAIN = "Make the ZIP again from the photos themselves."


@dataclass(frozen=True)
class Member:
    """One file of an archive: its place in the directory, its readable name, and why not, if so."""

    index: int
    name: str
    is_link: bool
    problem: Rejected | None


class _Bounded(io.BufferedReader):
    """A file that is never read in large gulps: zipfile takes a whole directory in one."""

    def __init__(self, path: Location, most: int) -> None:
        if isinstance(path, Place):
            super().__init__(path.open(), CHUNK)  # each read is a question to the store
        else:
            super().__init__(io.FileIO(path))
        self._most = most
        self._length = path.size() if isinstance(path, Place) else path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        asked = size if size is not None and size >= 0 else self._length
        if min(asked, self._length - self.tell()) > self._most:
            raise zipfile.BadZipFile("its directory is longer than MAX_ARCHIVE_FILES files need")
        return super().read(size)


@functools.lru_cache(maxsize=2)
def _opened(path: Location, stamp: str, most: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(_Bounded(path, most))


def opened(path: Location, settings: Settings) -> zipfile.ZipFile:
    """The archive, its directory read once a process."""
    most = max(settings.max_archive_files * DIRECTORY_BYTES_A_FILE, CHUNK)
    stamp = path.stamp() if isinstance(path, Place) else str(path.stat().st_mtime_ns)
    return _opened(path, stamp, most)


def members(path: Location, settings: Settings) -> tuple[list[Member], Rejected | None]:
    """The files of an archive, and what is wrong with it as a whole, if anything."""
    try:
        infos = opened(path, settings).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno in GONE:
            raise
        # The system's own sentence would name the whole path.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return [], Rejected(f"The ZIP cannot be read: {reason}.", AGAIN)
    files = [(i, info) for i, info in enumerate(infos) if not info.filename.endswith("/")]
    if len(files) > settings.max_archive_files:
        return [], Rejected(f"The ZIP holds {len(files)} files.", "Split it, or raise MAX_ARCHIVE_FILES.")
    if sum(info.file_size for _, info in files) > settings.max_archive_mb << 20:
        return [], Rejected("The ZIP expands past MAX_ARCHIVE_MB.", AGAIN)
    if _overlapping([info for _, info in files]):
        return [], Rejected("Files of the ZIP share the same bytes: it is a bomb.", AGAIN)
    names = _names([info for _, info in files])
    taken: dict[str, int] = {}
    result = []
    for (index, info), name in zip(files, names, strict=True):
        name = safe_name(name)
        count = taken[name.lower()] = taken.get(name.lower(), 0) + 1
        if count > 1:
            stem, dot, suffix = name.rpartition(".")
            name = f"{stem or suffix} ({count}){dot}{suffix if stem else ''}"
        result.append(Member(index, name, stat.S_ISLNK(info.external_attr >> 16), _problem(info, settings)))
    return result, None


def _problem(info: zipfile.ZipInfo, settings: Settings) -> Rejected | None:
    if info.flag_bits & ENCRYPTED_FLAG:
        return Rejected("The file is encrypted.", "Unpack the ZIP with its password, and give the folder.")
    if info.compress_type not in METHODS:
        return Rejected("The file is packed by a method that is not supported.", AGAIN)
    if info.file_size > settings.max_upload_mb << 20:
        return Rejected("The file is larger than MAX_UPLOAD_MB.", "Raise the limit, or leave it out.")
    if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
        return Rejected("The file expands more than any photo does: it is a bomb.", "Leave it out.")
    return None


def _overlapping(infos: list[zipfile.ZipInfo]) -> bool:
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            return True
        end = info.header_offset + 30 + info.compress_size
    return False


def stream(path: Location, index: int, settings: Settings) -> Iterator[bytes]:
    """The bytes of one member. Raises UnreadablePhoto where they lie, are damaged or too many.

    OSError passes where the ZIP itself cannot be read.
    """
    try:
        archive = opened(path, settings)
        info = archive.infolist()[index]
        problem = _problem(info, settings)
        if problem is not None:
            raise UnreadablePhoto(problem.message, problem.remedy)
        seen = 0
        with archive.open(info) as file:
            while chunk := file.read(CHUNK):
                seen += len(chunk)
                if seen > info.file_size:
                    raise UnreadablePhoto("The file is larger than the ZIP says.", AGAIN)
                yield chunk
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        if isinstance(error, OSError) and error.errno in GONE | {errno.EIO, errno.EACCES}:
            raise
        raise UnreadablePhoto(f"The file cannot be unpacked: {error}.", AGAIN) from error


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & UTF8_FLAG else "cp437", "surrogateescape")


def _names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """Readable names; those without a stated encoding are guessed together."""
    known = [_stated(info) for info in infos]
    raws = [_raw_name(info) for info, name in zip(infos, known, strict=True) if name is None]
    encoding = _guess(raws)
    return [
        name if name is not None else _raw_name(info).decode(encoding, "replace")
        for info, name in zip(infos, known, strict=True)
    ]


def _stated(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & UTF8_FLAG:
        return info.orig_filename
    extra = info.extra
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == UNICODE_PATH and length > 5:
            return extra[9 : 4 + length].decode("utf-8", "replace")
        extra = extra[4 + length :]
    try:
        return _raw_name(info).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _guess(raws: list[bytes]) -> str:
    together = b"\n".join(raws)
    if not together:
        return "cp437"
    if CYRILLIC_WORDS.fullmatch(together):
        return "cp866"
    best = from_bytes(together, cp_isolation=list(ENCODINGS), threshold=0.9).best()
    return best.encoding if best else "cp437"


def safe_name(name: str) -> str:
    """A relative, `/`-separated path that leads nowhere else."""
    parts = re.sub(r"[\x00-\x1f\x7f]", "_", name.replace("\\", "/")).split("/")
    parts = [re.sub(r"^[A-Za-z]:$", "", part) for part in parts]
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "unnamed"
