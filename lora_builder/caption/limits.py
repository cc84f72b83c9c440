"""When a request may leave: requests at once, a minute, a day; pauses; a breaker for dead endpoints.

One `Gates` a run, shared by its threads. Everything here is about time and counting; it sends nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from lora_builder.caption.endpoints import Endpoint, Model

BREAK_AFTER = 6
"""Failures in a row at an endpoint, whoever saw them, from which it counts as dead for a while."""

BREAK_S, BREAK_MOST_S = 15.0, 240.0
"""Seconds that a dead endpoint rests; doubled at every failed probe, up to the most."""

OUT_AFTER = 5
"""Requests in a row that a model turned down as such from which it is not asked again in this run."""

SHORT_PAUSE_S = 30.0
"""A pause up to this is waited for; a longer one hands over to the next model."""

QUOTA_AGAIN_S = 3600.0
"""Seconds after which a used-up quota is tried again where the server does not say when."""

POLL_S = 0.5
"""Seconds between looks of a waiting thread; a freed slot, a stop and the like wake it at once."""

MINUTE, DAY = 60.0, 86_400.0

FOREVER = float("inf")

Dead = Literal["model", "endpoint"]


@dataclass(frozen=True)
class Busy:
    """The model may not be asked before `until` (seconds since the epoch), and why.

    `brief`: worth waiting for; else the next model is asked meanwhile.
    """

    until: float
    why: str
    brief: bool = False


@dataclass
class _Breaker:
    """Counts failures in a row; too many and it opens, then lets one probe through at a time."""

    failures: int = 0
    rest_s: float = BREAK_S
    open_until: float = 0.0
    probing: bool = False

    def good(self) -> None:
        self.failures, self.rest_s, self.open_until, self.probing = 0, BREAK_S, 0.0, False

    def bad(self, now: float) -> None:
        self.probing = False
        self.failures += 1
        if self.failures >= BREAK_AFTER:
            self.open_until = now + self.rest_s
            self.rest_s = min(BREAK_MOST_S, self.rest_s * 2)
            # The next failure opens it again at once: one probe, not six.
            self.failures = BREAK_AFTER - 1

    def again(self, now: float) -> float | None:
        """When the next request may go; None: now."""
        if self.open_until and (self.open_until > now or self.probing):
            return max(self.open_until, now + 1.0)
        return None


@dataclass
class _Place:
    """An endpoint's state."""

    running: int = 0
    breaker: _Breaker = field(default_factory=_Breaker)
    out: str = ""


@dataclass
class _State:
    """A model's state."""

    running: int = 0
    turned_down: int = 0
    breaker: _Breaker = field(default_factory=_Breaker)
    paused_until: float = 0.0
    why: str = ""
    out: str = ""
    starts: deque[float] = field(default_factory=deque)


class Gates:
    """What every thread asks before and tells after a request.

    `history(model, since)`: when earlier runs asked it; `paused(model)`: until when the server wanted
    no more, both seconds since the epoch.
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        history: Callable[[Model, float], list[float]] = lambda model, since: [],
        paused: Callable[[Model], float] = lambda model: 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._history, self._paused, self._clock = history, paused, clock
        self._changed = threading.Condition()
        self._places: dict[str, _Place] = {}
        self._states: dict[str, _State] = {}
        for model in models:  # before this run's own requests are in the history
            self._state(model)

    def enter(self, model: Model, stopped: Callable[[], bool], patience_s: float = FOREVER) -> Busy | None:
        """Waits until a request to the model may leave, and counts it; or says until when it may not.

        Short waits (a free slot, the minute's limit, a short pause) are waited for up to
        `patience_s`; a used-up quota or a dead endpoint is told at once. `leave` must follow.
        """
        end = self._clock() + patience_s
        with self._changed:
            while not stopped():
                verdict = self._verdict(model)
                if verdict is None:
                    self._start(model)
                    return None
                if not verdict.brief or self._clock() >= end:
                    return verdict
                self._changed.wait(min(POLL_S, max(0.005, verdict.until - self._clock())))
        return Busy(self._clock(), "Stopped.")

    def leave(self, model: Model, *, good: bool = False, dead: Dead | None = None) -> None:
        """A request ended. `good`: answered; `dead`: the model, or all of its endpoint, may be down."""
        with self._changed:
            place, state = self._place(model.endpoint), self._state(model)
            place.running -= 1
            state.running -= 1
            now = self._clock()
            if good:
                state.breaker.good()
                state.turned_down = 0
            elif dead == "model":
                state.breaker.bad(now)
            if dead == "endpoint":
                place.breaker.bad(now)
            elif good or dead == "model":
                place.breaker.good()
            place.breaker.probing = state.breaker.probing = False
            self._changed.notify_all()

    def pause(self, model: Model, until: float, why: str) -> None:
        """Nobody asks the model before `until`, seconds since the epoch."""
        with self._changed:
            state = self._state(model)
            if until > state.paused_until:
                state.paused_until, state.why = until, why
            self._changed.notify_all()

    def turn_down(self, model: Model, why: str) -> None:
        """The model refused a request as such; too many in a row and it is out for this run."""
        with self._changed:
            state = self._state(model)
            state.turned_down += 1
            if state.turned_down >= OUT_AFTER:
                state.out = why

    def rule_out(self, model: Model, why: str, whole_endpoint: bool = False) -> None:
        """The model, or all of its endpoint, is not asked again in this run."""
        with self._changed:
            if whole_endpoint:
                self._place(model.endpoint).out = why
            else:
                self._state(model).out = why
            self._changed.notify_all()

    def wake(self) -> None:
        """Lets waiting threads look at their switch."""
        with self._changed:
            self._changed.notify_all()

    def _verdict(self, model: Model) -> Busy | None:
        now = self._clock()
        place, state = self._place(model.endpoint), self._state(model)
        if place.out or state.out:
            return Busy(FOREVER, place.out or state.out)
        if state.paused_until > now:
            return Busy(state.paused_until, state.why, brief=state.paused_until <= now + SHORT_PAUSE_S)
        for breaker, name in ((place.breaker, model.endpoint.host), (state.breaker, model.label)):
            again = breaker.again(now)
            if again is not None:
                return Busy(again, f"{name} failed too often in a row; it rests for a while.")
        limit = self._counted(model, state, now)
        if limit is not None:
            return limit
        full = place.running >= model.endpoint.parallel
        if full or (model.parallel is not None and state.running >= model.parallel):
            return Busy(now + POLL_S, f"{model.endpoint.host} is busy with our own requests.", brief=True)
        return None

    def _counted(self, model: Model, state: _State, now: float) -> Busy | None:
        """Whether the minute's or the day's requests are used up."""
        while state.starts and state.starts[0] < now - DAY:
            state.starts.popleft()
        if model.per_day is not None and len(state.starts) >= model.per_day:
            return Busy(
                state.starts[-model.per_day] + DAY, f"{model.label}: {model.per_day} a day are used up."
            )
        if model.per_minute is not None:
            last = [start for start in state.starts if start > now - MINUTE]
            if len(last) >= model.per_minute:
                # Waited for, however long within the minute: it is our own limit and sure to end.
                begin = last[-model.per_minute] + MINUTE
                return Busy(begin, f"{model.label}: {model.per_minute} a minute.", brief=True)
        return None

    def _start(self, model: Model) -> None:
        place, state = self._place(model.endpoint), self._state(model)
        place.running += 1
        state.running += 1
        for breaker in (place.breaker, state.breaker):
            breaker.probing = bool(breaker.open_until)
        state.starts.append(self._clock())

    def _place(self, endpoint: Endpoint) -> _Place:
        return self._places.setdefault(endpoint.name, _Place())

    def _state(self, model: Model) -> _State:
        state = self._states.get(model.label)
        if state is None:
            state = _State()
            if model.per_day is not None or model.per_minute is not None:
                state.starts.extend(self._history(model, self._clock() - DAY))
            state.paused_until = self._paused(model)
            state.why = f"{model.label}: the server wanted no more requests."
            self._states[model.label] = state
        return state
