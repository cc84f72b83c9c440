"""One look at a photo: everything that deciding, framing and captioning will need."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lora_builder.decode import Decoded, read_photo
from lora_builder.errors import UnreadablePhoto
from lora_builder.files import atomic_write
from lora_builder.ingest import local_file
from lora_builder.models import load_body_model, load_face_model, versions
from lora_builder.models.interface import BodyModel, DetectedFace, FaceModel
from lora_builder.models.yunet_sface import aligned
from lora_builder.records import (
    GREY_SIDE, Body, Box, Exposure, Face, Floats, HeadPose, Look, Measurement, Photo, Pixels, Rejected, Shot,
)  # fmt: skip
from lora_builder.settings import Settings

MEASURE_VERSION = 1
"""Part of every measurement's key; raise it when the same photo would measure otherwise."""

MOST_FACES = 30
"""Faces embedded a photo, the largest ones; a crowd costs no more."""

MESH_FACES, MESH_FACE_SIDE = 5, 40
"""Faces given a mesh: the largest so many, of at least this side in pixels of the analysis picture."""

EXPRESSION_SIDE = 64
"""Below this side, in the same pixels, eyes and mouth are too small to tell."""

BODIES, PROMINENT = 3, 0.2
"""Bodies looked for: of the largest faces, of at least this share of the largest one's area."""

SHARP_SIDE = 128
"""Faces are brought down to this side before their sharpness is measured, never up."""

TILES = 8
"""The photo is cut into so many by so many tiles; its sharpness is that of the sharpest tenth."""

DARK, BRIGHT = 4, 251
"""Luma at and beyond which a pixel is crushed or blown."""

THUMBNAIL_SIDE = 400

SHOULDERS, HIPS, KNEES = (11, 12), (23, 24), (25, 26)
"""Indices among the 33 pose landmarks."""

SEEN = 0.5
FACE_SHARE = 0.18
"""A face taller than this share of the picture, with no hips in it, is a close-up."""


def recipe(settings: Settings) -> str:
    """Names everything a measurement depends on besides the photo's bytes: the key of its cache."""
    return f"{MEASURE_VERSION}|{versions(settings)}|{settings.analysis_max_side}|{settings.background}"


def measure(photo: Photo, settings: Settings) -> Look:
    """What one look at the photo found, or why there was none. Writes its preview."""
    try:
        with local_file(photo.source, settings) as path:
            decoded = read_photo(path, settings.analysis_max_side, settings)
    except UnreadablePhoto as error:
        return Rejected(error.message, error.remedy)
    except OSError as error:
        return Rejected(f"The file cannot be read: {error.strerror}.", "Check its permissions and the disk.")
    _write_preview(photo.sha256, decoded.pixels, settings)
    return measure_pixels(decoded, photo.sha256, load_face_model(settings), load_body_model(settings))


def measure_pixels(decoded: Decoded, sha256: str, faces: FaceModel, bodies: BodyModel) -> Measurement:
    """The measurement of a decoded photo."""
    pixels = decoded.pixels
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = decoded.width / pixels.shape[1]
    found = sorted(faces.find(pixels), key=lambda face: -face.box.area)[:MOST_FACES]
    return Measurement(
        sha256=sha256,
        width=decoded.width,
        height=decoded.height,
        format=decoded.format,
        captured_at=decoded.captured_at,
        phash=int(str(imagehash.phash(Image.fromarray(grey))), 16),
        grey=cv2.resize(grey, (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA),
        sharpness=tile_sharpness(grey),
        exposure=_exposure(grey),
        faces=tuple(_face(pixels, grey, face, rank, scale, faces, bodies) for rank, face in enumerate(found)),
        bodies=_bodies(pixels, found, scale, bodies),
        warnings=decoded.warnings,
    )


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Standard deviation of the Laplacian over that of the picture: about 0 (blurred) to 2 (crisp).

    Divided by contrast, so that a dark or foggy picture is not called blurred.
    """
    if min(grey.shape) < 3:
        return 0.0
    contrast = max(float(grey.std()), 4.0)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std()) / contrast


def tile_sharpness(grey: NDArray[np.uint8]) -> float:
    """`sharpness` of the sharpest tenth of the tiles: bokeh around a sharp person is not blur."""
    rows = [band for band in np.array_split(grey, TILES, axis=0) if band.size]
    tiles = [tile for band in rows for tile in np.array_split(band, TILES, axis=1) if tile.size]
    return float(np.percentile([sharpness(tile) for tile in tiles], 90))


def preview_path(settings: Settings, sha256: str) -> Path:
    """Where the preview of a photo is kept."""
    return settings.data_dir / "previews" / sha256[:2] / f"{sha256}.jpg"


def thumbnail(settings: Settings, sha256: str) -> bytes | None:
    """A small JPEG of the preview, None where there is none."""
    try:
        with Image.open(preview_path(settings, sha256)) as image:
            image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=80)
    except OSError:
        return None
    return buffer.getvalue()


def shot(measurement: Measurement, subject: int | None) -> Shot:
    """How much of the person the photo shows."""
    body = next((body for body in measurement.bodies if body.face == subject), None)
    if subject is None:
        return Shot.BACK if body is not None else Shot.NONE
    face = measurement.faces[subject]
    if body is not None:
        x, y, seen = body.landmarks.T
        inside = (seen >= SEEN) & (0 <= x) & (x < measurement.width) & (0 <= y) & (y < measurement.height)
        if inside[list(KNEES)].any():
            return Shot.BODY
        if inside[list(HIPS)].any():
            return Shot.BUST
    return Shot.FACE if face.box.height > 2 * FACE_SHARE * measurement.height else Shot.BUST


def body_regions(faces: list[Box], width: int, height: int) -> list[Box]:
    """Where to look for the bodies of the prominent ones of `faces` (largest first)."""
    picture = Box(0, 0, width, height)
    return [
        face.padded(3, 1, 3, 8).intersection(picture)
        for face in faces[:BODIES]
        if face.area >= PROMINENT * faces[0].area
    ]


def _face(
    pixels: Pixels, grey: NDArray[np.uint8], face: DetectedFace, rank: int, scale: float,
    faces: FaceModel, bodies: BodyModel,
) -> Face:  # fmt: skip
    height, width = grey.shape
    visible = face.box.clamped(width, height)
    part = grey[int(visible.y) : int(visible.bottom) + 1, int(visible.x) : int(visible.right) + 1]
    side = min(face.box.width, face.box.height)
    mesh = bodies.mesh(pixels, face.box) if rank < MESH_FACES and side >= MESH_FACE_SIDE else None
    tells = mesh is not None and side >= EXPRESSION_SIDE
    chip = aligned(pixels, face.landmarks, GREY_SIDE, zoom=0.8)
    return Face(
        box=face.box.scaled(scale),
        landmarks=(face.landmarks * scale).astype(np.float32),
        score=face.score,
        embedding=faces.embed(pixels, face.landmarks),
        pose=mesh.pose if mesh is not None else pose_of_landmarks(face.landmarks),
        grey=cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY),
        sharpness=_face_sharpness(part),
        brightness=float(part.mean()) / 255 if part.size else 0.0,
        eyes_open=mesh.eyes_open if tells and mesh else None,
        smile=mesh.smile if tells and mesh else None,
    )


def _face_sharpness(part: NDArray[np.uint8]) -> float:
    """Of the face at one size, whatever the camera's; a small face cannot count as sharper than it is."""
    if not part.size:
        return 0.0
    shrink = SHARP_SIDE / min(part.shape)
    if shrink < 1:
        part = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return sharpness(part)


def pose_of_landmarks(landmarks: Floats) -> HeadPose:
    """A rough head pose from five points, where the mesh sees nothing.

    The nose's offset from the eyes' middle, in eye distances, is about the sine of the yaw.
    """
    left, right, nose, mouth_left, mouth_right = landmarks
    across = right - left
    roll = float(np.degrees(np.arctan2(across[1], across[0])))
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    axis = across / max(float(np.linalg.norm(across)), 1e-6)
    down = mouth - eyes
    length = max(float(np.linalg.norm(down)), 1e-6)
    middle = eyes + down * 0.5
    yaw = float(np.degrees(np.arcsin(np.clip((nose - middle) @ axis / length / 0.7, -1, 1))))
    ratio = float((nose - eyes) @ (down / length)) / length
    return HeadPose(yaw, float(np.clip((0.55 - ratio) * 90, -60, 60)), roll)


def _bodies(pixels: Pixels, found: list[DetectedFace], scale: float, bodies: BodyModel) -> tuple[Body, ...]:
    height, width = pixels.shape[:2]
    result = []
    for index, region in enumerate(body_regions([face.box for face in found], width, height)):
        seen = bodies.body(pixels, region)
        if seen is not None:
            result.append(_body(seen, index, scale))
    if not found:
        seen = bodies.body(pixels, Box(0, 0, width, height))
        # Without a face only a torso that is plainly there makes a person.
        if seen is not None and (seen[0][list(SHOULDERS + HIPS), 2] >= 0.8).all():
            result.append(_body(seen, None, scale))
    return tuple(result)


def _body(seen: tuple[Floats, Box], face: int | None, scale: float) -> Body:
    landmarks, extent = seen
    return Body((landmarks * (scale, scale, 1)).astype(np.float32), extent.scaled(scale), face)


def _exposure(grey: NDArray[np.uint8]) -> Exposure:
    return Exposure(
        brightness=float(grey.mean()) / 255,
        contrast=float(grey.std()) / 255,
        clipped_dark=float((grey <= DARK).mean()),
        clipped_bright=float((grey >= BRIGHT).mean()),
    )


def _write_preview(sha256: str, pixels: Pixels, settings: Settings) -> None:
    path = preview_path(settings, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    side = settings.preview_max_side
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=settings.preview_jpeg_quality)
    atomic_write(path, buffer.getvalue())
