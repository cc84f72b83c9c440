"""Deleted means gone: rows, files, caches, previews, downloads, and the bytes of the database."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lora_builder import logs, pipeline, workers
from lora_builder.caption.records import KeptAnswer, LedgerRow, Purpose
from lora_builder.resources import Plan
from lora_builder.settings import load
from lora_builder.store import Project, Store
from lora_builder.ui.desk import Desk
from lora_builder.ui.intake import Upload
from tests.ui.test_desk import a_desk

NAME, WORDS = "Bea am See.jpg", "a woman with an unmistakable hat"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(workers, "plan", lambda settings: Plan(0, 0))
    settings = load(data_dir=tmp_path / "data", resolution=512, body_model="none")
    with Store(settings.database) as store:
        logs.start(settings)
        yield a_desk(settings, store)


def made(desk: Desk, owner: str, pictures: dict[str, bytes]) -> Project:
    """A project with these photos, built, captioned by hand, asked about, and downloaded."""
    project = desk.intake.create(owner, "Bea", "en")
    uploads = []
    for name, data in pictures.items():
        place = desk.intake.uploads / f"{len(uploads)}{owner[:4]}"
        place.mkdir(parents=True)
        (place / name).write_bytes(data)
        uploads.append(Upload(place / name, name))
    desk.intake.add(project, uploads, "en")
    for _ in pipeline.run(desk.store, project, desk.settings_of(project)):
        pass
    [photo] = [p for p in desk.store.photos(project.id)[0] if p.source.name == NAME][:1]
    desk.store.captions.set_by_user(project.id, {photo.sha256: WORDS})
    row = LedgerRow(project.id, photo.sha256, Purpose.CAPTION, "e", "h", "m", bytes_sent=1, started_at=0.0)
    row = replace(row, id=desk.store.ledger.begin(row))
    desk.store.ledger.finish(row, KeptAnswer(WORDS, "stop"), key="k" * 64)
    desk.deliver(project, "train_package.zip", "en")
    return project


def left(folder: Path, *marks: bytes) -> list[str]:
    """Files of the data folder whose name or bytes hold one of the marks."""
    return [
        f"{path.relative_to(folder)}: {mark!r}"
        for path in folder.rglob("*")
        if path.is_file()
        for mark in marks
        if mark in path.read_bytes() or mark in str(path).encode()
    ]


def test_a_deleted_project_leaves_nothing_on_the_disk(desk: Desk, portrait: Image.Image) -> None:
    """Not a row, not a picture, not a word, not a byte in a freed page of the database."""
    buffer = io.BytesIO()
    portrait.resize((700, 700)).save(buffer, "JPEG", comment=b"this very file")
    project = made(desk, "a" * 40, {NAME: buffer.getvalue()})
    [photo] = desk.store.photos(project.id)[0]
    marks = (
        b"this very file",
        WORDS.encode(),
        NAME.encode(),
        photo.sha256[:12].encode(),
        project.id[:12].encode(),
    )
    assert len(left(desk.settings.data_dir, *marks)) >= 4
    desk.delete(project)
    assert left(desk.settings.data_dir, *marks) == []
    pictures = [p for p in desk.settings.data_dir.rglob("*") if p.suffix in (".jpg", ".png", ".zip")]
    assert pictures == []


def test_what_another_project_has_too_stays(desk: Desk, portrait: Image.Image) -> None:
    """Two projects with one photo: deleting the first takes nothing from the second."""
    buffer = io.BytesIO()
    portrait.resize((700, 700)).save(buffer, "JPEG")
    first, second = (made(desk, owner * 40, {NAME: buffer.getvalue()}) for owner in "ab")
    desk.delete(first)
    [photo] = desk.store.photos(second.id)[0]
    assert desk.read_picture("thumb", photo.sha256)
    assert desk.store.answers.get(["k" * 64])
    desk.delete(second)
    assert not desk.read_picture("thumb", photo.sha256)
    assert not desk.store.answers.get(["k" * 64])


def test_half_made_projects_are_cleared_at_the_next_start(desk: Desk) -> None:
    """A kill while a project is made or deleted leaves no photos lying about."""
    import os
    import time

    project = desk.intake.create("a" * 40, "mine", "en")
    for name in ("killed long ago", "being made now"):
        (desk.intake.projects / name / "input").mkdir(parents=True)
    long_ago = time.time() - 2 * 3600
    for folder in (desk.intake.projects / "killed long ago", project.folder):
        os.utime(folder, (long_ago, long_ago))
    desk.intake.tidy()
    names = {path.name for path in desk.intake.projects.iterdir()}
    assert names == {"being made now", project.folder.name}
