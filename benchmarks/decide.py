"""How long deciding takes: the first time, and again after one setting moved.

    python benchmarks/decide.py --photos 5000

Measurements are made up in the shape of real ones: half of them one person, the rest strangers,
one photo in ten a burst of another. Prints the table that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lora_builder.decide import decide, gather
from lora_builder.records import Box, Look, Photo
from lora_builder.settings import load
from tests.made import CALIBRATION, face, measurement, person, photo

WOBBLE = 0.7
"""How far one person's embeddings lie apart: a median cosine of 0.67, as measured on real photos."""


def _picture(rng: np.random.Generator) -> np.ndarray:
    """A grey 64x64 picture like no other."""
    coarse = rng.integers(0, 256, (8, 8), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))


def made_up(count: int) -> tuple[list[Photo], dict[str, Look]]:
    """`count` photos and their measurements, with a fixed seed."""
    rng = np.random.default_rng(1)
    looks: dict[str, Look] = {}
    for i in range(1, count + 1):
        who = 1 if rng.random() < 0.5 else int(rng.integers(2, 200))
        box = Box(float(rng.integers(200, 1200)), float(rng.integers(200, 1500)), 400, 500)
        sha256 = f"{i:x}"
        embedding = person(who, wobble=WOBBLE, take=i)
        owner = face(who, box=box, embedding=embedding, grey=_picture(rng))
        look = measurement(sha256, owner, phash=int(rng.integers(0, 2**63)), grey=_picture(rng))
        looks[sha256] = look
        if i > 1 and rng.random() < 0.1:
            twin = looks[f"{i - 1:x}"]
            looks[sha256] = replace(twin, sha256=sha256)  # type: ignore[type-var]
    return [photo(f"{sha256}.jpg", sha256) for sha256 in looks], looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000)
    count = parser.parse_args().photos
    photos, looks = made_up(count)
    settings = load()
    decide(*made_up(100), settings, CALIBRATION)  # starts BLAS's threads
    started, worked = time.perf_counter(), time.process_time()
    evidence = gather(photos, looks)
    gathered = time.perf_counter() - started
    decide(photos, looks, settings, CALIBRATION, evidence=evidence)
    first, work = time.perf_counter() - started, time.process_time() - worked
    print("| deciding | photos | seconds | of the processor |\n|---|---|---|---|")
    print(f"| the first time (of it {gathered:.2f} s gathering) | {count} | {first:.2f} | {work:.2f} |")
    for change in (
        {"phash_threshold": 4},
        {"face_sim_th1": 0.8},
        {"keep_per_cluster": 1},
        {"min_brightness": 0.1},
        {"subject_sim_th": 0.6},
    ):
        moved = load(**change)
        started, worked = time.perf_counter(), time.process_time()
        decide(photos, looks, moved, CALIBRATION, evidence=evidence)
        wall, work = time.perf_counter() - started, time.process_time() - worked
        print(f"| again, `{next(iter(change))}` moved | {count} | {wall:.2f} | {work:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| peak memory, the made-up measurements included: {peak:.0f} MiB | {count} | | |")


if __name__ == "__main__":
    main()
