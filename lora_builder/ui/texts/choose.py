"""Texts of the step Choose."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "kept": ("Kept", "保留"),
    "dropped": ("Left out", "舍弃"),
    "kept_of": ("{kept} of {total} photos kept", "{total} 张照片中保留了 {kept} 张"),
    "repeats": ("Kept instead", "已保留"),
}
