"""Which pixels are people: MediaPipe's selfie segmentation, with its pose model to tell two apart."""

from __future__ import annotations

import functools
import threading

import cv2
import numpy as np

from lora_builder.errors import ModelUnavailable
from lora_builder.models.mediapipe_body import PINNED, quiet, without_native_chatter
from lora_builder.records import Box, Floats, Pixels

VERSION = f"mediapipe-selfie {PINNED}"
"""Part of the keys of masks."""

SEEN_SIDE = 512
"""Longest side in pixels that the models see; inside they work at 256."""

GUIDE_RADIUS, GUIDE_EPS = 8, 1e-4
"""Guided filter (He et al. 2010) that lays the coarse mask onto the picture's edges: pixels, luma squared."""

REACH = 1.5
"""Width of the pose mask's rim that is let through, in face widths over 10: hair and loose clothes."""


class Segmenter:
    """Finds the person, one picture at a time. Raises ModelUnavailable where MediaPipe carries no models."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        try:
            import mediapipe

            solutions = mediapipe.solutions
        except (ImportError, AttributeError) as error:
            raise ModelUnavailable(
                "This MediaPipe carries no models.", f"Run `pip install mediapipe=={PINNED}`."
            ) from error
        blank = np.zeros((64, 64, 3), np.uint8)
        with quiet(), without_native_chatter():
            self._people = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._one = solutions.pose.Pose(
                static_image_mode=True, model_complexity=1, enable_segmentation=True
            )
            self._people.process(blank)
            self._one.process(blank)

    def people(self, pixels: Pixels) -> Floats:
        """How surely each pixel belongs to somebody, 0..1, shape (height, width)."""
        small = _shrunk(pixels)
        with self._turn, quiet():
            mask = self._people.process(small).segmentation_mask
        return _laid_on(pixels, np.asarray(mask, np.float32))

    def person(self, pixels: Pixels, face: Box) -> Floats | None:
        """The same for the one person around `face`; None where the pose model sees somebody else."""
        small = _shrunk(pixels)
        scale = small.shape[1] / pixels.shape[1]
        with self._turn, quiet():
            mask = self._one.process(small).segmentation_mask
        if mask is None:
            return None
        x, y = (round(c * scale) for c in face.center)
        inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
        if not inside or mask[y, x] < 0.5:
            return None
        rim = max(3, round(face.width * scale * REACH / 10) | 1)
        grown = cv2.dilate(np.asarray(mask, np.float32), np.ones((rim, rim), np.uint8))
        return _laid_on(pixels, grown)


@functools.lru_cache(maxsize=1)
def load_segmenter() -> Segmenter:
    """The segmenter, loaded once a process."""
    return Segmenter()


def _shrunk(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    zoom = SEEN_SIDE / max(height, width)
    if zoom >= 1:
        return np.ascontiguousarray(pixels)
    size = max(round(width * zoom), 1), max(round(height * zoom), 1)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _laid_on(pixels: Pixels, mask: Floats) -> Floats:
    """The mask at the picture's size, its edge moved onto the picture's own."""
    height, width = pixels.shape[:2]
    large = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    guide = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    refined = cv2.ximgproc.guidedFilter(guide, large, GUIDE_RADIUS, GUIDE_EPS)
    return np.asarray(np.clip(refined, 0, 1), np.float32)
