"""Texts of the step Crop."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "crop_of": ("The lit part becomes the training picture", "高亮部分将成为训练图片"),
    "crop_empty": (
        "The training pictures appear here once the photos are chosen and cropped.",
        "挑选并裁剪照片后，训练图片会显示在这里。",
    ),
}
