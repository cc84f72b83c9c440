"""A caption against what was measured: "looking left" and yaw, "full body" and the crop, and so on.

A contradiction is a reason to look, not proof: limits are wide, so that what is listed is worth it.
Left and right are the picture's; "to her left" is turned round.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from lora_builder.caption.composer import framing_of
from lora_builder.records import Box, Crop, Measurement, Shot

SIDE_YAW = 15.0
"""Degrees of the head's turn that make the other side a contradiction."""

GAZE_YAW = 25.0
"""The same for "looking": eyes may look away from where the head points."""

FRONT_YAW, GAZE_FRONT_YAW = 45.0, 60.0
"""Degrees from which a head does not face, and eyes hardly look into, the camera."""

PROFILE_YAW = 25.0
"""Degrees below which nobody would say profile."""

PITCH = 15.0
"""Degrees of pitch that make the other direction a contradiction."""

OPEN, SHUT = 0.6, 0.1
"""`Face.eyes_open` from which eyes are surely open, and below which surely shut."""

SMILE, NO_SMILE = 0.8, 0.08
"""`Face.smile` from which a face surely smiles, and below which it surely does not."""


@dataclass(frozen=True)
class Seen:
    """What was measured of a training image.

    `framing`: face, bust, upper, knees, full, back, or empty where it is not known. `people`: faces
    or bodies in the crop, whichever is more. Degrees and 0..1 as in `Face`; None: not measured.
    """

    framing: str = ""
    yaw: float | None = None
    pitch: float | None = None
    eyes_open: float | None = None
    smile: float | None = None
    people: int = 0


@dataclass(frozen=True)
class Contradiction:
    """What the caption says, and what was measured, in English and Chinese."""

    said: str
    measured: str
    measured_zh: str


def seen(measurement: Measurement, subject: int | None, shot: Shot, crop: Crop | None) -> Seen:
    """What the training image shows, as far as it was measured."""
    box = crop.box if crop else Box(0, 0, measurement.width, measurement.height)
    inside = [face for face in measurement.faces if box.contains(Box(*face.box.center, 0, 0))]
    bodies = [body for body in measurement.bodies if box.contains(Box(*body.extent.center, 0, 0))]
    framing = framing_of(measurement, subject, shot, crop)
    if subject is None or shot is Shot.BACK:
        return Seen(framing=framing, people=max(len(inside), len(bodies)))
    face = measurement.faces[subject]
    return Seen(
        framing,
        _finite(face.pose.yaw),
        _finite(face.pose.pitch),
        face.eyes_open,
        face.smile,
        max(len(inside), len(bodies)),
    )


def facts(found: Seen) -> str:
    """The same in a few words, for a prompt that tells the model what we know."""
    words = []
    if found.framing:
        words.append(f"framing: {_FRAMINGS[found.framing]}")
    if found.yaw is not None:
        side = "left" if found.yaw < 0 else "right"
        turned = abs(found.yaw) >= SIDE_YAW
        words.append(f"head turned to the {side} of the picture" if turned else "head facing the camera")
    if found.people:
        words.append("one person" if found.people == 1 else f"{found.people} people")
    return ", ".join(words)


def contradictions(text: str, found: Seen) -> list[Contradiction]:
    """Where the caption and the measurement cannot both be right."""
    listed = []
    for pattern, judge in _RULES:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 12) : match.start()].lower()
            if re.search(r"(?:\bno|\bnot|without|n't)\s+(?:an?\s+)?$|[没不未]有?$", before):
                continue
            verdict = judge(match, found)
            if verdict is not None:
                listed.append(Contradiction(match.group(0).strip(), *verdict))
                break
    return listed


_FRAMINGS = {
    "face": "a close-up of the face",
    "bust": "head and shoulders",
    "upper": "the upper body",
    "knees": "the body down to the knees",
    "full": "the full body",
    "back": "the person from behind",
}
_FRAMINGS_ZH = {
    "face": "面部特写", "bust": "头肩近景", "upper": "上半身",
    "knees": "膝盖以上", "full": "全身", "back": "背影",
}  # fmt: skip

_Verdict = tuple[str, str] | None
_Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Seen], _Verdict]]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _turned(yaw: float) -> tuple[str, str]:
    side, side_zh = ("left", "左") if yaw < 0 else ("right", "右")
    return f"The head is turned {abs(yaw):.0f}° to the {side} of the picture.", (
        f"头部转向画面{side_zh}侧 {abs(yaw):.0f}°。"
    )


def _side(match: re.Match[str], found: Seen) -> _Verdict:
    if found.yaw is None:
        return None
    said = match.group(0).lower()
    left = bool(re.search(r"left|左", said))
    if re.search(r"\b(?:his|her|their)\b|自己的", said):
        left = not left
    limit = GAZE_YAW if re.search(r"look|gaz|glanc|看|望", said) else SIDE_YAW
    wrong = found.yaw >= limit if left else found.yaw <= -limit
    return _turned(found.yaw) if wrong else None


def _front(match: re.Match[str], found: Seen) -> _Verdict:
    if found.yaw is None:
        return None
    gaze = re.search(r"look|gaz|看", match.group(0), re.IGNORECASE)
    return _turned(found.yaw) if abs(found.yaw) >= (GAZE_FRONT_YAW if gaze else FRONT_YAW) else None


def _profile(match: re.Match[str], found: Seen) -> _Verdict:
    if found.yaw is None or abs(found.yaw) >= PROFILE_YAW:
        return None
    return "The head faces the camera.", "头部正对镜头。"


def _back(match: re.Match[str], found: Seen) -> _Verdict:
    if found.yaw is None or abs(found.yaw) >= GAZE_FRONT_YAW or found.framing == "back":
        return None
    return "The face is seen.", "可以看到脸。"


def _framed(*wrong: str) -> Callable[[re.Match[str], Seen], _Verdict]:
    def rule(match: re.Match[str], found: Seen) -> _Verdict:
        if found.framing not in wrong:
            return None
        return f"The picture shows {_FRAMINGS[found.framing]}.", f"画面是{_FRAMINGS_ZH[found.framing]}。"

    return rule


def _several(match: re.Match[str], found: Seen) -> _Verdict:
    return ("One person was found.", "只检测到一个人。") if found.people == 1 else None


def _alone(match: re.Match[str], found: Seen) -> _Verdict:
    if found.people < 2:
        return None
    return f"{found.people} people were found.", f"检测到 {found.people} 个人。"


def _closed(match: re.Match[str], found: Seen) -> _Verdict:
    wrong = found.eyes_open is not None and found.eyes_open >= OPEN
    return ("The eyes are open.", "眼睛是睁开的。") if wrong else None


def _open(match: re.Match[str], found: Seen) -> _Verdict:
    wrong = found.eyes_open is not None and found.eyes_open <= SHUT
    return ("The eyes are closed.", "眼睛是闭着的。") if wrong else None


def _smiling(match: re.Match[str], found: Seen) -> _Verdict:
    wrong = found.smile is not None and found.smile <= NO_SMILE
    return ("No smile was measured.", "没有检测到笑容。") if wrong else None


def _serious(match: re.Match[str], found: Seen) -> _Verdict:
    wrong = found.smile is not None and found.smile >= SMILE
    return ("A smile was measured.", "检测到笑容。") if wrong else None


def _vertical(up: bool) -> Callable[[re.Match[str], Seen], _Verdict]:
    def rule(match: re.Match[str], found: Seen) -> _Verdict:
        if found.pitch is None or (found.pitch > -PITCH if up else found.pitch < PITCH):
            return None
        way, way_zh = ("down", "下") if up else ("up", "上")
        degrees = abs(found.pitch)
        return f"The head points {degrees:.0f}° {way}.", f"头部向{way_zh} {degrees:.0f}°。"

    return rule


def _rule(english: str, chinese: str, judge: Callable[[re.Match[str], Seen], _Verdict]) -> _Rule:
    return re.compile(f"\\b(?:{english})\\b|(?:{chinese})", re.IGNORECASE), judge


_RULES: tuple[_Rule, ...] = (
    _rule(
        r"(?:looking|facing|turned|turning|gazing|glancing|view|profile)(?: \w+){0,3}? (?:left|right)",
        r"(?:朝|向|看|望|转)(?:着|向)?(?:画面|自己的)?[左右]",
        _side,
    ),
    _rule(
        r"facing (?:the )?(?:camera|viewer)|front(?:al)? view|from the front|"
        r"(?:looking|gazing) (?:straight |directly )?(?:at|into) the (?:camera|viewer|lens)",
        r"正面|正对镜头|看(?:着|向)镜头|直视镜头",
        _front,
    ),
    _rule(r"(?:in |side )?profile(?: view)?", r"正侧面|侧脸", _profile),
    _rule(r"from behind|rear view|back view|back to the camera|facing away", r"背影|背对|背面", _back),
    _rule(r"full[- ](?:body|length)|head[- ]to[- ]toe", r"全身", _framed("face", "bust", "upper")),
    _rule(
        r"(?<!medium )(?<!mid )close-?up(?! of (?:the |a |his |her )?(?:hand|foot|feet))|face shot",
        r"特写|大头照",
        _framed("upper", "knees", "full", "back"),
    ),
    _rule(
        r"(?:bust|head[- ]and[- ]shoulders?) (?:shot|portrait)|headshot",
        r"头肩|胸像",
        _framed("knees", "full"),
    ),
    _rule(
        r"two (?:people|persons|women|men|girls|boys)|three (?:people|women|men)|(?:a )?couple|group of|"
        r"with (?:a friend|friends|another (?:man|woman|person))|both of them",
        r"[两二三]个?人|一群|合影|情侣|他们|她们",
        _several,
    ),
    _rule(r"alone|solo|by (?:him|her)self|single person", r"独自|一个人|单人", _alone),
    _rule(r"eyes (?:are )?(?:closed|shut)|closed eyes", r"闭着?(?:眼|双眼|目)|双眼紧闭", _closed),
    _rule(r"eyes (?:wide )?open|open eyes", r"睁[着大]?(?:开)?(?:眼|双眼)", _open),
    _rule(r"smil(?:es|ing|e)|grin(?:ning|s)?|laugh(?:ing|s)?|beaming", r"微笑|大笑|笑容|笑着", _smiling),
    _rule(r"serious|neutral expression|stern|unsmiling", r"严肃|面无表情|不苟言笑", _serious),
    _rule(r"looking up(?:wards?)?", r"抬头|仰头|仰望", _vertical(up=True)),
    _rule(r"looking down(?:wards?)?", r"低头|俯视", _vertical(up=False)),
)
