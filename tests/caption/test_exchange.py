"""Captions in files: what goes out comes back, and no cell runs in a spreadsheet."""

from __future__ import annotations

import csv
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.caption.editing import one_line
from lora_builder.caption.exchange import FORMULA, Named, armed, disarmed, read, to_csv, to_zip
from lora_builder.errors import BadInput

EVIL = '=HYPERLINK("http://x","y")'
TWO = [
    Named("aa", "0001", "trip/one.jpg", EVIL, "user", True),
    Named("bb", "0002", "trip/two.JPG", 'ohwx, "quoted"，红', "composer"),
]


@given(st.text())
def test_no_cell_runs_and_each_comes_back(cell: str) -> None:
    """A cell that begins like a formula is text in a spreadsheet, and itself again when it comes back."""
    assert not disarmed(cell).startswith(FORMULA)
    if not cell.startswith("'"):
        assert armed(disarmed(cell)) == cell


def test_a_csv_goes_out_and_comes_back() -> None:
    """Quotes, commas, Chinese and formulas survive a round through a spreadsheet's file."""
    text = to_csv(TWO)
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows[1] == ["0001", "trip/one.jpg", f"'{EVIL}", "user", "yes"]
    assert read([("captions.csv", text)], TWO).texts == {"aa": EVIL, "bb": TWO[1].text}


@given(st.lists(st.text(min_size=1).map(one_line).filter(bool), min_size=1, max_size=5))
def test_any_caption_survives_the_csv(texts: list[str]) -> None:
    """Whatever a caption says, it is the same after export and import."""
    captions = [Named(str(n), f"{n:04d}", f"{n}.jpg", text) for n, text in enumerate(texts)]
    back = read([("c.csv", to_csv(captions))], captions).texts
    kept = {one.item: one.text for one in captions if not one.text.startswith("'")}
    assert kept.items() <= back.items()


def test_the_zip_is_what_trainers_read() -> None:
    """One `.txt` an image, one line, UTF-8; no empty files; the same captions give the same bytes."""
    data = to_zip([*TWO, Named("cc", "0003", "c.jpg", "")])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["0001.txt", "0002.txt"]
        assert archive.read("0002.txt").decode() == TWO[1].text + "\n"
    assert data == to_zip(reversed([*TWO, Named("cc", "0003", "c.jpg", "")]))


def test_text_files_find_their_pictures_by_either_name() -> None:
    """`0001.txt`, `one.txt` and `trip/two.txt` find theirs; a stranger is told; empty ones change nothing."""
    files = [("one.txt", "first\nline\n"), ("0002.TXT", "second"), ("who.txt", "?"), ("trip\\two.txt", "  ")]
    incoming = read(files, TWO)
    assert incoming.texts == {"aa": "first line", "bb": "second"}
    assert incoming.unknown == ("who.txt",)


def test_a_name_that_two_pictures_share_is_no_name() -> None:
    """`a.txt` of two folders is told as unknown instead of given to the wrong picture."""
    same = [Named("aa", "0001", "x/a.jpg", "1"), Named("bb", "0002", "y/a.jpg", "2")]
    incoming = read([("a.txt", "text"), ("y/a.txt", "mine")], same)
    assert incoming.texts == {"bb": "mine"} and incoming.unknown == ("a.txt",)


@pytest.mark.parametrize(
    "file", [("a.exe", "x"), ("a.csv", ""), ("a.csv", "one,two\n1,2"), ("a.csv", 'image,caption\n"0001,"x')]
)
def test_other_files_are_a_sentence(file: tuple[str, str]) -> None:
    """A file that is no caption file, or says not which picture, is told so."""
    with pytest.raises(BadInput):
        read([file], TWO)


def test_other_tools_tables_are_read() -> None:
    """A table with `file_name` and `text`, as Hugging Face folders have it, is understood."""
    assert read([("metadata.csv", "file_name,text\none.jpg,hello\n")], TWO).texts == {"aa": "hello"}
