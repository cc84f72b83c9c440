"""What the program writes down about itself: JSON lines in rotating files, without secrets or paths.

A line says when, how grave, which project (its id), which photo (the first digits of its SHA-256), how
long. File names and folders of the user's are left out unless `log_paths` asks for them. Keys, tokens
and passwords are masked wherever text leaves: log files, the console, tracebacks.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO, cast

import psutil
import sqlalchemy as sa
from pydantic import SecretStr

from lora_builder.errors import LoraBuilderError
from lora_builder.files import atomic_write
from lora_builder.settings import Settings

FOLDER = "logs"
"""Folder of the log files, in the data folder."""

FILE_BYTES, FILES_A_START, FILES = 2 << 20, 3, 20
"""Size at which a file is turned over, how many one start of the program keeps, and all together."""

FIELDS = ("project", "job", "photo", "stage", "seconds", "count", "state")
"""What `extra` of a log call may add to its line."""

LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}

MASK = "***"

SHORTEST_SECRET = 6
"""Characters; a shorter value is not masked, it would take half of every text along."""

KEY_SHAPES = re.compile(
    r"""
    \b(?:hf|sk|ms|gsk|ghp|xai|AIza)[-_][\w-]{12,}(?:\.[\w-]+)*  # keys by their makers' prefixes
    | (?<=://)[^\s/:@]*:[^\s/@]+(?=@)                 # user:password in an address
    | (?i:(?<=bearer\s))[\w.~+/=-]{8,}                # an Authorization header
    | (?i:(?<=api_key=)|(?<=apikey=)|(?<=token=)|(?<=password=)|(?<=secret=))[^\s&'",;]{4,}
    """,
    re.VERBOSE,
)
"""Text that is a secret by its looks, whoever put it there."""

PATHS = re.compile(
    r"""
    (?P<quote>['"])(?P<quoted>(?:/|~/|[A-Za-z]:[\\/])[^'"\n]{2,}?)(?P=quote)
    | (?<![\w:/.<])(?P<bare>(?:/|~/|[A-Za-z]:[\\/])[^\n'":]+)
    """,
    re.VERBOSE,
)
"""Paths, quoted or bare. Either may hold spaces: of a sentence after a bare one, what is left says less."""

PICTURE = re.compile(
    r"\.(?:jpe?g|png|webp|hei[cf]|avif|tiff?|bmp|gif|mpo|jp2|dng|cr[23]|nef|arw|raf|orf|rw2|zip)\b",
    re.IGNORECASE,
)
"""Where the name of a picture ends. It may hold spaces: what stands before it in the sentence goes too."""

CODE = tuple(
    sorted({sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[1])}, key=len, reverse=True)
)
"""Where code lies: its paths are nobody's private matter, and tracebacks need them."""


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every value that must never be seen: keys, tokens, the database's password."""
    found: set[str] = set()
    for name in Settings.model_fields:
        found.update(_hidden(getattr(settings, name)))
    found.update(pair.partition(":")[2] for pair in settings.login.get_secret_value().split(","))
    for url in filter(None, (settings.database_url, settings.redis_url)):
        with contextlib.suppress(sa.exc.ArgumentError):
            found.add(sa.make_url(url).password or "")
    found.update(
        value
        for name, value in os.environ.items()
        if name.endswith(("_TOKEN", "_API_KEY", "_SECRET", "_PASSWORD")) or name == "HF_TOKEN"
    )
    return tuple(sorted((value for value in found if len(value) >= SHORTEST_SECRET), key=len, reverse=True))


def _hidden(value: Any) -> Iterable[str]:
    if isinstance(value, SecretStr):
        return (value.get_secret_value(),)
    if isinstance(value, dict):
        return (secret for inner in value.values() for secret in _hidden(inner))
    return ()


class Censor:
    """Takes out of a text what nobody may read: `secrets`, what looks like one, and paths."""

    def __init__(self, secrets: Iterable[str] = (), paths: bool = False) -> None:
        self._secrets = tuple(secrets)
        self._paths = paths

    def __call__(self, text: str) -> str:
        """The text without secrets and, unless they are allowed, without paths."""
        text = self.mask(text)
        return text if self._paths else _unnamed(PATHS.sub(_shortened, text))

    def mask(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return KEY_SHAPES.sub(MASK, text)


def _unnamed(text: str) -> str:
    """The text without the names of pictures that stand there without a folder."""
    parts, at = [], 0
    for found in PICTURE.finditer(text):
        begins = max(at, *(text.rfind(sign, at, found.start()) + 1 for sign in "\n'\":"))
        begins += text[begins] == " "
        parts += [text[at:begins], "<path>"]
        at = found.end()
    return "".join([*parts, text[at:]])


def _shortened(match: re.Match[str]) -> str:
    path = match["quoted"] or match["bare"]
    quote = match["quote"] or ""
    for root in CODE:
        if path.startswith(root):
            return f"{quote}{path[len(root) :].lstrip('/')}{quote}"
    return f"{quote}<path>{quote}"


class JsonLines(logging.Formatter):
    """One JSON object a line, censored."""

    def __init__(self, censor: Censor) -> None:
        super().__init__()
        self._censor = censor

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._censor(record.getMessage()),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self._censor(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class Plain(logging.Formatter):
    """For the console: the bare message, without secrets."""

    def __init__(self, censor: Censor) -> None:
        super().__init__("%(message)s")
        self._censor = censor

    def format(self, record: logging.LogRecord) -> str:
        return self._censor.mask(super().format(record))


class _Console(logging.Handler):
    """Writes to whatever standard error is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody is there to read it
            print(self.format(record), file=sys.stderr, flush=True)


class MaskedStream:
    """A stream like the one it stands before, through which no secret passes.

    Whoever prints (a traceback, a server, a library) prints to it unawares.
    """

    def __init__(self, stream: TextIO, censor: Censor) -> None:
        self._stream = stream
        self._censor = censor

    def write(self, text: str) -> int:
        self._stream.write(self._censor.mask(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def start(settings: Settings, console_level: int = logging.ERROR) -> None:
    """Writes the log from now on, and masks secrets on standard output and error.

    A disk that refuses the log does not keep anybody from working.
    """
    censor = Censor(secrets_of(settings), settings.log_paths)
    _mask_streams(censor)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler.formatter, JsonLines | Plain):
            root.removeHandler(handler)
            handler.close()
    console = _Console()
    console.setLevel(console_level)
    console.setFormatter(Plain(censor))
    root.addHandler(console)
    root.setLevel(logging.WARNING)
    logging.getLogger("lora_builder").setLevel(min(console_level, logging.INFO))
    with contextlib.suppress(OSError):
        root.addHandler(_file_handler(settings.data_dir / FOLDER, censor))


def _mask_streams(censor: Censor) -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        inner = stream._stream if isinstance(stream, MaskedStream) else stream
        setattr(sys, name, cast(TextIO, MaskedStream(inner, censor)))


def _file_handler(folder: Path, censor: Censor) -> logging.Handler:
    folder.mkdir(parents=True, exist_ok=True)
    old = sorted(folder.glob("*.jsonl*"), key=lambda path: path.stat().st_mtime)
    for path in old[: max(0, len(old) - FILES + FILES_A_START)]:
        path.unlink(missing_ok=True)
    moment = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    # A file of its own for each start: two programs that turn one file over would lose lines.
    handler = logging.handlers.RotatingFileHandler(
        folder / f"{moment}-{os.getpid()}.jsonl",
        maxBytes=FILE_BYTES,
        backupCount=FILES_A_START - 1,
        encoding="utf-8",
        errors="replace",
        delay=True,
    )
    handler.setFormatter(JsonLines(censor))
    handler.setLevel(logging.INFO)
    return handler


def latest(
    settings: Settings, count: int = 200, *, least: str = "debug", project: str = ""
) -> list[dict[str, Any]]:
    """The newest lines of all starts, newest last: those of a level at least, and of a project's id.

    An id may be given by its first digits, as the lines hold it.
    """
    wanted = LEVELS.get(least.upper(), logging.NOTSET)
    folder = settings.data_dir / FOLDER
    files = sorted(folder.glob("*.jsonl*"), key=lambda path: path.stat().st_mtime, reverse=True)
    lines: list[dict[str, Any]] = []
    for path in files:
        with contextlib.suppress(OSError):
            for text in path.read_text("utf-8", "replace").splitlines():
                with contextlib.suppress(ValueError):  # the last line of a killed process
                    line = json.loads(text)
                    if _is_wanted(line, wanted, project):
                        lines.append(line)
        if len(lines) >= count:
            break
    return sorted(lines, key=lambda line: str(line.get("time", "")))[-count:]


def forget(settings: Settings, project: str) -> None:
    """Takes the lines about a project out of the log: of this start, and of those that are over.

    Another process that lives may be writing to its own file: what it wrote goes when that turns over.
    """
    ours = next((h for h in logging.getLogger().handlers if isinstance(h.formatter, JsonLines)), None)
    for path in sorted((settings.data_dir / FOLDER).glob("*.jsonl*")):
        process = path.name.partition(".")[0].rpartition("-")[2]
        if process == str(os.getpid()) and isinstance(ours, logging.FileHandler):
            with ours.lock or contextlib.nullcontext():
                if ours.stream is not None:
                    ours.stream.close()
                    ours.stream = None  # type: ignore[assignment]  # the next line opens it again
                _take_out(path, project)
        elif not (process.isdecimal() and psutil.pid_exists(int(process))):
            _take_out(path, project)


def _take_out(path: Path, project: str) -> None:
    kept, found = [], False
    for text in path.read_text("utf-8", "replace").splitlines(keepends=True):
        about: Any = {}
        with contextlib.suppress(ValueError):
            about = json.loads(text)
        of = str(about.get("project", "")) if isinstance(about, dict) else ""
        mine = bool(of) and project.startswith(of)
        found |= mine
        if not mine:
            kept.append(text)
    if found:
        with contextlib.suppress(LoraBuilderError):  # a disk that refuses: the lines go with the file
            atomic_write(path, "".join(kept).encode())


def _is_wanted(line: dict[str, Any], least: int, project: str) -> bool:
    known = LEVELS
    if known.get(str(line.get("level", "")).upper(), logging.CRITICAL) < least:
        return False
    of = str(line.get("project", ""))
    return not project or (bool(of) and (of.startswith(project) or project.startswith(of)))
