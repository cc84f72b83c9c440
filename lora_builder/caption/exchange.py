"""Captions to and from files: a CSV for spreadsheets, a ZIP of `.txt` as trainers read them.

A spreadsheet runs a cell that begins like a formula, and captions come from models and strangers: such
cells get an apostrophe in front, which is taken away again when the file comes back.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lora_builder.caption.editing import one_line
from lora_builder.errors import BadInput

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), wide letters too."""

COLUMNS = ("image", "photo", "caption", "author", "locked")

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of the files in a ZIP, so that the same captions give the same bytes."""


@dataclass(frozen=True)
class Named:
    """One caption under the names that a file may call it by.

    `image`: the training image's stem, as in `0001`. `photo`: the source's path inside the input.
    """

    item: str
    image: str
    photo: str
    text: str
    author: str = ""
    locked: bool = False


@dataclass(frozen=True)
class Incoming:
    """What files hold: new texts by item, and the names in them that no picture has."""

    texts: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def to_csv(captions: Iterable[Named]) -> str:
    """All captions as CSV with a header, UTF-8 with a mark so that spreadsheets read it as that."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in captions:
        cells = (one.image, one.photo, one.text, one.author, "yes" if one.locked else "no")
        writer.writerow([disarmed(cell) for cell in cells])
    return "\ufeff" + buffer.getvalue()


def to_zip(captions: Iterable[Named]) -> bytes:
    """A ZIP of `IMAGE.txt`, one line each; empty captions are left out, no trainer takes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(captions, key=lambda one: one.image):
            if one.text:
                archive.writestr(zipfile.ZipInfo(f"{one.image}.txt", EPOCH), one.text + "\n")
    return buffer.getvalue()


def disarmed(cell: str) -> str:
    """The cell as text that no spreadsheet runs."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def armed(cell: str) -> str:
    """What `disarmed` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell


def read(files: Sequence[tuple[str, str]], captions: Iterable[Named]) -> Incoming:
    """What the files (name, content) say about the captions: `.csv`, and `.txt` named like a picture.

    A name is an image's stem or a photo's path, with or without folders and suffix, whatever its
    capitals; one that two pictures share is no name. Raises BadInput for a file that is neither.
    """
    names = _names(captions)
    texts: dict[str, str] = {}
    unknown: list[str] = []
    for name, content in files:
        kind = PurePosixPath(name).suffix.lower()
        if kind == ".csv":
            rows = _rows(name, content)
        elif kind == ".txt":
            rows = [([name], content)]
        else:
            raise BadInput(f"{name} is neither a .txt nor a .csv file.", "Choose captions in one of these.")
        for called, text in rows:
            item = next((names[key] for key in map(_key, called) if names.get(key)), None)
            line = one_line(text)
            if item is None:
                unknown.append(called[0])
            elif line:
                texts[item] = line
    return Incoming(texts, tuple(unknown))


def _names(captions: Iterable[Named]) -> dict[str, str]:
    """Items by every name they go by; empty where a name is shared."""
    found: dict[str, str] = {}
    for one in captions:
        paths = {
            one.image,
            one.photo,
            PurePosixPath(one.photo).name,
            str(PurePosixPath(one.photo).with_suffix("")),
        }
        keys = {_key(path) for path in paths | {PurePosixPath(one.photo).stem} if path}
        for key in keys:
            found[key] = "" if found.get(key, one.item) != one.item else one.item
    return found


def _key(name: str) -> str:
    path = name.replace("\\", "/").strip().lower()
    return path.removesuffix(".txt")


def _rows(name: str, content: str) -> list[tuple[list[str], str]]:
    """(names, caption) of each line of a CSV, by its header."""
    try:
        reader = csv.DictReader(io.StringIO(content.removeprefix("\ufeff"), newline=""), strict=True)
        header = [column.strip().lower() for column in reader.fieldnames or []]
        called = [column for column in header if column in ("image", "photo", "file", "file_name", "name")]
        said = next((column for column in header if column in ("caption", "text")), None)
        if said is None or not called:
            raise BadInput(
                f"{name} has no columns that say which picture and which caption.",
                "Name them image (or photo, file_name) and caption (or text) in the first line.",
            )
        reader.fieldnames = header
        rows = []
        for row in reader:
            cells = {column: armed(row.get(column) or "") for column in [*called, said]}
            rows.append(([cells[column] for column in called if cells[column]] or ["?"], cells[said]))
    except csv.Error as error:
        raise BadInput(f"{name} is not a CSV file: {error}.", "Save it as CSV, UTF-8.") from error
    return rows
