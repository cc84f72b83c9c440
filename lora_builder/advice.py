"""What a set covers, what it lacks, and what would help most: in plain words, English and Chinese."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lora_builder.measure import shot
from lora_builder.records import Look, Measurement, Shot, Verdict

FEW = 12
"""Kept pictures below which a portrait LoRA tends to fail; 15 to 30 varied ones are usual."""

FRONT_YAW, PROFILE_YAW = 15.0, 55.0
"""Degrees; the limits that captions use too."""

DARK, BRIGHT = 0.25, 0.65
"""Mean luma; the limits that captions use too."""

SMILE = 0.6
"""`Face.smile` from which a face counts as smiling, as in captions."""

ENOUGH_TO_JUDGE = 5
"""Measured pictures from which "all of them" says something."""

MANY = 40
"""Kept pictures from which fewer, chosen for variety, usually train better."""

RIVAL = 0.8
"""Share of the subject's photos from which another person might be meant as well."""

GROUPS = ("Framing", "View", "Expression", "Light")
"""What is counted, in the order of the report."""

_WORDS: dict[str, tuple[str, str]] = {
    "none": (
        "No photo was kept, so there is nothing to train on. See below why each was dropped.",
        "没有保留任何照片，无法训练。请看下方每张被舍弃的原因。",
    ),
    "one": (
        "Only 1 picture: fewer than {few} seldom train well; 15 to 30 varied ones do.",
        "只有 1 张图片：少于 {few} 张很少能训练好；15 到 30 张多样的图片为宜。",
    ),
    "few": (
        "Only {count} pictures: fewer than {few} seldom train well; 15 to 30 varied ones do.",
        "只有 {count} 张图片：少于 {few} 张很少能训练好；15 到 30 张多样的图片为宜。",
    ),
    "many": (
        "{count} pictures: set a target of 20 to 40, and the ones that cover most are chosen.",
        "共 {count} 张图片：可设目标 20 到 40 张，将选出覆盖面最广的一组。",
    ),
    "no_body": (
        "No picture shows the body: full-body results will be guesswork.",
        "没有全身照：生成全身只能靠猜。",
    ),
    "no_near": (
        "No picture shows the face from near: likeness will suffer.",
        "没有近距离的脸部照片：相似度会受影响。",
    ),
    "front_only": (
        "Every face looks straight ahead: add some turned to the side.",
        "所有脸都正对镜头：请添加一些侧脸。",
    ),
    "left_only": (
        "Every face is turned to the left: add front views and the other side.",
        "所有脸都转向左侧：请添加正面和另一侧。",
    ),
    "right_only": (
        "Every face is turned to the right: add front views and the other side.",
        "所有脸都转向右侧：请添加正面和另一侧。",
    ),
    "no_front": ("No face looks straight ahead: add front views.", "没有正脸：请添加正面照。"),
    "no_left": ("No face is turned to the left: add some.", "没有转向左侧的脸：请添加一些。"),
    "no_right": ("No face is turned to the right: add some.", "没有转向右侧的脸：请添加一些。"),
    "smiles": (
        "Everybody smiles in every picture: add some with a calm face.",
        "每张都在笑：请添加一些平静的表情。",
    ),
    "no_smile": (
        "Not one smile: add some if the model should be able to.",
        "没有一张微笑：如果希望模型会笑，请添加一些。",
    ),
    "dark": ("Every picture is dark: add other light.", "每张都偏暗：请添加其他光线。"),
    "bright": ("Every picture is bright: add other light.", "每张都偏亮：请添加其他光线。"),
    "rival": (
        "Somebody else is in nearly as many photos ({other} against {count}): check who it is about.",
        "另有一人出现的照片几乎一样多（{other} 对 {count}）：请确认主角是谁。",
    ),
}


@dataclass(frozen=True)
class PhotoFacts:
    """What coverage counts of one photo: `yaw` in degrees, `smile` and `brightness` 0..1.

    None: there is no face, or it could not be told.
    """

    shot: Shot
    yaw: float | None
    smile: float | None
    brightness: float


def facts_of(verdicts: Iterable[Verdict], looks: Mapping[str, Look]) -> dict[str, PhotoFacts]:
    """What is counted of each measured photo, by source name; `looks` by SHA-256."""
    facts = {}
    for verdict in verdicts:
        look = looks[verdict.photo.sha256]
        if isinstance(look, Measurement):
            face = look.faces[verdict.subject] if verdict.subject is not None else None
            facts[verdict.photo.source.name] = PhotoFacts(
                shot=shot(look, verdict.subject),
                yaw=face.pose.yaw if face else None,
                smile=face.smile if face else None,
                brightness=look.exposure.brightness,
            )
    return facts


def advice(kept: Sequence[PhotoFacts], language: str = "en") -> list[str]:
    """What is missing for a good portrait set, in plain sentences; empty if nothing is."""
    return [say(name, language, count=len(kept), few=FEW) for name in gaps(kept)]


def doubts(found: Sequence[int], language: str = "en") -> list[str]:
    """Whether somebody else may be meant: `found` is in how many photos each person is, most first."""
    if len(found) < 2 or found[1] < RIVAL * found[0]:
        return []
    return [say("rival", language, count=found[0], other=found[1])]


def say(name: str, language: str, **figures: int) -> str:
    """The sentence of that name; `language` is `en` or `zh`."""
    return _WORDS[name][language.lower().startswith("zh")].format(**figures)


def gaps(kept: Sequence[PhotoFacts]) -> list[str]:
    """The names of the sentences that apply."""
    count = len(kept)
    if not count:
        return ["none"]
    coverage = coverage_of(kept)
    shots = coverage["Framing"]
    said = ["one" if count == 1 else "few"] if count < FEW else ["many"] if count > MANY else []
    if not shots["body"]:
        said.append("no_body")
    if not shots["face"] and not shots["bust"]:
        said.append("no_near")
    said += _view_gaps(coverage["View"], count)
    told = count - coverage["Expression"]["unknown"]
    if told >= ENOUGH_TO_JUDGE and coverage["Expression"]["smiling"] == told:
        said.append("smiles")
    if told >= ENOUGH_TO_JUDGE and coverage["Expression"]["neutral"] == told:
        said.append("no_smile")
    if count >= ENOUGH_TO_JUDGE:
        said += [light for light in ("dark", "bright") if coverage["Light"][light] == count]
    return said


def _view_gaps(views: Counter[str], count: int) -> list[str]:
    seen = count - views["unknown"]
    left, right = (views[side] + views[f"profile_{side}"] for side in ("left", "right"))
    if not seen:
        return []
    if views["front"] == seen:
        return ["front_only"]
    if seen in (left, right):
        return ["left_only" if left else "right_only"]
    said = [] if views["front"] else ["no_front"]
    if seen >= ENOUGH_TO_JUDGE:
        said += [name for name, number in (("no_left", left), ("no_right", right)) if not number]
    return said


def coverage_of(kept: Iterable[PhotoFacts]) -> dict[str, Counter[str]]:
    """How many photos fall in each class of framing, view, expression and light."""
    coverage: dict[str, Counter[str]] = {group: Counter() for group in GROUPS}
    for facts in kept:
        coverage["Framing"][facts.shot.value] += 1
        coverage["View"][_view(facts.yaw)] += 1
        smile = facts.smile
        known = smile is not None and math.isfinite(smile)
        coverage["Expression"]["unknown" if not known else _expression(smile or 0.0)] += 1
        light = "dark" if facts.brightness <= DARK else "bright" if facts.brightness >= BRIGHT else "normal"
        coverage["Light"][light] += 1
    return coverage


def _view(yaw: float | None) -> str:
    if yaw is None or not math.isfinite(yaw):
        return "unknown"
    if abs(yaw) < FRONT_YAW:
        return "front"
    side = "right" if yaw > 0 else "left"
    return side if abs(yaw) < PROFILE_YAW else f"profile_{side}"


def _expression(smile: float) -> str:
    return "smiling" if smile >= SMILE else "neutral"
