"""Records as the HTML and values that the page shows; pure functions, tested without a browser.

File names, captions and sentences are hostile text: `text()` is the only way they enter a page.
"""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from lora_builder.explain import detail, printable, title
from lora_builder.jobs import Snapshot, StageProgress, State
from lora_builder.records import Decision, Photo, Reason, Source, Stage, Verdict
from lora_builder.store import Project
from lora_builder.ui.texts import tr

Picture: TypeAlias = Callable[[str], str]
"""From a SHA-256 to a `data:` URI of a thumbnail; empty where there is none."""

PAGE_SIZE = 60
"""Cards at a time: about half a megabyte of thumbnails."""

MANY_SMALL = 0.25
"""Share of photos lost for their size from which the page says what would win them."""

REPEATS = frozenset({Reason.EXACT_DUPLICATE.value, Reason.NEAR_DUPLICATE.value, Reason.SAME_SHOT.value})

_TEMPLATE_MARKS = str.maketrans({mark: f"&#{ord(mark)};" for mark in "${}`"})


def text(value: str) -> str:
    """`value` as it may stand in HTML, also inside a quoted attribute and a Gradio template."""
    return html.escape(printable(value)).translate(_TEMPLATE_MARKS)


def heading(number: int, key: str, language: str) -> str:
    """The title of a step."""
    words = text(tr(f"step_{key}", language))
    return f'<h2 class="ldb-step"><span aria-hidden="true">{number}</span>{words}</h2>'


def header(language: str) -> str:
    """The page's title."""
    return (
        f'<h1 class="ldb-title">{text(tr("title", language))}</h1>'
        f'<p class="ldb-tagline">{text(tr("tagline", language))}</p>'
    )


def promise(language: str, local: bool, max_upload_mb: int) -> str:
    """Where the photos go, and how much fits."""
    where = tr("private_local" if local else "private_host", language)
    limits = tr("limits", language, mb=f"{max_upload_mb:,}")
    return f'<p class="ldb-promise"><strong>{text(where)}</strong> {text(limits)}</p>'


def hint(message: str) -> str:
    """A quiet line of help."""
    return f'<p class="ldb-hint">{text(message)}</p>' if message else ""


def notice(message: str, remedy: str = "") -> str:
    """What went wrong, and what to do; read out by screen readers."""
    advice = f" {text(remedy)}" if remedy else ""
    return f'<div class="ldb-notice" role="alert"><strong>{text(message)}</strong>{advice}</div>'


def progress(snapshot: Snapshot, language: str, picture: str = "", stopping: bool = False) -> str:
    """A bar a stage, the photo in hand, and how it ended; `picture` is a `data:` URI."""
    known = {entry.stage: entry for entry in snapshot.stages}
    current = snapshot.stages[-1].stage if snapshot.stages else None
    rows = "".join(
        _bar(stage, known.get(stage), stage is current and not snapshot.finished, language) for stage in Stage
    )
    parts = [_status(snapshot, language, stopping)]
    if snapshot.stages and snapshot.state is not State.DONE:
        parts.append(f'<ol class="ldb-bars" aria-label="{text(tr("progress", language))}">{rows}</ol>')
    if picture and not snapshot.finished:
        name = text(PurePosixPath(snapshot.photo).name)
        parts.append(f'<div class="ldb-now"><img src="{picture}" alt=""><span>{name}</span></div>')
    return f'<div class="ldb-progress">{"".join(parts)}</div>'


def _status(snapshot: Snapshot, language: str, stopping: bool) -> str:
    if snapshot.state is State.FAILED:
        if snapshot.error:
            return notice(snapshot.error, snapshot.remedy)
        return notice(tr("bug", language), tr("bug_remedy", language))
    if snapshot.state is State.QUEUED:
        key = "queued" if snapshot.ahead else "starting"
        line = tr(key, language, ahead=snapshot.ahead)
    elif snapshot.state is State.RUNNING:
        line = tr("stopping", language) if stopping else _pace(snapshot, language)
    else:
        line = tr(snapshot.state.value, language)
    # Only what happens once is read out: a pace that changes every second would never let anybody hear.
    live = "" if snapshot.state is State.RUNNING else ' role="status"'
    return f'<p class="ldb-status"{live}>{text(line)}</p>'


def _pace(snapshot: Snapshot, language: str) -> str:
    if not snapshot.stages:
        return tr("starting", language)
    words = [tr(f"stage_{snapshot.stages[-1].stage.value}", language)]
    if snapshot.rate is not None and snapshot.seconds_left is not None:
        words.append(tr("rate", language, rate=f"{snapshot.rate:.1f}"))
        left = snapshot.seconds_left
        key, n = ("left_s", max(1, round(left))) if left < 90 else ("left_min", round(left / 60))
        words.append(tr(key, language, n=n))
    return " · ".join(words)


def _bar(stage: Stage, entry: StageProgress | None, active: bool, language: str) -> str:
    total = entry.total if entry else 0
    count = entry.done if entry else 0
    share = 100 * count / total if total else (100.0 if entry and not active else 0.0)
    whole = share >= 100
    mark = "active" if active and not whole else "whole" if whole else "waiting"
    label = text(tr(f"stage_{stage.value}", language))
    # The steps that are one deed for all photos have no count that would tell anything.
    figure = f"{count} / {total}" if total > 1 else ("✓" if whole else "")
    return (
        f'<li class="ldb-bar {mark}"><span class="name">{label}</span>'
        f'<span class="track" role="progressbar" aria-label="{label}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share:.0f}"><span style="width:{share:.1f}%"></span></span>'
        f'<span class="count">{figure}</span></li>'
    )


def summary(decisions: Sequence[Decision], language: str, folder: Path | None) -> str:
    """How many were kept, and where they are; `folder` None: the visitor is not at that machine."""
    kept = sum(decision.verdict == "kept" for decision in decisions)
    lines = [f'<p class="ldb-total">{text(tr("kept_of", language, kept=kept, total=len(decisions)))}</p>']
    if not kept:
        lines.append(notice(tr("none_kept", language)))
    elif folder is not None:
        lines.append(hint(tr("saved_in", language, folder=str(folder))))
    small = sum(decision.reason == Reason.TOO_SMALL.value for decision in decisions)
    if kept and small > MANY_SMALL * len(decisions):
        lines.append(hint(tr("many_small", language, count=small)))
    return "".join(lines)


def projects(projects: Sequence[Project]) -> list[tuple[str, str]]:
    """A visitor's projects to choose from, as (name and day, id)."""
    return [
        (f"{printable(p.name)} · {time.strftime('%Y-%m-%d %H:%M', time.localtime(p.created_at))}", p.id)
        for p in projects
    ]


def filters(decisions: Sequence[Decision], language: str) -> list[tuple[str, str]]:
    """The groups to look at, as (label with count, value): kept, left out, and each reason for it."""
    dropped = Counter(decision.reason for decision in decisions if decision.verdict != "kept")
    kept = len(decisions) - dropped.total()
    choices = [
        (f"{tr('kept', language)} ({kept})", "kept"),
        (f"{tr('dropped', language)} ({dropped.total()})", "dropped"),
    ]
    choices += [
        (f"{title(reason, language)} ({dropped[reason.value]})", reason.value)
        for reason in Reason
        if dropped[reason.value]
    ]
    return choices


def chosen_group(decisions: Sequence[Decision], group: str | None) -> str:
    """`group` where it still has a meaning; else the kept ones, or what was left out if none were."""
    values = [value for _, value in filters(decisions, "en")]
    if group in values:
        return str(group)
    return "kept" if any(decision.verdict == "kept" for decision in decisions) else "dropped"


def members(decisions: Sequence[Decision], group: str) -> list[Decision]:
    """The decisions of one group of `filters`."""
    if group in ("kept", "dropped"):
        return [decision for decision in decisions if decision.verdict == group]
    return [decision for decision in decisions if decision.verdict != "kept" and decision.reason == group]


def last_page(count: int) -> int:
    """The number of the last page of so many cards; pages count from 0."""
    return max(0, (count - 1) // PAGE_SIZE)


def page_label(count: int, page: int, language: str) -> str:
    """Which cards a page shows, empty where all fit on one."""
    if count <= PAGE_SIZE:
        return ""
    first = page * PAGE_SIZE
    return tr("page", language, first=first + 1, last=min(count, first + PAGE_SIZE), total=count)


def grid(decisions: Sequence[Decision], group: str, page: int, language: str, picture: Picture) -> str:
    """One page of the group's photos as cards."""
    found = members(decisions, group)
    if not found:
        return hint(tr("group_empty", language))
    by_name = {decision.source: decision for decision in decisions}
    shown = found[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    cards = "".join(_card(decision, by_name, language, picture) for decision in shown)
    return f'<ul class="ldb-grid">{cards}</ul>'


def sentence(decision: Decision, language: str) -> str:
    """Why, in that language; what only the reader of the file can tell stays English."""
    reason = Reason(decision.reason)
    if language != "zh":
        return decision.detail
    if reason is Reason.UNREADABLE:
        return decision.detail
    photo = Photo(Source(decision.source, Path(decision.source)), decision.sha256, 0)
    return detail(Verdict(photo, reason, decision.because_of, scores=decision.scores), language)


def _card(decision: Decision, by_name: Mapping[str, Decision], language: str, picture: Picture) -> str:
    kept = decision.verdict == "kept"
    other = by_name.get(decision.because_of or "") if decision.reason in REPEATS else None
    pictures = _figure(decision, picture, language)
    if other is not None:
        pictures += _figure(other, picture, language, tr("repeats", language))
    name = text(decision.source)
    badge = text(title(decision.reason, language))
    caption = (
        f'<p class="caption"><span class="sr">{text(tr("caption", language))}: </span>'
        f"{text(decision.caption)}</p>"
        if decision.caption
        else ""
    )
    return (
        f'<li class="ldb-card {"kept" if kept else "dropped"}{" pair" if other else ""}">'
        f'<div class="pictures">{pictures}</div><div class="words">'
        f'<p class="name" title="{name}">{name}</p><p class="reason"><span class="badge">{badge}</span></p>'
        f'<p class="why">{text(sentence(decision, language))}</p>{caption}</div></li>'
    )


def _figure(decision: Decision, picture: Picture, language: str, label: str = "") -> str:
    uri = picture(decision.sha256) if decision.sha256 else ""
    caption = f"<figcaption>{text(label)}</figcaption>" if label else ""
    if not uri or not decision.width or not decision.height:
        return f'<figure><span class="none">{text(tr("no_picture", language))}</span>{caption}</figure>'
    lying = "wide" if decision.width >= decision.height else "tall"
    overlay = ""
    if decision.crop is not None and not label:
        overlay = (
            f'<span class="crop" style="{_percent(decision)}" title="{text(tr("crop_of", language))}"></span>'
        )
    return (
        f'<figure><span class="photo {lying}" style="aspect-ratio:{decision.width}/{decision.height}">'
        f'<img src="{uri}" alt="{text(PurePosixPath(decision.source).name)}" loading="lazy">{overlay}</span>'
        f"{caption}</figure>"
    )


def _percent(decision: Decision) -> str:
    """The crop over a picture of the whole photo, in CSS percentages."""
    assert decision.crop is not None
    assert decision.width
    assert decision.height
    x, y, width, height = decision.crop
    across, down = 100 / decision.width, 100 / decision.height
    return (
        f"left:{x * across:.2f}%;top:{y * down:.2f}%;width:{width * across:.2f}%;height:{height * down:.2f}%"
    )
