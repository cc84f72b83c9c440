"""A set to try the app with: one portrait that may be published, copies of it, and pictures without it.

All come with scikit-image: Eileen Collins (NASA, public domain), coffee and a cat (CC0).
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageEnhance

RESOLUTION = 512
"""Side of the training pictures of the sample, pixels: its originals are no larger."""


def write_samples(folder: Path) -> int:
    """Writes the pictures into `folder` and says how many."""
    from skimage.data import astronaut, chelsea, coffee

    portrait = Image.fromarray(astronaut())
    width, height = portrait.size
    pictures = {
        "portrait.png": portrait,
        "portrait, sent by chat.jpg": portrait.resize((480, 480), Image.Resampling.LANCZOS),
        "portrait, mirrored.jpg": portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "portrait, a little brighter.jpg": ImageEnhance.Brightness(portrait).enhance(1.12),
        "portrait, far too dark.jpg": ImageEnhance.Brightness(portrait).enhance(0.06),
        "portrait, a small cut.jpg": portrait.crop((width // 4, 0, width * 3 // 4, height // 2)),
        "coffee.jpg": Image.fromarray(coffee()),
        "cat.jpg": Image.fromarray(chelsea()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / name, quality=92)
    return len(pictures)
