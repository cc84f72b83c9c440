"""The caption stage: every kept photo ends with a caption or with the reason why it has none.

What the user wrote stays. What is current stays. The rest goes to vision models where an endpoint is
set, in a bounded number of threads, each result saved the moment it is there; else the local composer
writes. A failed caption is a state, never a text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from lora_builder.caption import picture
from lora_builder.caption.asking import (
    CaptionTask,
    joint_question,
    prompt_for,
    question_of,
    recipe,
    template_of,
    who,
)
from lora_builder.caption.chain import Asker, Gave, Question
from lora_builder.caption.checks import Found
from lora_builder.caption.client import Client
from lora_builder.caption.composer import AUTHOR as COMPOSER
from lora_builder.caption.composer import compose
from lora_builder.caption.crew import crew
from lora_builder.caption.crosscheck import contradictions, seen
from lora_builder.caption.endpoints import Endpoint, Model, hosts, models_of
from lora_builder.caption.limits import Gates
from lora_builder.caption.policy import policy_of
from lora_builder.caption.prompts import Template
from lora_builder.caption.records import USER, CaptionEntry, CaptionState
from lora_builder.caption.writing import Writer
from lora_builder.errors import CaptionsMissing
from lora_builder.records import Crop, Measurement, Shot, Verdict
from lora_builder.settings import Settings
from lora_builder.store import Store

NAMED = 5
"""Photos that a message names before it counts the rest."""


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
    template = template_of(store, project_id, settings) if models else None
    known = store.captions.all(project_id)
    authors = {model.label for model in models} or {COMPOSER}
    done, todo = [], []
    for task in tasks:
        entry = known.get(task.item)
        if (entry is not None and (entry.locked or entry.author == USER)) or (
            entry is not None
            and entry.state is CaptionState.WRITTEN
            and entry.author in authors
            and entry.recipe == recipe(template, task, settings)
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
        entries = [_composed(task, settings, recipe(None, task, settings)) for task in work.todo]
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


def asker(store: Store, models: Sequence[Model], settings: Settings, stopped: Callable[[], bool]) -> Asker:
    """The priority list made ready; close it after use."""
    places: dict[str, Endpoint] = {model.endpoint.name: model.endpoint for model in models}
    ledger = store.ledger
    gates = Gates(
        models,
        history=lambda model, since: ledger.used_since(model.endpoint.name, model.name, since),
        paused=lambda model: ledger.paused_until(model.endpoint.name, model.name),
    )
    clients = {name: Client(place, settings.caption_timeout_s) for name, place in places.items()}
    return Asker(store, models, settings, gates, clients, stopped)


def _composed(task: CaptionTask, settings: Settings, recipe: str, why: str = "") -> CaptionEntry:
    text = compose(task.measurement, task.subject, task.shot, task.crop, settings).text
    return CaptionEntry(task.item, text, COMPOSER, reason=why, recipe=recipe)


@dataclass(frozen=True)
class _Work:
    """One task with all that its caption needs."""

    task: CaptionTask
    question: Question
    recipe: str
    writer: Writer

    def read(self, text: str, finish: str, model: Model) -> str | list[Found]:
        return self.writer.write(text, finish)

    def doubt(self, made: object) -> list[tuple[str, str]]:
        """What the caption says that was measured otherwise."""
        task = self.task
        found = seen(task.measurement, task.subject, task.shot, task.crop)
        return [(doubt.said, doubt.measured) for doubt in contradictions(str(made), found)]

    def entry(self, made: object, model: Model) -> CaptionEntry:
        return CaptionEntry(self.task.item, str(made), model.label, recipe=self.recipe)


def _work(template: Template, project_id: str, task: CaptionTask, settings: Settings) -> _Work:
    writer = Writer(policy_of(settings), who(task, settings), prompt_for(template, task, settings))
    question = question_of(template, project_id, task, settings)
    return _Work(task, question, recipe(template, task, settings), writer)


def _recalled(
    ready: Asker, template: Template, project_id: str, works: Sequence[_Work], settings: Settings
) -> dict[str, CaptionEntry]:
    """The captions whose answers were paid for before, by item; saved."""
    questions: list[tuple[_Work, Question]] = [(work, work.question) for work in works]
    if settings.one_request:
        # One request may have served focus and caption; its answer is known then, and comes first.
        joint = [(w, joint_question(template, project_id, w.task, settings)) for w in works]
        questions = joint + questions
    answers = ready.store.answers.get([q.key(model) for _, q in questions for model in ready.models])
    found: dict[str, CaptionEntry] = {}
    for work, question in questions:
        gave = ready.known(question, work.read, answers)
        if gave is not None and work.task.item not in found:
            found[work.task.item] = work.entry(gave.made, gave.model)
    ready.store.captions.record_many(project_id, found.values())
    return found


def _caption_one(ready: Asker, project_id: str, work: _Work, settings: Settings) -> CaptionEntry | None:
    """Asks, writes and saves; None where the run was stopped before there was an answer."""
    task = work.task
    if task.picture is None:
        raise ValueError(f"{task.name} has no picture to send.")
    data = picture.of_file(task.picture, settings.caption_max_side)
    question = replace(work.question, ask=replace(work.question.ask, picture=data))
    again = settings.caption_contradictions == "ask_again"
    found = ready.ask(question, work.read, work.entry, work.doubt if again else lambda made: ())
    if isinstance(found, Gave):
        return work.entry(found.made, found.model)
    if ready.stopped():
        return None
    return _given_up(ready.store, project_id, task, settings, found.why)


def _given_up(store: Store, project_id: str, task: CaptionTask, settings: Settings, why: str) -> CaptionEntry:
    if settings.failed_captions == "compose":
        entry = _composed(task, settings, "", why)
    else:
        entry = CaptionEntry(task.item, "", "", CaptionState.FAILED, why)
    store.captions.record(project_id, entry)
    return entry


def _asked(
    store: Store, project_id: str, todo: Plan, settings: Settings, cancelled: Callable[[], bool]
) -> Iterator[CaptionEntry]:
    stop, late = threading.Event(), threading.Event()
    end = time.monotonic() + settings.caption_minutes * 60 if settings.caption_minutes else None
    ready = asker(store, todo.models, settings, lambda: stop.is_set() or late.is_set())

    def one(work: _Work) -> CaptionEntry | None:
        return None if late.is_set() else _caption_one(ready, project_id, work, settings)

    def watch() -> None:
        if end is not None and time.monotonic() > end:
            late.set()

    template = template_of(store, project_id, settings)
    anew = store.captions.forgotten(project_id)
    works = [_work(template, project_id, task, settings) for task in todo.todo]
    with closing(ready):
        old = [work for work in works if work.task.item not in anew]
        known = _recalled(ready, template, project_id, old, settings)
        yield from known.values()
        missing = [work for work in works if work.task.item not in known]
        with closing(crew(one, missing, ready.threads, stop, cancelled, watch)) as results:
            for work, result in results:
                if result is None:
                    why = f"The time limit of {settings.caption_minutes:g} minutes was over."
                    result = _given_up(store, project_id, work.task, settings, why)
                yield result
