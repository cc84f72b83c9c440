"""The dataset card: what the Hub shows of a dataset, and what its readers have a right to know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lora_builder.export.images import TrainingImage
from lora_builder.models import versions
from lora_builder.settings import Settings
from lora_builder.version import __version__

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
"""The Hub's own size categories, by the number of pictures below which each holds."""


def card(
    images: Sequence[TrainingImage],
    photos: int,
    coverage: Mapping[str, Mapping[str, int]],
    settings: Settings,
) -> str:
    """The text of README.md: YAML for the Hub, then counts, coverage, making, consent and use.

    `photos`: input files looked at. `coverage`: as in report.json; by group, pictures of each class.
    No name of a person or file gets in but what `trigger`, `consent` and the captions say.
    """
    size = next((name for limit, name in _SIZES if len(images) < limit), "100K<n<1M")
    licence = settings.licence or "other"
    front = [
        "---",
        f"license: {json.dumps(licence)}",
        "task_categories:",
        "- text-to-image",
        "size_categories:",
        f"- {size}",
        "tags:",
        "- lora",
        "- dreambooth",
        "- portrait",
        "- lora-dataset-builder",
        "---",
    ]
    authors = sorted({image.author for image in images if image.author})
    body = [
        "# Portrait training set",
        "",
        f"{len(images)} pictures with captions, for a LoRA on {settings.base_model}.",
        *([f"Trigger word: `{settings.trigger.replace('`', '')}`."] if settings.trigger else []),
        "",
        "## Coverage",
        "",
        *_coverage(coverage),
        "",
        "## How it was made",
        "",
        f"With lora-dataset-builder {__version__}: {photos} photos were looked at; copies, other people and"
        f" unusable ones were left out, {len(images)} pictures were cut from the rest. Files were rebuilt"
        " from pixels and carry no EXIF, GPS or comments; their names are numbers.",
        f"Models used for measuring: {versions(settings).replace('|', ', ')}."
        + (f" Captions by: {', '.join(authors)}." if authors else ""),
        "`manifest.json` lists every file and photo by hash, with the settings.",
        "",
        "## Consent and licence",
        "",
        settings.consent.strip() or "Nothing is stated: not for publication.",
        "",
        f"Licence: {licence}.",
        "",
        "## Use",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'pictures = load_dataset("imagefolder", data_dir="train")',
        "```",
        "",
    ]
    return "\n".join([*front, "", *body])


def _coverage(coverage: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["| | pictures |", "|---|---|"]
    for group, classes in coverage.items():
        for name, count in classes.items():
            if count:
                lines.append(f"| {group}: {name.replace('_', ' ')} | {count} |")
    return lines if len(lines) > 2 else ["Not measured."]
