"""Made-up records for tests of the pure rooms: ten lines instead of a photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lora_builder.models.interface import Calibration
from lora_builder.records import Body, Box, Exposure, Face, HeadPose, Measurement, Photo, Source

CALIBRATION = Calibration(((0.0, 0.0), (0.4, 0.5), (0.7, 0.75), (0.85, 0.85), (1.0, 1.0)))


def person(seed: int, wobble: float = 0.1, take: int = 0) -> np.ndarray:
    """A unit embedding; the same seed is the same person, `wobble` how much takes differ."""
    base = np.random.default_rng(seed).normal(size=128)
    noise = np.random.default_rng((seed, take)).normal(size=128)
    vector = base / np.linalg.norm(base) + wobble * noise / np.linalg.norm(noise)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def picture(seed: int) -> np.ndarray:
    """A grey 64x64 picture with structure at several scales."""
    rng = np.random.default_rng(seed)
    layers = [np.kron(rng.normal(size=(n, n)), np.ones((64 // n, 64 // n))) for n in (4, 8, 16)]
    total = np.sum(layers, axis=0)
    return ((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)


def face(
    seed: int = 1,
    take: int = 0,
    box: Box = Box(800, 600, 400, 500),
    grey: int | np.ndarray | None = None,
    **more: object,
) -> Face:
    shown = grey if isinstance(grey, np.ndarray) else None
    fields: dict = {
        "box": box,
        "landmarks": np.zeros((5, 2), np.float32),
        "score": 0.9,
        "embedding": more["embedding"] if "embedding" in more else person(seed, take=take),
        "pose": HeadPose(0, 0, 0),
        "grey": picture(1000 + seed * 50 + (take if grey is None else int(grey))) if shown is None else shown,
        "sharpness": 1.0,
        "brightness": 0.5,
        "eyes_open": 0.9,
    }
    return Face(**(fields | more))


def body(extent: Box, face_index: int | None = 0) -> Body:
    return Body(np.ones((33, 3), np.float32), extent, face_index)


def measurement(
    sha256: str, *faces: Face, size: tuple[int, int] = (2000, 3000), scene: int | None = None, **more: object
) -> Measurement:
    number = int(sha256, 16) if scene is None else scene
    fields: dict = {
        "sha256": sha256,
        "width": size[0],
        "height": size[1],
        "format": "JPEG",
        "captured_at": None,
        "phash": int(np.random.default_rng(number).integers(0, 2**63)),
        "grey": more["grey"] if "grey" in more else picture(number),
        "sharpness": 1.0,
        "exposure": Exposure(0.5, 0.2, 0.0, 0.0),
        "faces": faces,
    }
    return Measurement(**(fields | more))


def photo(name: str, sha256: str, size: int = 1000) -> Photo:
    return Photo(Source(name, Path("/in") / name), sha256, size)
