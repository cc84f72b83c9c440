"""From the original's pixels and a crop to a training image on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lora_builder import edits, masks
from lora_builder.decode import read_crop
from lora_builder.errors import UnreadablePhoto
from lora_builder.files import atomic_write
from lora_builder.ingest import local_photo
from lora_builder.models.mediapipe_segment import VERSION as SEGMENTER
from lora_builder.records import Box, Crop, Edits, Measurement, Photo, Pixels, Rejected
from lora_builder.settings import Settings
from lora_builder.sums import Sum, sum_of

CROP_VERSION = 1
"""Part of every crop's key; raise it when the same crop would come out with other pixels."""

PNG_COMPRESSION = 1
"""zlib level: 4 times faster than the usual 6, files 7% larger, the same pixels."""

SUFFIX = {"png": ".png", "jpeg": ".jpg"}


@dataclass(frozen=True)
class CropTask:
    """Cut `crop` out of `photo` into the file `target`, edited, and its training mask into `mask`.

    `subject`, `others`: face boxes in pixels of the upright original.
    """

    photo: Photo
    crop: Crop
    target: Path
    edits: Edits = edits.NONE
    subject: Box | None = None
    others: tuple[Box, ...] = ()
    mask: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What the task leaves."""
        return (self.target,) if self.mask is None else (self.target, self.mask)


def crop_task(
    photo: Photo,
    crop: Crop,
    folder: Path,
    settings: Settings,
    wanted: Edits = edits.NONE,
    subject: Box | None = None,
    others: tuple[Box, ...] = (),
) -> CropTask:
    """The task with its targets in `folder`, named by all that their bytes depend on."""
    others = tuple(face for face in others if crop.box.intersection(face).area > 0)
    key = crop_key(photo, crop, settings)
    if wanted != edits.NONE:
        key = _digest((key, edits.written(wanted), subject, others, SEGMENTER))
    mask = None
    if settings.mask != "none":
        recipe = (key, settings.mask, settings.mask_feather, wanted.bystanders, subject, others, SEGMENTER)
        mask = folder / f"{_digest(recipe)}.mask.png"
    return CropTask(
        photo, crop, folder / (key + SUFFIX[settings.image_format]), wanted, subject, others, mask
    )


def crop_tasks(
    photo: Photo,
    look: Measurement,
    subject: int | None,
    crops: Mapping[str, Crop],
    wanted: Edits,
    folder: Path,
    settings: Settings,
) -> dict[tuple[str, str], CropTask]:
    """Every training image of one photo, by its SHA-256 and the crop's name."""
    own = look.faces[subject].box if subject is not None else None
    others = tuple(face.box for index, face in enumerate(look.faces) if index != subject)
    return {
        (photo.sha256, name): crop_task(photo, crop, folder, settings, wanted, own, others)
        for name, crop in crops.items()
    }


def crop_key(photo: Photo, crop: Crop, settings: Settings) -> str:
    """Names the exact pixels and encoding of an unedited training image, whatever project it is in."""
    recipe = (
        CROP_VERSION,
        photo.sha256,
        tuple(crop.box),
        (crop.width, crop.height),
        settings.image_format,
        settings.jpeg_quality,
        settings.background,
    )
    return _digest(recipe)


def cut(task: CropTask, settings: Settings) -> dict[Path, Sum] | Rejected:
    """Writes the training image, and its mask if asked for, without metadata; returns what was written.

    Raises BadInput where the original is there no more, OutputUnwritable where the disk refuses.
    """
    try:
        with local_photo(task.photo, settings) as path:
            pixels = read_crop(path, task.crop, settings)
    except UnreadablePhoto as error:
        return Rejected(error.message, error.remedy, error.passing)
    pixels, mask = finished(pixels, task, settings)
    written = {}
    if task.mask is not None and mask is not None:
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, "PNG", compress_level=PNG_COMPRESSION)
        written[task.mask] = _save(task.mask, buffer.getvalue())
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if settings.image_format == "png":
        image.save(buffer, "PNG", compress_level=PNG_COMPRESSION)
    else:
        image.save(buffer, "JPEG", quality=settings.jpeg_quality, subsampling=0, optimize=True)
    return written | {task.target: _save(task.target, buffer.getvalue())}


def in_crop(box: Box, crop: Crop) -> Box:
    """A box of the original, in pixels of the training image; it may reach beyond its edges."""
    across, down = crop.width / crop.box.width, crop.height / crop.box.height
    return Box(
        (box.x - crop.box.x) * across, (box.y - crop.box.y) * down, box.width * across, box.height * down
    )


def _save(target: Path, data: bytes) -> Sum:
    atomic_write(target, data)
    return sum_of(data, target)


def finished(pixels: Pixels, task: CropTask, settings: Settings) -> tuple[Pixels, masks.Grey | None]:
    """The cut pixels with the task's edits, and the training mask where one is asked for."""
    if task.edits == edits.NONE and task.mask is None:
        return pixels, None
    subject = in_crop(task.subject, task.crop) if task.subject is not None else None
    others = tuple(in_crop(face, task.crop) for face in task.others)
    person, mask = None, None
    if edits.needs_mask(task.edits) or settings.mask in ("subject", "head"):
        person = masks.person(pixels, subject, others)
    if task.mask is not None:
        whole = person if person is not None else np.ones(pixels.shape[:2], np.float32)
        excluded = others if task.edits.bystanders == "exclude" else ()
        mask = masks.training_mask(settings.mask, whole, subject, settings.mask_feather, excluded)
        if task.edits.mirror:
            mask = np.ascontiguousarray(mask[:, ::-1])
    return edits.apply(pixels, task.edits, subject, others, person), mask


def _digest(recipe: object) -> str:
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:32]
