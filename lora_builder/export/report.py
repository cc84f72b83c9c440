"""The report of a run: one HTML file for people, readable offline, and its figures as JSON."""

from __future__ import annotations

import base64
import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr

from lora_builder.advice import PhotoFacts, advice, coverage_of, doubts
from lora_builder.explain import printable, title
from lora_builder.files import atomic_file, atomic_write
from lora_builder.records import Decision, Reason
from lora_builder.settings import Settings
from lora_builder.version import __version__

STEP = 0.05
"""Width of the bins of the similarity histogram."""

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
    *("cluster", "cluster_unencrypted", "previews"),
    *("endpoints", "endpoint_keys", "private_endpoints", "regularisation"),
    *("log_paths", "share", "login_file", "behind_proxy", "trusted_proxies", "jobs_in", "job_lease_s"),
    *("visitor_upload_mb", "visitor_megapixels", "visitor_jobs", "address_visitors", "all_visitors"),
}
"""Settings that say something about this machine and nothing about the dataset."""


def write_report(
    folder: Path,
    project_name: str,
    decisions: Sequence[Decision],
    facts: Mapping[str, PhotoFacts],
    thumbnail: Callable[[str], bytes | None],
    settings: Settings,
    skipped: Mapping[str, int],
    people: Sequence[int] = (),
) -> None:
    """Writes `report.html` and `report.json` into `folder`.

    `facts` are by source name; `thumbnail` gives a small upright JPEG, PNG or WebP of the photo with
    that SHA-256, or None; it is called as the page is written, so memory does not grow with the
    number of photos. `people`: in how many photos each person found is, the subject first. Raises
    OutputUnwritable.
    """
    ordered = sorted(decisions, key=lambda decision: decision.source)
    kept = [decision for decision in ordered if decision.verdict == "kept"]
    kept_facts = [facts[decision.source] for decision in kept if decision.source in facts]
    coverage = coverage_of(kept_facts)
    warnings = doubts(people) + advice(kept_facts)
    likeness = histogram(ordered, settings.subject_sim_th)
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
        "people": list(people),
        "similarity": likeness,
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


def histogram(decisions: Sequence[Decision], threshold: float) -> dict[str, Any]:
    """How many photos have a face so similar to the subject: counts of `STEP` wide bins from 0 to 1.

    With the `threshold` in force, and how many were left `undecided`.
    """
    scores = [d.scores["subject_similarity"] for d in decisions if "subject_similarity" in d.scores]
    bins = [0] * round(1 / STEP)
    for score in scores:
        bins[min(max(int(score / STEP + 1e-9), 0), len(bins) - 1)] += 1
    undecided = sum(d.scores.get("undecided") == 1 for d in decisions)
    return {"threshold": threshold, "step": STEP, "counts": bins, "undecided": undecided}


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
