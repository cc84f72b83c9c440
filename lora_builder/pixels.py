"""What the pixels of a grey picture say by themselves: sharpness, motion, exposure, bars around it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lora_builder.records import Box, Exposure

SHARP_SIDE = 128
"""Faces are brought to this side before their sharpness is measured; enlarged ones come out soft."""

CONTRAST_FLOOR = 8.0
"""Grey levels of standard deviation below which a picture is flat, and its noise is not detail."""

TILES = 8
"""The photo is cut into so many by so many tiles; its sharpness is that of the sharpest tenth."""

DARK, BRIGHT = 4, 251
"""Luma at and beyond which a pixel is crushed or blown."""

BAR_NOISE, LEAST_CONTENT = 12, 0.4
"""Grey levels by which a bar's pixels may differ; share of each side that bars must leave."""


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Standard deviation of the Laplacian over that of the picture: about 0 (blurred) to 2 (crisp).

    Divided by contrast, so that a dark or foggy picture is not called blurred. Depends on the size
    of the picture: compare only pictures of one size.
    """
    if min(grey.shape) < 3:
        return 0.0
    return float(cv2.Laplacian(grey, cv2.CV_32F).std()) / max(float(grey.std()), CONTRAST_FLOOR)


def motion(grey: NDArray[np.uint8]) -> float:
    """How much weaker the finest detail is along one direction than across it: 0 alike, 1 gone.

    A shaken or moving face is smeared along one line only; one out of focus is soft all around.
    """
    if min(grey.shape) < 3:
        return 0.0
    size = SHARP_SIDE, SHARP_SIDE
    face = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = np.diff(face, 2, axis=1)[:-2], np.diff(face, 2, axis=0)[:, :-2]
    falling = face[2:, 2:] - 2 * face[1:-1, 1:-1] + face[:-2, :-2]
    rising = face[2:, :-2] - 2 * face[1:-1, 1:-1] + face[:-2, 2:]
    pairs = ((across, down), (falling, rising))
    energies = [[float((detail * detail).mean()) + 1e-6 for detail in pair] for pair in pairs]
    weaker = min(min(pair) / max(pair) for pair in energies)
    return 1 - float(np.sqrt(weaker))


def tile_sharpness(grey: NDArray[np.uint8]) -> float:
    """`sharpness` of the sharpest tenth of the tiles: bokeh around a sharp person is not blur.

    The contrast is the whole picture's, so that noise on a flat wall is not detail.
    """
    height, width = grey.shape
    rows, columns = min(TILES, height // 3), min(TILES, width // 3)
    if not rows or not columns:
        return 0.0
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    # Averages over tiles by area resampling: one pass instead of a loop.
    mean, square = (
        cv2.resize(e, (columns, rows), interpolation=cv2.INTER_AREA)
        for e in (edges, cv2.multiply(edges, edges))
    )
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return float(np.percentile(deviation, 90)) / max(float(grey.std()), CONTRAST_FLOOR)


def content_box(grey: NDArray[np.uint8]) -> Box:
    """The picture without bars of one grey around it, in its pixels; bars that leave little are none."""
    height, width = grey.shape
    left, right = _bars(grey, axis=0)
    top, bottom = _bars(grey[:, left:right], axis=1)
    if right - left < LEAST_CONTENT * width or bottom - top < LEAST_CONTENT * height:
        return Box(0, 0, width, height)
    return Box.from_corners(left, top, right, bottom)


def _bars(grey: NDArray[np.uint8], axis: int) -> tuple[int, int]:
    """Where the lines that are not of one grey, like the outermost one, begin and end."""
    lines = grey if axis else grey.T
    count = len(lines)
    ends = []
    for outward in (lines, lines[::-1]):
        edge = round(float(outward[0].mean()))

        def flat(part: NDArray[np.uint8], edge: int = edge) -> NDArray[np.bool_]:
            result: NDArray[np.bool_] = np.abs(part.astype(np.int16) - edge).max(axis=1) <= BAR_NOISE
            return result

        # Most photos have no bars: their first line says so, and the others need no look.
        same = flat(outward[:, ::2]) if flat(outward[:1])[0] else np.zeros(1, dtype=bool)
        ends.append(0 if same.all() else int(np.argmin(same)))
    return (ends[0], count - ends[1]) if sum(ends) < count else (0, count)


def exposure(grey: NDArray[np.uint8]) -> Exposure:
    shares = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.float64) / grey.size
    luma = np.arange(256) / 255
    brightness = float(shares @ luma)
    return Exposure(
        brightness=brightness,
        contrast=float(np.sqrt(shares @ (luma - brightness) ** 2)),
        clipped_dark=float(shares[: DARK + 1].sum()),
        clipped_bright=float(shares[BRIGHT:].sum()),
    )
