"""From the original's pixels and a crop to a training image on disk."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lora_builder.decode import read_crop
from lora_builder.errors import UnreadablePhoto
from lora_builder.files import atomic_write
from lora_builder.ingest import local_file
from lora_builder.records import Crop, Photo, Rejected
from lora_builder.settings import Settings

CROP_VERSION = 1
"""Part of every crop's key; raise it when the same crop would come out with other pixels."""

PNG_COMPRESSION = 1
"""zlib level: 4 times faster than the usual 6, files 7% larger, the same pixels."""

SUFFIX = {"png": ".png", "jpeg": ".jpg"}


@dataclass(frozen=True)
class CropTask:
    """Cut `crop` out of `photo` into the file `target`."""

    photo: Photo
    crop: Crop
    target: Path


def crop_key(photo: Photo, crop: Crop, settings: Settings) -> str:
    """Names the exact pixels and encoding of a training image, whatever project it is in."""
    recipe = (
        CROP_VERSION,
        photo.sha256,
        tuple(crop.box),
        (crop.width, crop.height),
        settings.image_format,
        settings.jpeg_quality,
        settings.background,
    )
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:32]


def cut(task: CropTask, settings: Settings) -> Path | Rejected:
    """Writes the training image, without any metadata, and returns its path."""
    try:
        with local_file(task.photo.source, settings) as path:
            pixels = read_crop(path, task.crop, settings)
    except UnreadablePhoto as error:
        return Rejected(error.message, error.remedy)
    except FileNotFoundError:
        return Rejected("The original is not there any more.", "Put it back and run again.")
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if settings.image_format == "png":
        image.save(buffer, "PNG", compress_level=PNG_COMPRESSION)
    else:
        image.save(buffer, "JPEG", quality=settings.jpeg_quality, subsampling=0, optimize=True)
    atomic_write(task.target, buffer.getvalue())
    return task.target
