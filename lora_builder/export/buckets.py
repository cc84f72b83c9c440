"""What each trainer will really do to a picture: its bucket, the scaling, the crop.

The rules are restated from the trainers' sources, read in November 2026:

| rule | where it is written |
|---|---|
| `kohya` | sd-scripts `train_util.py`, `BucketManager.select_bucket`, `trim_and_resize_if_required` |
| `musubi` | musubi-tuner `dataset/bucket.py`, `BucketSelector`, `resize_image_to_bucket` |
| `ai-toolkit` | `toolkit/buckets.py`, `get_bucket_for_image_size`; `dataloader_mixins.py`, `setup_buckets` |
| `onetrainer` | mgds `pipelineModules/AspectBucketing.py`, `ScaleCropImage.py` |
| `diffusion-pipe` | `utils/dataset.py`, `ARBucketDataset` (0784ca8); `models/base.py` `fit` (0467b63) |
| `simpletuner` | `helpers/multiaspect/image.py`, `calculate_new_size_by_pixel_area` (3.1.6) |
| `square` | diffusers' example scripts: shorter side to the resolution, centre crop |

All crop the middle, given the settings that our layouts write (no random crops, no crop jitter).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lora_builder.base_models import BASE_MODELS, VAE_CELL
from lora_builder.records import Box

KOHYA_STEP, KOHYA_MAX = 64, 2048
"""Pixels; as our kohya layout writes `bucket_reso_steps` and `max_bucket_reso`."""

MUSUBI_STEP = 16
"""Pixels; the same for every architecture that we write musubi configs for."""

AI_TOOLKIT_TOLERANCE = 64
"""Pixels; its default `bucket_tolerance`."""

ONETRAINER_STEP = 64
"""Pixels; its quantisation for SDXL, FLUX, Qwen-Image and Z-Image."""

ONETRAINER_ASPECTS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)

PIPE_MIN_AR, PIPE_MAX_AR, PIPE_BUCKETS, PIPE_STEP, PIPE_DIGITS = 0.5, 2.0, 13, 16, 3
"""As our diffusion-pipe layout writes them; the multiple that it rounds sides to (`pixels_round_to_multiple`;
32 until 2025) and the digits it rounds shapes to."""

SIMPLE_STEP = 64
"""Pixels; its default `aspect_bucket_alignment`."""

FEW_CELLS = 12
"""Latent cells a side (96 pixels) below which we warn: an eye is then under two cells wide. A choice,
not a measurement."""

_AI_WIDE = (
    (2048, 512), (1984, 512), (1920, 512), (1856, 512), (1792, 576), (1728, 576), (1664, 576),
    (1600, 640), (1536, 640), (1472, 704), (1408, 704), (1344, 704), (1344, 768), (1280, 768),
    (1216, 832), (1152, 832), (1152, 896), (1088, 896), (1088, 960), (1024, 960),
)  # fmt: skip
AI_TOOLKIT_SIZES = (
    (1024, 1024),
    *_AI_WIDE,
    *((h, w) for w, h in reversed(_AI_WIDE) if (w, h) != (1344, 704)),
    (8192, 128),
    (128, 8192),
)
"""Its table at 1024: SDXL's training sizes, and two extremes; 704x1344 is missing there, 1344x704 is not."""


@dataclass(frozen=True)
class Fate:
    """One picture at one resolution: scaled to `scaled`, then cut to `bucket` from `offset`; pixels."""

    resolution: int
    bucket: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]

    def seen(self, box: Box, size: tuple[int, int]) -> Box:
        """A box of the picture of that size, in pixels of the bucket."""
        across, down = self.scaled[0] / size[0], self.scaled[1] / size[1]
        return Box(
            box.x * across - self.offset[0],
            box.y * down - self.offset[1],
            box.width * across,
            box.height * down,
        )

    def lost(self) -> float:
        """Share of the picture that the crop cuts off."""
        return 1 - self.bucket[0] * self.bucket[1] / max(self.scaled[0] * self.scaled[1], 1)

    def enlarged(self, size: tuple[int, int]) -> float:
        """Scale of the picture; above 1 it is blown up."""
        return self.scaled[0] / size[0]


@dataclass(frozen=True)
class FaceFate:
    """What becomes of the face: its sides in latent cells, and the share of it that is cut off."""

    cells: tuple[float, float]
    cut: float

    @property
    def small(self) -> bool:
        return min(self.cells) < FEW_CELLS


Rule = Callable[[int, int, int], Fate]
"""Width, height and resolution in pixels -> what happens."""


def face_fate(fate: Fate, face: Box, size: tuple[int, int]) -> FaceFate:
    """What one trainer's scaling and cropping leave of a face box in a picture of `size`."""
    seen = fate.seen(face.clamped(*size), size)
    inside = seen.clamped(*fate.bucket)
    return FaceFate(
        (inside.width / VAE_CELL, inside.height / VAE_CELL), 1 - inside.area / max(seen.area, 1e-9)
    )


def fates(rule: str, base_model: str, size: tuple[int, int]) -> list[Fate]:
    """What the trainer with that rule does to a picture of `size`, once for each resolution it trains at."""
    resolutions: Iterable[int] = BASE_MODELS[base_model].resolutions
    if rule in _ONE_RESOLUTION:
        resolutions = (max(resolutions),)
    return [RULES[rule](*size, resolution) for resolution in resolutions]


def kohya(width: int, height: int, resolution: int) -> Fate:
    """With `bucket_no_upscale`: a picture within the area keeps its size, less the remainder of a step."""
    area, aspect = resolution * resolution, width / height
    scaled = (width, height)
    if width * height > area:
        wide = math.sqrt(area * aspect)
        by_width = _down(_half_up(wide), KOHYA_STEP)
        by_height = _down(_half_up(area / wide), KOHYA_STEP)
        error_width = abs(by_width / max(_down(_half_up(by_width / aspect), KOHYA_STEP), 1) - aspect)
        error_height = abs(_down(_half_up(by_height * aspect), KOHYA_STEP) / max(by_height, 1) - aspect)
        if error_width < error_height:
            scaled = (by_width, _half_up(by_width / aspect))
        else:
            scaled = (_half_up(by_height * aspect), by_height)
    bucket = _down(scaled[0], KOHYA_STEP), _down(scaled[1], KOHYA_STEP)
    return _centred(resolution, bucket, scaled)


def musubi(width: int, height: int, resolution: int) -> Fate:
    """With `bucket_no_upscale`: within the area as it is, else the nearest shape of the list."""
    area = resolution * resolution
    if width * height <= area:
        bucket = _down(width, MUSUBI_STEP), _down(height, MUSUBI_STEP)
    else:
        smallest = _down(resolution // 2, MUSUBI_STEP)
        pairs = {
            (w, _down(area // w, MUSUBI_STEP)) for w in range(smallest, resolution + MUSUBI_STEP, MUSUBI_STEP)
        }
        shapes = sorted(pairs | {(h, w) for w, h in pairs})
        bucket = min(shapes, key=lambda size: abs(size[0] / size[1] - width / height))
    return _filled(resolution, bucket, width, height, _half_up)


def ai_toolkit(width: int, height: int, resolution: int) -> Fate:
    """The size of its table, scaled to the resolution, that loses least.

    A picture of less than the resolution's area gets the table of its own area: 832x1216, which has
    two percent less than 1024x1024, is trained at 768x1152.
    """
    side = min(resolution, int(math.sqrt(width * height)))
    sizes = [
        (_down(int(w * side / 1024), AI_TOOLKIT_TOLERANCE), _down(int(h * side / 1024), AI_TOOLKIT_TOLERANCE))
        for w, h in AI_TOOLKIT_SIZES
    ]
    sizes = [size for size in sizes if min(size) > 0]
    if (width, height) in sizes:
        bucket = (width, height)
    else:

        def removed(size: tuple[int, int]) -> int:
            scale = max(size[0] / width, size[1] / height)
            wide, tall = int(width * scale), int(height * scale)
            return (wide - size[0]) * tall + (tall - size[1]) * wide

        bucket = min(sizes, key=removed)
    return _filled(resolution, bucket, width, height, math.ceil)


def onetrainer(width: int, height: int, resolution: int) -> Fate:
    """The nearest of its fixed shapes, by height over width."""
    shapes = []
    for aspect in ONETRAINER_ASPECTS:
        short, long = resolution / math.sqrt(aspect), resolution * math.sqrt(aspect)
        pair = tuple(round(side / ONETRAINER_STEP) * ONETRAINER_STEP for side in (short, long))
        shapes += [pair, pair[::-1]]
    wide, tall = min(sorted(set(shapes)), key=lambda size: abs(size[1] / size[0] - height / width))
    return _filled(resolution, (wide, tall), width, height, round)


def diffusion_pipe(width: int, height: int, resolution: int) -> Fate:
    """The nearest of evenly spaced shapes (in logarithms), at the resolution's area."""
    count = PIPE_BUCKETS - 1
    aspects = [
        round(PIPE_MIN_AR * (PIPE_MAX_AR / PIPE_MIN_AR) ** (i / count), PIPE_DIGITS)
        for i in range(PIPE_BUCKETS)
    ]
    aspect = min(aspects, key=lambda ar: abs(math.log(ar) - math.log(width / height)))
    wide = math.sqrt(resolution * resolution * aspect)
    tall = resolution * resolution / wide
    bucket = round(wide / PIPE_STEP) * PIPE_STEP, round(tall / PIPE_STEP) * PIPE_STEP
    return _filled(resolution, bucket, width, height, round)


def simpletuner(width: int, height: int, resolution: int) -> Fate:
    """`pixel_area` with `crop_aspect` preserve: the shape rounded to hundredths, sides to 64."""
    shape, aspect = width / height, round(width / height, 2)
    edge = max(round(resolution / SIMPLE_STEP), 1) * SIMPLE_STEP
    wide = max(round(edge * math.sqrt(aspect) / SIMPLE_STEP), 1) * SIMPLE_STEP
    tall = max(round(edge / math.sqrt(aspect) / SIMPLE_STEP), 1) * SIMPLE_STEP
    # The shorter side is scaled to the bucket's; where the longer then falls short, both grow.
    scaled = (wide, int(wide / shape)) if wide < tall else (int(tall * shape), tall)
    if scaled[0] < wide:
        scaled = wide, scaled[1] + int((wide - scaled[0]) / shape)
    elif scaled[1] < tall:
        scaled = scaled[0] + int((tall - scaled[1]) * shape), tall
    return _centred(resolution, (wide, tall), scaled)


def square(width: int, height: int, resolution: int) -> Fate:
    """The shorter side to the resolution, the middle square of it."""
    return _filled(resolution, (resolution, resolution), width, height, int)


RULES: Mapping[str, Rule] = {
    "kohya": kohya,
    "musubi": musubi,
    "ai-toolkit": ai_toolkit,
    "onetrainer": onetrainer,
    "diffusion-pipe": diffusion_pipe,
    "simpletuner": simpletuner,
    "square": square,
}

_ONE_RESOLUTION = {"kohya", "onetrainer", "simpletuner", "square"}
"""Rules of trainers for which our layouts write the largest resolution alone."""


def _filled(
    resolution: int, bucket: tuple[int, int], width: int, height: int, rounded: Callable[[float], int]
) -> Fate:
    """Scaled until it fills the bucket, then cut to it."""
    scale = max(bucket[0] / width, bucket[1] / height)
    scaled = max(rounded(width * scale), bucket[0]), max(rounded(height * scale), bucket[1])
    return _centred(resolution, bucket, scaled)


def _centred(resolution: int, bucket: tuple[int, int], scaled: tuple[int, int]) -> Fate:
    offset = (scaled[0] - bucket[0]) // 2, (scaled[1] - bucket[1]) // 2
    return Fate(resolution, bucket, scaled, offset)


def _down(value: int, step: int) -> int:
    return value - value % step


def _half_up(value: float) -> int:
    return int(value + 0.5)
