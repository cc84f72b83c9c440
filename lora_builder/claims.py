"""One run at a time on an output in a store, which knows no locks: a small file there says who is at work.

Its owner writes it anew every `RENEW_S`, each time with another mark. Whoever else wants the output looks
at it: a mark that changes has an owner who lives, one that stays for `STALE_S` has none. So no machine's
clock is compared with another's. An owner who was silent for too long hears that the output was taken
over, at the latest before anything is sent there.
"""

from __future__ import annotations

import json
import logging
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from lora_builder.errors import BadInput, OutputUnwritable, ProjectBusy
from lora_builder.places import Place, json_of
from lora_builder.who import is_dead, is_here, name_here
from lora_builder.workers import check

log = logging.getLogger(__name__)

LOCK = ".lock.json"
"""Name of the file, in the output's folder."""

RENEW_S = 15.0
"""How often an owner says that it lives, seconds."""

STALE_S = 90.0
"""Silence after which an owner is taken for dead, seconds."""

LOOK_S = 3.0
"""How often whoever waits looks, seconds."""

END_S = 10.0
"""How long a run that ends waits for a renewal that is under way, seconds."""


@dataclass(frozen=True)
class Note:
    """What the file holds. `owner`: see `who`; `machine`, `since`: for people, in UTC."""

    owner: str
    machine: str
    since: str
    mark: str = ""


class Claim:
    """A run's claim on an output in a store; without a place it asks nobody and holds.

    `take` it first; leaving the `with` block gives it back.
    """

    def __init__(self, place: Place | None, owner: str | None = None) -> None:
        self._place = place
        began = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        self._mine = Note(owner or name_here(), platform.node(), began)
        self._other: Note | None = None
        self._lost = False
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._renewing: threading.Thread | None = None

    def take(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Makes the output this run's; yields a sentence before a wait for an owner who may be dead.

        Raises ProjectBusy where another run is at work, Cancelled, BadInput, OutputUnwritable.
        """
        if self._place is None:
            return
        first: Note | None = None
        began: float | None = None
        while not self._created():
            found = self._read()
            if began is not None and found is not None and found != first:
                raise _busy(self._place, found)
            dead = found is not None and is_dead(found.owner)
            if found is not None and is_here(found.owner) and not dead:
                raise _busy(self._place, found)
            if began is None and not dead:
                first, began = found, time.monotonic()
                yield f"Looking for up to {STALE_S:.0f} s whether another run still works on {self._place}."
            if dead or (began is not None and time.monotonic() - began >= STALE_S):
                log.warning("The last run on %s is dead: its lock is taken away.", self._place)
                (self._place / LOCK).remove()
            else:
                _wait(cancelled)
        self._renewing = threading.Thread(target=self._renew, name="lora-claim", daemon=True)
        self._renewing.start()

    def check(self) -> None:
        """Raises ProjectBusy where it is known that the output was taken over. Asks nobody."""
        if self._lost and self._place is not None:
            by = self._other.machine if self._other is not None else "another machine"
            raise ProjectBusy(
                f"{self._place} was taken over by a run on {by}, for this one was silent too long.",
                "Run again when that one has ended: what was done is kept.",
            )

    def insist(self) -> None:
        """Raises ProjectBusy where the output is not this run's any more, BadInput, OutputUnwritable."""
        if self._renewing is not None:
            self._write_anew()
            self.check()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        if self._place is None or self._renewing is None:
            return
        self._over.set()
        self._renewing.join(END_S)
        if self._renewing.is_alive():
            return  # the store does not answer: the lock goes stale
        try:
            found = self._read()
            if found is not None and found.owner == self._mine.owner:
                (self._place / LOCK).remove()
        except (BadInput, OutputUnwritable) as error:
            log.warning("The lock on %s is left to go stale: %s", self._place, error)

    def _created(self) -> bool:
        """Whether the file is new, and ours: read back, for not every store heeds the condition."""
        if self._place is None or not (self._place / LOCK).create(self._written()):
            return False
        found = self._read()
        return found is not None and found.owner == self._mine.owner

    def _renew(self) -> None:
        while not self._lost and not self._over.wait(RENEW_S):
            try:
                self._write_anew()
            except (BadInput, OutputUnwritable) as error:
                log.warning("The lock on %s cannot be renewed: %s", self._place, error)

    def _write_anew(self) -> None:
        with self._writing:
            if self._place is None or self._lost:
                return
            found = self._read()
            if found is not None and found.owner == self._mine.owner:
                (self._place / LOCK).write(self._written())
            elif found is not None or not self._created():
                self._other, self._lost = found, True

    def _written(self) -> bytes:
        return json.dumps(asdict(replace(self._mine, mark=secrets.token_hex(8)))).encode()

    def _read(self) -> Note | None:
        """What the file says; None where there is none, or none of ours."""
        plain: Any = json_of(self._place / LOCK) if self._place is not None else None
        try:
            return Note(**{name: str(plain[name]) for name in Note.__dataclass_fields__})
        except (TypeError, KeyError):
            return None


def _busy(place: Place, other: Note) -> ProjectBusy:
    return ProjectBusy(
        f"Another run is at work on {place}: on {other.machine}, since {other.since} UTC.",
        f"Wait for it, or stop it. One that died is forgotten after {STALE_S:.0f} s.",
    )


def _wait(cancelled: Callable[[], bool]) -> None:
    until = time.monotonic() + LOOK_S
    while time.monotonic() < until:
        check(cancelled)
        time.sleep(min(0.2, LOOK_S))
