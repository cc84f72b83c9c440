"""Class pictures for regularisation: from a folder of the user's to files that are ready to copy."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image

from lora_builder.base_models import BASE_MODELS
from lora_builder.decode import read_photo
from lora_builder.errors import BadInput, UnreadablePhoto
from lora_builder.export.images import one_line
from lora_builder.export.layouts.interface import ClassImage
from lora_builder.files import atomic_write
from lora_builder.ingest import identify, list_sources, local_file
from lora_builder.records import Photo
from lora_builder.settings import Settings

VERSION = 1
"""Part of every class picture's key."""

QUALITY = 95


def class_images(cache: Path, settings: Settings) -> list[ClassImage]:
    """The pictures of `settings.regularisation`, upright, without metadata, under neutral names.

    They are made smaller where they are larger than the base model needs, never cut. A `.txt` beside
    a picture is its caption; else the class word is. Unreadable ones are left out. Raises BadInput
    where nothing is left, OutputUnwritable.
    """
    folder = settings.regularisation
    if folder is None:
        return []
    made = []
    for source in list_sources(folder, settings).sources:
        photo = identify(source, settings)
        if not isinstance(photo, Photo):
            continue
        path = _ready(photo, cache, settings)
        if path is not None:
            assert isinstance(source.path, Path)  # the folder is this machine's
            made.append((photo.sha256, path, _caption(source.path, settings)))
    if not made:
        raise BadInput(f"There are no class pictures in {folder}.", "Choose a folder with some.")
    # By content, so that the names are the same whatever the files are called.
    unique = {sha256: (path, caption) for sha256, path, caption in sorted(made)}
    return [
        ClassImage(f"{number:04d}", path, caption)
        for number, (path, caption) in enumerate(unique.values(), 1)
    ]


def _ready(photo: Photo, cache: Path, settings: Settings) -> Path | None:
    side = max(BASE_MODELS[settings.base_model].resolutions) * 2
    key = hashlib.sha256(repr((VERSION, photo.sha256, side, settings.background)).encode()).hexdigest()[:32]
    target = cache / f"{key}.jpg"
    if target.exists():
        return target
    try:
        with local_file(photo.source, settings) as path:
            pixels = read_photo(path, side, settings).pixels
    except (UnreadablePhoto, OSError):
        return None
    cache.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    atomic_write(target, buffer.getvalue())
    return target


def _caption(path: Path, settings: Settings) -> str:
    """The text beside the picture, or what the class is called."""
    try:
        text = one_line(path.with_suffix(".txt").read_text("utf-8", "replace"))
    except OSError:
        text = ""
    return text or settings.class_word or "person"
