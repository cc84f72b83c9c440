"""How fast a folder of photos becomes a dataset, and how far that is from the floor.

    python benchmarks/speed.py --photos FOLDER [--most 120]

The floor is what nobody can avoid: decoding each photo at analysis size and calling each model, in
one process, on the same photos. Ratios of one run mean something on a noisy machine; seconds do not,
and where other programs run too, only the ratios of CPU time do.
Prints the table that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lora_builder.decode import read_photo
from lora_builder.errors import UnreadablePhoto
from lora_builder.ingest import list_sources
from lora_builder.measure import MESH_FACE_SIDE, MESH_FACES, MOST_FACES, body_regions
from lora_builder.models import load_body_model, load_face_model, warm_up
from lora_builder.records import Box, Stage
from lora_builder.settings import Settings, load


def floor(paths: list[Path], settings: Settings) -> dict[str, float]:
    """Seconds of bare decoding and of bare model calls, summed over the photos."""
    seconds = {"decode": 0.0, "find faces": 0.0, "embed": 0.0, "mesh": 0.0, "body": 0.0}
    faces, bodies = load_face_model(settings), load_body_model(settings)

    def timed(name, function, *arguments):  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        result = function(*arguments)
        seconds[name] += time.perf_counter() - started
        return result

    for path in paths:
        try:
            decoded = timed("decode", read_photo, path, settings.analysis_max_side, settings)
        except UnreadablePhoto:
            continue
        found = sorted(timed("find faces", faces.find, decoded.pixels), key=lambda f: -f.box.area)[
            :MOST_FACES
        ]
        for face in found:
            timed("embed", faces.embed, decoded.pixels, face.landmarks)
        for face in found[:MESH_FACES]:
            if min(face.box.width, face.box.height) >= MESH_FACE_SIDE:
                timed("mesh", bodies.mesh, decoded.pixels, face.box)
        height, width = decoded.pixels.shape[:2]
        for region in body_regions([face.box for face in found], width, height) or [Box(0, 0, width, height)]:
            timed("body", bodies.body, decoded.pixels, region)
    return seconds


def whole_run(folder: Path, workers: int) -> tuple[float, float, dict[Stage, float]]:
    """A first run in a fresh process: seconds, CPU seconds with start-up, and seconds of each stage."""
    script = f"""
import sys, time, tempfile
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
if __name__ == "__main__":
    from lora_builder import pipeline
    from lora_builder.settings import load
    from lora_builder.store import Store
    with tempfile.TemporaryDirectory() as place:
        settings = load(data_dir=Path(place) / "data", workers={workers})
        store = Store(settings.database)
        project = store.project(Path(place) / "out", "speed", Path({str(folder)!r}))
        last = time.perf_counter()
        for event in pipeline.run(store, project, settings):
            now = time.perf_counter()
            print(event.stage.value, now - last)
            last = now
"""
    with tempfile.TemporaryDirectory() as place:
        main = Path(place) / "run.py"
        main.write_text(script)
        before = _children_cpu()
        lines = subprocess.run(
            [sys.executable, str(main)], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        cpu = _children_cpu() - before
    stages = dict.fromkeys(Stage, 0.0)
    for line in lines:
        name, seconds = line.split()
        stages[Stage(name)] += float(seconds)
    return sum(stages.values()), cpu, stages


def _children_cpu() -> float:
    """CPU seconds of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--most", type=int, default=120)
    arguments = parser.parse_args()
    settings = load(data_dir=Path(tempfile.mkdtemp()))
    sources = [s for s in list_sources(arguments.photos, settings).sources if s.member is None]
    step = max(1, len(sources) // arguments.most)
    chosen = [source.path for source in sources[::step]][: arguments.most]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for i, path in enumerate(chosen):
            shutil.copyfile(path, folder / f"{i:04d}{path.suffix}")
        warm_up(settings)
        before = time.process_time()
        bare = floor(sorted(folder.iterdir()), settings)
        bare_cpu = time.process_time() - before
        total = sum(bare.values())
        print(f"| {len(chosen)} photos | ms a photo |\n|---|---|")
        for name, seconds in bare.items():
            print(f"| floor: {name} | {1000 * seconds / len(chosen):.0f} |")
        print(f"| floor | {1000 * total / len(chosen):.0f} |")
        one, one_cpu, stages = whole_run(folder, 1)
        for stage, seconds in stages.items():
            print(f"| one worker: {stage.value} | {1000 * seconds / len(chosen):.0f} |")
        two, two_cpu, _ = whole_run(folder, 2)
        each = 1000 / len(chosen)
        print(f"| whole run, one worker | {each * one:.0f} = {one / total:.2f} x the floor |")
        print(f"| whole run, two workers | {each * two:.0f}, {one / two:.2f} x as fast as one |")
        print(f"| CPU: floor | {each * bare_cpu:.0f} |")
        for name, cpu in (("one worker", one_cpu), ("two workers", two_cpu)):
            print(f"| CPU: {name}, start-up included | {each * cpu:.0f} = {cpu / bare_cpu:.2f} x the floor |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| peak memory of the process that measured the floor | {peak:.0f} MiB |")


if __name__ == "__main__":
    main()
