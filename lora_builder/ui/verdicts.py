"""What the step Choose sends to its page: verdicts as short rows, only those that changed, and words."""

from __future__ import annotations

import math
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lora_builder.advice import advice, coverage_of, facts_of
from lora_builder.explain import detail, printable, title
from lora_builder.records import Measurement, Override, Reason, Verdict
from lora_builder.redundancy import Kind
from lora_builder.settings import Settings
from lora_builder.ui.bench import Bench
from lora_builder.ui.said import said
from lora_builder.ui.texts import tr

REASONS = tuple(reason.value for reason in Reason)
"""The reasons by the number that stands for them in a row."""

Row: TypeAlias = tuple[int, int, int, int, int]
"""Kept (1) or not, number of the reason, position of the photo it repeats or -1, what the user said (-1
nothing, 0 drop, 1 keep, 2 prefer it over its copies), and whether only the user can tell (1) or not."""

REMEMBERED = 64
"""Verdicts that pages may build on; a page whose own are forgotten gets all of them again."""

FIGURES = (
    "subject_similarity", "picture_ssim", "hash_distance", "face_similarity", "face_ssim", "pose_similarity",
    "seconds_apart", "width", "height", "face_sharpness", "sharpness", "face_brightness", "brightness", "yaw",
)  # fmt: skip
"""The figures of a verdict that have a name for people, in order; the others keep their own name."""


class Editions:
    """The rows that each page has, so that the next answer can be only the difference."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: OrderedDict[str, list[Row]] = OrderedDict()

    def since(self, edition: Any, rows: list[Row]) -> dict[str, Any]:
        """`edition`: the name of these rows; `changed`: [position, *row] since the page's edition."""
        name = secrets.token_urlsafe(8)
        with self._lock:
            old = self._rows.get(edition, []) if isinstance(edition, str) else []
            self._rows[name] = rows
            while len(self._rows) > REMEMBERED:
                self._rows.popitem(last=False)
        same = len(old) == len(rows)
        changed = [[i, *row] for i, row in enumerate(rows) if not same or row != old[i]]
        return {"edition": name, "changed": changed}


def rows_of(bench: Bench, verdicts: Sequence[Verdict], overrides: Mapping[str, Override]) -> list[Row]:
    """A row a photo."""
    number = {reason: i for i, reason in enumerate(Reason)}
    place = {photo.source.name: i for i, photo in enumerate(bench.photos)}
    nothing = Override()
    rows = []
    for verdict in verdicts:
        own = overrides.get(verdict.photo.sha256, nothing)
        said = 2 if own.prefer else -1 if own.keep is None else int(own.keep)
        other = place.get(verdict.because_of, -1) if verdict.because_of else -1
        rows.append((int(verdict.kept), number[verdict.reason], other, said, int(to_decide(verdict))))
    return rows


def to_decide(verdict: Verdict) -> bool:
    """Whether the photo may be the subject's or not, and nothing else is said about it."""
    return verdict.scores.get("undecided") == 1 and verdict.reason in (Reason.KEPT, Reason.OTHER_PERSON)


def panel(bench: Bench, verdicts: Sequence[Verdict], language: str) -> dict[str, Any]:
    """Coverage of the kept photos, with advice."""
    kept = list(facts_of((verdict for verdict in verdicts if verdict.kept), bench.looks).values())
    groups = [
        {
            "name": tr(f"cover_{group.lower()}", language),
            "rows": [[tr(f"cover_{kind}", language), count] for kind, count in _ordered(group, counts)],
        }
        for group, counts in coverage_of(kept).items()
    ]
    return {"kept": len(kept), "groups": groups, "advice": advice(kept, language)}


_CLASSES: Mapping[str, tuple[str, ...]] = {
    "Framing": ("face", "bust", "body"),
    "View": ("profile_left", "left", "front", "right", "profile_right"),
    "Expression": ("smiling", "neutral"),
    "Light": ("dark", "normal", "bright"),
}
"""The classes that are shown even where no photo is in them."""


def _ordered(group: str, counts: Counter[str]) -> list[tuple[str, int]]:
    named = _CLASSES.get(group, ())
    return [(kind, counts[kind]) for kind in (*named, *(k for k in sorted(counts) if k not in named))]


def story(bench: Bench, verdict: Verdict, language: str) -> dict[str, Any]:
    """One photo in words and figures."""
    look = bench.looks[verdict.photo.sha256]
    size = [look.width, look.height] if isinstance(look, Measurement) else None
    known = [name for name in FIGURES if name in verdict.scores]
    names = known + sorted(name for name in verdict.scores if name not in known and name != "keep")
    figures = [
        [tr(f"figure_{name}", language) if name in FIGURES else name.replace("_", " "), _short(value)]
        for name in names
        if math.isfinite(value := verdict.scores[name]) and name not in ("width", "height")
    ]
    return {
        "name": printable(verdict.photo.source.name),
        "title": title(verdict.reason, language),
        "why": said(detail(verdict, language), language),
        "size": size,
        "figures": figures,
        "warnings": [said(line, language) for line in getattr(look, "warnings", ())],
    }


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


SLIDERS: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = (
    (
        "repeats",
        (
            ("keep_per_cluster", 1),
            ("phash_threshold", 1),
            ("near_ssim_th", 0.01),
            ("burst_sim_th", 0.01),
            ("burst_ssim_th", 0.01),
            ("crop_sim_th", 0.01),
            ("crop_ssim_th", 0.01),
            ("face_sim_th1", 0.01),
            ("face_sim_th2", 0.01),
            ("face_ssim_th1", 0.01),
            ("face_ssim_th2", 0.01),
            ("pose_sim_th", 0.01),
            ("bbox_tol_c", 0.01),
            ("bbox_tol_wh", 0.01),
        ),
    ),
    (
        "quality",
        (("min_face_sharpness", 0.01), ("min_brightness", 0.01), ("max_brightness", 0.01)),
    ),
    ("number", (("target_count", 1),)),
    ("size", (("min_side", 8),)),
)
"""Groups of sliders, each a setting and its step; the ranges are those of `Settings`."""

TOPS: Mapping[str, float] = {
    "min_face_sharpness": 2.0, "target_count": 200, "keep_per_cluster": 10, "min_side": 1024
}  # fmt: skip
"""Ends of sliders whose setting has no limit of its own, or one too far away to be of use."""

FRAMINGS = ("face", "bust", "body", "back")
"""What a quota can be of: sliders `quota_NAME`, together the setting `quotas`."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "about": ("person", "anything"),
    "undecided": ("drop", "keep"),
    "turned_faces": ("drop", "keep"),
    "several_people": ("drop", "keep"),
    "back_views": ("drop", "keep"),
    "small_photos": ("drop", "keep"),
}
"""Settings of choosing with few values; `small_photos` stands with the sizes, the others with the people."""

KINDS = tuple(kind.value for kind in Kind)
"""What can be ticked in the setting `duplicates`."""


def controls(settings: Settings, language: str) -> list[dict[str, Any]]:
    """The sliders and choices with ranges, values, and their meaning in words."""
    groups = []
    for group, sliders in SLIDERS:
        rows: list[dict[str, Any]] = []
        for name, step in sliders:
            low, high = _range(name)
            rows.append(
                {
                    "name": name,
                    "label": tr(f"set_{name}", language),
                    "info": tr(f"set_{name}_info", language),
                    "min": low,
                    "max": TOPS.get(name, high),
                    "step": step,
                    "value": getattr(settings, name),
                    "default": Settings.model_fields[name].default,
                }
            )
        if group == "repeats":
            rows.insert(0, _kinds(settings, language))
        elif group == "number":
            rows += [_quota(name, share, language) for name, share in _quotas(settings).items()]
        elif group == "size":
            rows.insert(0, _choice("small_photos", settings, language))
        groups.append({"title": tr(f"set_{group}", language), "rows": rows})
    choices = [_choice(name, settings, language) for name in CHOICES if name != "small_photos"]
    return [*groups, {"title": tr("set_people", language), "rows": choices}]


def _choice(name: str, settings: Settings, language: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": tr(f"set_{name}", language),
        "info": tr(f"set_{name}_info", language),
        "options": [[value, tr(f"set_{value}", language)] for value in CHOICES[name]],
        "value": getattr(settings, name),
        "default": Settings.model_fields[name].default,
    }


def _kinds(settings: Settings, language: str) -> dict[str, Any]:
    return {
        "name": "duplicates",
        "label": tr("set_duplicates", language),
        "info": tr("set_duplicates_info", language),
        "checks": [[kind, tr(f"set_kind_{kind}", language)] for kind in KINDS],
        "value": list(settings.duplicates),
        "default": list(Settings.model_fields["duplicates"].default),
    }


def _range(name: str) -> tuple[float, float]:
    low, high = 0.0, 1.0
    for rule in Settings.model_fields[name].metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
    return low, high


def _quotas(settings: Settings) -> dict[str, int]:
    """Percent by framing; 0: no quota."""
    given = dict(text.split("=") for text in settings.quotas)
    shares = {name.strip(): int(share) for name, share in given.items()}
    return {name: shares.get(name, 0) for name in FRAMINGS}


def _quota(name: str, share: int, language: str) -> dict[str, Any]:
    return {
        "name": f"quota_{name}",
        "label": tr("set_quota", language, framing=tr(f"cover_{name}", language)),
        "info": tr("set_quota_info", language),
        "min": 0,
        "max": 100,
        "step": 5,
        "value": share,
        "default": 0,
    }


def tuned(changes: Any, settings: Settings) -> dict[str, Any]:
    """Of what a page sent, the settings that it may change, with values within their range."""
    if not isinstance(changes, dict):
        return {}
    sliders = {name: step for _, group in SLIDERS for name, step in group}
    quotas = _quotas(settings)
    good: dict[str, Any] = {}
    for name, value in changes.items():
        if value in CHOICES.get(name, ()):
            good[name] = value
        elif name == "duplicates" and isinstance(value, list):
            good[name] = tuple(kind for kind in KINDS if kind in value)
        elif not isinstance(value, int | float) or not math.isfinite(value):
            continue
        elif name in sliders:
            low, high = _range(name)
            inside = min(max(value, low), TOPS.get(name, high))
            good[name] = round(inside) if sliders[name] >= 1 else inside
        elif name.removeprefix("quota_") in quotas:
            quotas[name.removeprefix("quota_")] = min(max(round(value), 0), 100)
            good["quotas"] = tuple(f"{framing}={share}" for framing, share in quotas.items() if share)
    return good
