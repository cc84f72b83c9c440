"""Made-up projects for the editors, so that their tests need no models and no run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from lora_builder import measure
from lora_builder.decode import read_photo
from lora_builder.jobs import Jobs
from lora_builder.records import Box, Decision, Photo, Source
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.ui.desk import Desk
from lora_builder.ui.door import COOKIE, new_token
from lora_builder.ui.runs import settings_of, stamped_run
from lora_builder.ui.steps import View
from tests.made import face, measurement
from tests.ui.conftest import Visitor


@contextmanager
def open_desk(settings: Settings) -> Iterator[Desk]:
    """The app's services over the database of those settings, without a page."""
    with Store(settings.database) as store:
        jobs = Jobs(store, lambda project: settings_of(settings, store, project), stamped_run)
        yield Desk(settings, store, jobs, local=True)


def view_of(desk: Desk, project: Project, step: str, language: str = "en") -> View:
    """The owner's view of a project."""
    return View(desk, str(project.owner), project, language, step)


def visit(visitor: Visitor, project: Project, step: str, language: str = "en") -> None:
    """Makes the visitor the project's owner, and opens it at that step."""
    cookie = {"name": COOKIE, "value": project.owner, "url": visitor.address}
    address = f"{visitor.address}/?project={project.id}&step={step}&language={language}"

    def move() -> None:
        # The page of before must be gone first: its session is another owner's, and would be refused.
        visitor.page.goto("about:blank")
        visitor.context.add_cookies([cookie])
        visitor.page.goto(address)

    leave(visitor, move)


def leave(visitor: Visitor, move: Callable[[], object]) -> None:
    """Leaves the page by `move`. Gradio then complains of its own streams being cut: no fault of ours."""
    visitor.page.locator("#ldb-go-photos").wait_for()
    before = len(visitor.faults)
    move()
    visitor.page.locator("#ldb-go-photos").wait_for()
    cut = ("AbortError", "Connection errored out")
    visitor.faults[before:] = [
        fault for fault in visitor.faults[before:] if not any(word in fault for word in cut)
    ]


def coded(width: int, height: int) -> Image.Image:
    """A picture whose every pixel says where it is: red and green are its place in 256ths, blue the rest.

    At (x, y) red is `x // step`, green `y // step`, where a step is `CODE_STEP` pixels.
    """
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x // CODE_STEP, y // CODE_STEP, np.full_like(x, 128)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)


CODE_STEP = 8


def save_project(
    desk: Desk,
    folder: Path,
    files: Sequence[Path],
    faces: Sequence[Box] = (),
    captions: Sequence[str] = (),
) -> Project:
    """A project as a run leaves it, every file kept; `faces` are in each photo, the first the subject's."""
    project = desk.store.project(folder / "project", "Ann", folder, new_token())
    photos, looks, decisions = [], {}, []
    for number, path in enumerate(files):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        decoded = read_photo(path, 400, desk.settings)
        look = measurement(
            sha256,
            *(face(seed, box=box) for seed, box in enumerate(faces, 1)),
            size=(decoded.width, decoded.height),
            scene=number,
        )
        measure._write_preview(sha256, decoded.pixels, desk.settings)
        photos.append(Photo(Source(path.name, path), sha256, path.stat().st_size))
        looks[sha256] = look
        decisions.append(
            decision(
                path.name,
                sha256,
                width=decoded.width,
                height=decoded.height,
                subject_face=faces[0].rounded() if faces else None,
                caption=captions[number] if captions else None,
                output=f"dataset/{number + 1:04d}.png",
            )
        )
    desk.store.save_photos(project.id, photos, [])
    desk.store.save_looks(measure.recipe(desk.settings), looks)
    desk.store.save_decisions(project.id, decisions)
    return project


def decision(source: str, sha256: str, **more: object) -> Decision:
    values: dict[str, object] = {
        "source": source,
        "sha256": sha256,
        "width": 1000,
        "height": 2000,
        "verdict": "kept",
        "reason": "kept",
        "detail": "Kept.",
        "because_of": None,
        "scores": {},
        "faces": 1,
        "subject_face": None,
        "crop": None,
        "output": None,
        "caption": None,
    }
    return Decision(**(values | more))  # type: ignore[arg-type]
