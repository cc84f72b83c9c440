"""WebDataset: tar shards whose members share a stem, for loaders that stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_builder.export.images import TrainingImage, one_line
from lora_builder.export.layouts.interface import Entry, Material, Shard

SHARD_IMAGES = 500
"""Pictures a shard: about 700 MB of 1024 px PNGs, the size that its authors suggest is below 1 GB."""


class WebDataset:
    """shards/train-000000.tar with 0001.png, 0001.txt, and 0001.mask.png where there are masks."""

    name = "webdataset"
    title = "WebDataset shards"
    bases: tuple[str, ...] = ()
    masks = True
    classes = False
    rule = ""

    def entries(self, material: Material) -> Iterator[Entry]:
        for start in range(0, len(material.images), SHARD_IMAGES):
            images = material.images[start : start + SHARD_IMAGES]
            members = tuple(member for image in images for member in _members(image, material.masked))
            yield Entry(f"shards/train-{start // SHARD_IMAGES:06d}.tar", Shard(members))

    def command(self, material: Material) -> str:
        return ""


LAYOUT = WebDataset()


def _members(image: TrainingImage, masked: bool) -> Iterator[tuple[str, Path | bytes]]:
    yield f"{image.name}{image.image.suffix}", image.image
    yield f"{image.name}.txt", one_line(image.caption).encode("utf-8", "replace")
    if masked and image.mask is not None:
        yield f"{image.name}.mask.png", image.mask
