"""What a run leaves in a project's folder: the decisions, the dataset, the ZIP to train from."""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lora_builder.errors import BadInput
from lora_builder.export import writer
from lora_builder.export.images import NAME, TrainingImage, one_line
from lora_builder.export.layouts import Entry
from lora_builder.export.layouts.kohya import dataset_toml, readme
from lora_builder.export.manifest import NAME as MANIFEST
from lora_builder.export.manifest import Written, package_manifest, project_manifest
from lora_builder.export.writer import put, sync_files
from lora_builder.files import TEMPORARY, atomic_file, atomic_write, sync_folder, writing_to
from lora_builder.records import Decision
from lora_builder.settings import Settings
from lora_builder.sums import Sums

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


def build_dataset(
    folder: Path, entries: Sequence[TrainingImage], settings: Settings, sums: Sums | None = None
) -> list[Written]:
    """Makes `folder`/dataset hold exactly the entries, each an image and a `.txt` of one line.

    A kill leaves the old or the new dataset whole; the next call tidies up. Files of the user's own
    found in dataset/ are moved aside with it, never deleted. Returns what was written, by its path
    in `folder`. Raises OutputUnwritable; BadInput for an empty caption, which trainers refuse.
    """
    sums = sums or Sums()
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        fresh = folder / _FRESH
        fresh.mkdir()
        written = []
        for entry in _dataset(entries):
            with (fresh / Path(entry.path).name).open("xb") as stream:
                written.append(put(entry, stream, sums))
        sync_files(fresh / Path(file.path).name for file in written)
        sync_folder(fresh)
        _swap(folder)
        sums.note_copies(
            {folder / DATASET / f"{entry.name}{entry.image.suffix}": entry.image for entry in entries}
        )
    return written


def write_zip(
    folder: Path,
    entries: Sequence[TrainingImage],
    settings: Settings,
    decisions: Sequence[Decision] = (),
    sums: Sums | None = None,
) -> None:
    """Writes `train_package.zip`: the same entries always give the same bytes.

    Raises OutputUnwritable; BadInput for an empty caption.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    texts = [
        Entry("README.txt", readme(len(entries), settings).encode()),
        Entry("dataset.toml", dataset_toml(len(entries), settings).encode()),
    ]
    finish = functools.partial(_manifest, ordered, decisions, settings)
    files = itertools.chain(texts, _dataset(ordered))
    writer.write_zip(folder / PACKAGE, files, sums or Sums(), finish)


def _dataset(entries: Iterable[TrainingImage]) -> Iterator[Entry]:
    """dataset/0001.png and dataset/0001.txt of each."""
    for entry in entries:
        caption = one_line(entry.caption)
        if not caption:
            raise BadInput(f"The caption of picture {entry.name} is empty.", "Write one, or clear it.")
        yield Entry(f"{DATASET}/{entry.name}{entry.image.suffix}", entry.image)
        yield Entry(f"{DATASET}/{entry.name}.txt", caption.encode("utf-8", "replace"))


def _manifest(
    entries: Sequence[TrainingImage],
    decisions: Sequence[Decision],
    settings: Settings,
    files: list[Written],
) -> bytes:
    return package_manifest("train_package", entries, files, decisions, settings)


def write_project_manifest(
    folder: Path,
    entries: Sequence[TrainingImage],
    files: Iterable[Written],
    decisions: Sequence[Decision],
    settings: Settings,
) -> None:
    """Writes `manifest.json`: every source, decision, setting and model, and what is in dataset/.

    Packages carry manifests of their own. Raises OutputUnwritable.
    """
    atomic_write(folder / MANIFEST, project_manifest(entries, files, decisions, settings))


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
