"""Which part of a training image is the subject: masks for the trainer's loss, and other backdrops.

White trains, black does not. A mask is never all black: where nobody is found, everything trains.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lora_builder.models.mediapipe_segment import load_segmenter
from lora_builder.records import Box, Floats, Pixels

Grey = NDArray[np.uint8]

FACE_ROOM = (0.08, 0.25, 0.08, 0.06)
"""Left, top, right, bottom shares added to a face box (brow to chin) to hold forehead, ears and chin."""

HEAD_ROOM = (0.45, 0.65, 0.45, 0.25)
"""The same for the whole head with its hair and the top of the neck."""

LEAST_COVER = 0.005
"""Share of the picture below which a mask counts as empty: 5,000 of a square megapixel's pixels."""

BACKDROP_BLUR = 0.03
"""Blur of the backdrop, as standard deviation over the longer side: shapes stay, things do not."""

FACE_BLUR = 0.35
"""Blur of a bystander's face, as standard deviation over its width: nobody can be told any more."""


def person(pixels: Pixels, subject: Box | None, others: Sequence[Box] = ()) -> Floats:
    """How surely each pixel belongs to the subject, 0..1, shape (height, width).

    `subject` and `others`: face boxes in pixels of this picture. With others about, the subject's
    own body is told apart where the pose model can; others' heads are left out in any case.
    """
    segmenter = load_segmenter()
    mask = segmenter.people(pixels)
    if subject is not None and others:
        own = segmenter.person(pixels, subject)
        if own is not None:
            mask = mask * own
        for face in others:
            away = ellipse(mask.shape, face.padded(*HEAD_ROOM))
            mask = mask * (1 - away * (1 - ellipse(mask.shape, subject.padded(*HEAD_ROOM))))
    return mask.astype(np.float32)


def training_mask(
    kind: str, mask: Floats, subject: Box | None, feather: int, excluded: Sequence[Box] = ()
) -> Grey:
    """The mask to train with: `subject`, `head` or `face`, softened over `feather` pixels.

    Without a face, `head` and `face` fall back to the whole subject. `excluded`: faces that must
    not train.
    """
    chosen = mask
    if subject is not None and kind == "face":
        chosen = ellipse(mask.shape, subject.padded(*FACE_ROOM))
    elif subject is not None and kind == "head":
        head = ellipse(mask.shape, subject.padded(*HEAD_ROOM))
        # The face itself always trains, whatever the segmentation thought of it.
        chosen = np.maximum(mask * head, ellipse(mask.shape, subject.padded(*FACE_ROOM)))
    elif subject is not None:
        chosen = np.maximum(mask, ellipse(mask.shape, subject.padded(*FACE_ROOM)))
    for face in excluded:
        spare = ellipse(mask.shape, subject.padded(*FACE_ROOM)) if subject is not None else 0.0
        chosen = chosen * (1 - ellipse(mask.shape, face.padded(*HEAD_ROOM)) * (1 - spare))
    if float(chosen.mean()) < LEAST_COVER:
        chosen = np.ones_like(mask)
    if feather > 0:
        chosen = cv2.GaussianBlur(chosen, (0, 0), feather / 2)
    return np.asarray(np.rint(np.clip(chosen, 0, 1) * 255), np.uint8)


def with_backdrop(pixels: Pixels, mask: Floats, backdrop: str) -> Pixels:
    """The subject before another backdrop: `blur`, or a colour as `#rrggbb`."""
    alpha = mask[:, :, None]
    if backdrop == "blur":
        # What is behind, without the subject's own colours smeared into it.
        weight = 1 - alpha
        sigma = BACKDROP_BLUR * max(pixels.shape[:2])
        spread = cv2.GaussianBlur(np.ascontiguousarray(weight[:, :, 0]), (0, 0), sigma)[:, :, None]
        behind = cv2.GaussianBlur(pixels.astype(np.float32) * weight, (0, 0), sigma)
        behind = behind / np.maximum(spread, 1e-3)
    else:
        behind = np.broadcast_to(np.array(rgb(backdrop), np.float32), pixels.shape)
    mixed = pixels.astype(np.float32) * alpha + behind * (1 - alpha)
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), np.uint8)


def without_faces(pixels: Pixels, others: Sequence[Box], subject: Box | None) -> Pixels:
    """The same picture with the other people's faces blurred beyond recognition."""
    result = pixels.astype(np.float32)
    spare = ellipse(pixels.shape[:2], subject.padded(*FACE_ROOM)) if subject is not None else 0.0
    for face in others:
        blurred = cv2.GaussianBlur(pixels, (0, 0), max(FACE_BLUR * face.width, 1.0)).astype(np.float32)
        alpha = (ellipse(pixels.shape[:2], face.padded(*HEAD_ROOM)) * (1 - spare))[:, :, None]
        result = result * (1 - alpha) + blurred * alpha
    return np.asarray(np.rint(result), np.uint8)


def ellipse(shape: tuple[int, ...], box: Box) -> Floats:
    """1 inside the ellipse that fills `box`, 0 outside, shape (height, width)."""
    mask = np.zeros(shape[:2], np.float32)
    x, y = box.center
    axes = max(round(box.width / 2), 1), max(round(box.height / 2), 1)
    cv2.ellipse(mask, (round(x), round(y)), axes, 0, 0, 360, 1.0, -1)
    return mask


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0..255, of `#rrggbb`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
