"""Picture and text file of the same stem: what every trainer can be pointed at by hand."""

from __future__ import annotations

from collections.abc import Iterator

from lora_builder.export.layouts.interface import Entry, Material, class_pairs, masks, pairs


class Plain:
    """dataset/0001.png + 0001.txt; masks/ and regularisation/ where there are some."""

    name = "plain"
    title = "Plain pairs"
    bases: tuple[str, ...] = ()
    masks = True
    classes = True
    rule = ""

    def entries(self, material: Material) -> Iterator[Entry]:
        yield from pairs(material, "dataset")
        yield from masks(material, "masks")
        yield from class_pairs(material, "regularisation")

    def command(self, material: Material) -> str:
        return ""


LAYOUT = Plain()
