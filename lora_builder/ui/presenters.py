"""Records as the HTML that the page shows; pure functions, tested without a browser.

File names, captions and sentences are hostile text: `text()` is the only way they enter HTML.
"""

from __future__ import annotations

import html
from pathlib import Path, PurePosixPath

from lora_builder.explain import detail, printable
from lora_builder.records import Decision, Photo, Reason, Source, Verdict

_TEMPLATE_MARKS = str.maketrans({mark: f"&#{ord(mark)};" for mark in "${}`"})


def text(value: str) -> str:
    """`value` as it may stand in HTML, also inside a quoted attribute and a Gradio template."""
    return html.escape(printable(value)).translate(_TEMPLATE_MARKS)


def heading(words: str) -> str:
    """The title of a part of a step."""
    return f'<h2 class="ldb-h2">{text(words)}</h2>'


def promise(where: str, limits: str) -> str:
    """Where the photos go, and how much fits."""
    return f'<p class="ldb-promise"><strong>{text(where)}</strong> {text(limits)}</p>'


def hint(message: str) -> str:
    """A quiet line of help."""
    return f'<p class="ldb-hint">{text(message)}</p>' if message else ""


def empty(message: str) -> str:
    """What stands where something will be, and what to do to get it."""
    return f'<p class="ldb-empty">{text(message)}</p>'


def notice(message: str, remedy: str = "") -> str:
    """What went wrong, and what to do; read out by screen readers."""
    advice = f" {text(remedy)}" if remedy else ""
    return f'<div class="ldb-notice" role="alert"><strong>{text(message)}</strong>{advice}</div>'


def sentence(decision: Decision, language: str) -> str:
    """Why, in that language; what only the reader of the file can tell stays English."""
    reason = Reason(decision.reason)
    if language != "zh" or reason is Reason.UNREADABLE:
        return decision.detail
    photo = Photo(Source(decision.source, Path(decision.source)), decision.sha256, 0)
    return detail(Verdict(photo, reason, decision.because_of, scores=decision.scores), language)


def name_of(decision: Decision) -> str:
    """The file's own name, as text."""
    return PurePosixPath(decision.source).name


def percent(decision: Decision) -> str:
    """The crop over a picture of the whole photo, as CSS; empty where there is none."""
    if decision.crop is None or not decision.width or not decision.height:
        return ""
    x, y, width, height = decision.crop
    across, down = 100 / decision.width, 100 / decision.height
    return (
        f"left:{x * across:.2f}%;top:{y * down:.2f}%;width:{width * across:.2f}%;height:{height * down:.2f}%"
    )
