"""Head pose, expression and body by MediaPipe 0.10.14, whose wheel carries its models (Apache-2.0)."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import cv2
import numpy as np
from numpy.typing import NDArray

from lora_builder.errors import ModelUnavailable
from lora_builder.models.interface import FaceMesh, ModelInfo
from lora_builder.records import Box, Floats, HeadPose, Pixels

NAME = "mediapipe"
PINNED = "0.10.14"

MARGIN = 0.35
"""Share of the face box added on each side for the mesh, whose own detector wants the whole head."""

EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
"""Corner, two upper lids, corner, two lower lids of each eye in the mesh (MediaPipe's topology)."""

OPEN_EYE, CLOSED_EYE = 0.27, 0.12
"""Eye aspect ratio (Soukupova and Cech 2016) of an open and a closed eye."""

MOUTH_CORNERS, LIPS, EYE_CORNERS, FOREHEAD, CHIN = (61, 291), (13, 14), (33, 263), 10, 152

SMILE_WIDTH = (0.60, 0.76)
SMILE_LIFT = (0.0, 0.04)
"""Width of the mouth, and height of its corners above the lips' middle, as shares of the distance of
the outer eye corners: of a neutral mouth and of a broad smile (seen on 165 faces of ../shared/photos)."""

FIVE = (468, 473, 1, 61, 291)
"""The irises, the tip of the nose and the corners of the mouth: the landmarks of `records.Face`."""

POSE_POINTS = (1, 152, 33, 263, 61, 291)
POSE_MODEL = np.array(
    [
        (0, 0, 0),
        (0, -63.6, -12.5),
        (-43.3, 32.7, -26),
        (43.3, 32.7, -26),
        (-28.9, -28.9, -24.1),
        (28.9, -28.9, -24.1),
    ],
    dtype=np.float64,
)
"""Nose tip, chin, outer eye corners and mouth corners of an average head, millimetres."""

VISIBLE = 0.5
"""MediaPipe's visibility from which a landmark counts as seen."""

SEGMENTED = 0.5
"""Share of certainty from which a pixel belongs to the person."""

SPECK = 0.03
"""Parts of the mask smaller than this share of its largest part are noise, not the person."""

Points = NDArray[np.float64]
"""Mesh points, shape (478, 3), in pixels of the crop."""


def infos() -> list[ModelInfo]:
    """For the `models` command."""
    try:
        found = version("mediapipe")
    except PackageNotFoundError:
        found = ""
    note = "" if found == PINNED else f"only {PINNED} carries its models: pip install mediapipe=={PINNED}"
    return [
        ModelInfo(
            NAME, "body, face mesh, segmentation", "Apache-2.0", "mediapipe's wheel", found == PINNED, note
        ),
        ModelInfo("none", "body", "", "", True, "no bodies, no expressions, rough head poses"),
    ]


class NoBody:
    """The body model `none`: sees nothing, so head poses come from the five landmarks alone."""

    name = "none"
    version = "0"

    def mesh(self, pixels: Pixels, face: Box) -> FaceMesh | None:
        return None

    def body(self, pixels: Pixels, region: Box) -> tuple[Floats, Box] | None:
        return None


class MediapipeBody:
    """See `interface.BodyModel`."""

    name = NAME
    version = PINNED

    def __init__(self) -> None:
        try:
            import mediapipe

            solutions = mediapipe.solutions
        except (ImportError, AttributeError) as error:
            raise ModelUnavailable(
                "This MediaPipe carries no models.", f"Run `pip install mediapipe=={PINNED}`."
            ) from error
        with quiet(), without_native_chatter():
            self._mesh = solutions.face_mesh.FaceMesh(
                static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.4
            )
            self._pose = solutions.pose.Pose(
                static_image_mode=True, model_complexity=1, enable_segmentation=True
            )
            # The graphs load on first use, and talk to stderr then.
            blank = np.zeros((64, 64, 3), np.uint8)
            self._mesh.process(blank)
            self._pose.process(blank)

    def mesh(self, pixels: Pixels, face: Box) -> FaceMesh | None:
        height, width = pixels.shape[:2]
        region = face.padded(MARGIN, MARGIN, MARGIN, MARGIN).clamped(width, height)
        part = _cut(pixels, region)
        if part.size == 0:
            return None
        with quiet():
            found = self._mesh.process(part).multi_face_landmarks
        if not found:
            return None
        tall, wide = part.shape[:2]
        points = np.array([(p.x * wide, p.y * tall, p.z * wide) for p in found[0].landmark])
        five = points[list(FIVE), :2] + (int(region.x), int(region.y))
        return FaceMesh(
            _head_pose(points, wide, tall), _eyes_open(points), _smile(points), five.astype(np.float32)
        )

    def body(self, pixels: Pixels, region: Box) -> tuple[Floats, Box] | None:
        height, width = pixels.shape[:2]
        region = region.clamped(width, height)
        part = _cut(pixels, region)
        if part.size == 0:
            return None
        with quiet():
            result = self._pose.process(part)
        if result.pose_landmarks is None:
            return None
        left, top = int(region.x), int(region.y)
        marks = result.pose_landmarks.landmark
        points = np.array(
            [(p.x * part.shape[1] + left, p.y * part.shape[0] + top, p.visibility) for p in marks],
            dtype=np.float32,
        )
        seen = points[points[:, 2] >= VISIBLE]
        extents = [Box.from_corners(*seen[:, :2].min(0), *seen[:, :2].max(0))] if len(seen) else []
        mask = result.segmentation_mask
        outline = _outline(mask) if mask is not None else None
        if outline is not None:
            extents.append(Box(outline.x + left, outline.y + top, outline.width, outline.height))
        if not extents:
            return None
        extent = extents[0] if len(extents) == 1 else extents[0].union(extents[1])
        return points, Box(*map(float, extent.clamped(width, height)))


def _cut(pixels: Pixels, region: Box) -> Pixels:
    left, top = int(region.x), int(region.y)
    return np.ascontiguousarray(pixels[top : int(region.bottom) + 1, left : int(region.right) + 1])


def _outline(mask: NDArray[np.float32]) -> Box | None:
    """The rectangle around the person in a segmentation mask, without its specks."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((mask > SEGMENTED).astype(np.uint8))
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    parts = stats[1:][areas >= SPECK * areas.max()]
    left, top = parts[:, cv2.CC_STAT_LEFT], parts[:, cv2.CC_STAT_TOP]
    right, bottom = left + parts[:, cv2.CC_STAT_WIDTH], top + parts[:, cv2.CC_STAT_HEIGHT]
    return Box.from_corners(float(left.min()), float(top.min()), float(right.max()), float(bottom.max()))


def _head_pose(points: Points, width: int, height: int) -> HeadPose:
    """Yaw, pitch, roll from six points and an average head, by OpenCV's solvePnP."""
    focal = 1.5 * max(width, height)
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    model = POSE_MODEL * (1, -1, -1)  # image axes: y down, z away from the camera
    _, rotation, _ = cv2.solvePnP(
        model, np.ascontiguousarray(points[list(POSE_POINTS), :2]), camera, None, flags=cv2.SOLVEPNP_SQPNP
    )
    matrix, _ = cv2.Rodrigues(rotation)
    facing = matrix @ np.array([0.0, 0.0, -1.0])
    yaw = np.degrees(np.arctan2(facing[0], -facing[2]))
    pitch = np.degrees(np.arcsin(np.clip(-facing[1], -1, 1)))
    across = points[263] - points[33]
    roll = np.degrees(np.arctan2(across[1], across[0]))
    return HeadPose(float(yaw), float(pitch), float(roll))


def _eyes_open(points: Points) -> float:
    """Lid distance over eye width, in three dimensions so that a turned head does not squint."""
    ratios = []
    for corner, up1, up2, other, low2, low1 in EYES:
        tall = np.linalg.norm(points[up1] - points[low1]) + np.linalg.norm(points[up2] - points[low2])
        ratios.append(tall / (2 * max(float(np.linalg.norm(points[corner] - points[other])), 1e-6)))
    return float(np.clip((np.mean(ratios) - CLOSED_EYE) / (OPEN_EYE - CLOSED_EYE), 0, 1))


def _smile(points: Points) -> float:
    """How wide the mouth is and how high its corners, in three dimensions, 0..1."""
    eyes = max(float(np.linalg.norm(points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]])), 1e-6)
    mouth = float(np.linalg.norm(points[MOUTH_CORNERS[1]] - points[MOUTH_CORNERS[0]]))
    up = points[FOREHEAD] - points[CHIN]
    up /= max(float(np.linalg.norm(up)), 1e-6)
    lift = float((points[list(MOUTH_CORNERS)].mean(0) - points[list(LIPS)].mean(0)) @ up)
    return 0.4 * float(np.interp(mouth / eyes, SMILE_WIDTH, (0, 1))) + 0.6 * float(
        np.interp(lift / eyes, SMILE_LIFT, (0, 1))
    )


@contextlib.contextmanager
def without_native_chatter() -> Iterator[None]:
    """TensorFlow Lite's C++ writes its start-up notes to file descriptor 2, past every setting."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(sink)
        os.close(kept)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """protobuf's deprecation warning is about MediaPipe's own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
