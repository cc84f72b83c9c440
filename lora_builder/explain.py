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
    "shifted_ssim": ("pictures {:.2f} alike after a shift", "平移后图片相似度 {:.2f}"),
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
    Reason.SAME_SHOT: ("shifted_ssim", "face_similarity", "face_ssim", "pose_similarity", "seconds_apart"),
    Reason.OTHER_PERSON: ("subject_similarity",),
    Reason.BLURRY: ("face_sharpness",),
    Reason.BADLY_EXPOSED: ("face_brightness", "brightness"),
}
"""Which figures speak for which reason."""

_KINDS: Mapping[int, tuple[str, str]] = {
    1: ("re-encoded, resized or toned", "重新编码、缩放或调色"),
    2: ("mirrored or rotated", "镜像或旋转"),
    3: ("cut differently", "裁剪不同"),
    4: ("an instant apart", "相隔一瞬"),
    5: ("taken again", "重复拍摄"),
}
"""The kinds of repetition by `redundancy.Kind.code`."""

_DEFECTS: Mapping[str, tuple[str, str]] = {
    "defect_soft": ("the face is a little soft ({:.2f})", "脸部略糊（{:.2f}）"),
    "defect_shaken": ("the face is smeared by motion ({:.2f})", "脸部有运动模糊（{:.2f}）"),
    "defect_blink": ("the eyes are closed ({:.2f} open)", "闭眼（睁开程度 {:.2f}）"),
    "defect_blown": ("{:.0%} of the face is burnt out", "脸部 {:.0%} 过曝"),
    "defect_dim": ("the face is dim ({:.2f} of 1)", "脸部偏暗（{:.2f}）"),
    "defect_eyes_hidden": ("the eyes are dark or behind glasses", "眼睛处于阴影或墨镜后"),
    "defect_hand": ("a hand is before the face", "手挡在脸前"),
    "defect_small_face": ("the face is only {:.0f} pixels high in training", "训练图中脸部仅高 {:.0f} 像素"),
    "defect_coarse": ("heavily compressed (JPEG {:.0f})", "压缩严重（JPEG {:.0f}）"),
}
"""What is wrong with a photo that stays, by its score."""

_ADDS: tuple[tuple[str, str], ...] = (
    ("another framing", "景别"),
    ("another view of the head", "头部角度"),
    ("another tilt of the head", "俯仰"),
    ("another expression", "表情"),
    ("other light", "光线"),
    ("other colours", "色彩"),
    ("another scene", "场景"),
)
"""What a chosen photo adds most, in the order of `selection.TRAITS`."""

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
    if verdict.scores.get("undecided") == 1 and not verdict.kept:
        text = (
            "Undecided: this may be the person and may not; mark the face if it is",
            "无法确定：可能是该人物，也可能不是；如果是，请标记这张脸",
        )[column]
    elif verdict.reason is Reason.OVER_TARGET and verdict.because_of:
        text += ("; {other} shows much the same", "；{other} 已表现类似内容")[column].format(
            other=printable(verdict.because_of)
        )
    figures = _figures(verdict, column)
    if figures:
        text += opening + comma.join(figures) + closing
    if verdict.reason in _REPEATS:
        text += ("; that one is kept", "；已保留那一张")[column]
    text += stop
    for more in _remarks(verdict, column):
        text += (" ", "")[column] + more[:1].upper() + more[1:] + stop
    if verdict.note.strip():
        text += (" ", "")[column] + printable(verdict.note)
    return text


def _remarks(verdict: Verdict, column: int) -> list[str]:
    """What else is to be said of a kept photo: why it was chosen, and what is wrong with it."""
    scores = verdict.scores
    if not verdict.kept:
        return []
    said = []
    if scores.get("undecided") == 1:
        said.append(("perhaps not the person: please look", "可能不是该人物，请确认")[column])
    adds = int(scores.get("adds", 0))
    if 1 <= adds <= len(_ADDS):
        number = f"{scores.get('pick', 0):.0f}"
        said.append(
            (
                f"chosen as number {number}: it adds {_ADDS[adds - 1][0]}",
                f"第 {number} 张入选：增加{_ADDS[adds - 1][1]}",
            )[column]
        )
    return said + [words[column].format(scores[name]) for name, words in _DEFECTS.items() if name in scores]


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
    kind = _KINDS.get(int(scores.get("kind", 0)))
    said = [kind[column]] if kind and verdict.reason in _REPEATS else []
    return said + [_FIGURES[name][column].format(scores[name]) for name in names]


def _column(language: str) -> int:
    return 1 if language.lower().startswith("zh") else 0
