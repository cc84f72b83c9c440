"""How long deciding takes: the first time, again after one setting moved, and as photos grow many.

    python benchmarks/decide.py --photos 5000
    python benchmarks/decide.py --growth 1000 10000 100000 1000000 --plot docs/growth.svg

Measurements are made up in the shape of real ones (`made_up.py`), and come in a stream into columns,
the pictures in a file, as a large project's do; `--records` holds them as records instead, as a small
one's. Each size runs in a process of its own, whose peak memory is that of everything: the photos'
names, the measurements, the work and the verdicts. Prints the tables that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.growth_plot import plotted
from benchmarks.made_up import made_up
from lora_builder import neighbours
from lora_builder.decide import decide, gather
from lora_builder.evidence import SAME_SCENE
from lora_builder.looks import Looks
from lora_builder.records import Look, Photo
from lora_builder.settings import load
from lora_builder.similarity import spectra
from tests.made import CALIBRATION

MOVES: Sequence[Mapping[str, float]] = (
    {"phash_threshold": 4},
    {"face_sim_th1": 0.8},
    {"keep_per_cluster": 1},
    {"min_brightness": 0.1},
    {"subject_sim_th": 0.6},
)
"""The settings that are moved, one at a time."""

ASKED = 1000
"""Photos whose nearest ones are looked for among all, to see what share of them the cells find."""


@dataclass(frozen=True)
class Took:
    """What one step took: seconds, and seconds of the processor."""

    wall: float
    work: float

    @classmethod
    def by(cls, step: Callable[[], object]) -> tuple[object, Took]:
        started, worked = time.perf_counter(), time.process_time()
        result = step()
        return result, cls(time.perf_counter() - started, time.process_time() - worked)


@dataclass(frozen=True)
class Run:
    """One size: what each step took, MiB at the peak, photos kept, share of neighbours found."""

    photos: int
    steps: dict[str, Took]
    peak: float
    pairs: int
    kept: int
    found: float

    @classmethod
    def loaded(cls, text: str) -> Run:
        facts = json.loads(text)
        steps = {name: Took(**took) for name, took in facts.pop("steps").items()}
        return cls(steps=steps, **facts)


def run(count: int, records: bool) -> Run:
    """Makes up, gathers, decides, and decides again after each move."""
    settings = load()
    few = list(made_up(100))
    decide([p for p, _ in few], {m.sha256: m for _, m in few}, settings, CALIBRATION)  # loads what it needs
    with tempfile.TemporaryDirectory(prefix="decide-") as folder:
        photos: list[Photo] = []
        looks: dict[str, Look] | Looks = {} if records else Looks(folder=Path(folder))
        for photo, look in made_up(count):
            photos.append(photo)
            looks[photo.sha256] = look
        steps: dict[str, Took] = {}
        evidence, steps["gather"] = Took.by(lambda: gather(photos, looks))
        verdicts, steps["decide"] = Took.by(
            lambda: decide(photos, looks, settings, CALIBRATION, evidence=evidence)  # type: ignore[arg-type]
        )
        kept = sum(verdict.kept for verdict in verdicts)  # type: ignore[attr-defined]
        del verdicts
        for change in MOVES:
            moved = load(**change)
            _, steps[next(iter(change))] = Took.by(
                lambda moved=moved: decide(photos, looks, moved, CALIBRATION, evidence=evidence)
            )
        pairs = len(evidence.figures.pairs)  # type: ignore[attr-defined]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = _found(looks) if isinstance(looks, Looks) and count > neighbours.EXACT else 1.0
    return Run(count, steps, peak, pairs, kept, found)


def _found(looks: Looks) -> float:
    """Of the nearest photos of `ASKED` ones, the share that the cells find."""
    vectors = spectra(looks.greys)
    pairs = neighbours.correlated(vectors, SAME_SCENE)
    numbers = pairs[:, 0] * len(vectors) + pairs[:, 1]
    most, hits, wanted = neighbours.MOST_ALIKE, 0, 0
    for some in np.array_split(np.linspace(0, len(vectors) - 1, ASKED).astype(np.intp), 20):
        alike = vectors[some] @ vectors.T
        alike[np.arange(len(some)), some] = -1
        least = -np.partition(-alike, most, axis=1)[:, most - 1 : most]
        left, right = np.nonzero((alike >= SAME_SCENE) & (alike >= least))
        left = some[left]
        near = np.minimum(left, right) * len(vectors) + np.maximum(left, right)
        hits, wanted = hits + int(np.isin(near, numbers).sum()), wanted + len(near)
    return hits / max(wanted, 1)


def sliders(result: Run) -> None:
    """One size, step by step."""
    print("| deciding | photos | seconds | of the processor |\n|---|---|---|---|")
    gather_, decide_ = result.steps["gather"], result.steps["decide"]
    wall, work = gather_.wall + decide_.wall, gather_.work + decide_.work
    first = f"the first time (of it {gather_.wall:.2f} s gathering)"
    print(f"| {first} | {result.photos} | {wall:.2f} | {work:.2f} |")
    for change in MOVES:
        name = next(iter(change))
        took = result.steps[name]
        print(f"| again, `{name}` moved | {result.photos} | {took.wall:.2f} | {took.work:.2f} |")
    print(f"| peak memory, measurements and all: {result.peak:.0f} MiB | {result.photos} | | |")


GROWTH = (
    "| photos | first time, seconds | of the processor | a slider, at most | pairs compared | peak MiB "
    "| bytes a photo | nearest found |\n|---|---|---|---|---|---|---|---|"
)


def growth(result: Run) -> str:
    """One size as a line of the table."""
    first = [result.steps["gather"], result.steps["decide"]]
    slider = max(result.steps[next(iter(change))].wall for change in MOVES)
    each = result.peak * 2**20 / result.photos
    return (
        f"| {result.photos:,} | {sum(t.wall for t in first):.1f} | {sum(t.work for t in first):.1f} "
        f"| {slider:.2f} | {result.pairs:,} | {result.peak:,.0f} | {each:,.0f} | {result.found:.2%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--growth", type=int, nargs="+", help="sizes to run one after the other")
    parser.add_argument("--plot", type=Path, help="where to draw them, an SVG")
    parser.add_argument("--records", action="store_true", help="hold measurements as records, in memory")
    parser.add_argument(
        "--known", type=Path, nargs="*", default=[], help="sizes run before: what --json printed"
    )
    parser.add_argument("--json", action="store_true", help="print one size for another program")
    args = parser.parse_args()
    if not args.growth:
        result = run(args.photos, args.records)
        if args.json:
            print(json.dumps(asdict(result)))
        else:
            sliders(result)
        return
    results = [Run.loaded(file.read_text()) for file in args.known]
    print("\n".join([GROWTH, *map(growth, results)]), flush=True)
    for count in args.growth:
        command = [sys.executable, __file__, "--photos", str(count), "--json"]
        command += ["--records"] if args.records else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
        results.append(Run.loaded(done))
        print(growth(results[-1]), flush=True)
    if args.plot:
        results.sort(key=lambda result: result.photos)
        args.plot.write_text(plotted(results), encoding="utf-8")


if __name__ == "__main__":
    main()
