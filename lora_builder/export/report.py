"""The report of a run: one HTML file for people, readable offline, and its figures as JSON."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr

from lora_builder.explain import printable, title
from lora_builder.files import atomic_file, atomic_write
from lora_builder.records import Decision, Reason, Shot
from lora_builder.settings import Settings
from lora_builder.version import __version__

FEW = 12
"""Kept pictures below which a portrait LoRA tends to fail; 15 to 30 varied ones are usual."""

FRONT_YAW, PROFILE_YAW = 15.0, 55.0
"""Degrees; the limits that captions use too."""

DARK, BRIGHT = 0.25, 0.65
"""Mean luma; the limits that captions use too."""

SMILE = 0.6
"""`Face.smile` from which a face counts as smiling, as in captions."""

ENOUGH_TO_JUDGE = 5
"""Measured pictures from which "all of them" says something."""

CHUNK = 64
"""Pieces of the page rendered at a time: memory holds a few thumbnails, not all."""

_ROWS: dict[str, dict[str, str]] = {
    "Framing": {"face": "Face", "bust": "Shoulders up", "body": "Body", "back": "From behind",
                "none": "Unclear"},
    "View": {"profile_left": "Profile, left", "left": "Turned left", "front": "Front",
             "right": "Turned right", "profile_right": "Profile, right", "unknown": "Not measured"},
    "Expression": {"smiling": "Smiling", "neutral": "Not smiling", "unknown": "Not measured"},
    "Light": {"dark": "Dark", "normal": "Medium", "bright": "Bright"},
}  # fmt: skip
"""The coverage panel: each group's classes, in order, with their labels."""

_OPTIONAL = {"unknown", "none", "back"}
"""Classes that are shown only where there are some."""

_REPEATS = {Reason.EXACT_DUPLICATE, Reason.NEAR_DUPLICATE, Reason.SAME_SHOT}

_SKIPPED_WORDS = {"hidden": "hidden files", "not_image": "files that are no pictures"}

_MACHINE_ONLY = {
    *("data_dir", "insightface_root", "workers", "allow_download", "photo_memory_mb", "reserve_disk_mb"),
    *("endpoints", "endpoint_keys", "private_endpoints", "regularisation"),
    *("log_paths", "share", "visitor_upload_mb", "visitor_jobs"),
}
"""Settings that say something about this machine and nothing about the dataset."""


@dataclass(frozen=True)
class PhotoFacts:
    """What coverage counts of one photo: `yaw` in degrees, `smile` and `brightness` 0..1.

    None: there is no face, or it could not be told.
    """

    shot: Shot
    yaw: float | None
    smile: float | None
    brightness: float


def advice(kept: Sequence[PhotoFacts]) -> list[str]:
    """What is missing for a good portrait set, in plain sentences; empty if nothing is."""
    if not kept:
        return ["No photo was kept, so there is nothing to train on. See below why each was dropped."]
    said = []
    count = len(kept)
    if count < FEW:
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        said.append(f"Only {pictures}: fewer than {FEW} seldom train well; 15 to 30 varied ones do.")
    coverage = coverage_of(kept)
    shots, views = coverage["Framing"], coverage["View"]
    if not shots["body"]:
        said.append("No picture shows the body: full-body results will be guesswork.")
    if not shots["face"] and not shots["bust"]:
        said.append("No picture shows the face from near: likeness will suffer.")
    seen = count - views["unknown"]
    turned = {"left": views["left"] + views["profile_left"], "right": views["right"] + views["profile_right"]}
    if seen and views["front"] == seen:
        said.append("Every face looks straight ahead: add some turned to the side.")
    elif seen and seen in turned.values():
        side = max(turned, key=lambda name: turned[name])
        said.append(f"Every face is turned to the {side}: add front views and the other side.")
    elif seen and not views["front"]:
        said.append("No face looks straight ahead: add front views.")
    told = count - coverage["Expression"]["unknown"]
    if told >= ENOUGH_TO_JUDGE and coverage["Expression"]["smiling"] == told:
        said.append("Everybody smiles in every picture: add some with a calm face.")
    if told >= ENOUGH_TO_JUDGE and coverage["Expression"]["neutral"] == told:
        said.append("Not one smile: add some if the model should be able to.")
    for light in ("dark", "bright"):
        if count >= ENOUGH_TO_JUDGE and coverage["Light"][light] == count:
            said.append(f"Every picture is {light}: add other light.")
    return said


def coverage_of(kept: Iterable[PhotoFacts]) -> dict[str, Counter[str]]:
    """How many photos fall in each class of framing, view, expression and light."""
    coverage: dict[str, Counter[str]] = {group: Counter() for group in _ROWS}
    for facts in kept:
        coverage["Framing"][facts.shot.value] += 1
        coverage["View"][_view(facts.yaw)] += 1
        smile = facts.smile
        known = smile is not None and math.isfinite(smile)
        coverage["Expression"]["unknown" if not known else _expression(smile or 0.0)] += 1
        light = "dark" if facts.brightness <= DARK else "bright" if facts.brightness >= BRIGHT else "normal"
        coverage["Light"][light] += 1
    return coverage


def write_report(
    folder: Path,
    project_name: str,
    decisions: Sequence[Decision],
    facts: Mapping[str, PhotoFacts],
    thumbnail: Callable[[str], bytes | None],
    settings: Settings,
    skipped: Mapping[str, int],
) -> None:
    """Writes `report.html` and `report.json` into `folder`.

    `facts` are by source name; `thumbnail` gives a small upright JPEG, PNG or WebP of the photo with
    that SHA-256, or None; it is called as the page is written, so memory does not grow with the
    number of photos. Raises OutputUnwritable.
    """
    ordered = sorted(decisions, key=lambda decision: decision.source)
    kept = [decision for decision in ordered if decision.verdict == "kept"]
    kept_facts = [facts[decision.source] for decision in kept if decision.source in facts]
    coverage = coverage_of(kept_facts)
    warnings = advice(kept_facts)
    shown = {kind: count for kind, count in sorted(skipped.items()) if count}
    summary = {
        "project": project_name,
        "version": __version__,
        "photos": len(ordered),
        "kept": len(kept),
        "dropped": len(ordered) - len(kept),
        "reasons": dict(sorted(Counter(decision.reason for decision in ordered).items())),
        "coverage": {
            group.lower(): {name: coverage[group][name] for name in rows} for group, rows in _ROWS.items()
        },
        "warnings": warnings,
        "skipped": shown,
        "settings": shown_settings(settings),
    }
    text = json.dumps(summary, indent=2, ensure_ascii=True)
    atomic_write(folder / "report.json", text.encode() + b"\n")
    page = _template().generate(
        project=printable(project_name),
        summary=summary,
        kept=kept,
        groups=_groups(ordered),
        unreadable=[decision for decision in ordered if decision.reason == Reason.UNREADABLE],
        coverage=_bars(coverage, len(kept_facts)),
        warnings=warnings,
        skipped={_SKIPPED_WORDS.get(kind, kind.replace("_", " ")): n for kind, n in shown.items()},
        picture=functools.partial(_data_uri, thumbnail),
    )
    with atomic_file(folder / "report.html") as stream:
        for piece in _joined(page):
            stream.write(piece.encode("utf-8", "replace"))


def shown_settings(settings: Settings) -> dict[str, Any]:
    """The settings that shaped the dataset; never a secret, an address or a path of this machine."""
    hidden = {
        name
        for name in Settings.model_fields
        if isinstance(getattr(settings, name), SecretStr) or name.endswith("_url")
    }
    values: dict[str, Any] = settings.model_dump(mode="json", exclude=hidden | _MACHINE_ONLY)
    for name in ("references", "not_references"):
        values[name] = [path.name for path in getattr(settings, name)]
    return values


@dataclass(frozen=True)
class Group:
    """Dropped photos of one reason; `repeats` are by the kept photo that they repeat, if any."""

    label: str
    count: int
    repeats: Sequence[tuple[Decision | None, Sequence[Decision]]]


def _groups(decisions: Sequence[Decision]) -> list[Group]:
    """The dropped photos by reason, in the order of `Reason`, unreadable ones apart."""
    by_source = {decision.source: decision for decision in decisions}
    groups = []
    for reason in Reason:
        found = [d for d in decisions if d.reason == reason and d.verdict == "dropped"]
        if not found or reason is Reason.UNREADABLE:
            continue
        repeats: list[tuple[Decision | None, Sequence[Decision]]] = [(None, found)]
        if reason in _REPEATS:
            found.sort(key=lambda d: (d.because_of or "", d.source))
            repeats = [
                (by_source.get(keeper), list(same))
                for keeper, same in itertools.groupby(found, key=lambda d: d.because_of or "")
            ]
        groups.append(Group(title(reason), len(found), repeats))
    return groups


def _bars(coverage: Mapping[str, Counter[str]], total: int) -> dict[str, list[tuple[str, int, float]]]:
    """For each group its rows: label, count, percent of the kept photos."""
    return {
        group: [
            (label, coverage[group][name], 100 * coverage[group][name] / max(total, 1))
            for name, label in rows.items()
            if coverage[group][name] or name not in _OPTIONAL
        ]
        for group, rows in _ROWS.items()
    }


def _view(yaw: float | None) -> str:
    if yaw is None or not math.isfinite(yaw):
        return "unknown"
    if abs(yaw) < FRONT_YAW:
        return "front"
    side = "right" if yaw > 0 else "left"
    return side if abs(yaw) < PROFILE_YAW else f"profile_{side}"


def _expression(smile: float) -> str:
    return "smiling" if smile >= SMILE else "neutral"


def _data_uri(thumbnail: Callable[[str], bytes | None], sha256: str) -> str:
    """The thumbnail inside the page, or nothing where there is none."""
    data = thumbnail(sha256) if sha256 else None
    if not data:
        return ""
    kind = "png" if data[:4] == b"\x89PNG" else "webp" if data[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _percent_box(decision: Decision) -> str:
    """CSS that lays the crop over a thumbnail of the whole photo."""
    if decision.crop is None or not decision.width or not decision.height:
        return ""
    x, y, width, height = decision.crop
    across, down = 100 / decision.width, 100 / decision.height
    return (
        f"left:{x * across:.3f}%;top:{y * down:.3f}%;width:{width * across:.3f}%;height:{height * down:.3f}%"
    )


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["crop_style"] = _percent_box
    return environment.get_template("report.html")


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    """The same text in larger pieces."""
    while chunk := list(itertools.islice(pieces, CHUNK)):
        yield "".join(chunk)
