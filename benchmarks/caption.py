"""The caption stage against a server on loopback: throughput, faults, kills; and the answer detector.

    python benchmarks/caption.py [--kills 50] [--only throughput|faults|kills|detector|tokens]

Prints the tables of docs/captions.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lora_builder.caption.asking import CaptionTask
from lora_builder.caption.checks import judge
from lora_builder.caption.records import CaptionEntry, CaptionState, Outcome
from lora_builder.caption.stage import caption_all
from lora_builder.caption.tokens import count
from lora_builder.settings import Settings, load
from lora_builder.store import Store
from tests.caption.conftest import Unruly, make_tasks, start

PARALLEL = 8


@contextmanager
def world(pictures: int) -> Iterator[tuple[Unruly, list[CaptionTask], Path]]:
    """A server, so many small training images, and a folder for the database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        process, server = start(folder)
        try:
            yield server, make_tasks(folder / "pictures", pictures), folder
        finally:
            process.kill()
            process.wait()


def settings_for(server: Unruly, folder: Path, **more: object) -> Settings:
    plain: dict[str, object] = {
        "data_dir": folder,
        "base_url": server.url,
        "tag_model": "alpha",
        "trigger": "ohwx",
        "caption_parallel": PARALLEL,
    }
    return load(**plain | more)


def run(folder: Path, tasks: list[CaptionTask], settings: Settings) -> list[CaptionEntry]:
    with Store(f"sqlite:///{folder / 'lora.db'}") as store:
        return [e for e in caption_all(store, "p", tasks, settings) if isinstance(e, CaptionEntry)]


def bare(server: Unruly, requests: int) -> None:
    """The plainest client: as many threads as slots, nothing encoded, checked or saved."""
    waiting = iter(range(requests))
    question = {"model": "alpha", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}}]}]}  # fmt: skip
    body = json.dumps(question)

    def labour() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        while next(waiting, None) is not None:
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=labour) for _ in range(PARALLEL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def throughput(pictures: int = 240, latency: float = 0.5) -> bool:
    """Captions a second with slow answers and a limit on requests at once."""
    with world(pictures) as (server, tasks, folder), Store(f"sqlite:///{folder / 'lora.db'}") as store:
        server.behave(latency=latency, limit=PARALLEL)
        plainest, plain_cpu = timed(lambda: bare(server, pictures))
        server.behave(latency=latency, limit=PARALLEL)
        settings = settings_for(server, folder)
        took, cpu = timed(lambda: list(caption_all(store, "p", tasks, settings)))
        ideal = math.ceil(pictures / PARALLEL) * latency
        over = sum(line["how"] == "429" for line in server.log)
        print(
            f"throughput: {pictures} pictures, {latency} s latency, {PARALLEL} at once: {took:.2f} s, ideal"
            f" {ideal:.2f} s ({ideal / took:.1%} of it); a bare loop took {plainest:.2f} s"
            f" ({ideal / plainest:.1%}); processor time a request {1000 * cpu / pictures:.1f} ms (bare"
            f" {1000 * plain_cpu / pictures:.1f} ms); {over} requests over the limit; load"
            f" {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        return took <= ideal / 0.9 and over == 0


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the wall, and of this process's processor time."""
    began, cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - began, time.process_time() - cpu


def faults(pictures: int = 300, share: float = 0.3) -> bool:
    """A third of all requests goes wrong: nobody is lost, nobody is paid for twice."""
    with world(pictures) as (server, tasks, folder):
        server.behave(faults=share, seed=7, latency=0.02)
        began = time.monotonic()
        entries = run(folder, tasks, settings_for(server, folder))
        log = server.log
        states = Counter(entry.state for entry in entries)
        reasons = all(entry.reason for entry in entries if entry.state is CaptionState.FAILED)
        good = Counter(line["picture"] for line in log if line["how"] == "good")
        twice = sum(count > 1 for count in good.values())
        wrong = sum(line["how"] != "good" for line in log)
        print(
            f"faults: {pictures} pictures, {len(log)} requests, {wrong} went wrong:"
            f" {states[CaptionState.WRITTEN]} captioned, {states[CaptionState.FAILED]} failed with a"
            f" reason, {pictures - len(entries)} lost, {twice} paid twice, {time.monotonic() - began:.1f} s"
        )
        return len(entries) == pictures and not twice and reasons


def _child(folder: Path, tasks: list[CaptionTask], settings: Settings) -> None:
    os.setsid()
    run(folder, tasks, settings)
    os._exit(0)


def kills(times: int = 50, pictures: int = 0) -> bool:
    """SIGKILL at random moments, then one run to the end."""
    chance = random.Random(11)
    pictures = pictures or 24 * times
    with world(pictures) as (server, tasks, folder):
        server.behave(latency=0.3)
        settings = settings_for(server, folder)
        fork = multiprocessing.get_context("fork")
        done = 0
        while done < times:
            child = fork.Process(target=_child, args=(folder, tasks, settings))
            child.start()
            seen = server.log_file.stat().st_size
            while child.is_alive() and server.log_file.stat().st_size == seen:
                time.sleep(0.01)  # before its first request there is nothing to lose
            child.join(chance.uniform(0.0, 1.2))
            if not child.is_alive():
                break  # all are captioned: there is nothing to kill any more
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            done += 1
        last = fork.Process(target=_child, args=(folder, tasks, settings))
        last.start()
        last.join()
        with Store(f"sqlite:///{folder / 'lora.db'}") as store:
            written = store.captions.all("p")
            rows = store.ledger.rows("p", 10**6)
        paid = Counter(row.item for row in rows if row.outcome is Outcome.OK)
        cut = Counter(row.item for row in rows if row.outcome is Outcome.SENT)
        log = server.log
        lost = pictures - sum(entry.state is CaptionState.WRITTEN for entry in written.values())
        twice = sum(count > 1 for count in paid.values())
        # Every request that the server saw is in the ledger; every repeated one was on its way at a kill.
        unknown = max(0, len(log) - len(rows))
        resent = len(log) - pictures
        print(
            f"kills: {done} SIGKILLs over {pictures} pictures, {len(log)} requests: {lost} lost,"
            f" {twice} saved answers paid for again, {unknown} requests not in the ledger; {resent} sent"
            f" again because they were on their way at a kill ({sum(cut.values())} open in the ledger)"
        )
        return lost == 0 and twice == 0 and unknown == 0 and resent <= sum(cut.values()) and done == times


def detector() -> bool:
    """The committed answers: bad ones caught, good ones stopped."""
    rows = [
        json.loads(line) for line in (ROOT / "tests/caption/answers.jsonl").read_text("utf-8").splitlines()
    ]
    fine = True
    print("| part | bad answers | caught | good answers | stopped |\n|---|---|---|---|---|")
    for part in dict.fromkeys(row["part"] for row in rows):
        found = {True: [0, 0], False: [0, 0]}
        for row in rows:
            if row["part"] == part:
                found[row["good"]][0] += 1
                found[row["good"]][1] += not judge(row["text"], row["finish"], row["language"]).good
        (good, stopped), (bad, caught) = found[True], found[False]
        print(
            f"| {part} | {bad} | {caught} ({caught / bad:.1%}) | {good} | {stopped} ({stopped / good:.1%}) |"
        )
        fine &= caught >= 0.99 * bad and stopped <= 0.01 * good
    return fine


def tokens() -> bool:
    """Our estimate of Qwen's tokens beside its own vocabulary, where `quicktok-v1` is installed."""
    try:
        import quicktok
    except ImportError:
        print("tokens: not compared; pip install quicktok-v1")
        return True
    encode = quicktok.get_encoding("qwen3").encode_ordinary
    texts = [
        row["text"]
        for row in map(json.loads, (ROOT / "tests/caption/answers.jsonl").read_text("utf-8").splitlines())
        if row["good"]
    ]
    ratios = [count(text, "qwen").tokens / len(encode(text)) for text in texts]
    print(
        f"tokens: {len(texts)} answers, Qwen estimated {min(ratios):.2f} to {max(ratios):.2f} times the truth"
    )
    return min(ratios) >= 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", choices=("throughput", "faults", "kills", "detector", "tokens"))
    arguments = parser.parse_args()
    parts = {
        "throughput": throughput,
        "faults": faults,
        "kills": lambda: kills(arguments.kills),
        "detector": detector,
        "tokens": tokens,
    }
    import openai  # noqa: F401  its import is nobody's throughput

    good = [part() for name, part in parts.items() if arguments.only in (None, name)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
