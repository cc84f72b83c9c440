"""A crop that the user framed: made legal, given its training size, and looked over for what is wrong.

The browser draws; what counts is decided here again, with the very rules of `focus`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from lora_builder.focus import NAMES, best_size, frame, head, named_box, others_inside
from lora_builder.records import Box, Crop, Measurement
from lora_builder.settings import BUCKET_STEP, Settings

SMALLEST_SIDE = 64
"""Pixels of the original; a smaller box is a slip of the hand, not a training picture."""

BARELY = 1.005
"""Enlargement up to this is rounding: half a pixel in a hundred."""

RATIOS_ALIKE = 0.02
"""Natural logarithm of two ratios' quotient below which they are one ratio, rounded to whole pixels."""

Size: TypeAlias = tuple[int, int]
"""Width and height of a training image, pixels."""


class Concern(str, Enum):
    """What may be wrong with a crop."""

    UPSCALED = "upscaled"
    SMALL = "small"
    FACE_CUT = "face_cut"
    HEAD_CUT = "head_cut"
    OTHER_FACE = "other_face"


def fitted(box: Box, size: Size, width: int, height: int) -> Box:
    """The legal box nearest to `box`: whole pixels inside `width` x `height`, of the ratio of `size`.

    A legal box comes back as it is. Any other keeps its centre and area where the picture allows.
    Raises ValueError for a box that is no number or no area.
    """
    if not all(math.isfinite(value) for value in box) or box.width <= 0 or box.height <= 0:
        raise ValueError("not a rectangle")
    if _legal(box, size, width, height):
        return Box(*box.rounded())
    largest = min(width / size[0], height / size[1])
    smallest = min(largest, SMALLEST_SIDE / min(size))
    # The root of either side first: their product may be beyond any float.
    scale = math.sqrt(box.width / size[0]) * math.sqrt(box.height / size[1])
    scale = min(max(scale, smallest), largest)
    across = max(1, min(width, math.floor(size[0] * scale + 1e-6)))
    down = max(1, min(height, math.floor(size[1] * scale + 1e-6)))
    # Clamped before it is rounded: a box a million pixels away has a centre too.
    x = min(max(box.x + (box.width - across) / 2, 0), width - across)
    y = min(max(box.y + (box.height - down) / 2, 0), height - down)
    return Box(round(x), round(y), across, down)


def _legal(box: Box, size: Size, width: int, height: int) -> bool:
    return (
        all(value == round(value) for value in box)
        and min(box.width, box.height) >= min(SMALLEST_SIDE, width, height)
        and Box(0, 0, width, height).contains(box)
        and _alike(box, size)
    )


def _alike(box: Box, size: Size) -> bool:
    """Whether the box has the shape of the size, give or take a pixel."""
    return abs(box.width * size[1] - box.height * size[0]) <= max(size)


def size_for(box: Box, settings: Settings) -> Size:
    """The training size of a box: nearest in ratio; of several, the largest that enlarges nothing.

    Raises ValueError for a box that is no rectangle.
    """
    if not all(math.isfinite(value) for value in box) or box.width <= 0 or box.height <= 0:
        raise ValueError("not a rectangle")
    wanted = math.log(box.width / box.height)
    apart = {size: abs(math.log(size[0] / size[1]) - wanted) for size in settings.sizes}
    least = min(apart.values())
    alike = sorted(size for size, distance in apart.items() if distance - least < RATIOS_ALIKE)
    sharp = [size for size in alike if size[0] <= box.width * settings.max_upscale + 1]
    return sharp[-1] if sharp else alike[0]


def chosen(box: Box, width: int, height: int, settings: Settings, size: Size | None = None) -> Crop:
    """The crop of the box that the user drew over a photo of `width` x `height` pixels.

    With a `size` that the settings offer the box is fitted to its shape. Else the box keeps its own,
    and the training size is the one of that shape, or what of its own shape fits into the nearest: so
    a ready-made crop is not cut again. A box too small for the size gives a smaller image, of sides
    in steps of `BUCKET_STEP`, never one blown up beyond `max_upscale`; where those steps would
    stretch it, the box loses a few pixels instead. Raises ValueError for a box that is no rectangle.
    """
    if size in settings.sizes:
        box = fitted(box, size, width, height)
    else:
        size, box = size_for(box, settings), _inside(box, width, height) or box
        if min(box.width, box.height) < BUCKET_STEP or not Box(0, 0, width, height).contains(box):
            box = fitted(box, size, width, height)
    most = settings.max_upscale
    if _alike(box, size) and box.width * most >= size[0] - 1 and box.height * most >= size[1] - 1:
        return Crop(box, *size)
    zoom = min(size[0] / box.width, size[1] / box.height, most)
    across, down = (
        max(BUCKET_STEP, int(side * zoom / BUCKET_STEP + 1e-6) * BUCKET_STEP)
        for side in (box.width, box.height)
    )
    scale = min(box.width / across, box.height / down)
    inner = math.floor(across * scale + 1e-6), math.floor(down * scale + 1e-6)
    x, y = box.x + (box.width - inner[0]) // 2, box.y + (box.height - inner[1]) // 2
    return Crop(Box(x, y, *inner), across, down)


def _inside(box: Box, width: int, height: int) -> Box | None:
    """The box in whole pixels and inside the picture; None where it is no rectangle or elsewhere."""
    if not all(math.isfinite(value) for value in box) or box.width <= 0 or box.height <= 0:
        return None
    part = box.clamped(width, height)
    whole = Box.from_corners(round(part.x), round(part.y), round(part.right), round(part.bottom))
    return whole if whole.area > 0 else None


def concerns(
    measurement: Measurement, subject: int | None, crop: Crop, settings: Settings
) -> Mapping[Concern, float]:
    """What is wrong with the crop, worst first, each with its figure.

    `UPSCALED`: times enlarged. `SMALL`: the area of an image that comes out smaller than every size
    asked for, as a share of the smallest. `FACE_CUT`, `HEAD_CUT`: share of the face box, or of the
    guessed whole head, outside. `OTHER_FACE`: how many other people's faces are inside, as `decide`
    counts them.
    """
    found: dict[Concern, float] = {}
    if subject is not None:
        picture = Box(0, 0, measurement.width, measurement.height)
        face = measurement.faces[subject]
        cut = _outside(face.box.intersection(picture), crop.box)
        if cut:
            found[Concern.FACE_CUT] = cut
        others = others_inside(measurement, subject, crop.box)
        if others:
            found[Concern.OTHER_FACE] = float(others)
    factor = max(crop.width / crop.box.width, crop.height / crop.box.height)
    if factor > BARELY:
        found[Concern.UPSCALED] = factor
    share = crop.width * crop.height / min(w * h for w, h in settings.sizes)
    if share < 1:
        found[Concern.SMALL] = share
    if subject is not None and Concern.FACE_CUT not in found:
        cut = _outside(head(face).intersection(picture), crop.box)
        if cut:
            found[Concern.HEAD_CUT] = cut
    return found


def _outside(part: Box, box: Box) -> float:
    """The share of `part` outside `box`; a pixel's rounding is nothing."""
    if part.area <= 0 or box.contains(part, slack=1.0):
        return 0.0
    return 1 - part.intersection(box).area / part.area


def framed(
    measurement: Measurement, subject: int | None, drawn: Box | None, settings: Settings
) -> Crop | None:
    """The crop of a kept photo: the box that the user drew, else ours.

    A photo kept although too small gets the largest crop it has; None where even that cuts the face.
    """
    if drawn is not None:
        return chosen(drawn, measurement.width, measurement.height, settings)
    crop = frame(measurement, subject, settings)
    if crop is None:
        crop = frame(measurement, subject, settings.model_copy(update={"small_photos": "keep"}))
    return crop


def automatic(measurement: Measurement, subject: int | None, settings: Settings) -> Crop:
    """The crop we would choose, for the user to start from; the largest centred one if we would none."""
    crop = framed(measurement, subject, None, settings)
    if crop is None:
        whole = Box(0, 0, measurement.width, measurement.height)
        crop = chosen(whole, measurement.width, measurement.height, settings)
    return crop


def framings(
    measurement: Measurement, subject: int | None, settings: Settings, size: Size | None = None
) -> Mapping[str, Crop]:
    """Ready-made crops of one photo by `focus.NAMES`, tightest first.

    `size`: of this training size only. A framing that the photo is too small for, or that comes out
    as a tighter one did, is left out.
    """
    if size is not None:
        settings = settings.model_copy(update={"buckets": (f"{size[0]}x{size[1]}",)})
    crops: dict[str, Crop] = {}
    for name in NAMES:
        wanted = named_box(name, measurement, subject)
        crop = best_size(measurement, subject, wanted, settings) if wanted is not None else None
        if crop is not None and crop not in crops.values():
            crops[name] = crop
    return crops
