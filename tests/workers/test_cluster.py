"""A real Dask scheduler with real workers, on loopback."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_builder.errors import BadInput, BadSettings, Cancelled, ClusterUnavailable, ClusterUnfit
from lora_builder.records import Rejected
from lora_builder.settings import load
from lora_builder.workers import Processes, Workers, open_workers
from tests.far_servers import DaskCluster
from tests.workers.tasks import double, noted, process, refuse, trouble

cluster_room = pytest.importorskip("lora_builder.workers.cluster")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as running:
        yield running


def opened(
    cluster: DaskCluster, timeout_s: float = 20, cancelled: Callable[[], bool] = lambda: False
) -> Workers:
    return open_workers(load(cluster=cluster.address, photo_timeout_s=timeout_s), cancelled)


def test_every_item_comes_back_once(cluster: DaskCluster) -> None:
    """The same results as here, for a few and for many."""
    with opened(cluster) as workers:
        for count in (0, 1, 500):
            results = Counter(workers.each(double, range(count)))
            assert results == Counter((number, 2 * number) for number in range(count))


def test_a_worker_keeps_one_process_for_a_run(cluster: DaskCluster) -> None:
    """Photos are decoded in a process beside Dask's own, the same one from photo to photo."""
    with opened(cluster) as workers:
        pairs = [pair for _, pair in workers.each(process, range(8))]
        pairs += [pair for _, pair in workers.each(process, range(8))]
    dask = {worker.pid for worker in cluster.workers}
    assert {parent for parent, _ in pairs} <= dask and len(set(pairs)) <= len(dask)


def test_a_crash_or_a_hang_costs_one_photo(cluster: DaskCluster) -> None:
    """The Dask worker lives on, and the reason is the one that a run on this machine gives."""
    with opened(cluster, timeout_s=2) as workers:
        results = dict(workers.each(trouble, range(8)))
    with Processes(1, 2) as here:
        alike = dict(here.each(trouble, [3, 5]))
    assert isinstance(results[3], Rejected) and "SIGSEGV" in results[3].message
    assert isinstance(results[5], Rejected) and "2 s" in results[5].message
    assert {number: results[number] for number in (3, 5)} == alike
    assert [results[number] for number in (0, 1, 2, 4, 6, 7)] == [0, 1, 2, 4, 6, 7]
    assert all(worker.poll() is None for worker in cluster.workers)


def test_what_ends_a_run_here_ends_it_there(cluster: DaskCluster) -> None:
    """An error of ours arrives in its own words."""
    with pytest.raises(BadInput, match="not any more"), opened(cluster) as workers:
        list(workers.each(refuse, [1]))


def test_cancel_acts_soon(cluster: DaskCluster) -> None:
    """Even while workers are busy; the next run finds them free again."""
    began = time.monotonic()
    with pytest.raises(Cancelled), opened(cluster, 3, lambda: time.monotonic() > began + 2) as workers:
        list(workers.each(trouble, [5] * 8))
    assert time.monotonic() - began < 5
    with opened(cluster) as workers:
        assert list(workers.each(double, [1])) == [(1, 2)]


def test_workers_that_are_not_alike_are_refused(
    cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version would measure otherwise: the run says what differs, before the first photo."""
    ours = dict(cluster_room.versions()) | {"pillow": "1.0"}
    monkeypatch.setattr(cluster_room, "versions", lambda: ours)
    with pytest.raises(ClusterUnfit, match=r"pillow [\d.]+ for 1.0"), opened(cluster) as workers:
        list(workers.each(double, [1]))


def test_tasks_are_small_where_workers_die_and_towards_the_end() -> None:
    """Many photos a task while all live; one where one was just lost, and for the last ones."""
    roster = SimpleNamespace(link=None, threads=2, steady_s=3600.0)
    crew = cluster_room._Crew(roster, None)
    crew._item_s = cluster_room.TASK_S / 10
    assert [crew.parcel(left) for left in (100_000, 40, 16, 8, 3, 1)] == [10, 5, 2, 1, 1, 1]
    crew._item_s = 1e-6
    assert crew.parcel(100_000) == cluster_room.MOST_ITEMS
    roster.steady_s = 0.0
    assert crew.parcel(100_000) == 1


def test_killed_workers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """A worker is killed every half second and another one comes: each photo is there, once."""
    (tmp_path / "dask").mkdir()
    with DaskCluster(tmp_path / "dask", workers=3) as cluster:
        over = threading.Event()

        def kill() -> None:
            choose = random.Random(1)
            for _ in range(4):
                if over.wait(0.5):
                    return
                victim = choose.choice(cluster.workers)
                cluster.workers.remove(victim)
                victim.kill()
                victim.wait()
                cluster.workers.append(cluster.worker())

        killer = threading.Thread(target=kill)
        seen: list[int] = []
        with opened(cluster) as workers:
            for number, result in workers.each(partial(noted, marks=tmp_path), range(60)):
                if not seen:
                    killer.start()
                seen.append(number)
                assert result == number
        over.set()
        killer.join()
    assert sorted(seen) == list(range(60))


def test_a_scheduler_that_dies_ends_the_run_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the scheduler, and what to do; so does one that is not there at all."""
    with DaskCluster(tmp_path, workers=1) as cluster:
        with (
            pytest.raises(ClusterUnavailable, match="not there any more") as told,
            opened(cluster) as workers,
        ):
            for number, _ in workers.each(process, range(100)):
                if number == 2:
                    cluster.scheduler.kill()
        assert cluster.address in told.value.message and "run again" in told.value.remedy
    monkeypatch.setattr(cluster_room, "CONNECT_S", 1.0)
    with pytest.raises(ClusterUnavailable, match="No Dask scheduler"), opened(cluster) as workers:
        list(workers.each(double, [1]))


def test_a_cluster_without_workers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for them for ever."""
    monkeypatch.setattr(cluster_room, "WORKERS_S", 0.5)
    monkeypatch.setattr(cluster_room, "LOOK_S", 0.1)
    with (
        DaskCluster(tmp_path, workers=0) as cluster,
        opened(cluster) as workers,
        pytest.raises(ClusterUnavailable, match="no workers"),
    ):
        list(workers.each(double, [1]))


def test_tls_that_is_not_set_up_is_told() -> None:
    """No scheduler could be reached like that, so no other try is worth anything."""
    with pytest.raises(ClusterUnfit, match="TLS"), open_workers(load(cluster="tls://127.0.0.1:1")) as workers:
        list(workers.each(double, [1]))


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.7:8786", "tcp://scheduler:8786", "scheduler:8786", "http://x:1"]
)
def test_nothing_goes_unencrypted_over_a_network_unasked(address: str) -> None:
    """Beyond this machine a cluster is reached by TLS, or by the user's word that the network is theirs."""
    with pytest.raises(BadSettings):
        open_workers(load(cluster=address))


@pytest.mark.parametrize("address", ["tls://10.0.0.7:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786"])
def test_what_is_safe_is_let_be(address: str) -> None:
    """TLS anywhere, plain TCP on this machine, and on a network that the user calls their own."""
    open_workers(load(cluster=address))
    open_workers(load(cluster="tcp://scheduler:8786", cluster_unencrypted=True))
