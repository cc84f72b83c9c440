from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lora_builder import measure, pipeline, workers
from lora_builder.errors import BadInput, Cancelled, ProjectBusy
from lora_builder.records import Override, Stage
from lora_builder.resources import Plan
from lora_builder.settings import Settings, load
from lora_builder.store import Store

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path, portrait: Image.Image) -> Path:
    """What a user would bring: a portrait, copies of it, a cup of coffee, a broken file, litter."""
    from skimage.data import coffee

    photos = tmp_path / "Eileen"
    (photos / "sub").mkdir(parents=True)
    large = portrait.resize((1536, 1536), Image.Resampling.LANCZOS)
    large.save(photos / "original.png")
    (photos / "sub" / "copy of original.png").write_bytes((photos / "original.png").read_bytes())
    large.resize((1100, 1100)).save(photos / "smaller.jpg", quality=80)
    Image.fromarray(coffee()).resize((1600, 1200)).save(photos / "coffee.jpg")
    (photos / "broken.jpg").write_bytes((photos / "smaller.jpg").read_bytes()[:9000])
    (photos / "notes.txt").write_text("not a picture")
    (photos / ".DS_Store").write_bytes(b"litter")
    return photos


def build(folder: Path, output: Path, settings: Settings, **more: object) -> list[pipeline.Decision]:
    with Store(settings.database) as store:
        project = store.project(output, "Eileen", folder)
        for _ in pipeline.run(store, project, settings, **more):  # type: ignore[arg-type]
            pass
        return store.decisions(project.id)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a project's folder that is meant for the user."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_every_file_has_one_line_with_a_reason(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """Kept, copies, no person, unreadable: each picture of the input is accounted for, once."""
    build(folder, tmp_path / "out", settings)
    lines = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    assert {line["source"]: line["reason"] for line in lines} == {
        "broken.jpg": "unreadable",
        "coffee.jpg": "no_person",
        "original.png": "kept",
        "smaller.jpg": "near_duplicate",
        "sub/copy of original.png": "exact_duplicate",
    }
    by_name = {line["source"]: line for line in lines}
    assert by_name["smaller.jpg"]["because_of"] == "original.png"
    assert by_name["original.png"]["faces"] == 1 and by_name["original.png"]["subject_face"]


def test_the_package_trains_as_it_lies(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """Image and caption pairs, a ZIP with a config, and no metadata."""
    build(folder, tmp_path / "out", settings.model_copy(update={"trigger": "ohwx", "class_word": "woman"}))
    with Image.open(tmp_path / "out" / "dataset" / "0001.png") as image:
        assert image.size == (1024, 1024) and image.mode == "RGB"
        assert not image.getexif() and not image.info
    assert (tmp_path / "out" / "dataset" / "0001.txt").read_text(encoding="utf-8").startswith("ohwx")
    with zipfile.ZipFile(tmp_path / "out" / "train_package.zip") as package:
        assert {"dataset/0001.png", "dataset/0001.txt", "dataset.toml"} <= set(package.namelist())


def test_a_second_run_measures_nothing(
    folder: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again: byte-identical, and only a new photo would be looked at."""
    inside = settings.model_copy(update={"workers": 0})
    build(folder, tmp_path / "out", settings)
    before = digests(tmp_path / "out")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured or cut again")

    monkeypatch.setattr(measure, "measure", never)
    monkeypatch.setattr(pipeline, "cut", never)
    monkeypatch.setattr(workers, "plan", lambda settings: Plan(0, 0))
    build(folder, tmp_path / "out", inside)
    assert digests(tmp_path / "out") == before


def test_any_database_gives_the_same_bytes(
    folder: Path, tmp_path: Path, settings: Settings, database_url: str
) -> None:
    """SQLite or PostgreSQL: what a run leaves does not depend on where things are remembered."""
    elsewhere = settings.model_copy(update={"database_url": database_url})
    build(folder, tmp_path / "out", elsewhere, stages=[Stage.INGEST, Stage.DECIDE])
    decided = build(folder, tmp_path / "out", elsewhere, dry_run=True)
    assert decided == build(folder, tmp_path / "plain", settings, dry_run=True)
    assert digests(tmp_path / "out") == digests(tmp_path / "plain")


def test_one_or_two_workers_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """The number of workers is a matter of speed alone."""
    results = []
    for count in (1, 2):
        settings = load(data_dir=tmp_path / f"data{count}", workers=count)
        build(folder, tmp_path / f"out{count}", settings)
        results.append({k: v for k, v in digests(tmp_path / f"out{count}").items() if "report" not in k})
    assert results[0] == results[1]


def test_the_originals_are_never_touched(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """Same bytes, same times, nothing new in the input."""

    def state() -> list[tuple[str, int, bytes]]:
        return [
            (str(p), p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()
        ]

    before = state()
    build(folder, tmp_path / "out", settings)
    assert state() == before


def test_overrides_outlive_a_run(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """Kept and captioned by the user stays so, run after run."""
    build(folder, tmp_path / "out", settings, stages=(Stage.INGEST, Stage.DECIDE))
    with Store(settings.database) as store:
        project = store.project(tmp_path / "out", "Eileen", folder)
        coffee = next(d for d in store.decisions(project.id) if d.source == "coffee.jpg")
        store.set_override(project.id, coffee.sha256, Override(keep=True, caption="a cup of coffee"))
    for _ in range(2):
        line = next(d for d in build(folder, tmp_path / "out", settings) if d.source == "coffee.jpg")
        assert (line.verdict, line.reason, line.caption) == ("kept", "by_user", "a cup of coffee")


def test_a_dry_run_writes_no_images(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """It decides and reports."""
    build(folder, tmp_path / "out", settings, dry_run=True)
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "dataset").exists()
    assert not (tmp_path / "out" / "train_package.zip").exists()


def test_cancel_keeps_what_is_done(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """After a cancel the next run goes on where it stopped."""
    seen: list[str] = []

    def stop() -> bool:
        return len(seen) >= 1

    with Store(settings.database) as store:
        project = store.project(tmp_path / "out", "Eileen", folder)
        with pytest.raises(Cancelled):
            for event in pipeline.run(store, project, settings, cancelled=stop):
                if event.stage is Stage.MEASURE and event.done:
                    seen.append(event.photo)
        known = store.looks([p.sha256 for p in store.photos(project.id)[0]], measure.recipe(settings))
        assert len(known) >= 1
    assert any(line.verdict == "kept" for line in build(folder, tmp_path / "out", settings))


def test_two_runs_on_one_project_do_not_mix(folder: Path, tmp_path: Path, settings: Settings) -> None:
    """The second is told that the first is at work."""
    with Store(settings.database) as store:
        project = store.project(tmp_path / "out", "Eileen", folder)
        first = pipeline.run(store, project, settings)
        next(first)
        with pytest.raises(ProjectBusy):
            next(pipeline.run(store, project, settings))
        first.close()  # type: ignore[attr-defined]


def test_an_empty_folder_says_what_to_do(tmp_path: Path, settings: Settings) -> None:
    """No pictures is an error with a remedy, not an empty dataset."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput):
        build(tmp_path / "empty", tmp_path / "out", settings)


def test_a_killed_run_goes_on_to_the_same_bytes(
    folder: Path, tmp_path: Path, settings: Settings, command: Callable[..., list[str]]
) -> None:
    """SIGKILL at some moments; the next run ends byte-identical to an undisturbed one."""
    environment = os.environ | {"LORA_DATA_DIR": str(tmp_path / "data"), "WORKERS": "1"}
    for seconds in (1.5, 3.0, 4.5):
        process = subprocess.Popen(
            command("run-all", "--input", folder, "--output", tmp_path / "killed"), env=environment, cwd=ROOT
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(
        command("run-all", "--input", folder, "--output", tmp_path / "killed"), env=environment, cwd=ROOT
    )
    assert done.returncode == 0
    other = environment | {"LORA_DATA_DIR": str(tmp_path / "data2")}
    subprocess.run(command("run-all", "--input", folder, "--output", tmp_path / "calm"), env=other, cwd=ROOT)
    ours, calm = digests(tmp_path / "killed" / "Eileen"), digests(tmp_path / "calm" / "Eileen")
    assert ours == calm and "dataset/0001.png" in ours


@pytest.fixture
def command() -> Callable[..., list[str]]:
    return lambda *arguments: [sys.executable, "-m", "lora_builder", *map(str, arguments)]
