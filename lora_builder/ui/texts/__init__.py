"""Every text of the app, in English and Chinese; one file a step."""

from __future__ import annotations

from collections.abc import Mapping

from lora_builder.ui.texts import (
    caption,
    choose,
    crop,
    endpoints,
    export,
    finish,
    people,
    photos,
    push,
    shell,
)

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""Codes of the languages, with their own names."""

TEXTS: Mapping[str, tuple[str, str]] = {
    **shell.TEXTS,
    **photos.TEXTS,
    **people.TEXTS,
    **choose.TEXTS,
    **crop.TEXTS,
    **caption.TEXTS,
    **endpoints.TEXTS,
    **export.TEXTS,
    **push.TEXTS,
    **finish.TEXTS,
}


def tr(key: str, language: str, **figures: object) -> str:
    """The text of that key; unknown languages read English."""
    text = TEXTS[key][1 if language == "zh" else 0]
    return text.format(**figures) if figures else text


def words_for(start: str, language: str) -> dict[str, str]:
    """All texts whose key begins so, for a component's script."""
    return {key: tr(key, language) for key in TEXTS if key.startswith(start)}


def preferred(accept_language: str | None) -> str:
    """The language of a browser that sends this `Accept-Language`."""
    first = (accept_language or "").split(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"
