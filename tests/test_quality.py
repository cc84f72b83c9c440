"""Defects that are worth saying and drop nothing."""

from __future__ import annotations

from dataclasses import replace

from lora_builder.quality import Condition, Defect, defects
from lora_builder.records import Box, Measurement
from lora_builder.settings import load
from tests.made import body, face, measurement


def with_finger_at(x: float, y: float, seen: float) -> Measurement:
    """A person whose right index finger is there."""
    person = body(Box(400, 500, 1200, 2400))
    landmarks = person.landmarks.copy()
    landmarks[:, :2] = 2900
    landmarks[20] = x, y, seen
    return measurement("1", face(box=Box(800, 600, 400, 500)), bodies=(replace(person, landmarks=landmarks),))


def test_a_hand_before_the_face_is_said_and_one_beside_it_is_not() -> None:
    """A photo with a hand at the mouth stays and says so; a wave beside the head is none."""
    settings = load()
    found = []
    for place in ((1000.0, 900.0, 0.9), (1000.0, 900.0, 0.1), (1400.0, 900.0, 0.9)):
        photo = with_finger_at(*place)
        found.append(Defect.HAND in defects(Condition.of(photo, 0), None, settings))
    assert found == [True, False, False]
