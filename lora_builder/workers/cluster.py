"""A Dask cluster: workers of other machines, each of which guards itself against its photos.

The scheduler and the workers are Dask's own (`dask scheduler`, `dask worker`); so are encryption and
authentication (tls:// and Dask's settings). What is durable is in the store: whatever is lost of a
cluster is done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import pickle
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as TimedOut
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from lora_builder.errors import BadSettings, ClusterUnavailable, ClusterUnfit, LoraBuilderError
from lora_builder.records import Rejected
from lora_builder.settings import Settings
from lora_builder.workers.alike import versions
from lora_builder.workers.flight import WINDOW, Again, CrewLost, Flight, Task
from lora_builder.workers.guard import Done, Terms, busy, work
from lora_builder.workers.interface import Fault, Item, Result

try:
    import dask
    from distributed import Client
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise BadSettings(
        "CLUSTER is set, but Dask is not installed.", "pip install 'lora-dataset-builder[cluster]'"
    ) from error

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

CONNECT_S = 30.0
"""How long the scheduler may take to answer, seconds."""

WORKERS_S = 60.0
"""How long a cluster may be without a worker before the run is given up, seconds."""

LOOK_S = 2.0
"""How often workers are counted, seconds: they come and go."""

QUIET_S = 8.0
"""Silence after which the workers are asked whether they have anything in hand, seconds. Dask loses
sight of tasks when many workers die at once (seen in 7 of 8 runs of some 40 kills)."""

MOST_ITEMS, TASK_S = 32, 2.0
"""Items that make a task of Dask's, at most, and the seconds that more than one may take: a task costs
scheduler, worker and coordinator some milliseconds of the processor each."""

STEADY_SHARE = 0.1
"""A task takes at most this share of the time since a worker was last lost: no more goes with the next."""

TRIES = 4
"""Times that a photo may see its Dask worker die; each is Dask's own `allowed-failures` (3) deaths."""

IDLE_LOOKS = 2
"""Looks in a row that find nothing in hand before everything is sent again."""

SAME = "Install the same version of lora-dataset-builder[cluster] on its scheduler and workers."

MEAN_OF = 4
"""Tasks over which the time of an item is averaged, roughly."""

DEADLY = Fault(
    "Every worker of the cluster that took this photo died.",
    "See the workers' logs; make the photo smaller, or leave it out.",
    passing=True,
)

GONE = "Start it again, and run again: what was done is kept."


class Cluster:
    """The workers of the Dask scheduler at `settings.cluster`; see Workers.

    Raises BadSettings for an address that would carry photos' data unencrypted over a network.
    """

    def __init__(
        self,
        settings: Settings,
        cancelled: Callable[[], bool] = lambda: False,
        keys: frozenset[str] = frozenset(),
    ) -> None:
        self._address = settings.cluster
        _insist_safe(self._address, settings.cluster_unencrypted)
        self._timeout_s = settings.photo_timeout_s
        self._memory_mb = settings.photo_memory_mb
        self._cancelled = cancelled
        self._keys = keys
        self._roster: _Roster | None = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self._roster is not None:
            self._roster.link.close()
            self._roster = None

    def each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        warm_up: Callable[[], None] | None = None,
    ) -> Iterator[tuple[Item, Result | Rejected]]:
        """See Workers."""
        if not items:
            return
        if self._roster is None:
            self._roster = _Roster(_Link(self._address))
        self._roster.count()
        terms = Terms(
            secrets.token_hex(8),
            pickle.dumps(function),
            pickle.dumps(warm_up),
            self._timeout_s,
            self._memory_mb,
            self._keys,
            dict(versions()),
        )
        crew: _Crew[Item, Result] = _Crew(self._roster, terms)
        try:
            yield from Flight(crew, self._cancelled).over(items)
        finally:
            crew.renew()


class _Link:
    """A connection to the scheduler, on an event loop of its own thread."""

    def __init__(self, address: str) -> None:
        # Dask tells its troubles by itself, with addresses and tracebacks; what matters is said by us.
        for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.address = address
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, what: log.debug("Dask: %s", what.get("message")))
        self._thread = threading.Thread(target=self._loop.run_forever, name="lora-cluster", daemon=True)
        self._thread.start()
        try:
            self.client: Any = self.run(self._connect(), CONNECT_S + 5)
        except BaseException:
            self._end()
            raise

    async def _connect(self) -> Any:
        # It would ask for the whole state of the cluster every two seconds, which nobody here reads.
        with dask.config.set({"distributed.client.scheduler-info-interval": "1h"}):
            client = Client(self.address, asynchronous=True, set_as_default=False, timeout=CONNECT_S)
        try:
            # A coordinator neither listens nor keeps trying: a lost scheduler ends the run.
            with dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_S}s"}):
                return await client
        except OSError as error:
            raise ClusterUnavailable(
                f"No Dask scheduler answers at {self.address}: {_reason(error)}.",
                "Start one (`dask scheduler`), and check CLUSTER and Dask's TLS settings.",
            ) from error
        except (ValueError, TypeError) as error:
            await client.close()
            raise ClusterUnfit(
                f"Dask cannot connect to {self.address} as it is set up: {_reason(error)}.",
                "Check CLUSTER and Dask's TLS settings.",
            ) from error

    def start(self, work: Coroutine[Any, Any, Answer]) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Answer], timeout_s: float) -> Answer:
        return self.start(work).result(timeout_s)

    @property
    def lost(self) -> bool:
        return bool(self.client.status != "running")

    def gone(self) -> ClusterUnavailable:
        return ClusterUnavailable(f"The Dask scheduler at {self.address} is not there any more.", GONE)

    def close(self) -> None:
        async def close() -> None:
            # A client that is looking for a lost scheduler would look on.
            await asyncio.wait_for(self.client.close(), CONNECT_S)
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=1)

        with contextlib.suppress(OSError, CancelledError, TimedOut):  # what is left dies with the loop
            self.run(close(), CONNECT_S + 2)
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONNECT_S)
        if not self._thread.is_alive():
            self._loop.close()


class _Roster:
    """Who is at work: how many threads, and since when nobody was lost."""

    def __init__(self, link: _Link) -> None:
        self.link = link
        self._known: Mapping[str, int] = {}
        self._counting: Future[Mapping[str, int]] | None = None
        self._counted = self._peopled = self._lost = time.monotonic()

    @property
    def threads(self) -> int:
        return sum(self._known.values())

    @property
    def steady_s(self) -> float:
        """For how long nobody was lost, seconds."""
        return time.monotonic() - self._lost

    def count(self) -> None:
        """Counts at once; a look that is still under way would tell of an earlier moment."""
        self._counting, self._counted = None, time.monotonic()
        self._peopled = self._counted
        with contextlib.suppress(TimedOut):  # `look` counts again
            self._note(self.link.run(self._threads(), CONNECT_S))

    def look(self) -> None:
        """Counts now and then, and waits for nothing. Raises ClusterUnavailable after a while with nobody."""
        now = time.monotonic()
        if self._counting is not None and self._counting.done():
            self._note(self._counting.result())
            self._counting = None
        elif self._counting is None and now - self._counted > LOOK_S:
            self._counting, self._counted = self.link.start(self._threads()), now
        if self._known:
            self._peopled = now
        elif now - self._peopled > WORKERS_S:
            raise ClusterUnavailable(
                f"The cluster at {self.link.address} has no workers.",
                f"Start some (`dask worker {self.link.address}`), and run again: what was done is kept.",
            )

    def _note(self, known: Mapping[str, int]) -> None:
        if self._known.keys() - known.keys():
            self._lost = time.monotonic()
        self._known = known

    async def _threads(self) -> Mapping[str, int]:
        """Each worker's threads; as before where the scheduler is too busy to say."""
        try:
            return dict(await asyncio.wait_for(self.link.client.nthreads(), CONNECT_S))
        except (OSError, asyncio.TimeoutError):
            return self._known


class _Crew(Generic[Item, Result]):
    """The cluster's workers as a flight sees them, for one function."""

    def __init__(self, roster: _Roster, terms: Terms) -> None:
        self._link = roster.link
        self._roster = roster
        self._terms = terms
        self._sent: set[Future[Any]] = set()
        self._item_s = TASK_S  # what an item takes, a running mean
        self._asking: Future[int] | None = None
        self._idle = 0  # looks in a row that found nothing in hand

    @property
    def window(self) -> int:
        return WINDOW * max(1, self._roster.threads)

    def parcel(self, left: int) -> int:
        task_s = min(TASK_S, STEADY_SHARE * self._roster.steady_s)
        # Towards the end ever fewer: nobody is idle while another has several in hand.
        return max(1, min(MOST_ITEMS, int(task_s / self._item_s), left // self.window))

    def send(self, items: Sequence[Item]) -> Future[Any]:
        if self._link.lost:
            raise self._link.gone()
        future = self._link.start(self._ask(pickle.dumps(items)))
        self._sent.add(future)
        return future

    async def _ask(self, items: bytes) -> Any:
        asked = self._link.client.submit(work, self._terms, items, pure=False)
        try:
            return await asked
        finally:
            asked.release()  # a task that waits is forgotten; one in hand ends within its time

    def results(self, future: Future[Any], task: Task[Item]) -> Sequence[Result | Rejected]:
        self._sent.discard(future)
        try:
            done: Done = future.result()
        except LoraBuilderError:
            raise
        except (CancelledError, CommClosedError) as error:
            if self._link.lost:
                raise self._link.gone() from error
            raise Again from error
        except KilledWorker as error:
            if task.tries < TRIES or len(task.items) > 1:
                raise Again from error
            return (DEADLY,)
        except ImportError as error:
            raise ClusterUnfit(f"A worker of the cluster cannot begin: {error}.", SAME) from error
        except RuntimeError as error:
            if "deserializ" not in str(error):
                raise
            raise ClusterUnfit("The cluster cannot read what it is sent.", SAME) from error
        self._item_s += ((done.seconds / len(done.results)) - self._item_s) / MEAN_OF
        self._item_s = max(self._item_s, 1e-6)
        return done.results

    def watch(self, running: Mapping[Future[Any], Task[Item]], quiet_s: float) -> None:
        if self._link.lost:
            raise self._link.gone()
        self._roster.look()
        if quiet_s < QUIET_S or not running:
            self._asking, self._idle = None, 0
        elif self._asking is None:
            self._asking = self._link.start(self._in_hand())
        elif self._asking.done():
            self._idle = self._idle + 1 if self._asking.result() == 0 and self._roster.threads else 0
            self._asking = None
            if self._idle >= IDLE_LOOKS:
                raise CrewLost

    async def _in_hand(self) -> int:
        """How many of our items the workers have in hand; -1 where they cannot be asked."""
        await asyncio.sleep(LOOK_S)
        try:
            question = self._link.client.run(busy, self._terms.run, on_error="return")
            answers = (await asyncio.wait_for(question, CONNECT_S)).values()
        except (OSError, asyncio.TimeoutError):
            return -1
        return sum(answer for answer in answers if isinstance(answer, int))

    def renew(self) -> None:
        for future in self._sent:
            future.cancel()
        self._sent.clear()
        self._asking, self._idle = None, 0

    def failing(self) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"The cluster at {self._link.address} takes work and never begins it.",
            "See the logs of its scheduler and workers, and run again: what was done is kept.",
        )


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _insist_safe(address: str, unencrypted: bool) -> None:
    """Dask believes whoever connects: beyond this machine that needs its TLS, or the user's word."""
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise BadSettings(f"CLUSTER {address!r} is no address of Dask's.", "As in tcp://127.0.0.1:8786.")
    if parts.scheme == "tls" or unencrypted or _is_loopback(parts.hostname):
        return
    raise BadSettings(
        f"{address} is not encrypted, and whoever reaches it can run programs on its workers.",
        "Use tls:// (see docs/scale.md), or CLUSTER_UNENCRYPTED=true on a network that is yours alone.",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
