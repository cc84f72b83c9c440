"""What a face model and a body model must offer, and the common scale of face similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lora_builder.records import Box, Floats, HeadPose, Pixels


@dataclass(frozen=True)
class Calibration:
    """Puts a model's cosine on the common scale, piecewise linear between `anchors`.

    The scale means the same for every model: 0 is the median of strangers, 0.5 the cosine that one
    pair of strangers in a thousand exceeds, 0.75 the median of one person's pairs, 0.85 their 95th
    percentile, 1 identity. `anchors` are (cosine, similarity), both rising;
    `benchmarks/calibrate_faces.py` measures them.
    """

    anchors: tuple[tuple[float, float], ...]

    def similarity(self, cosine: Floats | float) -> NDArray[np.float64]:
        """Common similarity, 0..1, of cosines."""
        cosines, similarities = zip(*self.anchors, strict=True)
        return np.asarray(np.interp(cosine, cosines, similarities))

    def cosine(self, similarity: float) -> float:
        """The cosine of a common similarity: the way back."""
        cosines, similarities = zip(*self.anchors, strict=True)
        return float(np.interp(similarity, similarities, cosines))


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """A face in pixels of the picture it was found in; `landmarks` (5, 2) as in `records.Face`."""

    box: Box
    landmarks: Floats
    score: float


@dataclass(frozen=True)
class FaceMesh:
    """What the mesh of one face says; `eyes_open` and `smile` 0..1.

    `landmarks` (5, 2): pixels of the picture, in the order of `records.Face`.
    """

    pose: HeadPose
    eyes_open: float
    smile: float
    landmarks: Floats


@dataclass(frozen=True)
class ModelInfo:
    """One line of the `models` command."""

    name: str
    task: str
    licence: str
    where: str
    ready: bool
    note: str = ""


class FaceModel(Protocol):
    """Finds faces and tells people apart.

    `rough`: its landmarks are less exact than a face mesh's, which are taken where there are some.
    """

    name: str
    version: str
    calibration: Calibration
    rough: bool

    def find(self, pixels: Pixels) -> list[DetectedFace]:
        """Every face."""

    def embed(self, pixels: Pixels, landmarks: Floats) -> Floats:
        """Unit vector of the face with these landmarks."""


class BodyModel(Protocol):
    """Sees head pose, expression and body."""

    name: str
    version: str

    def mesh(self, pixels: Pixels, face: Box) -> FaceMesh | None:
        """Head pose, eyes and mouth of the face in `face`; None where none can be told."""

    def body(self, pixels: Pixels, region: Box) -> tuple[Floats, Box] | None:
        """Landmarks (33, 3) and extent of the person in `region`; None where there is none."""
