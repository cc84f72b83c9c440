"""A project of many made-up measured photos: what a review of 500 looks like, without measuring 500."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lora_builder import measure
from lora_builder.progress import Snapshot, to_json
from lora_builder.records import Body, Box, HeadPose, Measurement, Photo, Rejected, Source, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.store.notes import STAMPS
from lora_builder.ui.runs import current_stamps
from tests.made import face, measurement, person

LIFE = 0.75
"""How much photos of one person differ: pairs have a cosine of about 0.64, as real ones do."""


def made_project(
    store: Store, settings: Settings, owner: str, photos: int, name: str = "Made up", pictures: bool = True
) -> Project:
    """`photos` measured photos: mostly one person, bursts, strangers, small and dark ones."""
    folder = settings.data_dir / "projects" / hashlib.sha256(f"{owner}{name}".encode()).hexdigest()[:24]
    (folder / "input").mkdir(parents=True)
    project = store.project(folder, name, folder / "input", owner)
    rng = np.random.default_rng(7)
    listed, looks, before = [], {}, None
    for number in range(1, photos + 1):
        sha256 = hashlib.sha256(f"{owner} {name} {number}".encode()).hexdigest()
        burst = before is not None and rng.random() < 0.25
        look = _again(before, sha256) if burst and before else _fresh(rng, sha256, number)
        before = look
        looks[sha256] = look
        source = Source(f"day {1 + number // 100}/{number:05}.jpg", folder / "input" / f"{number:05}.jpg")
        listed.append(Photo(source, sha256, 1_000_000 + number))
        if pictures:
            _picture(measure.preview_path(settings, sha256), number)
    store.save_looks(measure.recipe(settings), looks)
    store.save_photos(project.id, listed, [("broken.jpg", Rejected("The file is empty.", "Copy it again."))])
    steps = ("photos", "people")
    stamps = current_stamps(store, project, settings)
    store.notes.write(project.id, STAMPS, {step: stamps[step] for step in steps})
    store.queue.ask(project.id, [Stage.INGEST, Stage.MEASURE])
    job = store.queue.take("me", 60)
    assert job is not None
    store.queue.finish(job.id, "me", "done", to_json(Snapshot(job.id, project.id)))
    return project


def made_strangers(
    store: Store, settings: Settings, owner: str, photos: int = 10, pictures: bool = False
) -> Project:
    """`photos` photos of as many people, the later ones nearer: nobody stands out."""
    folder = settings.data_dir / "projects" / secrets.token_hex(12)
    (folder / "input").mkdir(parents=True)
    project = store.project(folder, "Strangers", folder / "input", owner)
    listed, looks = [], {}
    for number in range(photos):
        sha256 = hashlib.sha256(f"{project.id} {number}".encode()).hexdigest()
        listed.append(Photo(Source(f"{number}.jpg", folder / "input" / f"{number}.jpg"), sha256, 1000))
        near = Box(600, 600, 300 + 20 * number, 400 + 20 * number)
        looks[sha256] = measurement(sha256, face(number + 1, box=near), size=(2000, 3000), scene=number)
        if pictures:
            _picture(measure.preview_path(settings, sha256), number)
    store.save_looks(measure.recipe(settings), looks)
    store.save_photos(project.id, listed, [])
    store.queue.ask(project.id, [Stage.INGEST, Stage.MEASURE])
    job = store.queue.take("me", 60)
    assert job is not None
    store.queue.finish(job.id, "me", "done", to_json(Snapshot(job.id, project.id)))
    return project


def _fresh(rng: np.random.Generator, sha256: str, number: int) -> Measurement:
    stranger = rng.random() < 0.15
    who = int(rng.integers(2, 30)) if stranger else 1
    box = Box(float(rng.integers(300, 1000)), float(rng.integers(300, 900)), 420, 520)
    head = face(
        who,
        take=number,
        box=box,
        embedding=person(who, wobble=LIFE, take=number),
        pose=HeadPose(float(rng.normal(0, 25)), 0, 0),
        brightness=float(np.clip(rng.normal(0.5, 0.2), 0.01, 0.99)),
        smile=float(rng.random()),
    )
    small = rng.random() < 0.08
    extent = Box(200, 200, 1500, 2300)
    bodies = (Body(np.ones((33, 3), np.float32), extent, 0),) if rng.random() < 0.3 else ()
    return measurement(
        sha256,
        head,
        size=(800, 1000) if small else (2000, 3000),
        scene=number,
        bodies=bodies,
        phash=int(rng.integers(0, 2**63)),
    )


def _again(before: Measurement, sha256: str) -> Measurement:
    return replace(before, sha256=sha256)


def _picture(path: Path, number: int) -> None:
    """A small picture with its number, in a colour of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hue = number * 37 % 360
    image = Image.new("HSV", (240, 320), (hue * 255 // 360, 90, 190)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((70, 60, 170, 190), fill=(225, 190, 165))
    draw.rectangle((50, 200, 190, 320), fill=(70, 80, 110))
    draw.text((100, 290), str(number), fill="white")
    image.save(path, quality=80)
