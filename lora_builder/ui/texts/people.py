"""Texts of the step People."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "people_empty": (
        "The people in the photos appear here once the photos are looked at.",
        "照片分析完成后，照片中的人会显示在这里。",
    ),
    "people_intro": (
        "The project is about one person. Say who, if it was guessed wrong.",
        "一个项目只关于一个人。如果判断有误，请指出是谁。",
    ),
    "people_largest": (
        "Nobody appears twice, so the largest face is taken. Say who it is if it is another one, or add a "
        "reference photo.",
        "没有人出现两次，因此采用最大的脸。如果主角是其他人，请指出，或添加参考照片。",
    ),
    "people_unsure": (
        "Nobody stands out, so nothing is guessed. Say who the project is about, or add a reference photo.",
        "没有明显的主角，因此不作猜测。请指出项目是关于谁的，或添加参考照片。",
    ),
    "people_named": (
        "Nobody appears twice. The project is about the person you named.",
        "没有人出现两次。项目以您指定的人物为主角。",
    ),
    "people_no_faces": (
        "No face was found in the photos. Add a reference photo once there are some.",
        "照片中没有找到人脸。有人脸的照片加入后，可以添加参考照片。",
    ),
    "people_found": ("Faces found, the largest first", "找到的脸（从大到小）"),
    "people_person": ("Person {n}", "人物 {n}"),
    "people_subject": ("The subject", "主角"),
    "people_photos": ("in {n} photos", "出现在 {n} 张照片中"),
    "people_this": ("This is the subject", "这就是主角"),
    "people_not": ("Not them", "不是主角"),
    "people_auto": ("Leave it to the app", "自动判断"),
    "people_face": ("Face in {name}: mark as not the subject", "{name} 中的脸：标记为非主角"),
    "people_faces": (
        "Click a face that does not belong to its group.",
        "点击不属于该组的脸。",
    ),
    "people_how": ("How alike each photo is to the subject", "每张照片与主角的相似程度"),
    "people_threshold": ("One person from {value} on", "相似度达到 {value} 视为同一人"),
    "people_pass": ("{n} of {all} photos reach it", "{all} 张照片中有 {n} 张达到"),
    "people_info": (
        "0.5 is what one pair of strangers in a thousand reaches, 0.75 the middle of one person's pairs.",
        "0.5 约为千分之一的陌生人组合能达到的值，0.75 为同一人组合的中位数。",
    ),
    "people_refs": ("Photos that surely show the subject", "确定是主角的照片"),
    "people_others": (
        "Photos of somebody who is not: a twin, a sibling",
        "确定不是主角的照片（如双胞胎、兄弟姐妹）",
    ),
    "people_add": ("Add a photo", "添加照片"),
    "people_clear": ("Remove all", "全部移除"),
    "people_undo": ("Undo", "撤销"),
}
"""What the people's page says."""
