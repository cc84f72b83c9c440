"""What the core said in English, in the language of the page."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from lora_builder.caption.checks import SENTENCES
from lora_builder.errors import LoraBuilderError
from lora_builder.ui.texts import TEXTS
from lora_builder.ui.texts.faults import FAULTS

_FIELD = re.compile(r"\{(\w+)\}")
_END = re.compile(r"[.!?] ")
_LABEL = re.compile(r"(\S+): (.+)", re.DOTALL)
_NAMES = re.compile(r"(.+[.!?])( \(.+\))", re.DOTALL)


def said(text: str, language: str) -> str:
    """One sentence of the core, or several, in that language; what nobody translated stays as it is.

    >>> said("The picture is only 8 x 9 pixels. Leave it out.", "zh")
    '图片只有 8 x 9 像素。请不要使用它。'
    """
    return _chinese(text) if language == "zh" and text else text


def told(error: LoraBuilderError, language: str) -> str:
    """An error and its remedy in that language."""
    return said(str(error), language)


@functools.lru_cache(maxsize=4096)
def _chinese(text: str) -> str:
    for end in (found.end() for found in _END.finditer(text)):
        first, rest = _whole(text[: end - 1]), _chinese(text[end:])
        if first and rest != text[end:]:
            return first + rest
    return _whole(text) or _pieces(text) or text


def _whole(text: str) -> str | None:
    if text in _PLAIN:
        return _PLAIN[text]
    for pattern, chinese in _PATTERNS:
        if found := pattern.fullmatch(text):
            # A sentence may carry another one, as in "cannot be read: the file is empty".
            return chinese.format(**{name: _chinese(value) for name, value in found.groupdict().items()})
    return None


def _pieces(text: str) -> str | None:
    """A known sentence before an unknown one, after the name of a model, or before names of pictures."""
    for end in (found.end() for found in _END.finditer(text)):
        if first := _whole(text[: end - 1]):
            return first + text[end:]
    for pattern, order in ((_LABEL, 1), (_NAMES, 0)):
        if found := pattern.fullmatch(text):
            parts = list(found.groups())
            rest = _chinese(parts[order])
            if rest != parts[order]:
                parts[order] = rest
                return "：".join(parts) if order else "".join(parts)
    return None


def _patterns(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[re.Pattern[str], str]]:
    # Those that say most themselves come first: "There is no layout x." before "There is no x."
    for english, chinese in sorted(pairs, key=lambda pair: -len(_FIELD.sub("", pair[0]))):
        if _FIELD.search(english):
            parts = _FIELD.split(english)
            literal = [f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)]
            yield re.compile("".join(literal), re.DOTALL), chinese


_OURS = ("too_many_jobs", "too_busy", "too_many_pixels", "start_far")
_PAIRS = (
    *FAULTS,
    *SENTENCES.values(),
    *(TEXTS[key + end] for key in _OURS for end in ("", "_remedy")),
)
_PLAIN = {english: chinese for english, chinese in _PAIRS if "{" not in english}
_PATTERNS = tuple(_patterns(_PAIRS))
