"""The trainers' layouts, by name: a new one is one file, one line here, and a line in docs/exports.md."""

from __future__ import annotations

from collections.abc import Mapping

from lora_builder.errors import BadSettings
from lora_builder.export.layouts import (
    ai_toolkit,
    diffusion_pipe,
    imagefolder,
    kohya,
    musubi,
    onetrainer,
    plain,
    simpletuner,
    webdataset,
)
from lora_builder.export.layouts.interface import Entry, Layout, Material, Shard

__all__ = ["LAYOUTS", "Entry", "Layout", "Material", "Shard", "chosen"]

_ALL: tuple[Layout, ...] = (
    plain.LAYOUT,
    kohya.LAYOUT,
    ai_toolkit.LAYOUT,
    onetrainer.LAYOUT,
    musubi.LAYOUT,
    diffusion_pipe.LAYOUT,
    simpletuner.LAYOUT,
    imagefolder.LAYOUT,
    webdataset.LAYOUT,
)

LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in _ALL}


def chosen(names: tuple[str, ...]) -> list[Layout]:
    """The layouts of these names, each once, in the order given. Raises BadSettings."""
    for name in names:
        if name not in LAYOUTS:
            raise BadSettings(f"There is no layout {name!r}.", f"There are: {', '.join(LAYOUTS)}.")
    return [LAYOUTS[name] for name in dict.fromkeys(names)]
