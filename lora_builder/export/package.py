"""What a run leaves in a project's folder: the decisions, the dataset, the ZIP to train from."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lora_builder.errors import BadInput
from lora_builder.export.images import NAME, TrainingImage, one_line
from lora_builder.export.kohya import dataset_toml, readme
from lora_builder.files import TEMPORARY, atomic_file, sync_folder, writing_to
from lora_builder.records import Decision
from lora_builder.settings import Settings

DATASET = "dataset"
DECISIONS = "decisions.jsonl"
PACKAGE = "train_package.zip"

_FRESH, _OLD = "dataset.new", "dataset.old"

_PAIR = re.compile(NAME.pattern + r"\.(png|jpg|txt)")
"""Names that we write in dataset/."""

_OURS = re.compile(_PAIR.pattern + r"|\d{4,}[\w.-]*\.npz|\.DS_Store|Thumbs\.db|desktop\.ini")
"""The same, and what trainers' caches and file managers add; anything else is the user's."""

_LINE_ENDS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}
"""Legal inside JSON text, but ends of lines to some readers of lines."""


def write_decisions(folder: Path, decisions: Iterable[Decision]) -> None:
    """Writes `decisions.jsonl`: one JSON object a line, by source name, in DESIGN's order of fields.

    Raises OutputUnwritable.
    """
    with atomic_file(folder / DECISIONS) as stream:
        for decision in sorted(decisions, key=lambda decision: decision.source):
            stream.write(_json_line(record(decision)))


def record(decision: Decision) -> dict[str, Any]:
    """A decision as plain JSON values; a figure that is not a finite number is left out."""
    fields = asdict(decision)
    fields["scores"] = {k: float(v) for k, v in sorted(decision.scores.items()) if math.isfinite(v)}
    return fields


def build_dataset(folder: Path, entries: Sequence[TrainingImage], settings: Settings) -> None:
    """Makes `folder`/dataset hold exactly the entries, each an image and a `.txt` of one line.

    A kill leaves the old or the new dataset whole; the next call tidies up. Files of the user's own
    found in dataset/ are moved aside with it, never deleted. Raises OutputUnwritable; BadInput for
    an empty caption, which trainers refuse.
    """
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        fresh = folder / _FRESH
        fresh.mkdir()
        for entry in entries:
            caption = one_line(entry.caption)
            if not caption:
                raise BadInput(f"The caption of picture {entry.name} is empty.", "Write one, or clear it.")
            _copy(entry.image, fresh / f"{entry.name}{entry.image.suffix}")
            _write(fresh / f"{entry.name}.txt", caption.encode("utf-8", "replace"))
        sync_folder(fresh)
        _swap(folder)


def write_zip(folder: Path, settings: Settings) -> None:
    """Writes `train_package.zip` from `folder`/dataset: the same files always give the same bytes.

    Raises OutputUnwritable.
    """
    members = sorted(path for path in (folder / DATASET).iterdir() if _PAIR.fullmatch(path.name))
    images = sum(path.suffix != ".txt" for path in members)
    texts = {"README.txt": readme(images, settings), "dataset.toml": dataset_toml(images, settings)}
    with (
        atomic_file(folder / PACKAGE) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as package,
    ):
        for name, text in texts.items():
            package.writestr(_member(name), text.encode())
        for path in members:
            info = _member(f"{DATASET}/{path.name}")
            info.file_size = path.stat().st_size
            with path.open("rb") as source, package.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def _member(name: str) -> zipfile.ZipInfo:
    """A ZIP member without traces of this machine or moment."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_STORED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def _json_line(fields: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        # A file name that is not valid Unicode survives only as escapes.
        return json.dumps(fields, allow_nan=False).encode() + b"\n"


def _recover(folder: Path) -> None:
    """Clears what a killed run left: an old dataset without a new one is put back."""
    if (folder / _OLD).exists():
        if (folder / DATASET).exists():
            _discard(folder / _OLD)
        else:
            (folder / _OLD).replace(folder / DATASET)
    if (folder / _FRESH).exists():
        shutil.rmtree(folder / _FRESH)
    for leftover in folder.glob(TEMPORARY):
        leftover.unlink(missing_ok=True)


def _swap(folder: Path) -> None:
    """dataset.new becomes dataset; between the two renames the old one is safe as dataset.old."""
    if (folder / DATASET).exists():
        (folder / DATASET).replace(folder / _OLD)
    (folder / _FRESH).replace(folder / DATASET)
    sync_folder(folder)
    if (folder / _OLD).exists():
        _discard(folder / _OLD)


def _discard(old: Path) -> None:
    """Deletes a dataset of ours; one with files of the user's in it is only moved out of the way."""
    if old.is_dir() and all(path.is_file() and _OURS.fullmatch(path.name) for path in old.iterdir()):
        shutil.rmtree(old)
        return
    number = 1
    while (aside := old.with_name(f"{DATASET}.yours-{number}")).exists():
        number += 1
    old.replace(aside)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as writer:
        writer.write(data)
        writer.flush()
        os.fsync(writer.fileno())
