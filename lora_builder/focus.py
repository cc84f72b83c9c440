"""What the crop must contain, and where it sits: from a measurement to a crop.

The crop holds the whole person where the picture allows, else as much as fits from the head down;
it never cuts the subject's face, never leaves the picture, and leaves other people's faces out
where a tighter framing can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lora_builder.records import Box, Crop, Face, Measurement
from lora_builder.settings import BUCKET_STEP, Settings

HEAD = (0.25, 0.45, 0.25, 0.15)
"""Left, top, right, bottom shares added to a face box to hold hair, ears and chin."""

BUST = (1.0, 0.7, 1.0, 1.6)
"""The same, to hold head and shoulders."""

BREATHING_ROOM = 0.06
"""Share of its size left free around the person."""

PROMINENT = 0.2
"""Other faces below this share of the subject's face area are background, not people to crop out."""

FACE_CLOSE = (0.6, 0.75, 0.6, 0.45)
"""The same, for a tight picture of the face: the head with a little air."""

NAMES = ("face", "bust", "full")
"""What a crop of a photo may be called by us, tightest first."""

SAME_CROP = 0.7
"""Share of two crops' union that they have in common from which the second shows nothing new."""

SNAP = 1.04
"""Up to this scale the crop is taken at 1:1 instead of resampled: sharper than any filter."""


def head(face: Face) -> Box:
    """The whole head, guessed from the face box (which ends at brow and chin)."""
    return face.box.padded(*HEAD)


def others_inside(measurement: Measurement, subject: int, box: Box) -> int:
    """How many other prominent faces have their centre inside `box`."""
    if len(measurement.faces) == 1:
        return 0
    floor = PROMINENT * measurement.faces[subject].box.area
    return sum(
        index != subject and face.box.area >= floor and box.contains(Box(*face.box.center, 0, 0))
        for index, face in enumerate(measurement.faces)
    )


def frame(measurement: Measurement, subject: int | None, settings: Settings) -> Crop | None:
    """The crop of a photo, or None where none is large enough or the face would be cut.

    `subject`: index of the subject's face; None frames the body, or else the whole picture.
    """
    best: Crop | None = None
    for wanted, tight in _wanted(measurement, subject, settings):
        crop = best_size(measurement, subject, wanted, settings, tight)
        if crop is None:
            continue
        if subject is None:
            return crop
        crop = _aside(crop, measurement, subject)
        alone = not others_inside(measurement, subject, crop.box)
        if best is None or alone:
            best = crop
        if alone:
            break
    return best


def more_frames(
    measurement: Measurement, subject: int | None, settings: Settings, main: Crop | None
) -> dict[str, Crop]:
    """Further crops of the same photo by `settings.extra_crops`, by name: `face`, `bust`, `full`.

    Left out is what the photo is too small for, what shows other people, and what an earlier crop,
    `main` first, shows already.
    """
    found: dict[str, Crop] = {}
    for name in settings.extra_crops:
        wanted = named_box(name, measurement, subject)
        crop = best_size(measurement, subject, wanted, settings) if wanted is not None else None
        if crop is None or (subject is not None and others_inside(measurement, subject, crop.box)):
            continue
        earlier = [*([main] if main else []), *found.values()]
        if all(_in_common(crop.box, other.box) < SAME_CROP for other in earlier):
            found[name] = crop
    return found


def named_box(name: str, measurement: Measurement, subject: int | None) -> Box | None:
    """What a crop of that name should hold; None where the photo does not show it."""
    if subject is None:
        return None
    face = measurement.faces[subject]
    if name == "face":
        return face.box.padded(*FACE_CLOSE)
    if name == "bust":
        return face.box.padded(*BUST)
    body = next((body for body in measurement.bodies if body.face == subject), None)
    return body.extent.union(head(face)).padded(*(BREATHING_ROOM,) * 4) if body else None


def _in_common(one: Box, other: Box) -> float:
    """Intersection over union, 0..1."""
    inside = one.intersection(other).area
    return inside / max(one.area + other.area - inside, 1e-9)


def _wanted(measurement: Measurement, subject: int | None, settings: Settings) -> Iterator[tuple[Box, bool]]:
    """What the crop should hold, widest first; tighter ones only to leave other people out.

    With each: whether the crop may also come out smaller than the wanted size for that.
    """
    room = (BREATHING_ROOM,) * 4
    body = next((body for body in measurement.bodies if body.face == subject), None)
    if subject is None:
        whole = Box(0, 0, measurement.width, measurement.height)
        yield body.extent.padded(*room) if body else whole, False
        return
    face = measurement.faces[subject]
    bust = face.box.padded(*BUST)
    yield body.extent.union(head(face)).padded(*room) if body else bust, False
    if len(measurement.faces) > 1:
        yield bust, False
        yield head(face), False
        if settings.small_photos == "keep":
            yield bust, True
            yield head(face), True


def _aside(crop: Crop, measurement: Measurement, subject: int) -> Crop:
    """The crop moved sideways as little as leaves other people's faces out, the subject's head still in.

    Where no place does that, the one with the fewest of them.
    """
    if not others_inside(measurement, subject, crop.box):
        return crop
    box = crop.box
    picture = Box(0, 0, measurement.width, measurement.height)
    must = head(measurement.faces[subject]).intersection(picture).intersection(box)
    low, high = max(0.0, must.right - box.width), min(must.x, measurement.width - box.width)
    edges = [box.x]
    for index, face in enumerate(measurement.faces):
        if index != subject:
            edges += [math.ceil(face.box.right), math.floor(face.box.x) - box.width]
    places = [box._replace(x=x) for x in edges if x == box.x or low <= x <= high]
    best = min(places, key=lambda b: (others_inside(measurement, subject, b), abs(b.x - box.x)))
    return Crop(best, crop.width, crop.height)


def best_size(
    measurement: Measurement, subject: int | None, wanted: Box, settings: Settings, tight: bool = False
) -> Crop | None:
    """Of the allowed sizes, the crop that holds most of what is wanted with the least around it."""
    picture = Box(0, 0, measurement.width, measurement.height)
    visible, must, face = wanted.intersection(picture), None, None
    if subject is not None:
        must = head(measurement.faces[subject]).intersection(picture)
        face = measurement.faces[subject].box.intersection(picture)
    crops = [
        crop
        for size in settings.sizes
        if (crop := _place(measurement, visible, must, face, size, settings, tight)) is not None
    ]
    if len(crops) < 2:
        return crops[0] if crops else None
    return max(crops, key=lambda crop: _in_common(crop.box, wanted))


def _place(
    measurement: Measurement,
    visible: Box,
    must: Box | None,
    face: Box | None,
    size: tuple[int, int],
    settings: Settings,
    tight: bool,
) -> Crop | None:
    """The crop of one size that shows most of `visible`, all of `must` if it can, and the whole `face`."""
    width, height = size
    largest = min(measurement.width / width, measurement.height / height)
    smallest = least = 1 / settings.max_upscale
    if tight:
        least = min(largest, settings.min_side / min(size))
    elif largest < smallest:
        if settings.small_photos == "drop":
            return None
        least = largest
    scale = max(visible.width / width, visible.height / height)
    if must is not None:
        scale = max(scale, must.width / width, must.height / height)
    scale = min(max(scale, least), largest)
    if scale < smallest:
        # Too few pixels for this size: what is there, pixel for pixel.
        width, height = (max(BUCKET_STEP, int(s * scale / BUCKET_STEP) * BUCKET_STEP) for s in size)
        scale = 1.0
    if 1 < scale < SNAP:
        scale = 1.0
    box_width = min(measurement.width, math.floor(width * scale + 1e-6))
    box_height = min(measurement.height, math.floor(height * scale + 1e-6))
    if face is not None and (face.width > box_width or face.height > box_height):
        return None
    x = _start(visible.x, visible.right, box_width, face and (face.x, face.right), 0.5)
    # What does not fit is cut from below: the head counts.
    y = _start(visible.y, visible.bottom, box_height, face and (face.y, face.bottom), 0.0)
    x = min(max(x, 0), measurement.width - box_width)
    y = min(max(y, 0), measurement.height - box_height)
    return Crop(Box(x, y, box_width, box_height), width, height)


def _start(low: float, high: float, length: int, face: tuple[float, float] | None, anchor: float) -> int:
    """Where along one axis a window of `length` begins to show `low`..`high`.

    A shorter span is centred. A longer one is cut around the face (`anchor` 0.5) or at its far end
    (`anchor` 0); either way the face stays inside.
    """
    if high - low <= length:
        start = (low + high - length) / 2
    elif face is not None and anchor:
        start = (face[0] + face[1]) / 2 - length * anchor
    else:
        start = low + (high - low - length) * anchor
    if face is not None:
        start = min(max(start, math.ceil(face[1]) - length), math.floor(face[0]))
    return round(start)
