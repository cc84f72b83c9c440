"""Where bytes lie: folders of this machine, or a store that fsspec knows, as in s3://bucket/people.

A store's credentials, endpoint and options are its library's own (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, HF_TOKEN, fsspec's configuration files); none is kept or passed on here.
"""

from __future__ import annotations

import errno
import functools
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import fsspec

from lora_builder.errors import BadInput, BadSettings, LoraBuilderError, OutputUnwritable

BLOCK = 8 << 20
"""Bytes asked for at a time: most photos come in one answer, and no file fills the memory."""

READ = ("s3", "s3a", "gs", "gcs", "hf")
"""Schemes of the stores whose photos the app offers to read."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Optional parts of this package that bring the libraries of stores."""

KEYS = {
    "s3": ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    "hf": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
}
"""Secrets in the environment without which a store's own library cannot read from it."""

_FOREIGN = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("httpx2", "HTTPError"),
)
"""What stores' libraries raise beside OSError and ValueError, where they are loaded."""


@dataclass(frozen=True, order=True)
class Place:
    """A file or folder in a store; `url` has no slash at its end."""

    url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.url}/{name}")

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0]

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def resolve(self) -> Place:
        """Itself: an address has but one spelling."""
        return self

    def holds(self, other: Place) -> bool:
        """Whether the other is this one or lies below it."""
        return other == self or other.url.startswith(f"{self.url}/")

    # Reading raises BadInput.

    def files(self) -> list[FarFile]:
        """Every file below, or the file that this is, by name; empty where there is nothing."""
        with reaching(self, BadInput):
            system, path = _store(self)
            try:
                found = system.find(path, detail=True)
            except FileNotFoundError as error:
                if "bucket does not exist" in str(error).lower():
                    raise
                return []
        listed = []
        for name, info in found.items():
            inside = name.removeprefix(path).lstrip("/")
            place = self / inside if inside else self
            if info.get("type", "file") == "file" and not name.endswith("/"):
                listed.append(FarFile(place, inside or self.name, int(info.get("size") or 0)))
        return sorted(listed, key=lambda file: file.inside)

    def size(self) -> int:
        """Bytes of the file."""
        with reaching(self, BadInput):
            system, path = _store(self)
            return int(system.info(path)["size"])

    def stamp(self) -> str:
        """Changes when the file does."""
        with reaching(self, BadInput):
            system, path = _store(self)
            return str(system.ukey(path))

    def read(self, begin: int, end: int) -> bytes:
        """Some of the file's bytes."""
        if begin >= end:
            return b""
        with reaching(self, BadInput):
            system, path = _store(self)
            return bytes(system.cat_file(path, start=begin, end=end))

    def chunks(self) -> Iterator[bytes]:
        """All of the file's bytes, piece by piece."""
        size = self.size()
        for begin in range(0, size, BLOCK):
            yield self.read(begin, min(begin + BLOCK, size))

    def open(self) -> io.RawIOBase:
        """The file as one to seek in; every read asks the store."""
        return _Ranges(self)

    # Writing raises OutputUnwritable. A file appears whole or not at all.

    def put(self, file: Path) -> None:
        """Makes this hold what the file does."""
        with reaching(self, OutputUnwritable):
            system, path = _store(self)
            system.put_file(str(file), path)

    def write(self, data: bytes) -> None:
        """Makes this hold exactly `data`."""
        with reaching(self, OutputUnwritable):
            system, path = _store(self)
            system.pipe_file(path, data)

    def create(self, data: bytes) -> bool:
        """Makes this hold `data` where there is nothing yet; whether it does.

        Of two that try at once only one succeeds, where the store can promise that (S3 and Google can).
        """
        with reaching(self, OutputUnwritable):
            system, path = _store(self)
            try:
                system.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "conditional request" in str(error):
                    return False  # S3's word for another one that is being written
                if error.errno != errno.ENOSYS:
                    raise
                if system.exists(path):
                    return False
                system.pipe_file(path, data)
            return True

    def remove(self) -> None:
        """Takes the file away, if it is there."""
        with reaching(self, OutputUnwritable):
            system, path = _store(self)
            try:
                system.rm_file(path)
            except FileNotFoundError:
                return


@dataclass(frozen=True)
class FarFile:
    """A file of a store: its path inside what was listed, and its size in bytes."""

    place: Place
    inside: str
    bytes: int


Location: TypeAlias = Path | Place


class _Ranges(io.RawIOBase):
    def __init__(self, place: Place) -> None:
        self._place = place
        self._size = place.size()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._place.read(self._at, min(self._at + len(buffer), self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def located(text: str) -> Location:
    """A place for an address with a scheme, else a path of this machine."""
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    return Place(text) if "://" in text else Path(text)


def keys(*locations: Location | None) -> frozenset[str]:
    """The environment variables that whoever reads and writes there must keep."""
    places = [location for location in locations if isinstance(location, Place)]
    return frozenset(key for place in places for key in KEYS.get(place.scheme.removesuffix("a"), ()))


def json_of(place: Place) -> Any:
    """A small JSON file's value, None where there is none or it is no JSON. Raises BadInput."""
    with reaching(place, BadInput):
        system, path = _store(place)
        try:
            return json.loads(system.cat_file(path))
        except (FileNotFoundError, ValueError):
            return None


@contextmanager
def reaching(place: Place, kind: type[LoraBuilderError]) -> Iterator[None]:
    """Turns what stores' libraries raise into `kind`, with the address and the remedy."""
    try:
        yield
    except _failures() as error:
        raise kind(*_told(place, error)) from error


def _told(place: Place, error: BaseException) -> tuple[str, str]:
    """What happened and what to do, by what the error says of itself."""
    names = {ancestor.__name__ for ancestor in type(error).__mro__}
    said = f"{' '.join(sorted(names))} {error}".lower()
    if "nosuchbucket" in said or "bucket does not exist" in said:
        return f"{place} cannot be used: there is no such bucket.", "Check its name, or make it."
    if isinstance(error, FileNotFoundError):
        return f"There is no {place}.", "Check the address; if it was there, put it back and run again."
    if isinstance(error, PermissionError) or any(
        word in said for word in ("credential", "forbidden", "access denied", "unauthorized", "token")
    ):
        return (
            f"{place} does not let us in: {_reason(error)}.",
            f"Check the credentials ({_credentials(place)}) and what they allow.",
        )
    if isinstance(error, ValueError) or "paramvalidationerror" in said:
        return (
            f"{place} is no address of that store: {_reason(error)}.",
            "As in s3://bucket/folder, gs://bucket/folder or hf://datasets/owner/name.",
        )
    return (
        f"{place} cannot be reached: {_reason(error)}.",
        "Check the network and the store's address, and run again: what was done is kept.",
    )


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    told = next((line for line in lines if not line.endswith(":")), lines[0])
    return told.rstrip(".")[:200]


def _credentials(place: Place) -> str:
    names = {"s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}
    return names.get(place.scheme, "HF_TOKEN" if place.scheme == "hf" else "the store's own")


def _failures() -> tuple[type[Exception], ...]:
    """What the libraries that are loaded raise."""
    loaded = ((sys.modules.get(module), name) for module, name in _FOREIGN)
    return OSError, ValueError, *(getattr(module, name) for module, name in loaded if module is not None)


def _store(place: Place) -> tuple[Any, str]:
    """The file system of a place, and its path there."""
    system = _system(place.scheme)
    return system, str(system._strip_protocol(place.url))


@functools.lru_cache(maxsize=8)
def _system(scheme: str) -> Any:
    try:
        # What was listed a minute ago may be somebody else's past.
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        remedy = f"pip install 'lora-dataset-builder[{extra}]'" if extra else str(error)
        raise BadSettings(f"{scheme}:// needs a library that is not installed.", remedy) from error
    except ValueError as error:
        raise BadSettings(f"{scheme}:// is no store known here.", "As in s3://bucket/folder.") from error
