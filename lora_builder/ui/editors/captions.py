"""The caption table's answers: rows, findings, previews, files; and what it saves."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from lora_builder import measure
from lora_builder.caption import editing, exchange
from lora_builder.caption.audit import Cure, Finding, Kind, Line, audit
from lora_builder.caption.composer import AUTHOR as COMPOSER
from lora_builder.caption.crosscheck import seen
from lora_builder.caption.policy import Policy, policy_of
from lora_builder.caption.records import USER, CaptionEntry, CaptionState
from lora_builder.caption.remedies import remedy
from lora_builder.errors import BadInput
from lora_builder.records import Decision, Shot
from lora_builder.ui.editors import crop
from lora_builder.ui.editors.sent import MOST, names_of, text_of
from lora_builder.ui.said import said
from lora_builder.ui.steps import View
from lora_builder.ui.texts import tr

Answer: TypeAlias = dict[str, Any]
"""JSON for the script."""

SHOWN_CHANGES = 200
"""Changes that a preview shows one by one; the rest is counted."""

MOST_TERMS = 60
"""Words and clauses listed."""

LARGEST_FILE = 5_000_000
"""Characters of an imported file."""


def entries(view: View) -> dict[str, CaptionEntry]:
    """The caption of every training image, by item, in the order of the photos' names.

    What no run has noted in the captions' own table yet is taken from the last decisions.
    """
    store, project = view.desk.store, view.theirs
    known = store.captions.all(project.id)
    drawn, usual = store.finishing.extra_crops(project.id), set(view.settings.extra_crops)
    found: dict[str, CaptionEntry] = {}
    for decision in kept(view).values():
        item = decision.sha256
        fallback = CaptionEntry(item, decision.caption or "", COMPOSER)
        found[item] = known.get(item, fallback)
        names = {extra.name for extra in drawn.get(item, ())} | usual
        for name in sorted(names):
            if f"{item}/{name}" in known:
                found[f"{item}/{name}"] = known[f"{item}/{name}"]
    return found


def kept(view: View) -> dict[str, Decision]:
    """The decisions about the kept photos that are captioned, by SHA-256, in the order of their names."""
    found: dict[str, Decision] = {}
    for decision in view.desk.store.decisions(view.theirs.id):
        if decision.verdict == "kept" and (decision.caption is not None or decision.output is not None):
            found.setdefault(decision.sha256, decision)
    return found


def rows(view: View, some: Mapping[str, CaptionEntry]) -> list[Answer]:
    """Rows of the table. Names and captions are the users' and the models' own words.

    `cut`: the crop as left, top, width, height in shares of the photo, null for the whole of it, and
    `shape`, its width over its height.
    """
    decisions, drawn = kept(view), view.desk.store.finishing.extra_crops(view.theirs.id)
    found = []
    for item, entry in some.items():
        sha256, _, part = item.partition("/")
        decision = decisions[sha256]
        extra = next((tuple(one.box) for one in drawn.get(sha256, ()) if one.name == part), None)
        found.append(
            {
                "item": item,
                "name": _name(decision.source, part),
                "thumb": view.picture(sha256),
                "text": entry.text,
                "author": entry.author,
                "reason": said(entry.reason, view.language) if entry.state is CaptionState.FAILED else "",
                "locked": entry.locked,
                **_cut(decision, extra if part else decision.crop),
            }
        )
    return found


def _cut(decision: Decision, box: tuple[float, ...] | None) -> Answer:
    width, height = decision.width, decision.height
    if box is None or not width or not height:
        return {"cut": None, "shape": 1.0}
    x, y, across, down = box
    return {"cut": [x / width, y / height, across / width, down / height], "shape": across / down}


def _name(source: str, part: str) -> str:
    return f"{source} · {part}" if part else source


def changed(view: View, items: Iterable[str]) -> list[Answer]:
    """The rows of these items as they are now."""
    now = entries(view)
    return rows(view, {item: now[item] for item in items if item in now})


def save(view: View, texts: Mapping[str, str]) -> Answer:
    """Saves the user's words; the batch for `undo`, and the rows as they are now.

    Locks stay as they are. Raises BadInput for items that are not in the table.
    """
    now = entries(view)
    if not set(texts) <= set(now):
        raise BadInput(tr("edit_gone", view.language))
    lines = {item: editing.one_line(text) for item, text in texts.items()}
    fresh = {item: line for item, line in lines.items() if line and line != now[item].text}
    _note(view, now, fresh)
    batch = view.desk.store.captions.set_by_user(view.theirs.id, fresh, lock=False) if fresh else ""
    return {"batch": batch, "rows": changed(view, texts)}


def _note(view: View, now: Mapping[str, CaptionEntry], items: Iterable[str]) -> None:
    """Gives captions that are only known from the last decisions a place, and so a history."""
    store, project = view.desk.store.captions, view.theirs.id
    known = store.all(project)
    store.record_many(project, [now[item] for item in items if item not in known and now[item].text])


def lock(view: View, items: list[str], locked: bool) -> list[Answer]:
    """Locks or unlocks captions; the rows as they are now."""
    now = entries(view)
    wanted = [item for item in items if item in now]
    _note(view, now, wanted)
    view.desk.store.captions.lock(view.theirs.id, wanted, locked)
    return changed(view, wanted)


def history(view: View, item: str) -> list[Answer]:
    """Every text that the item ever had, newest first."""
    if item not in entries(view):
        raise BadInput(tr("edit_gone", view.language))
    return [
        {
            "id": v.id,
            "text": v.entry.text,
            "author": v.entry.author,
            "at": v.entry.at,
            "reason": v.entry.reason,
        }
        for v in view.desk.store.captions.history(view.theirs.id, item)
    ]


def operation_of(view: View, sent: Mapping[str, Any]) -> editing.Operation:
    """The operation that a browser asks for. Raises BadInput."""
    asked = sent.get("operation")
    asked = asked if isinstance(asked, dict) else {}

    def words(name: str) -> str:
        return text_of(view, asked, name, 2000)

    kind = asked.get("kind")
    if kind == "replace":
        flags = {name: asked.get(name) is True for name in ("pattern", "case", "whole")}
        return editing.Replace(words("find"), words("put"), **flags)
    if kind == "prepend":
        return editing.Prepend(words("words"))
    if kind == "append":
        return editing.Append(words("words"))
    if kind == "remove":
        return editing.Remove(words("words"))
    if kind == "call":
        tags = view.settings.caption_style == "tags"
        return editing.Call(words("trigger"), words("class_word"), words("former"), tags)
    raise BadInput(tr("edit_bad_page", view.language))


def preview(view: View, sent: Mapping[str, Any]) -> editing.Preview:
    """What an operation would do to the items that a browser names. Raises BadInput."""
    wanted = set(names_of(view, sent, "items"))
    texts = [
        editing.Text(item, entry.text, entry.locked)
        for item, entry in entries(view).items()
        if item in wanted and entry.state is CaptionState.WRITTEN
    ]
    return editing.preview(texts, operation_of(view, sent))


def shown(seen_changes: editing.Preview) -> Answer:
    """A preview for the page: the first changes in full, the rest counted."""
    return {
        "changes": [vars(change) for change in seen_changes.changes[:SHOWN_CHANGES]],
        "count": len(seen_changes.changes),
        "locked": len(seen_changes.locked),
        "emptied": len(seen_changes.emptied),
    }


def findings(view: View) -> Answer:
    """What is wrong with the set, and what its captions say most."""
    now, settings = entries(view), view.settings
    trigger, class_word = settings.trigger, settings.class_word
    found = audit(_lines(view, now), policy_of(settings), trigger, class_word)
    texts = [entry.text for entry in now.values() if entry.state is CaptionState.WRITTEN and entry.text]
    chinese = view.language == "zh"
    return {
        "findings": [
            {
                "kind": finding.kind.value,
                "items": list(finding.items),
                "text": finding.sentence_zh if chinese else finding.sentence,
                "cure": finding.cure.value,
                "term": finding.term,
            }
            for finding in found
        ],
        "terms": [vars(term) for term in editing.frequencies(texts, trigger, class_word, MOST_TERMS)],
        "total": len(texts),
    }


def _lines(view: View, now: Mapping[str, CaptionEntry]) -> list[Line]:
    """The captions beside what was measured of their pictures."""
    hands = crop.hands(view)
    lines = []
    for item, entry in now.items():
        sha256, _, part = item.partition("/")
        hand = hands.get(sha256)
        if hand is None:
            lines.append(Line(entry))
            continue
        shot = measure.shot(hand.measurement, hand.subject)
        facts = seen(hand.measurement, hand.subject, shot, hand.crops.get(part))
        lines.append(Line(entry, hand.subject is not None and shot is not Shot.BACK, facts))
    return lines


def cured(view: View, sent: Mapping[str, Any]) -> dict[str, str]:
    """The new texts that one click on a finding gives. Raises BadInput."""
    try:
        kind, cure = Kind(sent.get("kind")), Cure(sent.get("cure"))
    except ValueError as error:
        raise BadInput(tr("edit_bad_page", view.language)) from error
    items = tuple(names_of(view, sent, "items"))
    finding = Finding(kind, items, "", "", cure, text_of(view, sent, "term", 2000))
    policy: Policy = policy_of(view.settings)
    return remedy(finding, entries(view), policy, view.settings.trigger)


def named(view: View) -> list[exchange.Named]:
    """The captions under the names of their images and photos."""
    decisions = kept(view)
    found = []
    for number, (item, entry) in enumerate(entries(view).items(), 1):
        sha256, _, part = item.partition("/")
        decision = decisions[sha256]
        stem = PurePosixPath(decision.output).stem if decision.output else f"{number:04d}"
        image = f"{stem}_{part}" if part else stem
        photo = decision.source if not part else _name(decision.source, part)
        found.append(exchange.Named(item, image, photo, entry.text, entry.author, entry.locked))
    return found


def incoming(view: View, sent: Mapping[str, Any]) -> Answer:
    """What imported files would change. Raises BadInput."""
    files = sent.get("files")
    if not isinstance(files, list) or len(files) > MOST or not all(isinstance(file, dict) for file in files):
        raise BadInput(tr("edit_bad_page", view.language))
    pairs = [(text_of(view, file, "name", 1000), text_of(view, file, "text", LARGEST_FILE)) for file in files]
    found = exchange.read(pairs, named(view))
    now = entries(view)
    fresh = {item: text for item, text in found.texts.items() if text != now[item].text}
    changes = tuple(editing.Change(i, now[i].text, text) for i, text in fresh.items() if not now[i].locked)
    locked = tuple(item for item in fresh if now[item].locked)
    seen_changes = editing.Preview(changes, locked)
    texts = {change.item: change.after for change in changes}
    return {**shown(seen_changes), "texts": texts, "unknown": list(found.unknown[:20])}


def outgoing(view: View, kind: str) -> Answer:
    """A file to save: its name, type and bytes in Base64."""
    if kind == "csv":
        data, name, mime = exchange.to_csv(named(view)).encode(), "captions.csv", "text/csv"
    else:
        data, name, mime = exchange.to_zip(named(view)), "captions.zip", "application/zip"
    return {"name": name, "type": mime, "data": base64.b64encode(data).decode()}


def forget(view: View, items: list[str]) -> list[str]:
    """Leaves these captions to the next run; locked ones stay. The items that it will write anew."""
    now = entries(view)
    wanted = [item for item in items if item in now and not now[item].locked]
    _note(view, now, wanted)
    for item in wanted:
        entry = now[item]
        if entry.author == USER and "/" not in item:
            # The older place for the user's words would bring them back.
            known = view.desk.store.overrides(view.theirs.id).get(item)
            if known is not None and known.caption is not None:
                rest = replace(known, caption=None)
                view.desk.store.set_override(view.theirs.id, item, None if rest.empty else rest)
        view.desk.store.captions.forget(view.theirs.id, item)
    return wanted
