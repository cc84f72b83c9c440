"""The typed records that flow from photos to dataset.

Coordinates are pixels of the upright (EXIF-oriented) original, `(x, y, width, height)`, with the
origin at the top left. Angles are degrees. Similarities and shares run from 0 to 1. Every record is
frozen; a stage makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lora_builder.places import Location

Pixels: TypeAlias = NDArray[np.uint8]
"""Upright sRGB, shape (height, width, 3)."""

Floats: TypeAlias = NDArray[np.float32]

GREY_SIDE = 64
"""Side in pixels of the small grey pictures kept for comparing (whole photo and each face)."""


COLOUR_SIDE = 4
"""Side in pixels of the tiny colour picture: what a scene's colours are, and roughly where."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright original."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @classmethod
    def from_corners(cls, left: float, top: float, right: float, bottom: float) -> Box:
        return cls(left, top, right - left, bottom - top)

    def scaled(self, factor: float) -> Box:
        """The same rectangle in a picture enlarged by `factor`."""
        return Box(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def padded(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Grown by shares of its own width (left, right) and height (top, bottom)."""
        return Box.from_corners(
            self.x - left * self.width,
            self.y - top * self.height,
            self.right + right * self.width,
            self.bottom + bottom * self.height,
        )

    def intersection(self, other: Box) -> Box:
        """The common part; of zero size where there is none."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Box.from_corners(left, top, max(left, right), max(top, bottom))

    def union(self, other: Box) -> Box:
        """The smallest rectangle around both."""
        return Box.from_corners(
            min(self.x, other.x),
            min(self.y, other.y),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def contains(self, other: Box, slack: float = 0.0) -> bool:
        """Whether `other` lies inside, give or take `slack` pixels."""
        return (
            self.x <= other.x + slack
            and self.y <= other.y + slack
            and self.right >= other.right - slack
            and self.bottom >= other.bottom - slack
        )

    def clamped(self, width: float, height: float) -> Box:
        """The part inside a picture of `width` x `height`."""
        return self.intersection(Box(0, 0, width, height))

    def rounded(self) -> tuple[int, int, int, int]:
        """Whole pixels, for JSON."""
        return round(self.x), round(self.y), round(self.width), round(self.height)


class Shot(str, Enum):
    """How much of the person the photo shows."""

    FACE = "face"
    BUST = "bust"
    BODY = "body"
    BACK = "back"
    NONE = "none"


class Reason(str, Enum):
    """Why a photo is kept or dropped; the values are read by other tools."""

    KEPT = "kept"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    SAME_SHOT = "same_shot"
    OTHER_PERSON = "other_person"
    NO_PERSON = "no_person"
    SEVERAL_PEOPLE = "several_people"
    TOO_SMALL = "too_small"
    BLURRY = "blurry"
    BADLY_EXPOSED = "badly_exposed"
    OVER_TARGET = "over_target"
    UNREADABLE = "unreadable"
    BY_USER = "by_user"


class Stage(str, Enum):
    """The steps of a run, in order."""

    INGEST = "ingest"
    MEASURE = "measure"
    DECIDE = "decide"
    FOCUS = "focus"
    CROP = "crop"
    CAPTION = "caption"
    PACK = "pack"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes of one input file are.

    `name` is the path inside the input for people, `/`-separated and readable. `path` is the file
    itself, here or in a store, or the archive that holds it; then `member` is its position in the
    archive's directory.
    """

    name: str
    path: Location
    member: int | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """One input file, identified by the SHA-256 (hex) of its bytes."""

    source: Source
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Rejected:
    """An input file of which no measurement can be had, and why, in a sentence for people.

    `passing`: it may go well another time (a limit was raised, a drive is back, there is memory
    again), so it is true of this run alone and never remembered.
    """

    message: str
    remedy: str = ""
    passing: bool = False


@dataclass(frozen=True)
class HeadPose:
    """Degrees; 0, 0, 0 looks into the camera.

    `yaw` > 0: turned towards the right edge of the picture. `pitch` > 0: looking up.
    `roll` > 0: head tilted clockwise as seen in the picture.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    `landmarks` (5, 2): the eye at the picture's left, the eye at its right, nose tip, and the
    corners of the mouth in the same order. `embedding`: unit length, only comparable within one
    face model. `grey` (64, 64): the face box with a margin, aligned upright. `sharpness`: see
    `pixels.sharpness`, of the face at a fixed size. `brightness`: mean luma of the face box, 0..1.
    `eyes_open`, `smile`: 0..1, None where the face is too small or too turned to tell. `motion`: how
    much softer the face is along one direction than across it, 0..1; see `pixels.motion`.
    """

    box: Box
    landmarks: Floats
    score: float
    embedding: Floats
    pose: HeadPose
    grey: NDArray[np.uint8]
    sharpness: float
    brightness: float
    eyes_open: float | None = None
    smile: float | None = None
    motion: float = 0.0


@dataclass(frozen=True, eq=False)
class Body:
    """One person's body.

    `landmarks` (33, 3): x, y and visibility 0..1, in MediaPipe Pose's order. `extent`: the
    rectangle that holds the visible person, hair and clothes included. `face`: index of their face
    among the photo's faces, None for a back view or a hidden face.
    """

    landmarks: Floats
    extent: Box
    face: int | None


@dataclass(frozen=True)
class Exposure:
    """Luma statistics, 0..1: of the whole photo, and the shares of it that are crushed or blown."""

    brightness: float
    contrast: float
    clipped_dark: float
    clipped_bright: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """All that one look at a photo found.

    `width`, `height`: upright pixels. `captured_at`: seconds of the camera's own clock (EXIF, no
    time zone), None if unknown. `content`: the picture without bars of one colour around it; `phash`
    (64 bits), `grey` (64, 64) and `colours` (4, 4, 3) are of it, squeezed square. `sharpness`: of its
    sharpest tiles, so that bokeh is not blur. `jpeg_quality`: 1..100, None if unknown. `saved_again`: how
    plainly it was a coarser JPEG before, from 1 on plainly. `warnings`: sentences for people.
    """

    sha256: str
    width: int
    height: int
    format: str
    captured_at: float | None
    phash: int
    grey: NDArray[np.uint8]
    sharpness: float
    exposure: Exposure
    faces: tuple[Face, ...] = ()
    bodies: tuple[Body, ...] = ()
    warnings: tuple[str, ...] = ()
    content: Box | None = None
    colours: Pixels = field(default_factory=lambda: np.zeros((COLOUR_SIDE, COLOUR_SIDE, 3), np.uint8))
    jpeg_quality: int | None = None
    saved_again: float = 0.0


Look: TypeAlias = "Measurement | Rejected"
"""What measuring one photo gave."""


@dataclass(frozen=True)
class Override:
    """What the user decided about one photo; outlives every re-run. None: leave it to us.

    `faces`: by index among the photo's faces, True "this is them", False "not them". `prefer`: of
    the photos that repeat each other, this one stays.
    """

    keep: bool | None = None
    crop: Box | None = None
    caption: str | None = None
    faces: Mapping[int, bool] = field(default_factory=dict)
    prefer: bool = False

    def marked(self, index: int, theirs: bool | None) -> Override:
        """The same with a face marked as the subject's (True), as not theirs (False), or unmarked."""
        faces = {i: mark for i, mark in self.faces.items() if i != index}
        if theirs is not None:
            faces[index] = theirs
        return replace(self, faces=faces)

    @property
    def empty(self) -> bool:
        """Whether nothing is decided, so that it may be forgotten."""
        return self == Override()


@dataclass(frozen=True)
class ExtraCrop:
    """One more training image that the user made of a photo: a tight face beside the bust, say.

    `name`: a lower-case word, unique among the photo's crops; it ends the file's name, as in
    `0007_detail.png`. `caption` None: it is written like any other.
    """

    name: str
    box: Box
    caption: str | None = None


@dataclass(frozen=True)
class Edits:
    """Light editing of a training image; the defaults change nothing. See `edits.py`.

    `denoise`, `sharpen`: strength, 0 (off) to 1. `mirror`: left and right swapped. `bystanders`:
    other people's faces: `keep`, `blur`, or `exclude` (black in the training mask). `backdrop`: what
    is not the subject: `keep`, `blur`, or a plain colour as `#rrggbb`.
    """

    auto_levels: bool = False
    white_balance: bool = False
    denoise: float = 0.0
    sharpen: float = 0.0
    mirror: bool = False
    bystanders: str = "keep"
    backdrop: str = "keep"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Kept or dropped, why, and the figures that say so.

    `because_of` is the `Source.name` of the kept photo that a duplicate repeats. `subject` is the
    index of the subject's face among the photo's faces. `scores` holds plain numbers, by name.
    """

    photo: Photo
    reason: Reason
    because_of: str | None = None
    subject: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def kept(self) -> bool:
        return self.reason is Reason.KEPT or (self.reason is Reason.BY_USER and self.scores.get("keep") == 1)


@dataclass(frozen=True, slots=True)
class Crop:
    """A box in the upright original, and the size in pixels that it is resampled to."""

    box: Box
    width: int
    height: int


@dataclass(frozen=True)
class Caption:
    """The text of one training image, and who wrote it: `composer`, `user` or a model's name."""

    text: str
    author: str


@dataclass(frozen=True)
class Decision:
    """One line of `decisions.jsonl`: everything that was decided about one input file.

    Boxes are whole pixels `[x, y, w, h]` of the upright original; `output` is a path inside the
    project folder, `/`-separated.
    """

    source: str
    sha256: str
    width: int | None
    height: int | None
    verdict: str
    reason: str
    detail: str
    because_of: str | None
    scores: Mapping[str, float]
    faces: int
    subject_face: tuple[int, int, int, int] | None
    crop: tuple[int, int, int, int] | None
    output: str | None
    caption: str | None


@dataclass(frozen=True)
class Event:
    """One step of progress. `photo` is a source name; `message` a sentence for people.

    `pixels`: of the photo that was measured just now; 0 where none was, or nothing could be had of it.
    """

    project: str
    stage: Stage
    done: int
    total: int
    photo: str = ""
    message: str = ""
    pixels: int = 0
