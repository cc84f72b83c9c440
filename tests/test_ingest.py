from __future__ import annotations

import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lora_builder.errors import BadInput
from lora_builder.ingest import find_projects, identify, list_sources, local_file
from lora_builder.records import Photo, Rejected
from lora_builder.settings import Settings, load


@pytest.fixture
def jpeg(tmp_path: Path, portrait: Image.Image) -> bytes:
    portrait.save(tmp_path / "portrait.jpg")
    data = (tmp_path / "portrait.jpg").read_bytes()
    (tmp_path / "portrait.jpg").unlink()
    return data


def test_one_folder_is_one_project_and_a_root_of_several_is_several(
    tmp_path: Path, jpeg: bytes, settings: Settings
) -> None:
    """Photos directly inside make one project; a root of folders and ZIPs makes one of each."""
    for name in ("Ann", "Bea"):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / "1.jpg").write_bytes(jpeg)
    with zipfile.ZipFile(tmp_path / "root" / "Cy.zip", "w") as archive:
        archive.writestr("1.jpg", jpeg)
    assert [p.name for p in find_projects(tmp_path / "root", settings)] == ["Ann", "Bea", "Cy"]
    assert [p.name for p in find_projects(tmp_path / "root", settings, single=True)] == ["root"]
    assert [p.name for p in find_projects(tmp_path / "root" / "Ann", settings)] == ["Ann"]
    with pytest.raises(BadInput):
        find_projects(tmp_path / "nowhere", settings)


def test_litter_is_skipped_and_counted(tmp_path: Path, jpeg: bytes, settings: Settings) -> None:
    """System files, links and documents are no photos; a picture with a lying name is one."""
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._a.jpg").write_bytes(b"x")
    for name, data in {".DS_Store": b"x", "notes.txt": b"hello", "a.jpg": jpeg, "scan.zip": jpeg}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    listing = list_sources(tmp_path, settings)
    assert [source.name for source in listing.sources] == ["a.jpg", "scan.zip"]
    assert listing.skipped == {"not a picture": 1, "symbolic link": 1, "system file": 2}


@pytest.mark.parametrize(
    ("file", "encoding"),
    [("gbk", "gbk"), ("sjis", "shift_jis"), ("big5", "big5"), ("euckr", "cp949"), ("cp866", "cp866")],
)
def test_zip_names_come_out_readable(photos_root: Path, settings: Settings, file: str, encoding: str) -> None:
    """Names without the UTF-8 flag, in the encodings that old archivers used."""
    path = photos_root / "bad" / "zip" / f"names_{file}.zip"
    with zipfile.ZipFile(path) as archive:
        expected = sorted(
            info.orig_filename.encode("cp437").decode(encoding)
            for info in archive.infolist()
            if not info.is_dir()
        )
    assert sorted(source.name for source in list_sources(path, settings).sources) == expected


def test_no_name_leads_out_of_the_archive(tmp_path: Path, jpeg: bytes, settings: Settings) -> None:
    """Parents, roots, drives, backslashes and links come out harmless, or not at all."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name in (
            "../../up.jpg",
            "/abs.jpg",
            "C:\\win.jpg",
            "a/../b.jpg",
            "..\\..\\x.jpg",
            "new\nline.jpg",
        ):
            archive.writestr(name, jpeg)
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    listing = list_sources(tmp_path / "evil.zip", settings)
    assert len(listing.sources) == 6 and listing.skipped == {"symbolic link": 1}
    for source in listing.sources:
        parts = source.name.split("/")
        assert ".." not in parts and not source.name.startswith("/") and "\\" not in source.name
        assert source.name.isprintable() and ":" not in parts[0]


def test_archives_never_expand_past_their_limits(photos_root: Path) -> None:
    """Every hostile archive: each member is a photo, a problem, or skipped; nothing is left behind."""
    started = time.monotonic()
    settings = load(max_upload_mb=64)
    for path in sorted((photos_root / "bad" / "zip").iterdir()):
        listing = list_sources(path, settings)
        for source in listing.sources:
            photo = identify(source, settings)
            assert isinstance(photo, Photo | Rejected)
            if isinstance(photo, Photo):
                assert photo.bytes <= 64 << 20
                with local_file(source, settings) as local:
                    assert local.stat().st_size == photo.bytes
                assert source.member is None or not local.exists()
        if "bomb" in path.name or "encrypted" in path.name:
            assert listing.problems
    assert time.monotonic() - started < 60


def test_the_same_bytes_are_the_same_photo(tmp_path: Path, jpeg: bytes, settings: Settings) -> None:
    """A file and a ZIP's member with equal bytes have one identity."""
    (tmp_path / "a.jpg").write_bytes(jpeg)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/er/a.jpg", jpeg)
    photos = [identify(source, settings) for source in list_sources(tmp_path, settings).sources]
    assert [p.source.name for p in photos if isinstance(p, Photo)] == ["a.jpg", "b.zip/deep/er/a.jpg"]
    assert len({p.sha256 for p in photos if isinstance(p, Photo)}) == 1


def test_removed_files_are_not_read(tmp_path: Path) -> None:
    """What the user removed from a project is counted, and neither read nor named as a problem."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"photo")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    listing = list_sources(tmp_path, Settings(removed=("b.jpg", "bad.zip", "gone.jpg")))
    assert [source.name for source in listing.sources] == ["a.jpg"]
    assert listing.problems == ()
    assert listing.skipped == {"removed by you": 2}
