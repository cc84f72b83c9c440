"""The queue of jobs on real servers: order, none lost or twice, how soon a job begins, how many claims.

A part of `scale.py`. Starts PostgreSQL and Redis on loopback, and workers in processes of their own
whose runs take a moment and do nothing else. Prints the tables that docs/scale.md quotes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lora_builder.bell import BrokerBell
from lora_builder.jobs import Jobs
from lora_builder.records import Event, Stage
from lora_builder.runner import LOOK_S, Runner
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from tests.servers import postgresql_programs, postgresql_server, redis

LEASE_S = 3.0
RUN_S = 0.3
JOBS, USERS, WORKERS, WORKER_KILLS = 100, 10, 4, 12


def work(url: str, broker: str, notes: Path) -> None:
    """A worker process: notes when it begins a run and when it has ended one."""

    def run(
        store: Store, project: Project, settings: Settings, *, stages: Collection[Stage], cancelled: Any
    ) -> Iterator[Event]:
        note(notes, f"begin {project.name}")
        yield Event(project.name, Stage.INGEST, 0, 1)
        time.sleep(RUN_S)
        yield Event(project.name, Stage.INGEST, 1, 1)
        note(notes, f"end {project.name}")

    settings = load()
    bell = BrokerBell(broker) if broker else None
    with Store(url) as store:
        runner = Runner(store, lambda _: settings, run, lease_s=LEASE_S)

        def wait() -> None:
            if bell is not None:
                bell.wait(LEASE_S)
            else:
                time.sleep(LOOK_S)

        runner.work(wait)


def note(notes: Path, text: str) -> None:
    with notes.open("a") as stream:
        stream.write(f"{time.time():.4f} {text} {os.getpid()}\n")


def noted(notes: Path) -> list[tuple[float, str, str, int]]:
    """When what happened to which project in which process."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [(float(at), kind, name, int(pid)) for at, kind, name, pid in (line.split(" ") for line in lines)]


def started(url: str, broker: str, notes: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, url, broker, str(notes)])


def crowd(url: str, broker: str, place: Path, kills: int) -> None:
    """Jobs of many users, asked for at once, done by several workers, some of which are killed."""
    notes, chance = place / f"notes-{kills}", random.Random(1)
    with Store(url) as store:
        jobs = Jobs(store, lambda _: load(), nothing, here=False, bell=BrokerBell(broker))
        names = []
        for number in range(JOBS):
            name, priority = f"{kills}-user{number % USERS}-{number}", chance.randrange(3)
            project = store.project(place / name, name, place, f"user{number % USERS}")
            jobs.start(project, priority=priority)
            names.append((priority, number, name))
        workers = [started(url, broker, notes) for _ in range(WORKERS)]
        killed: dict[int, float] = {}
        try:
            while store.queue.unfinished():
                time.sleep(0.25)
                # Only one that has a job in hand: whoever waits loses nothing.
                busy = {int(job.worker.split(":")[1]) for job in store.queue.running()}
                victims = [number for number, worker in enumerate(workers) if worker.pid in busy]
                if len(killed) < kills and victims:
                    victim = chance.choice(victims)
                    workers[victim].kill()
                    workers[victim].wait()
                    killed[workers[victim].pid] = time.time()
                    workers[victim] = started(url, broker, notes)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        states = Counter(job.state for _, _, name in names if (job := _job(store, place / name, name, place)))
    seen = noted(notes)
    ended = {name for _, kind, name, _ in seen if kind == "end"}
    runs: dict[str, list[tuple[float, int]]] = {}
    for at, kind, name, pid in seen:
        if kind == "begin":
            runs.setdefault(name, []).append((at, pid))
    # A job may run again only where the one who had it was killed before.
    pairs = [pair for one in runs.values() for pair in itertools.pairwise(one)]
    doubled = sum(killed.get(pid, at + 1) > at for (_, pid), (at, _) in pairs)
    order = {name: rank for rank, (_, _, name) in enumerate(sorted(names, key=lambda n: (-n[0], n[1])))}
    first = list(runs)
    passed = max(abs(order[name] - rank) for rank, name in enumerate(first))
    print(
        f"| {JOBS} jobs, {USERS} users, {WORKERS} workers | {len(killed)} "
        f"| {states['done']} "
        f"| {JOBS - len(ended)} | {len(pairs) - doubled} | {doubled} | {passed} |"
    )


def _job(store: Store, folder: Path, name: str, input: Path) -> Any:
    return store.queue.latest(store.project(folder, name, input).id)


def nothing(*_: Any, **__: Any) -> Iterator[Event]:
    return iter(())


def promptness(url: str, broker: str, place: Path, times: int = 10) -> None:
    """From asking to the beginning of the run, with a worker that is idle."""
    for label, address in (("rung by Redis", broker), ("looking every 2 s", "")):
        notes = place / f"prompt-{bool(address)}"
        worker = started(url, address, notes)
        waited = []
        with Store(url) as store:
            bell = BrokerBell(address) if address else None
            jobs = Jobs(store, lambda _: load(), nothing, here=False, bell=bell)
            for number in range(times + 1):
                name = f"prompt{bool(address)}{number}"
                asked = time.time()
                jobs.start(store.project(place / name, name, place))
                while not any(kind == "end" and who == name for _, kind, who, _ in noted(notes)):
                    time.sleep(0.01)
                began = next(at for at, kind, who, _ in noted(notes) if kind == "begin" and who == name)
                if number:  # the first one waits for the worker to start
                    waited.append(began - asked)
                time.sleep(random.Random(number).random())
        worker.kill()
        worker.wait()
        waited.sort()
        print(f"| {label} | {1000 * waited[len(waited) // 2]:.0f} | {1000 * waited[-1]:.0f} |")


def claims(url: str, label: str, rows: int = 100, hands: int = 4) -> None:
    """What taking a job and ending it costs its worker, while several do."""
    with Store(url) as store:
        for number in range(rows):
            store.queue.ask(f"claim{number}", (Stage.INGEST,))
        plain = {"version": 1, "stages": [], "photo": "", "rate": None, "seconds_left": None, "message": ""}

        def take(name: str) -> None:
            while (job := store.queue.take(name, LEASE_S)) or store.queue.waiting():
                if job is not None:
                    store.queue.finish(job.id, name, "done", plain)

        team = [threading.Thread(target=take, args=(f"hand{n}",)) for n in range(hands)]
        began, wall = time.process_time(), time.monotonic()
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        busy, passed = time.process_time() - began, time.monotonic() - wall
        print(f"| {label} | {1000 * busy / rows:.1f} | {rows / passed:.0f} |")


def run(arguments: argparse.Namespace) -> None:
    programs = postgresql_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed.")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with postgresql_server(programs) as database, redis(place / "redis") as broker:
            url = f"{database.url}/postgres"
            print("| a crowd | killed | done | lost | taken up after a kill | run twice | most places off |")
            print("|---|---|---|---|---|---|---|")
            for kills in (0, WORKER_KILLS):
                crowd(url, broker.url, place, kills)
            print("\n| an idle worker, ms until a job begins | median | worst |\n|---|---|---|")
            promptness(url, broker.url, place)
            print("\n| a job taken and ended, 4 at once | ms of the processor | a second |\n|---|---|---|")
            claims(url, "PostgreSQL")
            claims(f"sqlite:///{place / 'lora.db'}", "SQLite")


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
