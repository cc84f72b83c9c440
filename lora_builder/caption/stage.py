"""The caption stage: every kept photo ends with a caption or with the reason why it has none.

What the user wrote stays. What is current stays. The rest goes to vision models where an endpoint is
set, in a bounded number of threads, each result saved the moment it is there; else the local composer
writes. A failed caption is a state, never a text.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from lora_builder.caption import picture
from lora_builder.caption.chain import Asker, Gave, Question
from lora_builder.caption.checks import Found
from lora_builder.caption.client import Ask, Client
from lora_builder.caption.composer import AUTHOR as COMPOSER
from lora_builder.caption.composer import compose
from lora_builder.caption.crew import crew
from lora_builder.caption.crosscheck import facts, seen
from lora_builder.caption.endpoints import Endpoint, Model, hosts, models_of
from lora_builder.caption.limits import Gates
from lora_builder.caption.policy import policy_of
from lora_builder.caption.prompts import Prompt, fill, find, from_record, variables
from lora_builder.caption.records import USER, CaptionEntry, CaptionState, Purpose
from lora_builder.caption.structured import schema
from lora_builder.caption.writing import Writer
from lora_builder.errors import CaptionsMissing
from lora_builder.records import Crop, Measurement, Shot, Verdict
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

NAMED = 5
"""Photos that a message names before it counts the rest."""


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


def item_of(sha256: str, crop: str = "") -> str:
    """The name of a training image: its photo's SHA-256, and the crop's name where it is a further one."""
    return f"{sha256}/{crop}" if crop else sha256


def tasks_of(
    verdict: Verdict,
    seen_as: Measurement,
    shot: Shot,
    crops: Mapping[str, Crop | None],
    files: Mapping[str, Path],
    words: Mapping[str, str | None],
) -> Iterator[CaptionTask]:
    """The tasks of one kept photo: `crops`, their `files` and the user's `words` by the crop's name."""
    for name, crop in crops.items():
        picture = files.get(name)
        yield CaptionTask(
            item_of(verdict.photo.sha256, name),
            f"{verdict.photo.source.name} ({name})" if name else verdict.photo.source.name,
            seen_as,
            verdict.subject,
            shot,
            crop,
            picture,
            picture.stem if picture else "",
            words.get(name),
        )


@dataclass(frozen=True)
class Plan:
    """What the stage will do: captions that stand, and the ones to ask for or to compose."""

    models: tuple[Model, ...]
    done: tuple[CaptionEntry, ...]
    todo: tuple[CaptionTask, ...]

    def notice(self) -> str:
        """A sentence for people, before anything leaves: how many pictures go where. Empty: none."""
        leaving = [model for model in self.models if model.endpoint.leaves]
        if not self.todo or not self.models:
            return ""
        pictures = "1 picture goes" if len(self.todo) == 1 else f"{len(self.todo)} pictures go"
        where = ", then ".join(hosts(self.models))
        return f"{pictures} to {where}" + ("." if leaving else " (on this machine).")


def plan(store: Store, project_id: str, tasks: Sequence[CaptionTask], settings: Settings) -> Plan:
    """What there is to do; the notice and the cost of a run can be shown from it before it starts."""
    models = tuple(models_of(settings, settings.tag_model))
    known = store.captions.all(project_id)
    authors = {model.label for model in models} or {COMPOSER}
    done, todo = [], []
    for task in tasks:
        entry = known.get(task.item)
        if (entry is not None and (entry.locked or entry.author == USER)) or (
            entry is not None
            and entry.state is CaptionState.WRITTEN
            and entry.author in authors
            and entry.recipe == recipe(store, task, settings, composed=not models)
        ):
            done.append(entry)
        else:
            todo.append(task)
    return Plan(models, tuple(done), tuple(todo))


def caption_all(
    store: Store,
    project_id: str,
    tasks: Sequence[CaptionTask],
    settings: Settings,
    cancelled: Callable[[], bool] = lambda: False,
    dry_run: bool = False,
) -> Generator[CaptionEntry | str, None, None]:
    """Yields each item's entry as it is known, and sentences for people in between.

    In a dry run there are no pictures: the composer writes, and nothing is sent or remembered.

    Closing the iterator, or `cancelled()`, stops the requests within about a second.
    Raises BadSettings, and Cancelled.
    """
    if dry_run:
        known = store.captions.all(project_id)
        yield from (known.get(task.item) or _composed(task, settings, "") for task in tasks)
        return
    given = {task.item: task.given for task in tasks if task.given}
    if given:
        store.captions.set_by_user(project_id, given)
    work = plan(store, project_id, tasks, settings)
    yield from work.done
    if not work.models:
        entries = [
            _composed(task, settings, recipe(store, task, settings, composed=True)) for task in work.todo
        ]
        store.captions.record_many(project_id, entries)
        yield from entries
        return
    if work.todo:
        yield work.notice()
        yield from _asked(store, project_id, work, settings, cancelled)


def insist(entries: Iterable[CaptionEntry], names: Mapping[str, str], settings: Settings) -> set[str]:
    """The items to leave out of the package for want of a caption.

    Raises CaptionsMissing, which names photos and remedy, unless the settings say to leave them out.
    """
    failed = [entry for entry in entries if entry.state is CaptionState.FAILED]
    if not failed or settings.failed_captions == "leave_out":
        return {entry.item for entry in failed}
    some = ", ".join(names.get(entry.item, entry.item) for entry in failed[:NAMED])
    more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    photos = "1 photo has" if len(failed) == 1 else f"{len(failed)} photos have"
    raise CaptionsMissing(
        f"{photos} no caption: {some}{more}. {failed[0].reason}",
        "Run again to try once more, write them yourself, or set failed_captions to compose or leave_out.",
    )


def outcome(entries: Iterable[CaptionEntry]) -> str:
    """A sentence for people: who wrote how many, and how many failed."""
    counts: dict[str, int] = {}
    for entry in entries:
        name = "failed" if entry.state is CaptionState.FAILED else f"by {entry.author}"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def recipe(store: Store, task: CaptionTask, settings: Settings, *, composed: bool) -> str:
    """Names all that the caption's text depends on, but for the model."""
    policy = policy_of(settings)
    parts: tuple[object, ...] = (
        RECIPE,
        task.picture_key,
        settings.trigger,
        settings.class_word,
        policy_parts(settings),
    )
    if composed:
        parts += (compose(task.measurement, task.subject, task.shot, task.crop, settings).text,)
    else:
        prompt = prompt_for(store, task, settings)
        parts += (prompt, settings.caption_max_side, settings.caption_temperature, policy.style)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def policy_parts(settings: Settings) -> tuple[object, ...]:
    """The policy as plain values in a fixed order: sets have none."""
    policy = policy_of(settings)
    topics = tuple(sorted(topic.value for topic in policy.leave_out))
    return (policy.name, policy.style, policy.language, policy.max_tokens, policy.words, policy.order, topics)


def prompt_for(store: Store, task: CaptionTask, settings: Settings) -> Prompt:
    """The prompt that the task's request carries: also the live preview on one photo."""
    saved = [from_record({**template.body, "name": template.name}) for template in store.templates.all()]
    template = find(settings.caption_template, saved)
    measured = facts(seen(task.measurement, task.subject, task.shot, task.crop))
    return fill(template, variables(policy_of(settings), settings.trigger, settings.class_word, measured))


def who(task: CaptionTask, settings: Settings) -> tuple[str, ...]:
    """The trigger where the person can be recognised, and the class word."""
    recognisable = task.subject is not None and task.shot is not Shot.BACK
    names = (settings.trigger if recognisable else "", settings.class_word)
    found = tuple(name for name in names if name)
    return found or (("人物",) if settings.caption_language == "zh" else ("person",))


def asker(store: Store, models: Sequence[Model], settings: Settings, stopped: Callable[[], bool]) -> Asker:
    """The priority list made ready; close it after use."""
    places: dict[str, Endpoint] = {model.endpoint.name: model.endpoint for model in models}
    ledger = store.ledger
    gates = Gates(
        history=lambda model, since: ledger.used_since(model.endpoint.name, model.name, since),
        paused=lambda model: ledger.paused_until(model.endpoint.name, model.name),
    )
    clients = {name: Client(place, settings.caption_timeout_s) for name, place in places.items()}
    return Asker(store, models, settings, gates, clients, stopped)


def question_of(
    store: Store, project_id: str, task: CaptionTask, settings: Settings, data: bytes
) -> Question:
    """What is asked about a task whose picture is `data`."""
    prompt = prompt_for(store, task, settings)
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
    store: Store, project_id: str, task: CaptionTask, settings: Settings, data: bytes
) -> Question:
    """The caption's question with the focus's in one: about the whole photo, `data`."""
    whole = replace(task, crop=None, picture_key=f"{task.item.partition('/')[0]}-whole")
    question = question_of(store, project_id, whole, settings, data)
    ask = replace(
        question.ask,
        user=f"{question.ask.user}\n\n{FOCUS_ASKED}",
        schema=schema(policy_of(settings).language, FOCUS_SCHEMA),
    )
    return replace(question, ask=ask, key_parts=(*question.key_parts, "joint", FOCUS_ASKED))


def _composed(task: CaptionTask, settings: Settings, recipe: str, why: str = "") -> CaptionEntry:
    text = compose(task.measurement, task.subject, task.shot, task.crop, settings).text
    return CaptionEntry(task.item, text, COMPOSER, reason=why, recipe=recipe)


def _caption_one(ready: Asker, project_id: str, task: CaptionTask, settings: Settings) -> CaptionEntry | None:
    """Asks, writes and saves; None where the run was stopped before there was an answer."""
    store, made_of = ready.store, recipe(ready.store, task, settings, composed=False)
    writer = Writer(policy_of(settings), who(task, settings), prompt_for(store, task, settings))

    def read(text: str, finish: str, model: Model) -> str | list[Found]:
        return writer.write(text, finish)

    def entry(made: object, model: Model) -> CaptionEntry:
        return CaptionEntry(task.item, str(made), model.label, recipe=made_of)

    # One request may have served focus and caption; its answer is known then.
    joint = joint_question(store, project_id, task, settings, b"") if settings.one_request else None
    result = ready.known(joint, read) if joint is not None else None
    result = result or ready.known(question_of(store, project_id, task, settings, b""), read)
    if result is None:
        if task.picture is None:
            raise ValueError(f"{task.name} has no picture to send.")
        data = picture.of_file(task.picture, settings.caption_max_side)
        asked = question_of(store, project_id, task, settings, data)
        found = ready.ask(asked, read, entry)
        if ready.stopped() and not isinstance(found, Gave):
            return None
        if not isinstance(found, Gave):
            return _given_up(store, project_id, task, settings, found.why)
        return entry(found.made, found.model)
    done = entry(result.made, result.model)
    store.captions.record(project_id, done)
    return done


def _given_up(store: Store, project_id: str, task: CaptionTask, settings: Settings, why: str) -> CaptionEntry:
    if settings.failed_captions == "compose":
        entry = _composed(task, settings, "", why)
    else:
        entry = CaptionEntry(task.item, "", "", CaptionState.FAILED, why)
    store.captions.record(project_id, entry)
    return entry


def _asked(
    store: Store, project_id: str, work: Plan, settings: Settings, cancelled: Callable[[], bool]
) -> Iterator[CaptionEntry]:
    stop, late = threading.Event(), threading.Event()
    end = time.monotonic() + settings.caption_minutes * 60 if settings.caption_minutes else None
    ready = asker(store, work.models, settings, lambda: stop.is_set() or late.is_set())

    def one(task: CaptionTask) -> CaptionEntry | None:
        return None if late.is_set() else _caption_one(ready, project_id, task, settings)

    def watch() -> None:
        if end is not None and time.monotonic() > end:
            late.set()

    results = crew(one, work.todo, 2 * ready.parallel, stop, cancelled, watch)
    with closing(ready), closing(results):
        for task, result in results:
            if result is None:
                why = f"The time limit of {settings.caption_minutes:g} minutes was over."
                result = _given_up(store, project_id, task, settings, why)
            yield result
