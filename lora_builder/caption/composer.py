"""Captions from measurements alone: one honest line, nothing that was not measured.

What a caption leaves out is what the trigger word learns, so face, hair, age and the like are never
mentioned; framing, view, pose, expression and light are, where they were measured.
"""

from __future__ import annotations

import math

from lora_builder.records import Body, Box, Caption, Crop, Exposure, Face, Measurement, Shot
from lora_builder.settings import Settings

AUTHOR = "composer"

FRONT_YAW = 15.0
"""Degrees; a head turned less than this faces the camera, as people say it."""

PROFILE_YAW = 55.0
"""Degrees; from here the far eye is hidden or nearly so."""

LOOKING_PITCH = 20.0
"""Degrees; below this the pitch from five landmarks is as much anatomy as pose."""

TILT_ROLL = 12.0
"""Degrees from which a tilt is seen at a glance."""

SMILE = 0.6
"""`Face.smile` from which we say so."""

EYES_SHUT = 0.15
"""`Face.eyes_open` below which we say so; lower than the blink limit, for half-closed is not closed."""

DARK, BRIGHT = 0.25, 0.65
"""Mean luma of the photo, outside of which it looks dark or bright."""

HIGH_CONTRAST = 0.3
"""Standard deviation of luma; an even spread from black to white has 0.29."""

CLOSE_UP_SHARE = 0.38
"""Share of the crop's height that the face box takes from which it is a close-up."""

BUST_SHARE = 0.18
"""The same for head and shoulders."""

UPPER_SHARE = 0.1
"""The same for the upper body, where no body was found; below, nobody can say how much is shown."""

VISIBLE = 0.5
"""MediaPipe Pose's own limit for a landmark that can be seen."""

ANKLES, KNEES, HIPS, SHOULDERS = (27, 28), (25, 26), (23, 24), (11, 12)
"""Positions in MediaPipe Pose's landmarks."""

_WORDS: dict[str, tuple[str, str, str, str]] = {
    # key: English prose, English tag, Chinese prose, Chinese tag
    "face": ("a close-up of the face", "close-up", "面部特写", "面部特写"),
    "bust": ("a head-and-shoulders shot", "head and shoulders", "头肩近景", "头肩近景"),
    "upper": ("an upper-body shot", "upper body", "上半身照", "上半身"),
    "knees": ("a shot from the knees up", "cowboy shot", "膝盖以上的照片", "七分身"),
    "full": ("a full-body shot", "full body", "全身照", "全身"),
    "back": ("seen from behind", "from behind", "背影", "背影"),
    "front": ("facing the camera", "front view", "正对镜头", "正面"),
    "quarter_left": (
        "in three-quarter view turned to the left of the picture",
        "three-quarter view, facing left",
        "四分之三侧面，转向画面左侧",
        "四分之三侧面, 朝左",
    ),
    "quarter_right": (
        "in three-quarter view turned to the right of the picture",
        "three-quarter view, facing right",
        "四分之三侧面，转向画面右侧",
        "四分之三侧面, 朝右",
    ),
    "profile_left": (
        "in profile facing the left of the picture",
        "profile, facing left",
        "侧面，朝向画面左侧",
        "侧面, 朝左",
    ),
    "profile_right": (
        "in profile facing the right of the picture",
        "profile, facing right",
        "侧面，朝向画面右侧",
        "侧面, 朝右",
    ),
    "up": ("looking up", "looking up", "抬头", "抬头"),
    "down": ("looking down", "looking down", "低头", "低头"),
    "tilted": ("head tilted", "head tilt", "头部倾斜", "歪头"),
    "smile": ("smiling", "smile", "微笑", "微笑"),
    "closed": ("eyes closed", "closed eyes", "闭着眼睛", "闭眼"),
    "dark": ("dark", "dark", "画面偏暗", "昏暗"),
    "bright": ("bright", "bright", "画面明亮", "明亮"),
    "contrast": ("high in contrast", "high contrast", "对比强烈", "高对比度"),
}

_NOBODY = ("person", "人物")
"""What the person is called where neither trigger nor class word is given."""


def compose(
    measurement: Measurement, subject: int | None, shot: Shot, crop: Crop | None, settings: Settings
) -> Caption:
    """One printable line about what the training image shows; never empty.

    `subject`: index of the subject's face; without it, and for back views, the trigger word is left
    out, for nobody could recognise the person. `crop` None: the whole photo is the training image.
    """
    face = measurement.faces[subject] if subject is not None and shot is not Shot.BACK else None
    word = framing_of(measurement, subject, shot, crop)
    framing = [word] if word else []
    about = _about(face) if face else []
    light = _light(measurement.exposure)
    chinese = settings.caption_language == "zh"
    trigger = settings.trigger if face else ""
    names = [name for name in (trigger, settings.class_word) if name] or [_NOBODY[chinese]]
    if settings.caption_style == "tags":
        column = 3 if chinese else 1
        words = [*framing, *about, *light]
        text = ", ".join([*names, *(_WORDS[word][column] for word in words)])
    elif chinese:
        text = "，".join([" ".join(names), *(_WORDS[word][2] for word in (*framing, *about, *light))]) + "。"
    else:
        text = _english(names, bool(trigger), framing, about, light)
    return Caption(_line(text), AUTHOR)


def _english(names: list[str], called: bool, framing: list[str], about: list[str], light: list[str]) -> str:
    """`ohwx woman in a full-body shot, facing the camera, smiling. The photo is bright.`"""
    who = " ".join(names)
    if not called:
        who = f"{'An' if who[:1].lower() in 'aeiou' else 'A'} {who}"
    if framing and framing != ["back"]:
        who = f"{who} in {_WORDS[framing[0]][0]}"
    elif framing:
        who = f"{who} {_WORDS['back'][0]}"
    elif not about:
        who = f"{who} in a photo"
    text = ", ".join([who, *(_WORDS[word][0] for word in about)]) + "."
    if light:
        text += f" The photo is {' and '.join(_WORDS[word][0] for word in light)}."
    return text


def framing_of(measurement: Measurement, subject: int | None, shot: Shot, crop: Crop | None) -> str:
    """How much of the person the training image shows: what the photo shows, less what was cut off.

    face, bust, upper, knees, full or back; empty where it is not known.
    """
    body = next((body for body in measurement.bodies if body.face == subject), None)
    if shot is Shot.BACK and (body is None or _turned_away(body)):
        return "back"
    if shot is Shot.NONE:
        return ""
    face = measurement.faces[subject] if subject is not None and shot is not Shot.BACK else None
    box = crop.box if crop else Box(0, 0, measurement.width, measurement.height)
    share = face.box.height / box.height if face and box.height > 0 else 0.0
    if shot is Shot.FACE or share >= CLOSE_UP_SHARE:
        return "face"
    if share >= BUST_SHARE:
        return "bust"
    if body is None:
        return "upper" if share >= UPPER_SHARE else ""
    for landmarks, word in ((ANKLES, "full"), (KNEES, "knees"), (HIPS, "upper")):
        if _seen(body, landmarks, box):
            return word
    return "upper"


def _turned_away(body: Body) -> bool:
    """Whether the left shoulder is left of the right one in the picture, as from behind.

    A body without a face may as well be cut off at the neck, or seen from the side in the dark.
    """
    left, right = (body.landmarks[index] for index in SHOULDERS)
    if left[2] < VISIBLE or right[2] < VISIBLE:
        return True
    return bool(left[0] <= right[0])


def _seen(body: Body, landmarks: tuple[int, ...], box: Box) -> bool:
    """Whether at least one of the landmarks is visible inside the box."""
    points = (body.landmarks[index] for index in landmarks)
    return any(
        visibility >= VISIBLE and box.x <= x <= box.right and box.y <= y <= box.bottom
        for x, y, visibility in points
    )


def _about(face: Face) -> list[str]:
    """View, pose and expression, as far as they were measured."""
    words = []
    yaw, pitch, roll = face.pose.yaw, face.pose.pitch, face.pose.roll
    side = "right" if yaw > 0 else "left"
    if math.isfinite(yaw):
        if abs(yaw) < FRONT_YAW:
            words.append("front")
        else:
            words.append(f"{'quarter' if abs(yaw) < PROFILE_YAW else 'profile'}_{side}")
    # Five landmarks of a profile say little about pitch.
    if abs(pitch) >= LOOKING_PITCH and abs(yaw) < PROFILE_YAW:
        words.append("up" if pitch > 0 else "down")
    if abs(roll) >= TILT_ROLL:
        words.append("tilted")
    if face.smile is not None and face.smile >= SMILE:
        words.append("smile")
    if face.eyes_open is not None and face.eyes_open < EYES_SHUT:
        words.append("closed")
    return words


def _light(exposure: Exposure) -> list[str]:
    words = []
    if exposure.brightness <= DARK:
        words.append("dark")
    elif exposure.brightness >= BRIGHT:
        words.append("bright")
    if exposure.contrast >= HIGH_CONTRAST:
        words.append("contrast")
    return words


def _line(text: str) -> str:
    """One line of printable characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
