"""What is noted of finished files, and when it counts no more."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path

import pytest

from lora_builder import sums
from lora_builder.sums import Sums, sum_of


def test_a_noted_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the next run, and the noted sums are the file's own."""
    path = tmp_path / "0001.png"
    path.write_bytes(b"pixels")
    first = Sums(tmp_path)
    first.note({path: sum_of(b"pixels", path)})
    first.save()
    monkeypatch.setattr(sums, "_sum", lambda *_: pytest.fail("read again"))
    found = Sums(tmp_path).of(path)
    assert (found.sha256, found.crc32) == (hashlib.sha256(b"pixels").hexdigest(), zlib.crc32(b"pixels"))


def test_a_file_changed_by_hand_is_read_again(tmp_path: Path) -> None:
    """Another size or another moment: what was noted is not believed."""
    path = tmp_path / "0001.png"
    path.write_bytes(b"pixels")
    noted = Sums(tmp_path)
    noted.note({path: sum_of(b"pixels", path)})
    path.write_bytes(b"Pixels")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    assert noted.of(path).crc32 == zlib.crc32(b"Pixels")


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1, "x", 2, 3]}', '{"a": {}}'])
def test_a_damaged_note_is_no_note(tmp_path: Path, text: str) -> None:
    """The sums are then taken again, and noted anew without files that are gone."""
    (tmp_path / ".cache").mkdir()
    (tmp_path / sums.NAME).write_text(text)
    path = tmp_path / "a"
    path.write_bytes(b"pixels")
    noted = Sums(tmp_path)
    assert noted.of(path).bytes == 6
    path.unlink()
    noted.save()
    assert (tmp_path / sums.NAME).read_text() == "{}"
