"""What a package is and where it came from, in JSON that is the same for the same project.

The project's own manifest names the input files; those inside packages know them by hash alone, for
packages travel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_builder.export.images import TrainingImage, one_line
from lora_builder.export.report import shown_settings
from lora_builder.models import versions
from lora_builder.records import Box, Crop, Decision
from lora_builder.settings import Settings
from lora_builder.version import __version__

NAME = "manifest.json"
FORMAT = 1

_PERSONAL = {"references", "consent"}
"""Settings that may hold names of people or of their files."""


@dataclass(frozen=True)
class Written:
    """One file of a package as it was written: path inside, size, SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


def package_manifest(
    layout: str,
    images: Sequence[TrainingImage],
    files: Iterable[Written],
    decisions: Sequence[Decision],
    settings: Settings,
) -> bytes:
    """The manifest inside a package: no names of input files, no paths of this machine."""
    shown = {k: v for k, v in shown_settings(settings).items() if k not in _PERSONAL}
    return _text(
        {
            "format": FORMAT,
            "made_by": f"lora-dataset-builder {__version__}",
            "layout": layout,
            "base_model": settings.base_model,
            "models": versions(settings),
            "settings": dict(sorted(shown.items())),
            "photos": _photos(decisions, named=False),
            "images": [image_record(image) for image in images],
            "files": [
                {"path": file.path, "bytes": file.bytes, "sha256": file.sha256}
                for file in sorted(files, key=lambda file: file.path)
            ],
        }
    )


def project_manifest(
    images: Sequence[TrainingImage],
    files: Iterable[Written],
    decisions: Sequence[Decision],
    settings: Settings,
) -> bytes:
    """The manifest of the project's folder: every source by name and hash, every output, why, and how."""
    return _text(
        {
            "format": FORMAT,
            "made_by": f"lora-dataset-builder {__version__}",
            "layout": "project",
            "base_model": settings.base_model,
            "models": versions(settings),
            "settings": dict(sorted(shown_settings(settings).items())),
            "photos": _photos(decisions, named=True),
            "images": [image_record(image) for image in images],
            "files": [
                {"path": file.path, "bytes": file.bytes, "sha256": file.sha256}
                for file in sorted(files, key=lambda file: file.path)
            ],
        }
    )


def image_record(image: TrainingImage) -> dict[str, Any]:
    """What is known of one training image, as plain JSON values."""
    return {
        "name": image.name,
        "photo": image.photo,
        "size": [image.crop.width, image.crop.height] if image.crop else None,
        "crop": [round(side, 3) for side in image.crop.box] if image.crop else None,
        "face": [round(side, 1) for side in image.face] if image.face else None,
        "edits": image.edits,
        "masked": image.mask is not None,
        "caption": one_line(image.caption),
        "caption_by": image.author,
    }


def read_image(record: Mapping[str, Any]) -> tuple[str, Crop | None, Box | None]:
    """Name, crop and face of an image's record."""
    crop = None
    if record["crop"] and record["size"]:
        crop = Crop(Box(*record["crop"]), *record["size"])
    return record["name"], crop, Box(*record["face"]) if record["face"] else None


def _photos(decisions: Sequence[Decision], named: bool) -> list[dict[str, Any]]:
    by_name = {line.source: line.sha256 for line in decisions}
    lines = []
    for line in decisions:
        other = line.because_of
        record: dict[str, Any] = {"source": line.source} if named else {}
        record |= {
            "sha256": line.sha256,
            "verdict": line.verdict,
            "reason": line.reason,
            "because_of": by_name.get(other, "") if other and not named else other,
        }
        lines.append(record)
    return lines if named else sorted(lines, key=lambda line: (line["sha256"], line["reason"]))


def _text(value: Mapping[str, Any]) -> bytes:
    # Escapes keep names that are not valid Unicode, and the bytes the same on every system.
    return json.dumps(value, ensure_ascii=True, indent=1, allow_nan=False).encode() + b"\n"
