"""Finished training images, as a run leaves them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from lora_builder.export.images import TrainingImage
from lora_builder.export.layouts.interface import ClassImage, Material
from lora_builder.records import Box, Crop, Decision
from lora_builder.settings import Settings, load

SIZES = ((1024, 1024), (832, 1216), (512, 512))


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[TrainingImage], list[ClassImage]]:
    """Made once: no test writes into it."""
    folder = tmp_path_factory.mktemp("crops")
    portrait = Image.fromarray(astronaut())
    made = []
    for (name, photo), (width, height) in zip(
        (("0001", "a"), ("0002", "b"), ("0001_face", "a")), SIZES, strict=True
    ):
        path = folder / f"{name}.png"
        portrait.resize((width, height)).save(path, compress_level=1)
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 255
        Image.fromarray(mask).save(folder / f"{name}.mask.png")
        made.append(
            TrainingImage(
                name=name,
                image=path,
                caption=f"ohwx woman, picture {name}, “quoted”\n",
                author="composer",
                photo=photo * 64,
                crop=Crop(Box(0, 0, width, height), width, height),
                face=Box(width * 0.3, height * 0.2, width * 0.3, height * 0.3),
                mask=folder / f"{name}.mask.png",
            )
        )
    pictures = []
    for number in (1, 2):
        path = folder / f"class{number}.jpg"
        portrait.resize((256 * number, 256)).save(path)
        pictures.append(ClassImage(f"{number:04d}", path, "woman"))
    return sorted(made, key=lambda image: image.name), pictures


@pytest.fixture
def images(_made: tuple[list[TrainingImage], list[ClassImage]]) -> list[TrainingImage]:
    """Three pictures of two photos, each with a mask; the third is a further crop of the first photo."""
    return _made[0]


@pytest.fixture
def classes(_made: tuple[list[TrainingImage], list[ClassImage]]) -> list[ClassImage]:
    """Two class pictures."""
    return _made[1]


@pytest.fixture
def named() -> Settings:
    """What a user sets for a portrait LoRA."""
    return load(trigger="ohwx", class_word="woman")


@pytest.fixture
def material(images: list[TrainingImage], classes: list[ClassImage], named: Settings) -> Material:
    """Everything at once: pictures, masks, class pictures."""
    return Material(images, named, classes)


@pytest.fixture
def decisions() -> list[Decision]:
    """Two photos kept, one dropped; their names would tell who it is."""
    kept = [
        Decision(
            f"Eileen Collins {n}.jpg",
            n * 64,
            10,
            10,
            "kept",
            "kept",
            "Kept.",
            None,
            {},
            1,
            None,
            None,
            "",
            "",
        )
        for n in "ab"
    ]
    dropped = Decision(
        "Eileen Collins c.jpg", "c" * 64, 10, 10, "dropped", "near_duplicate", "Same.",
        "Eileen Collins a.jpg", {}, 1, None, None, None, None,
    )  # fmt: skip
    return [*kept, dropped]
