"""Folder, files, ZIP -> photos. Nothing of the input is ever modified."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lora_builder import archive
from lora_builder.decode import RAW_SUFFIXES
from lora_builder.errors import BadInput, UnreadableNow, UnreadablePhoto
from lora_builder.files import GONE, scratch, writing_to
from lora_builder.places import Location, Place
from lora_builder.records import Photo, Rejected, Source
from lora_builder.settings import Settings

PICTURE_SUFFIXES = RAW_SUFFIXES | frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .tif .tiff .bmp .dib .gif .avif .avifs .heic .heif .hif "
    ".jp2 .j2k .jpx .jpf .svg .psd .ico .tga .eps .ppm .pgm .jxl .xcf".split()
)
"""Names that promise a picture. What is not one, or of no known format, ends as unreadable."""

PICTURE_HEADS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"\x00\x00\x00\x0cjP",
)  # fmt: skip
ISO_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"hevc")
LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db"})
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
CHUNK = 1 << 20


@dataclass(frozen=True)
class ProjectInput:
    """One project to be: its name, fit for a folder, and the folder or file with its photos."""

    name: str
    path: Location


@dataclass(frozen=True)
class Listing:
    """What an input holds. `skipped` counts, by kind, what is no photo; `problems` are by source name."""

    sources: tuple[Source, ...]
    skipped: Mapping[str, int]
    problems: tuple[tuple[str, Rejected], ...]


def find_projects(root: Location, settings: Settings, single: bool = False) -> list[ProjectInput]:
    """The projects of an input: one folder or ZIP, or several in a root without photos of its own.

    Raises BadInput where there is nothing.
    """
    if isinstance(root, Place):
        return _named(_far_projects(root, single))
    try:
        if not root.exists():
            raise BadInput(f"There is no {root}.", "Check the path of the input.")
        if root.is_file() or single:
            return _named([root])
        entries = [
            entry for entry in sorted(root.iterdir()) if not _is_litter(entry.name) and not entry.is_symlink()
        ]
    except OSError as error:
        raise BadInput(
            f"{root} cannot be read: {error.strerror}.", "Check its permissions and its drive."
        ) from error
    if any(entry.is_file() and _is_picture(entry) for entry in entries):
        return _named([root])
    inner = [entry for entry in entries if entry.is_dir() or _is_zip(entry)]
    inner = [entry for entry in inner if entry.is_file() or _holds_files(entry)]
    if not inner:
        raise BadInput(f"There are no pictures in {root}.", "Choose a folder or a ZIP with photos.")
    return _named(inner)


def _far_projects(root: Place, single: bool) -> Sequence[Place]:
    """The same of a store, by one listing."""
    files = [file for file in root.files() if not any(map(_is_litter, file.inside.split("/")))]
    if not files:
        raise BadInput(f"There is nothing in {root}.", "Check the address: a folder or a ZIP with photos.")
    if single or any(file.place == root for file in files):
        return [root]
    if any("/" not in file.inside and _is_picture(file.place) for file in files):
        return [root]
    inner = {file.inside.partition("/")[0] for file in files if "/" in file.inside or _is_zip(file.place)}
    if not inner:
        raise BadInput(f"There are no pictures in {root}.", "Choose a folder or a ZIP with photos.")
    return [root / name for name in sorted(inner)]


def _named(paths: Sequence[Location]) -> list[ProjectInput]:
    taken: Counter[str] = Counter()
    projects = []
    for path in paths:
        base = path.resolve()
        is_file = _is_zip(path) if isinstance(path, Place) else path.is_file()
        name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", base.stem if is_file else base.name).strip(" .")
        name = f"_{name}" if not name or RESERVED.match(name) else name
        taken[name.lower()] += 1
        count = taken[name.lower()]
        projects.append(ProjectInput(name if count == 1 else f"{name} ({count})", path))
    return projects


def list_sources(path: Location, settings: Settings) -> Listing:
    """Every photo below a folder, in a ZIP, or the one file, sorted by source name; not those removed."""
    sources: list[Source] = []
    skipped: Counter[str] = Counter()
    problems: list[tuple[str, Rejected]] = []
    files: Iterator[tuple[Location, str]] = (
        _far_files(path, skipped) if isinstance(path, Place) else _files(path, skipped, problems)
    )
    for file, name in files:
        if _is_zip(file):
            prefix = "" if file == path else f"{name}/"
            try:
                found, problem = archive.members(file, settings)
            except OSError as error:
                raise _gone(file, error) from error
            if problem is not None:
                problems.append((name, problem))
            for member in found:
                _sort_member(file, prefix, member, sources, skipped, problems)
        elif _is_picture(file):
            sources.append(Source(name, file))
        else:
            skipped["not a picture"] += 1
    removed = frozenset(settings.removed)
    kept = sorted((s for s in sources if s.name not in removed), key=lambda source: source.name)
    faulty = sorted((p for p in problems if p[0] not in removed), key=lambda problem: problem[0])
    gone = len(sources) + len(problems) - len(kept) - len(faulty)
    if gone:
        skipped["removed by you"] = gone
    return Listing(tuple(kept), dict(sorted(skipped.items())), tuple(faulty))


def _sort_member(
    file: Location,
    prefix: str,
    member: archive.Member,
    sources: list[Source],
    skipped: Counter[str],
    problems: list[tuple[str, Rejected]],
) -> None:
    pure = PurePosixPath(member.name)
    name = prefix + member.name
    if any(_is_litter(part) for part in pure.parts):
        skipped["system file"] += 1
    elif member.is_link:
        skipped["symbolic link"] += 1
    elif pure.suffix.lower() == ".zip":
        problems.append((name, Rejected("A ZIP inside a ZIP is not opened.", "Unpack the outer one first.")))
    elif member.problem is not None:
        problems.append((name, member.problem))
    elif pure.suffix.lower() in PICTURE_SUFFIXES:
        sources.append(Source(name, file, member.index))
    else:
        skipped["not a picture"] += 1


def _files(
    root: Path, skipped: Counter[str], problems: list[tuple[str, Rejected]]
) -> Iterator[tuple[Path, str]]:
    if root.is_file():
        yield root, root.name
        return

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename)
        if folder == root or error.errno in GONE:
            raise _gone(folder, error)
        rejected = Rejected(f"The folder cannot be read: {error.strerror}.", "Check its permissions.")
        problems.append((readable(f"{folder.relative_to(root).as_posix()}/"), rejected))

    for folder, names, files in os.walk(root, onerror=unreadable):
        for name in list(names):
            if _is_litter(name) or (Path(folder) / name).is_symlink():
                names.remove(name)
                skipped["system file" if _is_litter(name) else "symbolic link"] += 1
        names.sort()
        for name in sorted(files):
            file = Path(folder) / name
            if _is_litter(name):
                skipped["system file"] += 1
            elif file.is_symlink():
                skipped["symbolic link"] += 1
            elif not file.is_file():
                skipped["special file"] += 1  # a pipe would be read for ever
            else:
                yield file, readable(file.relative_to(root).as_posix())


def _far_files(root: Place, skipped: Counter[str]) -> Iterator[tuple[Place, str]]:
    for file in root.files():
        if any(map(_is_litter, file.inside.split("/"))):
            skipped["system file"] += 1
        else:
            yield file.place, readable(file.inside)


def readable(name: str) -> str:
    """A name that can be written as UTF-8, whatever bytes the file system holds."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _head(path: Location) -> bytes:
    if isinstance(path, Place):
        # A question to the store for each file: only where the name says nothing at all.
        return b"" if path.suffix else path.read(0, min(16, path.size()))
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


def _is_picture(path: Location) -> bool:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return True
    head = _head(path)
    return (
        head.startswith(PICTURE_HEADS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in ISO_BRANDS)
    )


def _is_zip(path: Location) -> bool:
    if isinstance(path, Place):
        return path.suffix.lower() in (".zip", ".cbz")
    if path.is_dir():
        return False
    if path.suffix.lower() == ".zip":
        return zipfile.is_zipfile(path) or not _is_picture(path)
    return _head(path).startswith(b"PK\x03\x04") and path.suffix.lower() in ("", ".cbz")


def _holds_files(folder: Path) -> bool:
    return any(files for _, _, files in os.walk(folder))


@contextmanager
def local_file(source: Source, settings: Settings) -> Iterator[Path]:
    """A readable file with the photo's bytes; a ZIP's member or a store's file lies in scratch meanwhile.

    Raises UnreadablePhoto where a member cannot be unpacked, OutputUnwritable where there is no room,
    OSError where the ZIP cannot be read, BadInput where a store does not give it.
    """
    if source.member is None and not isinstance(source.path, Place):
        yield source.path
        return
    path = scratch(settings.data_dir) / f"{secrets.token_hex(8)}{PurePosixPath(source.name).suffix.lower()}"
    try:
        with path.open("wb") as file:
            for chunk in _chunks(source, settings):
                with writing_to(settings.data_dir):
                    file.write(chunk)
                    file.flush()
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def local_photo(photo: Photo, settings: Settings) -> Iterator[Path]:
    """`local_file` of a photo, whose bytes are still those that it was identified by.

    What is found out about it is remembered under its SHA-256, so that must be true. Raises
    UnreadablePhoto where they are not or cannot be read, BadInput where the file is there no more.
    """
    try:
        with local_file(photo.source, settings) as path:
            _check_same(path, photo)
            try:
                yield path
            except UnreadablePhoto as error:
                # Damaged, or torn away while it was decoded? What is said of it will be remembered.
                if not error.passing:
                    _check_same(path, photo)
                raise
    except OSError as error:
        raise _unreadable(photo.source, error) from error


def _check_same(path: Path, photo: Photo) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != photo.sha256:
        raise UnreadableNow("The file changed while it was being read.", "Run again.")


def identify(source: Source, settings: Settings) -> Photo | Rejected:
    """The photo's identity: the SHA-256 of its bytes, streamed.

    Raises BadInput where the file is there no more: a dataset of what is left would be a loss.
    """
    digest, size = hashlib.sha256(), 0
    most = settings.max_upload_mb << 20
    try:
        for chunk in _chunks(source, settings):
            size += len(chunk)
            if size > most:
                return Rejected("The file is larger than MAX_UPLOAD_MB.", "Raise the limit, or leave it out.")
            digest.update(chunk)
    except UnreadablePhoto as error:
        return Rejected(error.message, error.remedy, error.passing)
    except OSError as error:
        failure = _unreadable(source, error)
        return Rejected(failure.message, failure.remedy, failure.passing)
    return Photo(source, digest.hexdigest(), size)


def _chunks(source: Source, settings: Settings) -> Iterator[bytes]:
    if source.member is not None:
        yield from archive.stream(source.path, source.member, settings)
        return
    if isinstance(source.path, Place):
        yield from source.path.chunks()
        return
    with source.path.open("rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnreadableNow("It is no file any more.", "Run again.")
        while chunk := file.read(CHUNK):
            yield chunk


def _unreadable(source: Source, error: OSError) -> UnreadableNow:
    """What to say of a file that the system does not let us read. Raises BadInput where it is gone."""
    if error.errno in GONE or (isinstance(source.path, Path) and not source.path.parent.is_dir()):
        raise _gone(source.path, error) from error
    return UnreadableNow(f"The file cannot be read: {error.strerror}.", "Check its permissions and the disk.")


def _gone(path: Location, error: OSError) -> BadInput:
    return BadInput(
        f"{path.name} was there and is not any more: {error.strerror}. Nothing was changed.",
        "Connect its drive or put it back, or leave it out; then run again.",
    )
