"""A stage's function for workers of other machines: their own folders, and where their files go.

A worker on another machine has its own data folder (LORA_DATA_DIR there) and hands on what it makes:
training images through the output's store if it is one, else into the project's folder, which it must
see under the same path; previews likewise.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lora_builder.crop import CropTask, cut
from lora_builder.errors import ClusterUnfit
from lora_builder.files import LOCK, atomic_file, scratch
from lora_builder.places import Location, Place
from lora_builder.records import Rejected
from lora_builder.settings import Settings
from lora_builder.sums import Sum

Item = TypeVar("Item")
Result = TypeVar("Result")
Taken = TypeVar("Taken", contravariant=True)
Made = TypeVar("Made", covariant=True)

DROP = ".cache"
"""Folder in a project's store through which workers hand on what they make."""


class Work(Protocol[Taken, Made]):
    """A stage's function of one record."""

    def __call__(self, item: Taken, /, *, settings: Settings) -> Made: ...


@dataclass(frozen=True)
class Abroad(Generic[Item, Result]):
    """`work` with the settings of the run, and the folders of the machine that it comes to.

    `landmarks`: paths that the machine must see.
    """

    work: Work[Item, Result]
    settings: Settings
    landmarks: tuple[Path, ...] = ()

    def __call__(self, item: Item) -> Result:
        for path in self.landmarks:
            _insist_seen(path)
        return self.work(item, settings=self.settings.model_copy(update={"data_dir": _data_dir()}))


def told(
    work: Work[Item, Result], folder: Path, input: Location, place: Place | None, settings: Settings
) -> Callable[[Item], Result]:
    """`work` as the workers in force need it: those of this machine need no more than the settings.

    `folder` and `input` are the project's, `place` the store that its results go to, if any.
    """
    plain = settings.without_secrets
    if not settings.cluster:
        return functools.partial(work, settings=plain)
    seen = (folder / LOCK if place is None else None, input)
    previews = settings.previews or str(settings.data_dir / "previews")
    shown = plain.model_copy(update={"previews": previews})
    return Abroad(work, shown, tuple(path for path in seen if isinstance(path, Path)))


def sharing_previews(settings: Settings, place: Place | None) -> Settings:
    """The settings with previews in the results' store, where workers elsewhere have no other way."""
    if settings.cluster and place is not None and not settings.previews:
        return settings.model_copy(update={"previews": str(place / DROP / "previews")})
    return settings


def drop_of(place: Place | None, settings: Settings) -> Place | None:
    """Where workers elsewhere leave training images for us; None: in the project's folder itself."""
    return place / DROP / "crops" if place is not None and settings.cluster else None


def cut_into(task: CropTask, *, settings: Settings, drop: Place) -> dict[Path, Sum] | Rejected:
    """`cut`, whose files go into a store, by their names; `collected` brings them."""
    own = scratch(settings.data_dir) / secrets.token_hex(8)
    here = {file: own / file.name for file in task.files}
    moved = replace(task, target=here[task.target], mask=here[task.mask] if task.mask else None)
    try:
        result = cut(moved, settings)
        if isinstance(result, Rejected):
            return result
        for file, path in here.items():
            (drop / file.name).put(path)
        return {file: result[path] for file, path in here.items()}
    finally:
        for path in here.values():
            path.unlink(missing_ok=True)
        if own.is_dir():
            own.rmdir()


def collected(written: Mapping[Path, Sum], drop: Place) -> dict[Path, Sum]:
    """Brings the files from the store to where they belong on this machine. Raises BadInput."""
    found = {}
    for file, known in written.items():
        place = drop / file.name
        with atomic_file(file) as stream:
            for chunk in place.chunks():
                stream.write(chunk)
        place.remove()
        found[file] = replace(known, modified=file.stat().st_mtime_ns)
    return found


@functools.lru_cache(maxsize=64)
def _insist_seen(path: Path) -> None:
    if not path.exists():
        raise ClusterUnfit(
            f"The worker on {socket.gethostname()} does not see {path}.",
            "Share that folder with the workers under the same path, or use a store: s3://bucket/folder.",
        )


def _data_dir() -> Path:
    """This machine's data folder, as its own settings name it."""
    named = os.environ.get("LORA_DATA_DIR")
    default: Callable[[], Path] = Settings.model_fields["data_dir"].default_factory  # type: ignore[assignment]
    return Path(named) if named else default()
