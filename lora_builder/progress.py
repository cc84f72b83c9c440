"""How far a job is: a snapshot that grows with every event, and travels as JSON between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from lora_builder.records import Event, Stage

RATE_AFTER_S = 1.5
"""Seconds into a stage before its rate is worth telling: the first photos pay for loading models."""


class State(str, Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


FINISHED = frozenset({State.DONE, State.CANCELLED, State.FAILED})


@dataclass(frozen=True)
class StageProgress:
    """How many of a stage's photos are done."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Snapshot:
    """A job at one moment; `version` grows with every change.

    `ahead`: jobs that come first. `rate`: photos a second in the present stage, and `seconds_left` of that
    stage, None while unknown. `start_at`: when it may begin, seconds since the epoch, 0 where that is now.
    `error` and `remedy`: sentences for people; both empty when the fault is ours, and then `state` is
    `failed` and the traceback is in the log. `furthest`: photos done, all stages added up, the most of any
    try so far.
    """

    job: str
    project: str
    version: int = 0
    state: State = State.QUEUED
    ahead: int = 0
    stages: tuple[StageProgress, ...] = ()
    photo: str = ""
    rate: float | None = None
    seconds_left: float | None = None
    message: str = ""
    start_at: float = 0.0
    error: str = ""
    remedy: str = ""
    furthest: int = 0

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    def with_(self, **changes: Any) -> Snapshot:
        """The next version."""
        return replace(self, version=self.version + 1, **changes)


@dataclass(frozen=True)
class Pace:
    """When the present stage began (seconds on any clock), and how many photos were known by then."""

    began: float = 0.0
    done: int = 0


def advanced(snapshot: Snapshot, pace: Pace, event: Event, now: float) -> tuple[Snapshot, Pace]:
    """The snapshot and the pace after one event."""
    before = {entry.stage: entry for entry in snapshot.stages}
    current = snapshot.stages[-1].stage if snapshot.stages else None
    if event.stage is not current:
        pace = Pace(now, event.done)
        # A stage that comes again (a crop failed, so decide anew) moves to the end.
        before.pop(event.stage, None)
    before[event.stage] = StageProgress(event.stage, event.done, event.total)
    elapsed, made = now - pace.began, event.done - pace.done
    rate = made / elapsed if made > 0 and elapsed >= RATE_AFTER_S else None
    left = (event.total - event.done) / rate if rate else None
    after = snapshot.with_(
        stages=tuple(before.values()), photo=event.photo, message=event.message, rate=rate, seconds_left=left,
        furthest=max(snapshot.furthest, sum(entry.done for entry in before.values())),
    )  # fmt: skip
    return after, pace


def to_json(snapshot: Snapshot) -> dict[str, Any]:
    """What another process needs to show the same bars."""
    return {
        "version": snapshot.version,
        "furthest": snapshot.furthest,
        "stages": [[entry.stage.value, entry.done, entry.total] for entry in snapshot.stages],
        "photo": snapshot.photo,
        "rate": snapshot.rate,
        "seconds_left": snapshot.seconds_left,
        "message": snapshot.message,
    }


def from_json(snapshot: Snapshot, plain: Mapping[str, Any]) -> Snapshot:
    """`snapshot` with what `to_json` wrote down elsewhere."""
    stages = tuple(StageProgress(Stage(stage), done, total) for stage, done, total in plain["stages"])
    return replace(snapshot, **(dict(plain) | {"stages": stages}))
