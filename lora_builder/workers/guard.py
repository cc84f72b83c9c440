"""On a cluster's worker: each item runs in a process of its own kind, which it may crash or hang.

Dask can neither interrupt a task nor survive one that takes its process along. So a Dask worker never
decodes: every one of its threads has one worker process like those of `processes.py`, with models
loaded once and the same limits, and only hands items on.

Functions and items travel as bytes, so that the scheduler, which reads every task, needs none of the
libraries that they are made of.
"""

from __future__ import annotations

import multiprocessing
import pickle
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_builder.errors import ClusterUnfit
from lora_builder.resources import photo_mb
from lora_builder.workers.alike import differences, versions
from lora_builder.workers.processes import Processes

_in_hand: dict[int, str] = {}
"""The runs whose items are in hand, by thread."""

_own = threading.local()
"""Each thread's worker process, as `Hand`."""


@dataclass(frozen=True)
class Terms:
    """What holds for all items of a stage. `run` names it; `function` and `warm_up` are pickled."""

    run: str
    function: bytes
    warm_up: bytes
    timeout_s: float
    memory_mb: int
    keys: frozenset[str]
    versions: Mapping[str, str]


@dataclass
class Hand:
    """A thread's worker process, and what it was made ready for."""

    made_for: tuple[object, ...] = ()
    processes: Processes = field(default_factory=lambda: Processes(1, 0))


@dataclass(frozen=True)
class Done:
    """What became of the items of a task, in their order, and what the work took, seconds."""

    results: Sequence[Any]
    seconds: float


def work(terms: Terms, items: bytes) -> Done:
    """What the function makes of each item, or Rejected.

    Raises ClusterUnfit where versions differ, and whatever the function raises.
    """
    different = differences(versions(), terms.versions)
    if different:
        raise ClusterUnfit(
            f"The worker on {socket.gethostname()} has other versions than this machine: {different}.",
            "Install the same on all: results would not be the same.",
        )
    thread = threading.get_ident()
    _in_hand[thread] = terms.run
    began = time.monotonic()
    try:
        function, warm_up = pickle.loads(terms.function), pickle.loads(terms.warm_up)
        processes = _processes(terms)
        results = [
            result for item in pickle.loads(items) for _, result in processes.each(function, [item], warm_up)
        ]
    finally:
        del _in_hand[thread]
    return Done(results, time.monotonic() - began)


def busy(run: str) -> int:
    """How many tasks of a run are in hand on this worker."""
    return sum(other == run for other in _in_hand.values())


def _processes(terms: Terms) -> Processes:
    """This thread's process, a new one where another kind of work comes."""
    hand: Hand = _own.__dict__.setdefault("hand", Hand())
    wanted: tuple[object, ...] = (terms.timeout_s, terms.memory_mb, terms.keys)
    if terms.warm_up != _NOTHING:
        wanted += (terms.warm_up,)
    if wanted != hand.made_for[: len(wanted)]:
        hand.processes.stop()
        _allow_processes()
        memory = photo_mb(terms.memory_mb, _threads()) if terms.memory_mb else 0
        hand.processes = Processes(1, terms.timeout_s, memory_mb=memory, keys=terms.keys)
        hand.made_for = wanted
    return hand.processes


def _allow_processes() -> None:
    """Lets this process have processes of its own that know nothing of Dask."""
    # Dask's nanny marks its worker so that it may have none.
    multiprocessing.current_process().daemon = False
    # They would import the program that runs here: a second and a hundred megabytes each.
    main = sys.modules["__main__"]
    main.__spec__ = None
    main.__dict__.pop("__file__", None)


def _threads() -> int:
    from distributed import get_worker

    return int(get_worker().state.nthreads)


_NOTHING = pickle.dumps(None)
