"""Prompt templates in the step Caption: what the model is asked, seen on one photo, edited, kept, shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lora_builder import measure
from lora_builder.caption.asking import CaptionTask, prompt_for, templates_of
from lora_builder.caption.prompts import (
    BUILT_IN,
    MAX_TEMPLATE,
    STANDARD,
    VARIABLES,
    Template,
    check,
    find,
    from_json,
    to_json,
)  # fmt: skip
from lora_builder.caption.records import StoredTemplate
from lora_builder.errors import BadInput, BadSettings
from lora_builder.ui.editors import crop
from lora_builder.ui.editors.sent import text_of
from lora_builder.ui.steps import View
from lora_builder.ui.texts import tr

Answer = dict[str, Any]

MOST = 100
"""Templates that one visitor may keep."""


def opened(view: View) -> Answer:
    """The templates that the visitor may use, the one in force, and its prompt for one photo."""
    templates = templates_of(view.desk.store, view.owner)
    own = {kept.name for kept in view.desk.store.templates.all(view.owner) if kept.owner == view.owner}
    chosen = view.settings.caption_template
    return {
        "templates": [asdict(template) | {"own": template.name in own} for template in templates.values()],
        "chosen": chosen,
        "variables": list(VARIABLES),
        **_seen(view, templates.get(chosen, STANDARD)),
    }


def chosen(view: View, sent: Mapping[str, Any]) -> Answer:
    """Takes the template `name`; `opened` anew."""
    template = find(text_of(view, sent, "name", 100), templates_of(view.desk.store, view.owner))
    return _taken(view, template.name)


def previewed(view: View, sent: Mapping[str, Any]) -> Answer:
    """The prompt that an edited template would give, for one photo. Raises BadSettings where it cannot."""
    return _seen(view, _template(view, sent))


def saved(view: View, sent: Mapping[str, Any]) -> Answer:
    """Keeps the template as the visitor's own, and takes it; `opened` anew."""
    template = _template(view, sent)
    check(template)
    if template.name in BUILT_IN:
        raise BadSettings(tr("prompt_built_in", view.language, name=template.name))
    store = view.desk.store
    names = {kept.name for kept in store.templates.all(view.owner) if kept.owner == view.owner}
    if len(names | {template.name}) > MOST:
        raise BadInput(tr("prompt_too_many", view.language, n=MOST))
    store.templates.save(StoredTemplate(template.name, asdict(template), view.owner))
    return _taken(view, template.name)


def deleted(view: View, sent: Mapping[str, Any]) -> Answer:
    """Forgets one of the visitor's own; `opened` anew."""
    view.desk.store.templates.delete(text_of(view, sent, "name", 100), view.owner)
    if view.settings.caption_template not in templates_of(view.desk.store, view.owner):
        return _taken(view, STANDARD.name)
    return opened(view)


def exported(view: View, sent: Mapping[str, Any]) -> Answer:
    """The template as a file to share."""
    template = _template(view, sent)
    return {"text": to_json(template), "file": f"{template.name}.json"}


def imported(view: View, sent: Mapping[str, Any]) -> Answer:
    """The template of a file that somebody shared; it is not saved yet."""
    template = from_json(text_of(view, sent, "text", 4 * MAX_TEMPLATE))
    return {"template": asdict(template), **_seen(view, template)}


def _taken(view: View, name: str) -> Answer:
    view.desk.set_settings(view.theirs, {"caption_template": name})
    return opened(view)


def _template(view: View, sent: Mapping[str, Any]) -> Template:
    fields = {name: text_of(view, sent, name, MAX_TEMPLATE) for name in ("name", "system", "user")}
    return Template(fields["name"].strip(), fields["system"], fields["user"], sent.get("structured") is True)


def _seen(view: View, template: Template) -> Answer:
    """The template filled in for the first photo that is kept; `photo` empty where none is."""
    kept = view.desk.store.decisions(view.theirs.id)
    key = next((decision.sha256 for decision in kept if decision.verdict == "kept"), "")
    if not key:
        check(template)
        return {"photo": "", "prompt": ""}
    hand = crop.hand_of(view, {"key": key})[1]
    shot = measure.shot(hand.measurement, hand.subject)
    task = CaptionTask(
        key, hand.decision.source, hand.measurement, hand.subject, shot, hand.crops.get(""), None
    )
    filled = prompt_for(template, task, view.settings)
    return {"photo": hand.decision.source, "prompt": f"{filled.system}\n\n{filled.user}"}
