"""Texts of the step Export."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "download_zip": ("Download the training package", "下载训练包"),
    "download_report": ("Download the report", "下载报告"),
}
