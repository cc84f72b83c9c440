"""Light editing of a training image, after it was cut and resampled; all of it by libraries.

A recipe is edits in words, as in `auto_levels,sharpen=0.4,backdrop=#808080`, or a name under which
they were saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import cv2
import numpy as np
from PIL import Image, ImageFilter, ImageOps

from lora_builder import masks
from lora_builder.errors import BadSettings
from lora_builder.records import Box, Edits, Floats, Measurement, Pixels

NONE = Edits()

BUILT_IN: Mapping[str, Edits] = {
    "gentle": Edits(auto_levels=True, sharpen=0.3),
    "phone": Edits(auto_levels=True, white_balance=True, denoise=0.4, sharpen=0.3),
    "studio": Edits(auto_levels=True, backdrop="#808080"),
    "private": Edits(bystanders="blur"),
}
"""Recipes that come with the program."""

LEVELS_CUTOFF = 0.5
"""Percent of the darkest and of the brightest pixels that auto-levels lets clip."""

SATURATED = 0.95
"""Pixels more saturated than this tell nothing about the light (OpenCV's grey-world threshold)."""

NOISE_H = 8.0
"""Filter strength of non-local means at `denoise` 1; OpenCV suggests 10 for very noisy pictures."""

SHARPEN_RADIUS, SHARPEN_PERCENT, SHARPEN_FLOOR = 1.2, 150, 2
"""Unsharp mask at `sharpen` 1: pixels, percent, and grey levels below which noise is left alone."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def parse(recipe: str, saved: Mapping[str, Edits] | None = None) -> Edits:
    """The edits of a recipe; `saved` are the user's own, by name. Raises BadSettings."""
    recipe = recipe.strip()
    known = {**BUILT_IN, **(saved or {})}
    if recipe in known:
        return known[recipe]
    fields: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in recipe.split(","))):
        name, equals, value = (text.strip() for text in part.partition("="))
        if name not in Edits.__dataclass_fields__:
            raise BadSettings(
                f"recipe: there is no edit or saved recipe {name!r}.",
                f"Edits: {', '.join(Edits.__dataclass_fields__)}; recipes: {', '.join(known)}.",
            )
        fields[name] = _value(name, value if equals else "1")
    return replace(NONE, **fields)  # type: ignore[arg-type]


def written(edits: Edits) -> str:
    """The recipe that `parse` reads as these edits; empty where nothing is changed."""
    changed = {k: v for k, v in asdict(edits).items() if v != asdict(NONE)[k]}
    return ",".join(name if value is True else f"{name}={value}" for name, value in changed.items())


def needs_mask(edits: Edits) -> bool:
    """Whether the edits have to know which pixels are the subject."""
    return edits.backdrop != "keep"


def apply(
    pixels: Pixels, edits: Edits, subject: Box | None, others: Sequence[Box], mask: Floats | None
) -> Pixels:
    """The edited picture. Face boxes are in its own pixels; `mask` as `masks.person` gives it."""
    if edits.white_balance:
        balancer = cv2.xphoto.createGrayworldWB()
        balancer.setSaturationThreshold(SATURATED)
        pixels = np.asarray(balancer.balanceWhite(np.ascontiguousarray(pixels[:, :, ::-1]))[:, :, ::-1])
    if edits.denoise > 0:
        strength = NOISE_H * edits.denoise
        pixels = cv2.fastNlMeansDenoisingColored(
            np.ascontiguousarray(pixels), None, strength, strength, 5, 11
        )
    if edits.bystanders == "blur" and others:
        pixels = masks.without_faces(pixels, others, subject)
    if edits.backdrop != "keep" and mask is not None:
        pixels = masks.with_backdrop(pixels, mask, edits.backdrop)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if edits.auto_levels:
        image = ImageOps.autocontrast(image, cutoff=LEVELS_CUTOFF, preserve_tone=True)
    if edits.sharpen > 0:
        percent = round(SHARPEN_PERCENT * edits.sharpen)
        image = image.filter(ImageFilter.UnsharpMask(SHARPEN_RADIUS, percent, SHARPEN_FLOOR))
    if edits.mirror:
        image = ImageOps.mirror(image)
    return np.asarray(image)


def mirrored(measurement: Measurement) -> Measurement:
    """What captions must say of a mirrored picture: heads turned and tilted the other way."""
    faces = tuple(
        replace(face, pose=replace(face.pose, yaw=-face.pose.yaw, roll=-face.pose.roll))
        for face in measurement.faces
    )
    return replace(measurement, faces=faces)


def _value(name: str, text: str) -> bool | float | str:
    kind = type(getattr(NONE, name))
    if kind is bool and text.lower() in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        return text.lower() in ("1", "true", "yes", "on")
    if kind is float and re.fullmatch(r"0(\.\d+)?|1(\.0+)?|\.\d+", text):
        return float(text)
    if name == "bystanders" and text in ("keep", "blur", "exclude"):
        return text
    if name == "backdrop" and (text in ("keep", "blur") or _COLOUR.fullmatch(text)):
        return text
    allowed = {
        "bystanders": "keep, blur or exclude",
        "backdrop": "keep, blur or a colour as #808080",
    }.get(name, "true or false" if kind is bool else "a number from 0 to 1")
    raise BadSettings(f"recipe: {name} is {text!r}.", f"It can be {allowed}.")
