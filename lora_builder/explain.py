"""Verdicts in words for people."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lora_builder.records import Reason, Verdict

TITLES: Mapping[Reason, tuple[str, str]] = {
    Reason.KEPT: ("Kept", "保留"),
    Reason.EXACT_DUPLICATE: ("Same file", "文件重复"),
    Reason.NEAR_DUPLICATE: ("Same picture", "图片重复"),
    Reason.SAME_SHOT: ("Same shot", "同一镜头"),
    Reason.OTHER_PERSON: ("Somebody else", "其他人"),
    Reason.NO_PERSON: ("Nobody recognisable", "没有可辨认的人"),
    Reason.SEVERAL_PEOPLE: ("Several people", "多人"),
    Reason.TOO_SMALL: ("Too small", "太小"),
    Reason.BLURRY: ("Blurry", "模糊"),
    Reason.BADLY_EXPOSED: ("Badly exposed", "曝光不良"),
    Reason.OVER_TARGET: ("More than asked for", "超出目标数量"),
    Reason.UNREADABLE: ("Unreadable", "无法读取"),
    Reason.BY_USER: ("Your choice", "用户决定"),
}
"""Short labels, English and Chinese."""

_PLAIN: Mapping[Reason, tuple[str, str]] = {
    Reason.KEPT: ("Kept", "保留"),
    Reason.EXACT_DUPLICATE: ("The very same file as {other}", "与 {other} 是完全相同的文件"),
    Reason.NEAR_DUPLICATE: ("The same picture as {other}", "与 {other} 是同一张图片"),
    Reason.SAME_SHOT: ("Shows the same moment as {other}", "与 {other} 拍的是同一瞬间"),
    Reason.OTHER_PERSON: ("Shows somebody else", "照片中是其他人"),
    Reason.NO_PERSON: ("No face of the person was found", "没有找到该人物的脸"),
    Reason.SEVERAL_PEOPLE: ("No crop leaves the other people out", "无法裁剪掉其他人"),
    Reason.TOO_SMALL: ("Too small for a training picture", "尺寸太小，不能用于训练"),
    Reason.BLURRY: ("The face is not sharp enough", "脸部不够清晰"),
    Reason.BADLY_EXPOSED: ("The face is badly lit", "脸部曝光不良"),
    Reason.OVER_TARGET: ("Good, but more than the number asked for", "合格，但超出了目标数量"),
    Reason.UNREADABLE: ("The file cannot be read", "文件无法读取"),
    Reason.BY_USER: ("Dropped by you", "由您舍弃"),
}

_FIGURES: Mapping[str, tuple[str, str]] = {
    "face_similarity": ("faces {:.2f} alike", "脸部身份相似度 {:.2f}"),
    "face_ssim": ("face pictures {:.2f} alike", "脸部图像相似度 {:.2f}"),
    "pose_similarity": ("poses {:.2f} alike", "姿态相似度 {:.2f}"),
    "picture_ssim": ("pictures {:.2f} alike", "图片相似度 {:.2f}"),
    "hash_distance": ("fingerprints {:.0f} of 64 bits apart", "指纹相差 {:.0f}/64 位"),
    "seconds_apart": ("taken {:.0f} s apart", "拍摄间隔 {:.0f} 秒"),
    "subject_similarity": ("the nearest face is {:.2f} alike", "最像的脸相似度 {:.2f}"),
    "likeness": ("face {:.2f} like the person", "与该人物的相似度 {:.2f}"),
    "face_sharpness": ("sharpness {:.3g}", "清晰度 {:.3g}"),
    "face_brightness": ("brightness {:.2f} of 1", "亮度 {:.2f}（满值 1）"),
    "brightness": ("photo's brightness {:.2f} of 1", "照片亮度 {:.2f}（满值 1）"),
}

_SHOWN: Mapping[Reason, tuple[str, ...]] = {
    Reason.KEPT: ("likeness",),
    Reason.NEAR_DUPLICATE: ("picture_ssim", "hash_distance"),
    Reason.SAME_SHOT: ("face_similarity", "face_ssim", "pose_similarity", "seconds_apart"),
    Reason.OTHER_PERSON: ("subject_similarity",),
    Reason.BLURRY: ("face_sharpness",),
    Reason.BADLY_EXPOSED: ("face_brightness", "brightness"),
}
"""Which figures speak for which reason."""

_REPEATS = (Reason.EXACT_DUPLICATE, Reason.NEAR_DUPLICATE, Reason.SAME_SHOT)


def title(reason: Reason | str, language: str = "en") -> str:
    """A label of one to four words; `language` is `en` or `zh`."""
    return TITLES[Reason(reason)][_column(language)]


def detail(verdict: Verdict, language: str = "en") -> str:
    """One sentence, or two, that say why; every figure in it is one of `verdict.scores`."""
    column = _column(language)
    stop, opening, closing, comma = ((".", " (", ")", ", "), ("。", "（", "）", "，"))[column]
    if verdict.reason is Reason.UNREADABLE and verdict.note.strip():
        return printable(verdict.note)
    if verdict.reason is Reason.BY_USER and verdict.kept:
        text = ("Kept by you", "由您保留")[column]
    else:
        other = verdict.because_of or ("a kept photo", "一张已保留的照片")[column]
        text = _PLAIN[verdict.reason][column].format(other=printable(other))
    figures = _figures(verdict, column)
    if figures:
        text += opening + comma.join(figures) + closing
    if verdict.reason in _REPEATS:
        text += ("; that one is kept", "；已保留那一张")[column]
    text += stop
    if verdict.note.strip():
        text += (" ", "")[column] + printable(verdict.note)
    return text


def printable(text: str) -> str:
    """`text` on one line, with what cannot be shown replaced: file names may hold anything."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def _figures(verdict: Verdict, column: int) -> list[str]:
    """The figures that are there, as words."""
    scores = {name: value for name, value in verdict.scores.items() if math.isfinite(value)}
    if verdict.reason is Reason.TOO_SMALL and {"width", "height"} <= scores.keys():
        return [("photo {:.0f} x {:.0f} pixels", "照片 {:.0f} x {:.0f} 像素")[column].format(
            scores["width"], scores["height"]
        )]  # fmt: skip
    if "subject_similarity" in scores:
        scores["likeness"] = scores["subject_similarity"]
    names = [name for name in _SHOWN.get(verdict.reason, ()) if name in scores]
    if "face_brightness" in names:
        # The face decides; the whole photo speaks only where no face was measured.
        names = ["face_brightness"]
    return [_FIGURES[name][column].format(scores[name]) for name in names]


def _column(language: str) -> int:
    return 1 if language.lower().startswith("zh") else 0
