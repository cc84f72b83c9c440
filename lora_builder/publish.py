"""What a run left in a project's folder -> a store. The run itself works in a folder of this machine.

Files of a store cannot be renamed at once as a folder can. So `manifest.json` is taken away first and
put back last: a set is whole where its manifest is, and `verify` tells by its hashes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lora_builder.errors import BadSettings
from lora_builder.files import atomic_write
from lora_builder.places import Place, json_of
from lora_builder.settings import Settings
from lora_builder.sums import Sums

FOLDER = "stores"
"""Folder in the data folder for projects whose output is in a store."""

PUBLISHED = ".cache/published.json"
"""What a project's store is known to hold of ours: SHA-256 by path inside."""

MANIFEST = "manifest.json"

AT_ONCE = 8
"""Files on their way at a time."""


def work_folder(output: Place, settings: Settings) -> Path:
    """The folder of this machine in which the projects of an output are made, always the same one.

    Raises BadSettings for a store that cannot take files one by one.
    """
    if output.scheme == "hf":
        raise BadSettings("hf:// takes whole datasets.", "Build in a folder, then `push` to the Hub.")
    words = re.sub(r"[^A-Za-z0-9]+", "-", output.url).strip("-")[-40:]
    return settings.data_dir / FOLDER / f"{words}-{hashlib.sha256(output.url.encode()).hexdigest()[:8]}"


def publish(folder: Path, place: Place) -> Iterator[tuple[int, int, str]]:
    """Makes `place` hold what the folder does; yields how many of the files that differ are done.

    What is in the place already, by its hash and size, is not sent again; what an earlier run left and
    this one did not goes; what others put there stays. Raises OutputUnwritable, BadInput.
    """
    sums = Sums(folder)
    wanted = {path.relative_to(folder).as_posix(): path for path in _finished(folder)}
    hashes = {name: sums.of(path).sha256 for name, path in wanted.items()}
    there = {file.inside: file.bytes for file in place.files()}
    known = {name: digest for name, digest in _known(folder, place).items() if name in there}
    same = {
        name
        for name, digest in hashes.items()
        if known.get(name) == digest and there[name] == wanted[name].stat().st_size
    }
    send = sorted(name for name in wanted if name not in same and name != MANIFEST)
    stale = sorted(name for name in known if name not in wanted and name != MANIFEST)
    last = [MANIFEST] if MANIFEST in wanted and (send or stale or MANIFEST not in same) else []
    if not (send or stale or last):
        return
    _remember(folder, {name: digest for name, digest in known.items() if name in same and name != MANIFEST})
    if MANIFEST in there:
        (place / MANIFEST).remove()
    total = len(send) + len(stale) + len(last)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = pool.map(lambda name: (place / name).put(wanted[name]), send)
        gone = pool.map(lambda name: (place / name).remove(), stale)
        for done, name in enumerate([*send, *stale], 1):
            next(sent if done <= len(send) else gone)
            yield done, total, name
    for name in last:
        (place / name).put(wanted[name])
        yield total, total, name
    _remember(folder, hashes)


def _finished(folder: Path) -> list[Path]:
    """The files that are meant for the user."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _known(folder: Path, place: Place) -> Mapping[str, str]:
    """What we put there: by our own note or, on another machine, by the manifest in the place."""
    try:
        noted = json.loads((folder / PUBLISHED).read_bytes())
        return {str(name): str(digest) for name, digest in noted.items()}
    except (OSError, ValueError, AttributeError):
        manifest = json_of(place / MANIFEST)
    files = manifest.get("files", []) if isinstance(manifest, dict) else []
    return {str(file["path"]): str(file["sha256"]) for file in files if {"path", "sha256"} <= set(file)}


def _remember(folder: Path, hashes: Mapping[str, str]) -> None:
    atomic_write(folder / PUBLISHED, json.dumps(hashes, indent=0, sort_keys=True).encode())
