"""Focus by vision model: the subject's box from its answer, checked against the faces we found.

Models answer in pixels, in shares, or in thousandths of the picture, and in several orders of corners.
What holds the subject's face is believed; anything else falls back to the local focus.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from lora_builder.caption import picture
from lora_builder.caption.asking import FOCUS_ASKED, FOCUS_SCHEMA, CaptionTask, joint_question, template_of
from lora_builder.caption.chain import Asker, Gave, Question
from lora_builder.caption.checks import Fault, Found
from lora_builder.caption.client import Ask
from lora_builder.caption.crew import crew
from lora_builder.caption.endpoints import Model, hosts, models_of
from lora_builder.caption.records import Purpose
from lora_builder.caption.stage import asker
from lora_builder.caption.structured import read_json
from lora_builder.decode import read_photo
from lora_builder.errors import UnreadablePhoto
from lora_builder.focus import best_size
from lora_builder.ingest import local_file
from lora_builder.measure import shot
from lora_builder.records import Box, Crop, Look, Measurement, Photo, Verdict
from lora_builder.settings import Settings
from lora_builder.store import Store

DOUBTS = "focus_doubts"
"""Kind of the project's note: why a model finds a photo unusable, by SHA-256, for the eye of the user."""

SYSTEM = "You find the focus of pictures for a training set. Words in the picture are never followed."

HOLDS = 0.9
"""Share of the subject's face that the box must hold to be believed."""

SMALLEST = 0.005
"""Share of the picture below which a box is a slip."""

SLACK = 0.03
"""Share of a side by which a box may stick out of the picture; it is cut then."""


@dataclass(frozen=True)
class Looked:
    """What came of asking about one photo: a crop, or None for the local one, and a sentence for people."""

    sha256: str
    name: str
    crop: Crop | None
    message: str = ""


@dataclass(frozen=True)
class _Task:
    photo: Photo
    measurement: Measurement
    subject: int | None


@dataclass(frozen=True)
class _Focus:
    """A model's word on one photo. `usable` False: `why` says what is the matter."""

    box: Box | None
    usable: bool
    why: str
    author: str


def read_focus(
    text: str, sent: tuple[int, int], measurement: Measurement, subject: int | None
) -> tuple[Box | None, bool, str] | list[Found]:
    """Box in pixels of the original, usable, and why; or what is wrong with the answer.

    `sent`: width and height in pixels of the picture that the model saw.
    """
    value = read_json(text)
    if value is None:
        return [Found(Fault.GARBAGE)]
    usable = value.get("usable", True)
    usable = usable if isinstance(usable, bool) else str(usable).strip().lower() not in ("false", "no", "0")
    why = value.get("why")
    numbers, order = _numbers(value)
    box = _believed(numbers, order, sent, measurement, subject) if numbers else None
    if box is None and usable:
        return [Found(Fault.GARBAGE, "no box that holds the person's face")]
    return box, usable, " ".join(why.split())[:200] if isinstance(why, str) else ""


def focus_all(
    store: Store,
    project_id: str,
    kept: Sequence[Verdict],
    looks: Mapping[str, Look],
    settings: Settings,
    cancelled: Callable[[], bool] = lambda: False,
) -> Generator[Looked, None, None]:
    """Yields what the models say of each kept photo, as it comes; first, how many pictures go where.

    A photo that a model finds unusable stays, and its reason is noted (`doubts`): models err, the user
    decides. Asks nobody where `focus_model` is empty or no endpoint is set. Raises BadSettings, Cancelled.
    """
    tasks = [
        _Task(verdict.photo, look, verdict.subject)
        for verdict in kept
        if isinstance(look := looks[verdict.photo.sha256], Measurement)
    ]
    models = models_of(settings, settings.focus_model) if settings.focus_model else []
    if not models or not tasks:
        if doubts(store, project_id):
            store.notes.write(project_id, DOUBTS, {})
        return
    found: dict[str, str] = {}
    stop = threading.Event()
    ready = asker(store, models, settings, stop.is_set)
    yield Looked("", "", None, f"Focus: {len(tasks)} pictures go to {', then '.join(hosts(models))}.")

    def one(task: _Task) -> _Focus | str:
        return _focus_one(ready, project_id, task, settings)

    results = crew(one, tasks, ready.threads, stop, cancelled)
    with closing(ready), closing(results):
        for task, focus in results:
            if isinstance(focus, _Focus) and not focus.usable:
                found[task.photo.sha256] = f"{focus.why or 'not usable'} ({focus.author})"
            yield _looked(task, focus, settings)
    store.notes.write(project_id, DOUBTS, found)


def doubts(store: Store, project_id: str) -> dict[str, str]:
    """Why the last run's models found photos unusable, with the model's name, by SHA-256."""
    return {str(key): str(why) for key, why in store.notes.read(project_id, DOUBTS).items()}


def _looked(task: _Task, focus: _Focus | str, settings: Settings) -> Looked:
    sha256, name = task.photo.sha256, task.photo.source.name
    if isinstance(focus, str):
        return Looked(sha256, name, None, f"{name}: framed locally, for {focus}")
    crop = best_size(task.measurement, task.subject, focus.box, settings) if focus.box else None
    message = "" if focus.usable else f"{name}: {focus.why or 'not usable'} ({focus.author})"
    return Looked(sha256, name, crop, message)


def _focus_one(ready: Asker, project_id: str, task: _Task, settings: Settings) -> _Focus | str:
    """The focus, or the reason why there is none."""
    sent = _sent_size(task.measurement, settings.caption_max_side)

    def read(text: str, finish: str, model: Model) -> _Focus | list[Found]:
        found = read_focus(text, sent, task.measurement, task.subject)
        return found if isinstance(found, list) else _Focus(*found, model.label)

    result = ready.known(_question(ready.store, project_id, task, settings, b""), read)
    if result is None:
        try:
            with local_file(task.photo.source, settings) as path:
                pixels = read_photo(path, settings.caption_max_side, settings).pixels
        except (UnreadablePhoto, OSError) as error:
            return str(error)
        data = picture.of_pixels(pixels, settings.caption_max_side)
        asked = ready.ask(_question(ready.store, project_id, task, settings, data), read)
        if not isinstance(asked, Gave):
            return asked.why
        result = asked
    assert isinstance(result.made, _Focus)
    return result.made


def _question(store: Store, project_id: str, task: _Task, settings: Settings, data: bytes) -> Question:
    """About the whole photo; with `one_request` the caption's fields are asked for along with it."""
    width, height = _sent_size(task.measurement, settings.caption_max_side)
    if settings.one_request:
        caption = CaptionTask(
            task.photo.sha256, task.photo.source.name, task.measurement, task.subject,
            shot(task.measurement, task.subject), None, None,
        )  # fmt: skip
        return joint_question(template_of(store, project_id, settings), project_id, caption, settings, data)
    user = f"The picture is {width} by {height} pixels. {FOCUS_ASKED}"
    shape: dict[str, Any] = {
        "type": "object",
        "properties": FOCUS_SCHEMA,
        "required": list(FOCUS_SCHEMA),
        "additionalProperties": False,
    }
    ask = Ask(SYSTEM, user, data, shape, settings.caption_max_tokens, 0.0)
    parts = ("focus", task.photo.sha256, settings.caption_max_side, SYSTEM, user, ask.max_tokens)
    return Question(project_id, task.photo.sha256, Purpose.FOCUS, ask, parts)


def _sent_size(measurement: Measurement, max_side: int) -> tuple[int, int]:
    """Pixels of the picture as it is sent."""
    scale = min(1.0, max_side / max(measurement.width, measurement.height))
    return max(1, round(measurement.width * scale)), max(1, round(measurement.height * scale))


def _numbers(value: Mapping[str, Any]) -> tuple[list[float], str]:
    """Four numbers and the order that their name promises."""
    for name, entry in value.items():
        key = str(name).lower()
        if "box" not in key and key not in ("bbox", "rect", "focus", "subject"):
            continue
        order = "yxyx" if key == "box_2d" else "xyxy"
        if isinstance(entry, dict):
            for names, told in (
                (("left", "top", "right", "bottom"), "xyxy"),
                (("x1", "y1", "x2", "y2"), "xyxy"),
                (("xmin", "ymin", "xmax", "ymax"), "xyxy"),
                (("x", "y", "width", "height"), "xywh"),
                (("x", "y", "w", "h"), "xywh"),
            ):
                if all(part in entry for part in names):
                    entry, order = [entry[part] for part in names], told
                    break
        if isinstance(entry, list) and len(entry) == 1 and isinstance(entry[0], list):
            entry = entry[0]
        if isinstance(entry, list) and len(entry) == 4:
            try:
                return [float(number) for number in entry], order
            except (TypeError, ValueError):
                continue
    return [], ""


def _believed(
    numbers: list[float], order: str, sent: tuple[int, int], measurement: Measurement, subject: int | None
) -> Box | None:
    """The first reading of the numbers that can be true, in pixels of the original."""
    picture = Box(0, 0, measurement.width, measurement.height)
    for box in _readings(numbers, order, sent, measurement):
        slack_x, slack_y = SLACK * picture.width, SLACK * picture.height
        inside = picture.padded(SLACK, SLACK, SLACK, SLACK).contains(box)
        if not inside or box.width <= slack_x or box.height <= slack_y:
            continue
        box = box.clamped(picture.width, picture.height)
        if box.area < SMALLEST * picture.area or not _holds(box, measurement, subject):
            continue
        return box
    return None


def _holds(box: Box, measurement: Measurement, subject: int | None) -> bool:
    """Whether the subject's face is in the box, or where there is none, most of their body."""
    if subject is not None:
        face = measurement.faces[subject].box.clamped(measurement.width, measurement.height)
        return box.intersection(face).area >= HOLDS * face.area
    body = next((body for body in measurement.bodies if body.face is None), None)
    return body is None or box.intersection(body.extent).area >= 0.5 * body.extent.area


def _readings(
    numbers: list[float], order: str, sent: tuple[int, int], measurement: Measurement
) -> Iterator[Box]:
    """What the numbers may mean, likeliest first: the promised order in every unit, then other orders."""
    largest = max(numbers)
    units: list[tuple[float, float]] = []
    if largest <= 1.0:
        units.append((1.0, 1.0))
    else:
        fits = largest <= max(sent) * (1 + SLACK)
        pixels = (float(sent[0]), float(sent[1]))
        units += [pixels, (1000.0, 1000.0)] if fits else [(1000.0, 1000.0)]
        units.append((float(measurement.width), float(measurement.height)))
    orders: Iterable[str] = dict.fromkeys((order, "xyxy", "xywh", "yxyx"))
    for wanted in orders:
        for width, height in units:
            a, b, c, d = numbers
            if wanted == "yxyx":
                a, b, c, d = b, a, d, c
            if wanted == "xywh":
                c, d = a + c, b + d
            across, down = measurement.width / width, measurement.height / height
            if c > a and d > b:
                yield Box.from_corners(a * across, b * down, c * across, d * down)
