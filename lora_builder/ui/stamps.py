"""Which step is out of date: what each step's result was made of, against what it would be made of now.

A step's fingerprint names everything that its result depends on, that of the step before included, so
a change marks its own step and all that follow. A finished stage leaves its step's fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lora_builder.records import Override, Stage
from lora_builder.settings import Settings

STAGES_OF: Mapping[str, tuple[Stage, ...]] = {
    "photos": (Stage.INGEST, Stage.MEASURE),
    "people": (Stage.DECIDE,),
    "choose": (Stage.DECIDE,),
    "crop": (Stage.FOCUS, Stage.CROP),
    "caption": (Stage.CAPTION,),
    "export": (Stage.PACK,),
}
"""The stages that make a step's result."""

MACHINE = frozenset(
    "data_dir database_url redis_url jobs_in job_lease_s "
    "modelscope_token base_url focus_model tag_model fallback_model "
    "cluster cluster_unencrypted previews "
    "max_upload_mb max_image_pixels max_archive_files max_archive_mb photo_timeout_s workers "
    "photo_memory_mb reserve_disk_mb log_paths login login_file share behind_proxy trusted_proxies "
    "visitor_upload_mb visitor_megapixels visitor_jobs address_visitors all_visitors metrics_token "
    "private_endpoints preview_max_side preview_jpeg_quality insightface_root allow_download "
    "retention_hours".split()
)
"""Settings of the machine, not of a project: no project may change them, and no result depends on them."""

OUTWARD = frozenset("endpoints endpoint_keys model_limits".split())
"""Which servers see photos, with which of the machine's keys: on a shared app not a visitor's to say."""

READ_FROM = frozenset("references not_references regularisation".split())
"""Settings that name files to read: on a shared app only the project's own."""

_STEP_OF: Mapping[str, tuple[str, ...]] = {
    "photos": ("analysis_", "face_model", "body_model", "background", "removed"),
    "people": ("subject_", "references", "not_references"),
    "crop": ("image_format", "jpeg_quality", "focus_", "crop_", "mask", "recipe", "extra_crops", "buckets"),
    "caption": ("trigger", "class_word", "caption_", "tag_", "failed_captions", "describe", "one_request"),
    "export": ("base_model", "export_", "layout", "push_", "regularisation", "licence", "consent"),
}
"""Beginnings of the names of each step's settings; what is in none belongs to choosing."""


_DECIDED_IN: Mapping[str, str] = {"faces": "people", "crop": "crop"}
"""The step of an override's fields; the others belong to choosing."""

_ELSEWHERE = {"caption"}
"""Fields of an override that count where the captions do."""


def step_of(setting: str) -> str | None:
    """The step whose result a setting changes first; None for settings of the machine."""
    if setting in MACHINE:
        return None
    return next((step for step, starts in _STEP_OF.items() if setting.startswith(starts)), "choose")


def fingerprints(
    photos: str, settings: Settings, overrides: Mapping[str, Override], more: Mapping[str, Any]
) -> dict[str, str]:
    """What each step's result would be made of now.

    `photos` names the state of the input; `more`: what else a step depends on, by step.
    """
    values = settings.model_dump(mode="json")
    own = {step: {n: v for n, v in values.items() if step_of(n) == step} for step in STAGES_OF}
    nothing = asdict(Override())
    decided: dict[str, dict[str, Any]] = {"people": {}, "choose": {}, "crop": {}}
    for sha256, override in overrides.items():
        for name, value in asdict(override).items():
            if value != nothing[name] and name not in _ELSEWHERE:
                decided[_DECIDED_IN.get(name, "choose")][f"{sha256} {name}"] = value
    extra: dict[str, Any] = {"photos": photos, **more}
    result, before = {}, ""
    for step in STAGES_OF:
        text = json.dumps(
            [before, own[step], decided.get(step), extra.get(step)], sort_keys=True, default=str
        )
        before = hashlib.sha256(text.encode()).hexdigest()[:32]
        result[step] = before
    return result


def marks(made: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """`todo`, `done` or `stale` by step."""
    return {
        step: "todo" if step not in made else "done" if made[step] == now[step] else "stale" for step in now
    }
