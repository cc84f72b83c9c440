"""One look at a photo: everything that deciding, framing and captioning will need."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lora_builder.decode import Decoded, read_photo
from lora_builder.errors import BadInput, UnreadablePhoto
from lora_builder.files import atomic_write
from lora_builder.ingest import identify, local_photo
from lora_builder.models import load_body_model, load_face_model, versions
from lora_builder.models.interface import BodyModel, DetectedFace, FaceModel
from lora_builder.models.yunet_sface import aligned_smoothly
from lora_builder.pixels import SHARP_SIDE, content_box, exposure, motion, sharpness, tile_sharpness
from lora_builder.places import Location, Place, located
from lora_builder.records import (
    COLOUR_SIDE,
    GREY_SIDE,
    Body,
    Box,
    Face,
    Floats,
    HeadPose,
    Look,
    Measurement,
    Photo,
    Pixels,
    Rejected,
    Shot,
    Source,
)
from lora_builder.settings import Settings

MEASURE_VERSION = 4
"""Part of every measurement's key; raise it when the same photo would measure otherwise."""

HASHED_SIDE = 128
"""The photo is averaged down to this side before imagehash sees it: same bits, a tenth of the time."""

MOST_FACES = 30
"""Faces embedded a photo, the largest ones; a crowd costs no more."""

MESH_FACES, MESH_FACE_SIDE = 5, 40
"""Faces given a mesh: the largest so many, of at least this side in pixels of the analysis picture."""

EXPRESSION_SIDE = 64
"""Below this side, in the same pixels, eyes and mouth are too small to tell."""

BODIES, PROMINENT = 3, 0.2
"""Bodies looked for: of the largest faces, of at least this share of the largest one's area."""

GREY_ZOOM = 0.8
"""Of the faces' grey pictures, against the recogniser's alignment: shows some hair and chin."""

MESH_OFF = 0.22
"""Mean distance of the mesh's five landmarks from the detector's, in face widths, from which the mesh
lies on another face. (On ../shared/photos right ones reach 0.20: a face lying on its side.)"""

TWICE_OVERLAP, TWICE_COSINE = 0.2, 0.7
"""Two boxes that share this part of the smaller one, with embeddings this close, are one face."""

THUMBNAIL_SIDE = 400

NOSE_DEPTH, NOSE_LEVEL, NOSE_REST = 0.30, 53.0, 0.45
"""Fitted to the mesh's head poses: see `pose_of_landmarks`. Level is degrees a share."""

HEAD_POINTS = slice(0, 11)
SHOULDERS, HIPS, KNEES = (11, 12), (23, 24), (25, 26)
"""Indices among the 33 pose landmarks."""

SEEN, TORSO_SEEN = 0.5, 0.8
"""MediaPipe's visibility from which a landmark counts as seen, and as plainly seen."""

CLOSE_UP = 0.36
"""A face taller than this share of the picture, with no hips in it, is a close-up."""


def recipe(settings: Settings) -> str:
    """Names everything a measurement depends on besides the photo's bytes: the key of its cache."""
    return f"{MEASURE_VERSION}|{versions(settings)}|{settings.analysis_max_side}|{settings.background}"


def measure(photo: Photo, settings: Settings) -> Look:
    """What one look at the photo found, or why there was none. Writes its preview."""
    try:
        with local_photo(photo, settings) as path:
            decoded = read_photo(path, settings.analysis_max_side, settings)
    except UnreadablePhoto as error:
        return Rejected(error.message, error.remedy, error.passing)
    _write_preview(photo.sha256, decoded.pixels, settings)
    return measure_pixels(decoded, photo.sha256, settings)


def reference(path: Path, settings: Settings) -> Floats:
    """The embedding of the largest face of a reference photo. Raises BadInput where there is none."""
    photo = identify(Source(path.name, path), settings)
    look = measure(photo, settings) if isinstance(photo, Photo) else photo
    if isinstance(look, Rejected):
        raise BadInput(f"The reference photo {path.name} cannot be read: {look.message}", look.remedy)
    if not look.faces:
        raise BadInput(f"The reference photo {path.name} shows no face.", "Choose one that does.")
    return max(look.faces, key=lambda face: face.box.area).embedding


def measure_pixels(decoded: Decoded, sha256: str, settings: Settings) -> Measurement:
    """The measurement of a decoded photo. Raises ModelUnavailable, BadSettings."""
    faces, bodies = load_face_model(settings), load_body_model(settings)
    pixels = decoded.pixels
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    content = content_box(grey)
    x, y, right, bottom = (int(side) for side in (content.x, content.y, content.right, content.bottom))
    small = cv2.resize(grey[y:bottom, x:right], (HASHED_SIDE, HASHED_SIDE), interpolation=cv2.INTER_AREA)
    colours = (COLOUR_SIDE, COLOUR_SIDE)
    scale = decoded.width / pixels.shape[1]
    found = sorted(faces.find(pixels), key=lambda face: -face.box.area)[:MOST_FACES]
    seen = [_face(pixels, grey, face, rank, scale, faces, bodies) for rank, face in enumerate(found)]
    single = _seen_once(seen)
    return Measurement(
        sha256=sha256,
        width=decoded.width,
        height=decoded.height,
        format=decoded.format,
        captured_at=decoded.captured_at,
        phash=int(str(imagehash.phash(Image.fromarray(small))), 16),
        grey=cv2.resize(small, (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA),
        sharpness=tile_sharpness(grey),
        exposure=exposure(grey),
        faces=tuple(seen[i] for i in single),
        bodies=_bodies(pixels, [found[i] for i in single], scale, bodies),
        warnings=decoded.warnings,
        content=content.scaled(scale),
        colours=cv2.resize(pixels[y:bottom, x:right], colours, interpolation=cv2.INTER_AREA),
        jpeg_quality=decoded.jpeg_quality,
        saved_again=decoded.saved_again,
    )


def preview_path(settings: Settings, sha256: str) -> Path:
    """Where the preview of a photo is kept."""
    return settings.data_dir / "previews" / sha256[:2] / f"{sha256}.jpg"


def preview(settings: Settings, sha256: str) -> Path:
    """The same, brought here first where several machines share their previews. Raises BadInput."""
    path = preview_path(settings, sha256)
    shared = _shared_preview(settings, sha256)
    if isinstance(shared, Path):
        return shared
    if shared is not None and not path.exists():
        atomic_write(path, b"".join(shared.chunks()), settings.data_dir)
    return path


def forget_preview(settings: Settings, sha256: str) -> None:
    """Removes the preview of a photo, here and where it is shared. Raises OutputUnwritable."""
    preview_path(settings, sha256).unlink(missing_ok=True)
    shared = _shared_preview(settings, sha256)
    if isinstance(shared, Place):
        shared.remove()
    elif shared is not None:
        shared.unlink(missing_ok=True)


def _shared_preview(settings: Settings, sha256: str) -> Location | None:
    """Where several machines look for it, None where there is but this one."""
    if not settings.previews:
        return None
    return located(settings.previews) / sha256[:2] / f"{sha256}.jpg"


def thumbnail(settings: Settings, sha256: str) -> bytes | None:
    """A small JPEG of the preview, None where there is none."""
    try:
        with Image.open(preview(settings, sha256)) as image:
            image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=80)
    except (OSError, BadInput):
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
        inside = (seen >= SEEN) & (x >= 0) & (x < measurement.width) & (y >= 0) & (y < measurement.height)
        if inside[list(KNEES)].any():
            return Shot.BODY
        if inside[list(HIPS)].any():
            return Shot.BUST
    return Shot.FACE if face.box.height > CLOSE_UP * measurement.height else Shot.BUST


def body_regions(faces: list[Box], width: int, height: int) -> list[Box]:
    """Where to look for the bodies of the prominent ones of `faces` (largest first)."""
    picture = Box(0, 0, width, height)
    return [
        face.padded(3, 1, 3, 8).intersection(picture)
        for face in faces[:BODIES]
        if face.area >= PROMINENT * faces[0].area
    ]


def _face(
    pixels: Pixels,
    grey: NDArray[np.uint8],
    face: DetectedFace,
    rank: int,
    scale: float,
    faces: FaceModel,
    bodies: BodyModel,
) -> Face:
    height, width = grey.shape
    visible = face.box.clamped(width, height)
    part = grey[int(visible.y) : int(visible.bottom) + 1, int(visible.x) : int(visible.right) + 1]
    side = min(face.box.width, face.box.height)
    mesh = bodies.mesh(pixels, face.box) if rank < MESH_FACES and side >= MESH_FACE_SIDE else None
    tells = mesh if side >= EXPRESSION_SIDE else None
    landmarks = face.landmarks
    if faces.rough and mesh is not None and _one_face(mesh.landmarks, landmarks, side):
        landmarks = mesh.landmarks
    return Face(
        box=face.box.scaled(scale),
        landmarks=(landmarks * scale).astype(np.float32),
        score=face.score,
        embedding=faces.embed(pixels, landmarks),
        pose=mesh.pose if mesh is not None else pose_of_landmarks(landmarks),
        grey=_face_grey(grey, landmarks),
        sharpness=_face_sharpness(part),
        brightness=float(part.mean()) / 255 if part.size else 0.0,
        eyes_open=tells.eyes_open if tells is not None else None,
        smile=tells.smile if tells is not None else None,
        motion=motion(part),
    )


def _one_face(mesh: Floats, found: Floats, side: float) -> bool:
    """Whether the mesh lies on the face that was found, and not on its neighbour."""
    return float(np.linalg.norm(mesh - found, axis=1).mean()) <= MESH_OFF * side


def _seen_once(faces: Sequence[Face]) -> list[int]:
    """Which faces stay when one that was found twice (a close-up often is) counts once, the surer one."""
    kept: list[int] = []
    for index in sorted(range(len(faces)), key=lambda i: -faces[i].score):
        face = faces[index]
        twice = any(
            face.box.intersection(faces[other].box).area
            >= TWICE_OVERLAP * min(face.box.area, faces[other].box.area)
            and float(face.embedding @ faces[other].embedding) >= TWICE_COSINE
            for other in kept
        )
        if not twice:
            kept.append(index)
    return sorted(kept)


def _face_grey(grey: NDArray[np.uint8], landmarks: Floats) -> NDArray[np.uint8]:
    return aligned_smoothly(grey, landmarks, GREY_SIDE, GREY_ZOOM)


def _face_sharpness(part: NDArray[np.uint8]) -> float:
    """Of the face at one size, whatever the camera's; a small face is enlarged, and so counts as soft."""
    if not part.size:
        return 0.0
    zoom = SHARP_SIDE / min(part.shape)
    size = max(round(part.shape[1] * zoom), 1), max(round(part.shape[0] * zoom), 1)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    return sharpness(cv2.resize(part, size, interpolation=how))


def pose_of_landmarks(landmarks: Floats) -> HeadPose:
    """A rough head pose from five points, where the mesh sees nothing.

    Against the mesh on the faces of ../shared/photos/people: median error 6 degrees of yaw, 5 of pitch.
    """
    left, right, nose, mouth_left, mouth_right = landmarks
    across = right - left
    roll = float(np.degrees(np.arctan2(across[1], across[0])))
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    length = max(float((mouth - eyes) @ down), 1e-6)
    # The nose stands out of the face's plane by about NOSE_DEPTH of the distance from eyes to mouth.
    sideways = float((nose - (eyes + mouth) / 2) @ across) / length
    along = float((nose - eyes) @ down) / length
    yaw = float(np.degrees(np.arctan(sideways / NOSE_DEPTH)))
    return HeadPose(yaw, float(np.clip(NOSE_LEVEL * (NOSE_REST - along), -60, 60)), roll)


def _bodies(pixels: Pixels, found: list[DetectedFace], scale: float, bodies: BodyModel) -> tuple[Body, ...]:
    height, width = pixels.shape[:2]
    boxes = [face.box for face in found]
    result: dict[int | None, Body] = {}
    for region in body_regions(boxes, width, height):
        seen = bodies.body(pixels, region)
        owner = _owner(seen[0], boxes) if seen is not None else None
        # A region may show a neighbour better than the face it was made for: the body is theirs then.
        if seen is not None and owner is not None and owner not in result:
            result[owner] = _body(seen, owner, scale)
    if not found:
        seen = bodies.body(pixels, Box(0, 0, width, height))
        # Without a face only a torso that is plainly there makes a person.
        if seen is not None and (seen[0][list(SHOULDERS + HIPS), 2] >= TORSO_SEEN).all():
            result[None] = _body(seen, None, scale)
    return tuple(result.values())


def _owner(landmarks: Floats, faces: list[Box]) -> int | None:
    """Whose body: the face around the nose, eyes, ears and mouth of the body; None where there is none."""
    x, y, _ = landmarks[HEAD_POINTS].mean(axis=0)
    point = Box(float(x), float(y), 0, 0)
    near = [i for i, face in enumerate(faces) if face.padded(0.25, 0.25, 0.25, 0.25).contains(point)]
    distance = {i: np.hypot(*np.subtract(faces[i].center, (x, y))) for i in near}
    return min(distance, key=lambda i: float(distance[i]), default=None)


def _body(seen: tuple[Floats, Box], face: int | None, scale: float) -> Body:
    landmarks, extent = seen
    return Body((landmarks * (scale, scale, 1)).astype(np.float32), extent.scaled(scale), face)


def _write_preview(sha256: str, pixels: Pixels, settings: Settings) -> None:
    path = preview_path(settings, sha256)
    height, width = pixels.shape[:2]
    shrink = settings.preview_max_side / max(height, width)
    if shrink < 1:
        size = max(round(width * shrink), 1), max(round(height * shrink), 1)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=settings.preview_jpeg_quality)
    shared = _shared_preview(settings, sha256)
    if isinstance(shared, Place):
        shared.write(buffer.getvalue())
    elif shared is not None:
        atomic_write(shared, buffer.getvalue())
    else:
        atomic_write(path, buffer.getvalue(), settings.data_dir)
