"""Dask workers that have a photo in hand are killed every half second, and others come."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import far_tasks

from lora_builder.settings import load
from lora_builder.workers import open_workers
from tests.far_servers import DaskCluster

PHOTOS, EVERY_S = 400, 0.5


def kill(cluster: DaskCluster, marks: Path, kills: int, over: threading.Event, killed: list[int]) -> None:
    """Kills the Dask worker whose photo began last, so many times, and starts another for it."""
    while len(killed) < kills and not over.wait(EVERY_S):
        begun = (marks / "begun").read_text().splitlines() if (marks / "begun").exists() else []
        owners = {int(line.split()[1]) for line in begun[-2:]}
        victim = next((worker for worker in cluster.workers if worker.pid in owners), None)
        if victim is None:
            continue
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        cluster.workers.remove(victim)
        killed.append(victim.pid)
        cluster.workers.append(cluster.worker())


def run(arguments: argparse.Namespace) -> None:
    lost, doubled, again, begun, killed, took = measure(arguments.kills, PHOTOS)
    print("| photos | workers killed | lost | doubled | finished again | begun again | seconds |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {PHOTOS} | {killed} | {lost} | {doubled} | {again} = {again / PHOTOS:.1%} | "
        f"{begun} = {begun / PHOTOS:.1%} | {took:.0f} |",
        flush=True,
    )


def measure(kills: int, photos: int) -> tuple[int, int, int, int, int, float]:
    """Photos lost, doubled, finished again, begun again; workers killed; seconds."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        environment = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"}
        with DaskCluster(place, 3, environment) as cluster:
            over, killed = threading.Event(), list[int]()
            killer = threading.Thread(target=kill, args=(cluster, place, kills, over, killed))
            results: Counter[int] = Counter()
            began = time.monotonic()
            with open_workers(load(data_dir=place / "data", cluster=cluster.address)) as workers:
                killer.start()
                for number, result in workers.each(partial(far_tasks.noted, marks=place), range(photos)):
                    results[number] += result == number
            took = time.monotonic() - began
            over.set()
            killer.join()
        ended = Counter((place / "ended").read_text().split())
        begun = Counter(line.split()[0] for line in (place / "begun").read_text().splitlines())
    return (
        photos - sum(count > 0 for count in results.values()),
        sum(count > 1 for count in results.values()),
        sum(ended.values()) - len(ended),
        sum(begun.values()) - len(begun),
        len(killed),
        took,
    )
