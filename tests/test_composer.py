"""Captions say what was measured, in one line, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_builder.caption.composer import compose
from lora_builder.records import Body, Box, Crop, Exposure, Face, HeadPose, Measurement, Shot
from lora_builder.settings import Settings, load

OHWX = {"trigger": "ohwx", "class_word": "woman"}


def face(yaw: float = 0, pitch: float = 0, roll: float = 0, **more: Any) -> Face:
    grey = np.zeros((64, 64), np.uint8)
    five = np.zeros((5, 2), np.float32)
    box = Box(400, 100, 80, 100)
    pose = HeadPose(yaw, pitch, roll)
    return Face(box, five, 0.9, np.full(4, 0.5, np.float32), pose, grey, 1.0, 0.5, **more)


def near(*angles: float, **more: Any) -> Face:
    """A face as large as in a head-and-shoulders shot."""
    return replace(face(*angles, **more), box=Box(400, 100, 160, 200))


def photo(
    *faces: Face, bodies: tuple[Body, ...] = (), brightness: float = 0.45, contrast: float = 0.2
) -> Measurement:
    exposure = Exposure(brightness, contrast, 0, 0)
    grey = np.zeros((64, 64), np.uint8)
    return Measurement("ab", 1000, 1000, "JPEG", None, 0, grey, 1.0, exposure, faces, bodies)


def body(*visible: int, at: tuple[float, float] = (450, 900)) -> Body:
    landmarks = np.zeros((33, 3), np.float32)
    for index in visible:
        landmarks[index] = (*at, 1)
    return Body(landmarks, Box(300, 50, 300, 900), 0)


@pytest.mark.parametrize(
    ("look", "shot", "text"),
    [
        (photo(near()), Shot.BUST, "ohwx woman in a head-and-shoulders shot, facing the camera."),
        (
            photo(face(smile=0.9), brightness=0.7),
            Shot.FACE,
            "ohwx woman in a close-up of the face, facing the camera, smiling. The photo is bright.",
        ),
        (
            photo(near(30, roll=-20)),
            Shot.BUST,
            "ohwx woman in a head-and-shoulders shot, "
            "in three-quarter view turned to the right of the picture, head tilted.",
        ),
        (
            photo(near(-70, pitch=40), brightness=0.1, contrast=0.35),
            Shot.BUST,
            "ohwx woman in a head-and-shoulders shot, in profile facing the left of the picture. "
            "The photo is dark and high in contrast.",
        ),
        (
            photo(face(pitch=30, eyes_open=0.05)),
            Shot.NONE,
            "ohwx woman, facing the camera, looking up, eyes closed.",
        ),
        (
            photo(face(pitch=-30), bodies=(body(27),)),
            Shot.BODY,
            "ohwx woman in a full-body shot, facing the camera, looking down.",
        ),
        (
            photo(face(), bodies=(body(25),)),
            Shot.BODY,
            "ohwx woman in a shot from the knees up, facing the camera.",
        ),
        (photo(face(), bodies=(body(),)), Shot.BODY, "ohwx woman in an upper-body shot, facing the camera."),
    ],
)
def test_prose(look: Measurement, shot: Shot, text: str) -> None:
    """Framing, view, pose, expression and light come out as a plain sentence, trigger first."""
    caption = compose(look, 0, shot, None, load(**OHWX))
    assert (caption.text, caption.author) == (text, "composer")


def test_tags() -> None:
    """Tags come with the trigger first and commas between."""
    settings = load(**OHWX, caption_style="tags")
    text = compose(photo(near(smile=1.0)), 0, Shot.BUST, None, settings).text
    assert text == "ohwx, woman, head and shoulders, front view, smile"


def test_chinese() -> None:
    """Chinese captions are Chinese but for the user's own words."""
    settings = load(**OHWX, caption_language="zh")
    assert compose(photo(near(smile=1.0)), 0, Shot.BUST, None, settings).text == (
        "ohwx woman，头肩近景，正对镜头，微笑。"
    )
    tags = load(**OHWX, caption_language="zh", caption_style="tags")
    assert compose(photo(), None, Shot.BACK, None, tags).text == "woman, 背影"


def test_a_back_view_leaves_the_trigger_out() -> None:
    """Where nobody could recognise the person, the trigger is not taught."""
    settings = load(**OHWX)
    assert compose(photo(), None, Shot.BACK, None, settings).text == "A woman seen from behind."
    assert compose(photo(face()), 0, Shot.BACK, None, settings).text == "A woman seen from behind."
    assert "ohwx" not in compose(photo(), None, Shot.NONE, None, settings).text
    other = load(trigger="ohwx", class_word="artist")
    assert compose(photo(), None, Shot.NONE, None, other).text == "An artist in a photo."


def test_framing_is_only_claimed_where_it_is_known() -> None:
    """A small face without a body may be any framing; a body cut off at the neck is no back view."""
    settings = load(**OHWX)
    far = replace(face(), box=Box(480, 300, 50, 60))
    assert compose(photo(far), 0, Shot.BUST, None, settings).text == "ohwx woman, facing the camera."
    assert "upper-body" in compose(photo(face()), 0, Shot.BUST, None, settings).text
    landmarks = np.zeros((33, 3), np.float32)
    for index, x in ((11, 600), (12, 400), (25, 480)):
        landmarks[index] = (x, 500, 1)
    torso = Body(landmarks, Box(300, 0, 400, 900), None)
    front = compose(photo(bodies=(torso,)), None, Shot.BACK, None, settings).text
    assert front == "A woman in a shot from the knees up."
    landmarks[[11, 12], 0] = 400, 600
    assert (
        compose(photo(bodies=(torso,)), None, Shot.BACK, None, settings).text == "A woman seen from behind."
    )


def test_a_tight_crop_of_a_full_photo_is_called_a_close_up() -> None:
    """The caption speaks of the training image, not of the photo it was cut from."""
    look = photo(face(), bodies=(body(27),))
    tight = Crop(Box(340, 40, 200, 200), 1024, 1024)
    assert "close-up" in compose(look, 0, Shot.BODY, tight, load(**OHWX)).text
    half = Crop(Box(200, 50, 600, 600), 1024, 1024)
    assert "full-body" not in compose(look, 0, Shot.BODY, half, load(**OHWX)).text


numbers = st.floats(allow_nan=True) | st.floats(-90, 90)
maybe = st.none() | st.floats(0, 1)
word = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=12).filter(str.isprintable)


@given(
    st.builds(face, numbers, numbers, numbers, eyes_open=maybe, smile=maybe),
    numbers,
    numbers,
    st.booleans(),
    st.sampled_from(Shot),
    st.sampled_from(["prose", "tags"]),
    st.sampled_from(["en", "zh"]),
    word,
    word,
    st.none() | st.just(Crop(Box(0, 0, 512, 512), 512, 512)),
)
def test_any_measurement_gives_one_line(
    someone: Face, brightness: float, contrast: float, known: bool, shot: Shot, style: str, language: str,
    trigger: str, class_word: str, crop: Crop | None,
) -> None:  # fmt: skip
    """Whatever was measured or was not, the caption is one printable line that is never empty."""
    settings = load(trigger=trigger, class_word=class_word, caption_style=style, caption_language=language)
    look = photo(someone, brightness=brightness, contrast=contrast)
    text = compose(look, 0 if known else None, shot, crop, settings).text
    assert text.strip() == text != ""
    assert text.isprintable()
    assert "nan" not in text.replace(class_word, "").replace(trigger, "") or not math.isnan(brightness)
    if known and shot is not Shot.BACK:
        assert text.startswith(" ".join(settings.trigger.split()))


def test_what_was_not_measured_is_left_out(settings: Settings) -> None:
    """Unknown eyes, smile and pose are silence, not a guess."""
    unknown = photo(face(math.nan, math.nan, math.nan), brightness=math.nan, contrast=math.nan)
    assert compose(unknown, 0, Shot.NONE, None, settings).text == "A person in a photo."
