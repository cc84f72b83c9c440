"""The short version of benchmarks/fuzz.py, and the paths that archives try."""

from __future__ import annotations

import zipfile
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from benchmarks.fuzz import SUFFIXES, door, fuzz
from lora_builder.ingest import identify, list_sources, local_file
from lora_builder.records import Photo, Rejected
from lora_builder.settings import Settings
from lora_builder.workers import Processes

TRICKS = [
    prefix + middle + "photo.jpg"
    for prefix in ("", "/", "\\", "C:", "C:\\", "//server/share/", "\\\\?\\C:\\", "~/", "./")
    for middle in ("../", "../../../../../../", "..\\..\\", "a/../../", "....//")
] + [
    "..", ".", "", "/", "...", "photo.jpg/..", "a/./../b/../../photo.jpg", "CON.jpg", "aux", "nul.png",
    "photo.jpg:stream", "photo.jpg\x00.txt", "new\nline.jpg", "tab\t.jpg", "\x1b[31mred.jpg",
    "a" * 5000 + ".jpg", "/".join("d" * 200 for _ in range(40)) + "/photo.jpg", "‮gpj.exe.jpg",
    "%2e%2e%2fphoto.jpg", "..%c0%afphoto.jpg", "photo.jpg ", "photo.jpg.", " ../photo.jpg", "--help.jpg",
    "<script>alert(1)</script>.jpg", "=cmd|' /C calc'!A0.jpg", "$(touch pwned).jpg", "`id`.jpg",
]  # fmt: skip
"""Member names that have led somebody's unpacker out of its folder, or into trouble."""


def test_mutated_files_of_every_format_each_get_a_line() -> None:
    """Bit flips, cuts, extreme sizes: readable or unreadable, never lost, never the end of the job."""
    outcome = fuzz(count=360, photos=None, seed=11, workers=1)
    assert outcome.faults == []
    seen = Counter(name for name, _ in outcome.counts.elements())
    assert set(seen) == set(SUFFIXES)
    assert outcome.counts["JPEG", "readable"] and outcome.counts["JPEG", "unreadable"]


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("flag", [0, 0x800], ids=["no encoding", "utf-8"])
def test_no_path_trick_writes_anything_anywhere(
    tmp_path: Path, settings: Settings, portrait_jpeg: bytes, flag: int
) -> None:
    """Seventy hostile names: every member is read where the archive lies, under a name that leads nowhere."""
    place = tmp_path / "in"
    place.mkdir()
    with zipfile.ZipFile(place / "tricks.zip", "w") as package:
        for trick in TRICKS:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = trick
            info.flag_bits |= flag
            package.writestr(info, portrait_jpeg)
        link = zipfile.ZipInfo("link/photo.jpg")
        link.external_attr = 0o120777 << 16
        package.writestr(link, "../../../../etc/passwd")
    before = everything_in(tmp_path)
    listing = list_sources(place / "tricks.zip", settings)
    for source in listing.sources:
        assert not source.name.startswith(("/", "\\")) and ".." not in source.name.split("/")
        assert source.name.isprintable() or "\u202e" in source.name
        photo = identify(source, settings)
        assert isinstance(photo, Photo | Rejected)
        if isinstance(photo, Photo):
            with local_file(source, settings) as path:
                assert path.read_bytes() == portrait_jpeg
                assert path.is_relative_to(settings.data_dir / "scratch")
    left = everything_in(tmp_path) - before
    assert not [name for name in left if not name.startswith("data/scratch") and name != "data"]
    assert not [name for name in left if name.endswith((".jpg", ".png"))]
    accounted = len(listing.sources) + len(listing.problems) + sum(listing.skipped.values())
    assert accounted == sum(not name.endswith("/") for name in TRICKS) + 1 and len(listing.sources) > 40


def test_a_directory_that_fills_the_memory_is_not_read(tmp_path: Path, settings: Settings) -> None:
    """An archive whose directory is longer than any honest one is refused before it is parsed."""
    few = settings.model_copy(update={"max_archive_files": 100})
    with zipfile.ZipFile(tmp_path / "wide.zip", "w") as package:
        for number in range(30_000):
            package.writestr(f"{number:040}.txt", b"")
    listing = list_sources(tmp_path / "wide.zip", few)
    assert not listing.sources and "MAX_ARCHIVE_FILES" in listing.problems[0][1].message


def test_everything_that_users_really_upload_ends_with_a_line(photos_root: Path, settings: Settings) -> None:
    """Each of six hundred broken, lying, hostile files is listed or counted; a third is decoded."""
    files = [path for path in (photos_root / "bad").rglob("*") if path.is_file()]
    with Processes(2, settings.photo_timeout_s, memory_mb=settings.photo_memory_mb) as pool:
        listing = list_sources(photos_root / "bad", settings)
        photos, lines = [], [name for name, _ in listing.problems]
        for source in listing.sources:
            photo = identify(source, settings)
            photos.append(photo) if isinstance(photo, Photo) else lines.append(source.name)
        lines += [photo.source.name for i, photo in enumerate(photos) if i % 3]
        for photo, _ in pool.each(partial(door, settings=settings), photos[::3]):
            lines.append(photo.source.name)
    assert len(lines) == len(set(lines)) == len(listing.sources) + len(listing.problems)
    whole = {name.split(".zip/")[0] + (".zip" if ".zip/" in name else "") for name in lines}
    silent = [p for p in files if p.relative_to(photos_root / "bad").as_posix() not in whole]
    assert len(silent) <= sum(listing.skipped.values())
