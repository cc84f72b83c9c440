"""What the cluster costs a photo, against processes of this machine; what a second worker brings."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import far_tasks
import numpy as np
import psutil
from memory import made_photos

from lora_builder import measure
from lora_builder.ingest import identify, list_sources
from lora_builder.models import loading
from lora_builder.records import Photo
from lora_builder.settings import Settings, load
from lora_builder.workers import Processes, Workers, open_workers
from tests.far_servers import DaskCluster

ROUNDS = 3
"""Alternating rounds; the median counts."""


def seconds(
    workers: Workers, function: Callable[[Any], Any], items: Sequence[Any], warm_up: Any = None
) -> float:
    """How long the items take."""
    began = time.perf_counter()
    for _ in workers.each(function, items, warm_up):
        pass
    return time.perf_counter() - began


def compare(
    name: str, cluster: DaskCluster, two: Workers, far: Workers, function: Any, items: Sequence[Any],
    load: Any = None,
) -> None:  # fmt: skip
    """A line: milliseconds a photo here and there, alternating so that both see the same machine, and what
    the cluster's own parts took of the processor, which is no part of what a photo needs."""
    parts = [[cluster.scheduler.pid], [worker.pid for worker in cluster.workers], [os.getpid()]]
    here, there, spent = [], [], np.zeros(len(parts))
    for workers in (two, far):
        seconds(workers, function, items[:8], load)
    for _ in range(ROUNDS):
        here.append(seconds(two, function, items, load))
        spent -= processor_s(parts)
        there.append(seconds(far, function, items, load))
        spent += processor_s(parts)
    near, away = (1000 * statistics.median(rounds) / len(items) for rounds in (here, there))
    own = " | ".join(f"{1000 * part / ROUNDS / len(items):.2f}" for part in spent)
    print(f"| {name} | {len(items)} | {near:.2f} | {away:.2f} | {away - near:.2f} | {own} |", flush=True)


def processor_s(parts: Sequence[Sequence[int]]) -> np.ndarray:
    """What the processes of each part have taken of the processor, without their children, seconds."""
    return np.array([sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids) for pids in parts])


def photos_of(arguments: argparse.Namespace, place: Path) -> list[Photo]:
    """Real photos, or made ones."""
    folder = arguments.photos
    if folder is None:
        folder = place / "photos"
        folder.mkdir()
        made_photos(folder, arguments.most)
    settings = load(data_dir=place / "data")
    sources = [source for source in list_sources(folder, settings).sources if source.member is None]
    chosen = sources[:: max(1, len(sources) // arguments.most)][: arguments.most]
    found = (identify(source, settings) for source in chosen)
    return [photo for photo in found if isinstance(photo, Photo)]


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        photos = photos_of(arguments, place)
        environment = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"}
        with DaskCluster(place, 2, environment) as cluster:
            settings = load(data_dir=place / "data", cluster=cluster.address, photo_timeout_s=120)
            print("| work | photos | two processes, ms | two Dask workers, ms | more", end="")
            print(
                " | of the processor: scheduler | workers | coordinator |\n|---|---|---|---|---|---|---|---|"
            )
            with Processes(2, 120) as here, open_workers(settings) as there:
                compare("a made-up measurement", cluster, here, there, far_tasks.simulated, range(3000))
                compare("0.1 s of waiting", cluster, here, there, far_tasks.pause, range(100))
                work = partial(measure.measure, settings=settings.without_secrets)
                compare("measuring", cluster, here, there, work, photos, loading(settings))
            print(
                "\n| work, a core each | one Dask worker, ms | two, ms | times as fast |\n|---|---|---|---|"
            )
            kinds = {
                "0.1 s of waiting": (far_tasks.pause, range(100)),
                "measuring in earnest": (work, photos),
            }
            for core, worker in enumerate(cluster.workers):
                hold(worker.pid, core)
            both = each_kind(settings, kinds)
            cluster.workers.pop().kill()
            time.sleep(1)
            alone = each_kind(settings, kinds)
            for label, two in both.items():
                one = alone[label]
                print(f"| {label} | {one:.1f} | {two:.1f} | {one / two:.2f} |", flush=True)


def hold(worker: int, core: int) -> None:
    """Keeps a worker and its processes on one core, as on a machine of its own: one worker by itself would
    else use a part of the other core too, for a model starts threads."""
    for process in (psutil.Process(worker), *psutil.Process(worker).children(recursive=True)):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {core})


def each_kind(settings: Settings, kinds: Mapping[str, tuple[Any, Sequence[Any]]]) -> dict[str, float]:
    """Milliseconds a photo of each kind of work on the cluster as it is."""
    load = loading(settings)
    with open_workers(settings) as there:
        return {
            label: statistics.median(
                1000 * seconds(there, function, items, load) / len(items) for _ in range(ROUNDS)
            )
            for label, (function, items) in kinds.items()
        }
