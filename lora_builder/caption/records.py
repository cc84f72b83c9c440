"""The records that the caption room shares with the store and the faces of the app.

An `item` names one training image: the SHA-256 of its photo, and for a further crop of the same
photo `SHA256/NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

USER = "user"
"""Author of what the user wrote; other authors are `composer` and models by name."""


class CaptionState(str, Enum):
    """Whether there is a caption, or why there is none."""

    WRITTEN = "written"
    FAILED = "failed"


class Purpose(str, Enum):
    """What a request was sent for."""

    CAPTION = "caption"
    FOCUS = "focus"
    TEST = "test"


class Outcome(str, Enum):
    """How a request to a vision model ended; the values are what the ledger keeps.

    `sent` is written before the request leaves: a row that still says so after a run belongs to a
    request whose answer was never seen, for the run was killed while it was on its way, or about to go.
    """

    SENT = "sent"
    OK = "ok"
    BAD_ANSWER = "bad_answer"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class CaptionEntry:
    """What is known about the caption of one training image.

    `text` is empty where `state` is failed, and then `reason` is a sentence that says why. A locked
    entry is never changed by a run or a remedy. `recipe` names what the text was made from (picture,
    prompt, policy), so that a run knows what is still current; empty for the user's own. `at`:
    seconds since the epoch.
    """

    item: str
    text: str
    author: str
    state: CaptionState = CaptionState.WRITTEN
    reason: str = ""
    recipe: str = ""
    locked: bool = False
    at: float = 0.0


@dataclass(frozen=True)
class CaptionVersion:
    """One past or present state of a caption; `batch` is shared by what one click changed."""

    id: int
    entry: CaptionEntry
    batch: str


@dataclass(frozen=True)
class KeptAnswer:
    """A vision model's answer as it came, with what it cost."""

    text: str
    finish: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class LedgerRow:
    """One request to a vision model: what left the machine, where to, and what came of it.

    `bytes_sent`: size of the picture that went out. `cost`: dollars where the server or the user's
    price list says so. `until`: seconds since the epoch until which the server wants no more.
    """

    project_id: str
    item: str
    purpose: Purpose
    endpoint: str
    host: str
    model: str
    bytes_sent: int
    started_at: float
    attempt: int = 1
    outcome: Outcome = Outcome.SENT
    detail: str = ""
    seconds: float = 0.0
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    until: float | None = None
    id: int = 0


@dataclass(frozen=True)
class ModelSums:
    """The model monitor's line: what one model did for a project.

    `answered` were good answers; `failures` counts the rest by outcome. `cost` None: not known.
    """

    endpoint: str
    host: str
    model: str
    requests: int
    answered: int
    pictures: int
    bytes_sent: int
    tokens_in: int
    tokens_out: int
    seconds: float
    cost: float | None
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredTemplate:
    """A prompt template that somebody saved; `body` is what `prompts.to_json` writes.

    `owner`: the visitor whose it is; empty: everybody's.
    """

    name: str
    body: Mapping[str, Any]
    owner: str = ""
