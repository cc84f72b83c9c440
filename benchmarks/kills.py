"""Kills a run at random moments of every stage, runs it again, and compares every byte.

    python benchmarks/kills.py --kills 200
    python benchmarks/kills.py --steps

A kill is SIGKILL to the run's process. After it, whatever lies in the project's folder must be whole:
each file is the one of the run before or of the run to come. What the Hub (a server on loopback) shows
is the dataset of the push before or of the push to come, and private. The next run must end with the
very bytes of a run that nobody disturbed, in the folder, in the database and on the Hub, with no
process, lock or temporary file left over. `--steps` kills before each single step on the disk that a
run's process takes (open for writing, rename, remove, make a folder), one after the other, so that no
window is too small to be hit. Prints a table; exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.export import hub_server

if TYPE_CHECKING:
    from lora_builder.settings import Settings
    from lora_builder.store import Project, Store

START, PUSH, END = "start", "push", "end"
"""Moments before the first event of a run, of the push, and after the last, beside the stages."""

REPOSITORY = "ann/portraits"

ROOT = Path(__file__).resolve().parents[1]

PUSH_SHARE = 0.5
"""Of the kills of a run that is pushed, so many more fall into the push."""

PLACES = ("out", "data", "hub", "tmp")
"""Folders that a run may change."""

GONE_S = 10.0
"""Workers of a killed run must be gone after this long, seconds."""


@dataclass(frozen=True)
class Scenario:
    """A run to kill: what lies there before it (None: nothing), its settings, whether it is pushed."""

    name: str
    before: dict[str, object] | None
    settings: dict[str, object]
    pushed: bool = False


FIRST: dict[str, object] = {"resolution": 512, "trigger": "ohwx", "body_model": "none", "workers": 1}
SCENARIOS = (
    Scenario("first run", None, FIRST),
    Scenario("run again with another size", FIRST, FIRST | {"resolution": 448, "trigger": "sks"}),
    Scenario("run again with masks, more crops and trainers' layouts", FIRST, FIRST | {
        "mask": "subject", "extra_crops": ("face",), "layouts": ("kohya", "imagefolder"),
    }),
    Scenario("run and push again with another size", FIRST, FIRST | {"resolution": 448}, pushed=True),
)  # fmt: skip


@dataclass
class Bench:
    """A folder of photos, and one place for output and data that every run uses."""

    root: Path
    scenario: Scenario
    expected: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    moments: dict[str, float] = field(default_factory=dict)
    server: Hub | None = None

    @property
    def output(self) -> Path:
        return self.root / "out" / "Eileen"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def prepare(self) -> None:
        """The undisturbed results, and how long each stage takes."""
        self.reset()
        if self.scenario.before is not None:
            self._finish(self.scenario.before)
            self.before = digests(self.output) | self.shown()
            for name in PLACES:
                shutil.copytree(self.root / name, self.root / f"kept-{name}", dirs_exist_ok=True)
        begun, last = time.monotonic(), START
        reader, pid = self.start(self.scenario.settings)
        for stage in reader:
            if stage != last:
                self.moments[last] = time.monotonic() - begun
                begun, last = time.monotonic(), stage
        self.moments[last] = time.monotonic() - begun
        assert ended(pid) == 0, (self.root / "log.txt").read_text()
        self.expected = digests(self.output) | database(self.data) | self.shown()

    def close(self) -> None:
        """Ends the Hub."""
        if self.server is not None:
            self.server.close()

    def shown(self) -> dict[str, str]:
        """What the Hub shows of the dataset; nothing where nothing was pushed yet."""
        return self.server.shown() if self.server is not None else {}

    def reset(self) -> None:
        """Puts back what lies there before the run."""
        self.close()
        for name in PLACES:
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (self.root / f"kept-{name}").exists():
                shutil.copytree(self.root / f"kept-{name}", self.root / name)
            (self.root / name).mkdir(exist_ok=True)
        if self.scenario.pushed:
            self.server = Hub(self.root / "hub")

    def kill(self, moment: str, share: float) -> str:
        """What went wrong after a kill `share` of the way through a moment; empty: nothing."""
        self.reset()
        reader, pid = self.start(self.scenario.settings)
        if moment != START:
            for stage in reader:
                if stage == moment:
                    break
        time.sleep(share * self.moments[moment])
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        reader.close()
        return self._torn() or self._orphans(pid) or self._resumed()

    def kill_before(self, step: int) -> str | None:
        """What went wrong after a kill before a step on the disk; None: the run has fewer steps."""
        self.reset()
        reader, pid = self.start(self.scenario.settings, step)
        for _ in reader:
            pass
        reader.close()
        if ended(pid) == 0:
            return None
        return self._torn() or self._orphans(pid) or self._resumed()

    def _resumed(self) -> str:
        reader, pid = self.start(self.scenario.settings)
        for _ in reader:
            pass
        if ended(pid) != 0:
            return "the next run failed: " + (self.root / "log.txt").read_text()[-2000:]
        found = digests(self.output) | database(self.data) | self.shown()
        different = sorted(
            name for name in found | self.expected if found.get(name) != self.expected.get(name)
        )
        if different:
            return f"differs: {', '.join(different)}"
        litter = [p for p in self.root.rglob("*") if p.is_file() and p.suffix in (".tmp", ".jpg_")]
        litter += [p for place in (self.data / "scratch", self.root / "tmp") for p in place.rglob("*")]
        return f"left over: {', '.join(map(str, litter))}" if litter else ""

    def _torn(self) -> str:
        """Whatever is to be seen now must be whole: of the run before, or of the run to come."""
        for name, digest in digests(self.output).items():
            part = name.replace(".old/", "/")
            if ".new/" in name:
                continue  # unfinished by its name
            if digest not in (self.before.get(part), self.expected.get(part)):
                return f"torn: {name}"
        if self.shown() and self.shown() not in (only_hub(self.before), only_hub(self.expected)):
            return f"torn on the Hub: {self.shown()}"
        package = self.output / "train_package.zip"
        if package.exists() and zipfile.ZipFile(package).testzip() is not None:
            return "torn: train_package.zip"
        return ""

    def _orphans(self, session: int) -> str:
        deadline = time.monotonic() + GONE_S
        while living := in_session(session):
            if time.monotonic() > deadline:
                return f"processes live on: {living}"
            time.sleep(0.05)
        return ""

    def _finish(self, settings: dict[str, object]) -> None:
        reader, pid = self.start(settings)
        for _ in reader:
            pass
        assert ended(pid) == 0, (self.root / "log.txt").read_text()

    def start(self, settings: dict[str, object], die_at: int = 0) -> tuple[Events, int]:
        """A run in a process of its own that tells its stages; forked, so that it need not import."""
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            return Events(read), pid
        os.setsid()
        tempfile.tempdir = str(self.root / "tmp")
        log = os.open(self.root / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 1
        if die_at:
            sys.addaudithook(Executioner(die_at))
        try:
            atexit._clear()  # what the parent does at its end is none of its children's business
            run(self, settings, write)
            atexit._run_exitfuncs()  # a fork has to ask for what other processes do at their end
            code = 0
        except BaseException:  # noqa: BLE001  (whatever it was, it belongs into the log)
            import traceback

            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


class Executioner:
    """An audit hook that kills its process before the step on the disk of that number, from 1."""

    STEPS = frozenset(("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"))

    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = any(letter in mode for letter in "wxa+") if isinstance(mode, str) else False
            writes = writes or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)))
        else:
            writes = event in self.STEPS
        if writes:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Events:
    """The names of the stages that a run reports, one an event."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor)

    def __iter__(self) -> Iterator[str]:
        return (line.strip() for line in iter(self._file.readline, ""))

    def close(self) -> None:
        self._file.close()


def run(bench: Bench, settings: dict[str, object], write: int) -> None:
    """What the command line does for one project."""
    from lora_builder import pipeline
    from lora_builder.settings import load
    from lora_builder.store import Store

    chosen = load(data_dir=bench.data, **settings)
    with Store(chosen.database) as store:
        project = store.project(bench.output, "Eileen", bench.root / "photos")
        for event in pipeline.run(store, project, chosen):
            os.write(write, f"{event.stage.value}\n".encode())
        if bench.server is not None:
            push(bench.server, store, project, chosen, lambda *_: os.write(write, f"{PUSH}\n".encode()))
        os.write(write, f"{END}\n".encode())


def push(
    server: Hub, store: Store, project: Project, settings: Settings, progress: Callable[..., object]
) -> None:
    """What `push` does."""
    from lora_builder.export import hub
    from lora_builder.export.packages import read_project

    progress()
    hub.push(
        read_project(project.folder),
        store.decisions(project.id),
        settings,
        REPOSITORY,
        hub_server.TOKEN,
        progress=progress,
        endpoint=server.address,
    )


class Hub:
    """The tests' Hub in a process of its own; `folder/state.json` is what it knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, "-S", "-m", "tests.export.hub_server", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        assert self._process.stdout is not None
        self.address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def shown(self) -> dict[str, str]:
        """The files of the repository by name, and whether it is private."""
        path = self._folder / "state.json"
        repository = json.loads(path.read_text())["repos"].get(REPOSITORY) if path.exists() else None
        if repository is None or not repository["files"]:
            return {}
        files = {f"hub {name}": content for name, content in repository["files"].items()}
        return files | {"hub private": str(repository["private"])}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def only_hub(found: dict[str, str]) -> dict[str, str]:
    """Of all that is known of a run, what the Hub shows."""
    return {name: digest for name, digest in found.items() if name.startswith("hub ")}


def ended(pid: int) -> int:
    """The exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_session(session: int) -> list[int]:
    """Living processes that belong to a run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a project's folder that is meant for the user."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def database(data: Path) -> dict[str, str]:
    """What the database knows, without what is random or the clock's."""
    import sqlite3

    known = {}
    with sqlite3.connect(data / "lora.db") as connection:
        for table, columns, order in (
            ("photos", "source, sha256, bytes, problem", "source"),
            ("decisions", "source, line", "source"),
            ("measurements", "sha256, recipe, facts, arrays", "sha256, recipe"),
        ):
            rows = connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()
            known[f"table {table}"] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return known


def make_photos(folder: Path) -> None:
    """A portrait, its copies, a ZIP, a picture of nobody, a broken file: every path of the pipeline."""
    from PIL import Image
    from skimage.data import astronaut, coffee

    folder.mkdir(parents=True)
    portrait = Image.fromarray(astronaut())
    portrait.resize((700, 700)).save(folder / "portrait.png")
    portrait.resize((600, 600)).save(folder / "smaller.jpg", quality=80)
    portrait.crop((100, 0, 420, 320)).resize((640, 640)).save(folder / "near.jpg")
    Image.fromarray(coffee()).save(folder / "coffee.jpg")
    (folder / "broken.jpg").write_bytes((folder / "smaller.jpg").read_bytes()[:9000])
    with zipfile.ZipFile(folder / "more.zip", "w", zipfile.ZIP_DEFLATED) as package:
        package.write(folder / "near.jpg", "inside/near again.jpg")
        portrait.crop((60, 0, 460, 400)).resize((800, 800)).save(folder / "turned.webp")
        package.write(folder / "turned.webp", "inside/wide.webp")
    (folder / "turned.webp").unlink()


def measure(kills: int, seed: int, show: bool = True) -> list[str]:
    """Kills so many runs; what went wrong, one line a fault."""
    import huggingface_hub  # noqa: F401

    from lora_builder import pipeline  # noqa: F401  (imported once; runs are forked from here)
    from lora_builder.export import hub  # noqa: F401

    choose = random.Random(seed)
    faults: list[str] = []
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        benches = []
        for number, scenario in enumerate(SCENARIOS):
            bench = Bench(Path(place) / str(number), scenario)
            make_photos(bench.root / "photos")
            bench.prepare()
            benches.append(bench)
        for count in range(kills):
            bench = benches[count % len(benches)]
            moment = choose.choice(sorted(bench.moments))
            if PUSH in bench.moments and choose.random() < PUSH_SHARE:
                moment = PUSH
            fault = bench.kill(moment, choose.random())
            done[moment] += 1
            if fault:
                faults.append(f"{bench.scenario.name}, killed in {moment}: {fault}")
                print(faults[-1], file=sys.stderr, flush=True)
            elif show and sys.stderr.isatty():
                print(f"\r{count + 1}/{kills}", end="", file=sys.stderr, flush=True)
        for bench in benches:
            bench.close()
    if show:
        print("\n| killed in | times |\n|---|---|")
        for moment, times in sorted(done.items()):
            print(f"| {moment} | {times} |")
        print(f"\n{kills} kills, {kills - len(faults)} identical results")
    return faults


def measure_steps() -> list[str]:
    """Kills a run before each of its steps on the disk; what went wrong, one line a fault."""
    from lora_builder import pipeline  # noqa: F401

    faults: list[str] = []
    print("| run | steps on the disk | identical results |\n|---|---|---|")
    for scenario in SCENARIOS[1:]:
        with tempfile.TemporaryDirectory(prefix="kills-") as place:
            bench = Bench(Path(place), scenario)
            make_photos(bench.root / "photos")
            bench.prepare()
            step, wrong = 1, 0
            while (fault := bench.kill_before(step)) is not None:
                if fault:
                    wrong += 1
                    faults.append(f"{scenario.name}, killed before step {step}: {fault}")
                    print(faults[-1], file=sys.stderr, flush=True)
                step += 1
            bench.close()
            print(f"| {scenario.name} | {step - 1} | {step - 1 - wrong} |", flush=True)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", action="store_true", help="before each step on the disk, not at random")
    parser.add_argument("--json", action="store_true", help="print the faults as JSON")
    arguments = parser.parse_args()
    if arguments.steps:
        sys.exit(1 if measure_steps() else 0)
    faults = measure(arguments.kills, arguments.seed, show=not arguments.json)
    if arguments.json:
        print(json.dumps(faults, indent=2))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
