"""What the export room works on: finished training images, with all that is known of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_builder import edits
from lora_builder.crop import CropTask, in_crop
from lora_builder.records import Box, Caption, Crop

NAME = re.compile(r"\d{4,}(_[a-z0-9]{1,24})?")
"""Names of training images: a number, and the crop's name where a photo gives several."""


@dataclass(frozen=True)
class TrainingImage:
    """A finished image file and its caption.

    `name`: the stem it gets in every layout, as in `0001` or `0001_face`. `author`: who wrote the
    caption. `photo`: SHA-256 of the file it was cut from. `crop`: what was cut, in pixels of that
    photo, upright, and the size of this image. `edits`: the recipe that was applied, see `edits.py`.
    `face`: the subject's face in pixels of this image. `mask`: a grey PNG of the same size, white
    where it trains.
    """

    name: str
    image: Path
    caption: str
    author: str = ""
    photo: str = ""
    crop: Crop | None = None
    edits: str = ""
    face: Box | None = None
    mask: Path | None = None


def image_name(number: str, crop: str) -> str:
    """The stem of a photo's training image; `crop` is empty for the main one."""
    return f"{number}_{crop}" if crop else number


def one_line(caption: str) -> str:
    """The caption as every trainer reads it: one line, without line ends."""
    return " ".join(caption.split())


def training_images(
    cuts: Mapping[tuple[str, str], CropTask],
    captions: Mapping[tuple[str, str], Caption],
    numbers: Mapping[str, str],
) -> list[TrainingImage]:
    """The finished images in the order of their names.

    `cuts`, `captions`: by the photo's SHA-256 and the crop's name. `numbers`: by SHA-256.
    """
    images = []
    for (sha256, name), task in cuts.items():
        caption = captions[sha256, name]
        image = TrainingImage(
            name=image_name(numbers[sha256], name),
            image=task.target,
            caption=caption.text,
            author=caption.author,
            photo=sha256,
            crop=task.crop,
            edits=edits.written(task.edits),
            face=_face(task),
            mask=task.mask,
        )
        images.append(image)
    return sorted(images, key=lambda image: image.name)


def _face(task: CropTask) -> Box | None:
    """The subject's face in the training image, on the other side where that is mirrored."""
    if task.subject is None:
        return None
    face = in_crop(task.subject, task.crop)
    return face._replace(x=task.crop.width - face.right) if task.edits.mirror else face
