"""What is asked about one training image, and the names of questions and captions in the database."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from lora_builder.caption.chain import Question
from lora_builder.caption.client import Ask
from lora_builder.caption.composer import compose
from lora_builder.caption.crosscheck import facts, seen
from lora_builder.caption.policy import policy_of
from lora_builder.caption.prompts import BUILT_IN, Prompt, Template, fill, find, from_record, variables
from lora_builder.caption.records import Purpose
from lora_builder.caption.structured import schema
from lora_builder.records import Crop, Measurement, Shot
from lora_builder.settings import Settings
from lora_builder.store import Store

RECIPE = 1
"""Part of every caption's recipe; raise it when the same answer would be written otherwise."""

FOCUS_SCHEMA: dict[str, dict[str, object]] = {
    "usable": {"type": "boolean"},
    "why": {"type": "string", "maxLength": 200},
    "box": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
}
"""What a focus adds to the answer's schema."""

FOCUS_ASKED = (
    'In the same JSON object: "box": [left, top, right, bottom] in pixels of the picture, around the whole'
    ' of the main person as far as they are in the picture, clothes and hair included; "usable": false'
    ' where the person is hidden, cut through the face or hardly visible, else true; "why": a short reason'
    " where it is not usable, else an empty string."
)
"""What is asked for the focus."""


@dataclass(frozen=True)
class CaptionTask:
    """One training image to caption. `picture` None: there is no file (a dry run).

    `picture_key` names its exact pixels. `given`: the user's own words from an override.
    """

    item: str
    name: str
    measurement: Measurement
    subject: int | None
    shot: Shot
    crop: Crop | None
    picture: Path | None
    picture_key: str = ""
    given: str | None = None


def recipe(template: Template | None, task: CaptionTask, settings: Settings) -> str:
    """Names all that the caption's text depends on, but for the model; without a template: composed."""
    policy = policy_of(settings)
    parts: tuple[object, ...] = (
        RECIPE,
        task.picture_key,
        settings.trigger,
        settings.class_word,
        policy_parts(settings),
    )
    if template is None:
        parts += (compose(task.measurement, task.subject, task.shot, task.crop, settings).text,)
    else:
        prompt = prompt_for(template, task, settings)
        parts += (prompt, settings.caption_max_side, settings.caption_temperature, policy.style)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def policy_parts(settings: Settings) -> tuple[object, ...]:
    """The policy as plain values in a fixed order: sets have none."""
    policy = policy_of(settings)
    topics = tuple(sorted(topic.value for topic in policy.leave_out))
    return (policy.name, policy.style, policy.language, policy.max_tokens, policy.words, policy.order, topics)


def templates_of(store: Store, owner: str) -> dict[str, Template]:
    """Every template that the owner may use, by name: the built-in ones, everybody's, their own."""
    saved = [from_record({**kept.body, "name": kept.name}) for kept in store.templates.all(owner)]
    return BUILT_IN | {template.name: template for template in saved}


def template_of(store: Store, project_id: str, settings: Settings) -> Template:
    """The template in force for a project. Raises BadSettings where there is none of that name."""
    project = store.find_project(project_id)
    return find(settings.caption_template, templates_of(store, (project and project.owner) or ""))


def prompt_for(template: Template, task: CaptionTask, settings: Settings) -> Prompt:
    """The prompt that the task's request carries: also the live preview on one photo."""
    measured = facts(seen(task.measurement, task.subject, task.shot, task.crop))
    return fill(template, variables(policy_of(settings), settings.trigger, settings.class_word, measured))


def who(task: CaptionTask, settings: Settings) -> tuple[str, ...]:
    """The trigger where the person can be recognised, and the class word."""
    recognisable = task.subject is not None and task.shot is not Shot.BACK
    names = (settings.trigger if recognisable else "", settings.class_word)
    found = tuple(name for name in names if name)
    return found or (("人物",) if settings.caption_language == "zh" else ("person",))


def question_of(
    template: Template, project_id: str, task: CaptionTask, settings: Settings, data: bytes = b""
) -> Question:
    """What is asked about a task whose picture is `data`; without it, only the key is of use."""
    prompt = prompt_for(template, task, settings)
    ask = Ask(
        prompt.system,
        prompt.user,
        data,
        schema(policy_of(settings).language) if prompt.structured else None,
        settings.caption_max_tokens,
        settings.caption_temperature,
    )
    parts = (task.picture_key, settings.caption_max_side, prompt, ask.max_tokens, ask.temperature)
    return Question(project_id, task.item, Purpose.CAPTION, ask, parts)


def joint_question(
    template: Template, project_id: str, task: CaptionTask, settings: Settings, data: bytes = b""
) -> Question:
    """The caption's question with the focus's in one: about the whole photo, `data`."""
    whole = replace(task, crop=None, picture_key=f"{task.item.partition('/')[0]}-whole")
    question = question_of(template, project_id, whole, settings, data)
    ask = replace(
        question.ask,
        user=f"{question.ask.user}\n\n{FOCUS_ASKED}",
        schema=schema(policy_of(settings).language, FOCUS_SCHEMA),
    )
    return replace(question, ask=ask, key_parts=(*question.key_parts, "joint", FOCUS_ASKED))
