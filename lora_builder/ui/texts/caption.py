"""Texts of the step Caption."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "caption_empty": (
        "The captions appear here once the photos are chosen and captioned.",
        "挑选照片并撰写描述后，描述会显示在这里。",
    ),
}
