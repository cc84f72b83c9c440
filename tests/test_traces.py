"""Copies keep marks of the first time they were saved."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from skimage import data

from lora_builder.decode import read_photo
from lora_builder.settings import load
from lora_builder.traces import saved_again


def saved(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    buffer.seek(0)
    return Image.open(buffer)


def marks(image: Image.Image) -> float:
    return saved_again(np.asarray(image.convert("L")), tuple(image.quantization[0]))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def first() -> Image.Image:
    """A photo saved once; its sides are no whole number of blocks."""
    return saved(Image.fromarray(data.astronaut()).crop((0, 0, 507, 509)), 75)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "toned": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "mirrored": ImageOps.mirror,
    "rotated": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}


def test_a_photo_saved_once_bears_no_marks(first: Image.Image) -> None:
    """An original is never called a copy for how coarsely it was saved."""
    assert marks(first) < 1
    assert all(marks(saved(Image.fromarray(data.astronaut()), quality)) < 1 for quality in (50, 85, 95))


@pytest.mark.parametrize("change", CHANGES)
def test_a_finer_copy_of_a_jpeg_bears_marks(first: Image.Image, change: str) -> None:
    """More bytes do not make a copy the original, also after toning, mirroring or rotating it."""
    assert marks(saved(CHANGES[change](first.convert("RGB")), 90)) >= 1


def test_a_photo_decoded_small_or_no_jpeg_is_not_accused(tmp_path: Path) -> None:
    """Without all its pixels, or without a table, nothing is said of a photo."""
    copy = saved(saved(Image.fromarray(data.astronaut()), 60).convert("RGB"), 92).convert("RGB")
    copy.save(tmp_path / "copy.jpg", quality=92)
    copy.save(tmp_path / "copy.png")
    settings = load()
    assert read_photo(tmp_path / "copy.jpg", 1280, settings).saved_again >= 1
    assert read_photo(tmp_path / "copy.jpg", 128, settings).saved_again == 0
    assert read_photo(tmp_path / "copy.png", 1280, settings).saved_again == 0
