"""What a layout is given, what it must offer, and the few things that all of them compute alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lora_builder.base_models import BASE_MODELS, BaseModel
from lora_builder.export.images import TrainingImage, one_line
from lora_builder.settings import Settings

EPOCH_STEPS = 200
"""Pictures an epoch that the repeats aim for: 10 x 20 pictures, the usual portrait recipe."""

EPOCHS = 10
"""Epochs, so about 2,000 steps in all."""

SAVES = 10
"""Checkpoints a training leaves, one an epoch."""

MASK_FLOOR = 0.1
"""Weight of what a mask hides: at 0, ai-toolkit divides by nothing, and seams appear at the edge."""


@dataclass(frozen=True)
class ClassImage:
    """One picture of the class (not of the subject) for regularisation; ready to copy."""

    name: str
    image: Path
    caption: str


@dataclass(frozen=True)
class Shard:
    """A tar archive: members in order, each a file or bytes."""

    members: tuple[tuple[str, Path | bytes], ...]


@dataclass(frozen=True)
class Entry:
    """One file of a package: its path inside, `/`-separated, and what it holds."""

    path: str
    content: Path | bytes | Shard


@dataclass(frozen=True)
class Material:
    """What every layout is made of."""

    images: Sequence[TrainingImage]
    settings: Settings
    classes: Sequence[ClassImage] = ()

    @property
    def base(self) -> BaseModel:
        return BASE_MODELS[self.settings.base_model]

    @property
    def masked(self) -> bool:
        """Whether there are masks; they are for all pictures or for none."""
        return bool(self.images) and all(image.mask is not None for image in self.images)

    @property
    def repeats(self) -> int:
        """How often a picture is seen an epoch: `EPOCH_STEPS` / pictures, rounded, at least 1."""
        return max(1, round(EPOCH_STEPS / len(self.images))) if self.images else 1

    @property
    def steps(self) -> int:
        """Steps in all at batch size 1: epochs x repeats x pictures."""
        return EPOCHS * self.repeats * max(len(self.images), 1)

    @property
    def resolution(self) -> int:
        """Pixels; the side of the largest square that the base model is trained at."""
        return max(self.base.resolutions)

    @property
    def who(self) -> str:
        """Trigger and class word, as in `ohwx woman`; never empty."""
        return " ".join(filter(None, (self.settings.trigger, self.settings.class_word))) or "subject"

    @property
    def derived(self) -> str:
        """How repeats and steps came about, in one line."""
        return (
            f"{EPOCH_STEPS} pictures an epoch / {len(self.images)} pictures, rounded, at least 1: "
            f"{self.repeats} repeats; x {EPOCHS} epochs = {self.steps} steps at batch size 1"
        )


class Layout(Protocol):
    """One trainer's way of reading a dataset.

    `bases`: the base models it trains; empty means any. `masks`, `classes`: whether it takes them.
    `rule`: its bucketing rule, see `buckets.RULES`; empty where no trainer is meant.
    """

    name: str
    title: str
    bases: tuple[str, ...]
    masks: bool
    classes: bool
    rule: str

    def entries(self, material: Material) -> Iterator[Entry]:
        """Every file of the package but its README and manifest, the same for the same material."""

    def command(self, material: Material) -> str:
        """The one command that trains, run inside the package; words in capitals are the user's paths."""


def pairs(material: Material, folder: str) -> Iterator[Entry]:
    """Each picture and its one-line caption of the same stem."""
    for image in material.images:
        yield Entry(f"{folder}/{image.name}{image.image.suffix}", image.image)
        yield Entry(f"{folder}/{image.name}.txt", one_line(image.caption).encode("utf-8", "replace"))


def class_pairs(material: Material, folder: str) -> Iterator[Entry]:
    """Each class picture and its caption."""
    for picture in material.classes:
        yield Entry(f"{folder}/{picture.name}{picture.image.suffix}", picture.image)
        yield Entry(f"{folder}/{picture.name}.txt", one_line(picture.caption).encode("utf-8", "replace"))


def masks(material: Material, folder: str, suffix: str = "") -> Iterator[Entry]:
    """Each picture's mask: a PNG of the picture's stem, plus `suffix`."""
    if material.masked:
        for image in material.images:
            assert image.mask is not None
            yield Entry(f"{folder}/{image.name}{suffix}.png", image.mask)


def quoted(text: str) -> str:
    """The text as a string of JSON, which is one of TOML and of YAML too."""
    return json.dumps(text, ensure_ascii=False)


def as_json(value: object) -> bytes:
    """JSON for people, in the order given."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def folder_name(text: str) -> str:
    """`text` as every system takes it in a folder's name; never empty."""
    kept = "".join(c if c.isalnum() or c in " -_" else " " for c in text)
    return " ".join(kept.split()) or "subject"


def by_base(commands: Mapping[str, str], material: Material) -> str:
    """The command for the base model; empty where the trainer has none for it."""
    return commands.get(material.settings.base_model, "")
