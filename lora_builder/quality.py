"""What is wrong with a photo, each defect by its own name: most are warnings, few drop it.

Every limit is a setting or was measured on faces brought to 128 pixels: see the constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from lora_builder.models.yunet_sface import ALIGNED, ALIGNED_SIDE
from lora_builder.records import GREY_SIDE, Crop, Face, Measurement, Reason
from lora_builder.settings import Settings

SHAKEN, SHAKEN_BELOW = 0.60, 0.25
"""`Face.motion` from which a face that is no sharper than the second is smeared: a 5-pixel smear of a
128-pixel face measures 0.59 to 0.77 along the rows, an unshaken face at most 0.59 in 180."""

BLINK = 0.25
"""`Face.eyes_open` below this is a blink."""

BLOWN_SHARE, BLOWN = 0.25, 250
"""Share of the face's picture that is at this grey level or brighter when a face is burnt out."""

SHADED, SHADED_TURN = 0.30, 30.0
"""The brighter eye over the darker cheek, below which eyes are behind dark glasses or in deep shadow;
only of faces turned no further, in degrees."""

HANDS, HAND_SEEN = slice(15, 23), 0.3
"""Wrists and fingers among the 33 pose landmarks, and MediaPipe's visibility from which one inside the face
box is a hand before the face: true of 2 of the 3 faces it names among 353 in ../shared/photos (the third
is half behind a sign), and of 2 of the 5 with a hand at the mouth, cheek or forehead."""

SMALL_FACE = 96.0
"""Pixels of the training picture below which a face teaches little (a twelfth of 1024)."""

COARSE_QUALITY = 50
"""JPEG quality below which blocks and rings are learnt as skin."""

ZOOM = 0.8
"""Of the faces' grey pictures against the alignment: see `measure.GREY_ZOOM`."""

CHEEKS = ((41.0, 76.0), (71.0, 76.0))
"""Where the cheeks lie in the aligned face of 112 pixels."""


class Defect(str, Enum):
    """Something wrong that is worth saying and not worth dropping the photo for."""

    SOFT = "soft"
    SHAKEN = "shaken"
    BLINK = "blink"
    BLOWN = "blown"
    DIM = "dim"
    EYES_HIDDEN = "eyes_hidden"
    HAND = "hand"
    SMALL_FACE = "small_face"
    COARSE = "coarse"


@dataclass(frozen=True, slots=True)
class FaceState:
    """What shape a face is in: the height of its box, pixels, what was measured of it, and what lies over it:
    how much is burnt out, 0..1, how dark the eyes are (see `SHADED`), how surely a hand is there, 0..1."""

    height: float
    sharpness: float
    motion: float
    brightness: float
    eyes_open: float | None
    burnt: float
    shade: float | None
    hand: float


@dataclass(frozen=True, slots=True)
class Condition:
    """What shape a photo and a face in it are in, whatever the settings."""

    jpeg_quality: int | None
    face: FaceState | None

    @classmethod
    def of(cls, measurement: Measurement, face: int | None) -> Condition:
        if face is None:
            return cls(measurement.jpeg_quality, None)
        chosen = measurement.faces[face]
        state = FaceState(
            chosen.box.height,
            chosen.sharpness,
            chosen.motion,
            chosen.brightness,
            chosen.eyes_open,
            np.count_nonzero(chosen.grey >= BLOWN) / chosen.grey.size,
            _shade(chosen),
            _hand(measurement, face),
        )
        return cls(measurement.jpeg_quality, state)


def fault(condition: Condition, crop: Crop | None, others: int, settings: Settings) -> Reason | None:
    """Why the photo is clearly unusable, if it is. A dark photo is dark, not blurry.

    `others`: how many other people's faces are in the crop.
    """
    if crop is None:
        return Reason.TOO_SMALL
    face = condition.face
    if face is None:
        return None
    if settings.several_people == "drop" and others:
        return Reason.SEVERAL_PEOPLE
    if not settings.min_brightness <= face.brightness <= settings.max_brightness:
        return Reason.BADLY_EXPOSED
    if face.sharpness < settings.min_face_sharpness:
        return Reason.BLURRY
    return None


def defects(condition: Condition, crop: Crop | None, settings: Settings) -> dict[Defect, float]:
    """What is wrong with a photo that may stay, with the figure that says so."""
    found: dict[Defect, float] = {}
    if condition.jpeg_quality is not None and condition.jpeg_quality < COARSE_QUALITY:
        found[Defect.COARSE] = float(condition.jpeg_quality)
    face = condition.face
    if face is None:
        return found
    if face.motion >= SHAKEN and face.sharpness < SHAKEN_BELOW:
        found[Defect.SHAKEN] = face.motion
    elif face.sharpness < settings.soft_face_sharpness:
        found[Defect.SOFT] = face.sharpness
    if face.eyes_open is not None and face.eyes_open < BLINK:
        found[Defect.BLINK] = face.eyes_open
    if face.burnt >= BLOWN_SHARE:
        found[Defect.BLOWN] = face.burnt
    if face.brightness < settings.dim_brightness:
        found[Defect.DIM] = face.brightness
    if face.shade is not None and face.shade < SHADED:
        found[Defect.EYES_HIDDEN] = face.shade
    if face.hand >= HAND_SEEN:
        found[Defect.HAND] = face.hand
    if crop is not None:
        side = face.height * crop.height / crop.box.height
        if side < SMALL_FACE:
            found[Defect.SMALL_FACE] = side
    return found


def _hand(measurement: Measurement, face: int) -> float:
    """How surely the person's own wrist or finger is inside their face box, 0..1."""
    box = measurement.faces[face].box
    body = next((body for body in measurement.bodies if body.face == face), None)
    if body is None:
        return 0.0
    x, y, seen = body.landmarks[HANDS].T
    inside = (x > box.x) & (x < box.right) & (y > box.y) & (y < box.bottom)
    return float(np.where(inside, seen, 0.0).max())


def _shade(face: Face) -> float | None:
    """Brightness of the brighter eye over that of the darker cheek; None where the face is turned."""
    if abs(face.pose.yaw) > SHADED_TURN or not face.landmarks.any():
        return None
    patches = np.sort(face.grey.ravel()[PATCHES], axis=1)  # numpy's median takes ten times as long
    eye, other_eye, cheek, other_cheek = patches[:, patches.shape[1] // 2].tolist()
    return float(max(eye, other_eye) / max(min(cheek, other_cheek), 1.0))


def _patches() -> NDArray[np.intp]:
    """(4, 49): the pixels of a face's flat grey picture around its eyes and its cheeks."""
    centre = ALIGNED_SIDE / 2
    places = (np.array([*ALIGNED[:2], *CHEEKS]) - centre) * ZOOM + centre
    columns, rows = np.rint(places * GREY_SIDE / ALIGNED_SIDE).astype(np.intp).T
    down, over = np.mgrid[-3:4, -3:4].reshape(2, -1)
    result: NDArray[np.intp] = (rows[:, None] + down) * GREY_SIDE + columns[:, None] + over
    return result


PATCHES = _patches()
