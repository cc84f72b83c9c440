"""The picture that is sent: small enough, a JPEG, rebuilt from pixels so that no metadata goes along."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from lora_builder.records import Pixels

SENT_QUALITY = 90
"""JPEG quality of sent pictures: models see no difference above, and bytes double."""


def of_file(path: Path, max_side: int) -> bytes:
    """A training image of ours as a JPEG of at most `max_side` pixels a side, without metadata."""
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        return _jpeg(image.convert("RGB"), max_side)


def of_pixels(pixels: Pixels, max_side: int) -> bytes:
    """The same of pixels."""
    return _jpeg(Image.fromarray(pixels), max_side)


def tiny() -> bytes:
    """A small grey picture for testing a connection: nobody's photo."""
    return _jpeg(Image.linear_gradient("L").resize((64, 64)).convert("RGB"), 64)


def _jpeg(image: Image.Image, max_side: int) -> bytes:
    plain = Image.new("RGB", image.size)
    plain.paste(image)
    plain.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    plain.save(buffer, "JPEG", quality=SENT_QUALITY, optimize=True)
    return buffer.getvalue()
