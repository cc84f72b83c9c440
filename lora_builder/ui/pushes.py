"""Pushes to the Hub that are under way: in threads of this process, a few at a time, each with its own token.

Nothing of a push is written down: the token is in the thread's hands alone, and a push that the app's
end cuts short is simply pushed again (what arrived is kept there).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from lora_builder.errors import BadInput, Cancelled, LoraBuilderError
from lora_builder.export.hub import Progress, Pushed

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Pushes that send at the same time."""

MOST = 20
"""Pushes that wait or send."""

REMEMBERED = 200
"""Projects of which it is known how their push ended."""


class PushState(str, Enum):
    """Where a push stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Push:
    """A push at one moment; `done` of `total` files have arrived.

    `error` and `remedy`: sentences for people, both empty where the fault is ours.
    """

    state: PushState = PushState.RUNNING
    done: int = 0
    total: int = 0
    error: str = ""
    remedy: str = ""
    result: Pushed | None = None


class Pushes:
    """The pushes by project; every method may be called from any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Push] = OrderedDict()
        self._stops: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def of(self, project_id: str) -> Push | None:
        """The project's newest push; None: there was none since the app started."""
        with self._lock:
            return self._known.get(project_id)

    def start(self, project_id: str, work: Callable[[Progress], Pushed]) -> None:
        """Begins a push. Raises BadInput where the project's last one is still under way."""
        with self._lock:
            if project_id in self._stops:
                raise BadInput("This dataset is being pushed already.", "Wait for it, or stop it.")
            if len(self._stops) >= MOST:
                raise BadInput("Too many datasets are being pushed.", "Try again in some minutes.")
            stop = self._stops[project_id] = threading.Event()
            self._note(project_id, Push())
        threading.Thread(
            target=self._work, args=(project_id, work, stop), name="lora-push", daemon=True
        ).start()

    def stop(self, project_id: str) -> None:
        """Asks a push to end; what arrived is kept, nothing of it is visible."""
        with self._lock:
            if project_id in self._stops:
                self._stops[project_id].set()

    def forget(self, project_id: str) -> None:
        """Stops the project's push and forgets how it stood."""
        self.stop(project_id)
        with self._lock:
            self._known.pop(project_id, None)

    def _work(self, project_id: str, work: Callable[[Progress], Pushed], stop: threading.Event) -> None:
        def progress(done: int, total: int) -> None:
            if stop.is_set():
                raise Cancelled("Stopped.")
            self._change(project_id, done=done, total=total)

        try:
            with self._turns:
                progress(0, 0)
                self._change(project_id, state=PushState.DONE, result=work(progress))
        except Cancelled:
            self._change(project_id, state=PushState.STOPPED)
        except LoraBuilderError as error:
            self._change(project_id, state=PushState.FAILED, error=error.message, remedy=error.remedy)
        except Exception:  # a bug of ours ends this push, not the app
            log.exception("A push failed.", extra={"project": project_id[:12]})
            self._change(project_id, state=PushState.FAILED)
        finally:
            with self._lock:
                self._stops.pop(project_id, None)

    def _change(self, project_id: str, **changes: object) -> None:
        with self._lock:
            before = self._known.get(project_id)
            if before is not None:  # else the project is deleted
                self._known[project_id] = replace(before, **changes)  # type: ignore[arg-type]

    def _note(self, project_id: str, push: Push) -> None:
        self._known[project_id] = push
        self._known.move_to_end(project_id)
        for old in [known for known in self._known if known not in self._stops][: -REMEMBERED or None]:
            del self._known[old]
