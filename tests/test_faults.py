"""Full disks, lost drives, two runs at once, a clock that is set: say what happened, lose nothing, go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.kills import digests, make_photos
from lora_builder import pipeline, workers
from lora_builder.errors import BadInput, LoraBuilderError, OutputUnwritable, ProjectBusy, StoreUnavailable
from lora_builder.ingest import list_sources
from lora_builder.records import Event, Rejected, Stage
from lora_builder.resources import Plan
from lora_builder.settings import Settings, load
from lora_builder.store import Store

ROOT = Path(__file__).resolve().parents[1]

Result = dict[str, str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, copies, a ZIP, a picture of nobody, a broken file."""
    folder = tmp_path_factory.mktemp("in") / "Eileen"
    make_photos(folder)
    return folder


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here is the disk, not the workers."""
    monkeypatch.setattr(workers, "plan", lambda settings: Plan(0, 0))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A data folder in which the photos are measured."""
    data = tmp_path_factory.mktemp("known") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "plan", lambda settings: Plan(0, 0))
        build(photos, data.parent / "out", quick(data))
    return data


@pytest.fixture(scope="module")
def calm(known: Path) -> Result:
    """What an undisturbed run leaves."""
    return digests(known.parent / "out")


def quick(data: Path, **more: object) -> Settings:
    return load(data_dir=data, resolution=512, trigger="ohwx", body_model="none", **more)


def build(photos: Path, output: Path, settings: Settings) -> Iterator[Event] | None:
    with Store(settings.database) as store:
        for _ in pipeline.run(store, store.project(output, "Eileen", photos), settings):
            pass
    return None


@pytest.fixture
def data(tmp_path: Path, known: Path) -> Path:
    """A data folder of the test's own in which everything is measured already."""
    shutil.copytree(known, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, 64 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)):
        pytest.skip("a disk can only be mounted by root, on Linux")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("size_kb", [64, 900, 1900])
def test_a_disk_that_fills_up_stops_the_run_and_the_next_one_ends_the_same(
    disk: Path, photos: Path, data: Path, calm: Result, size_kb: int
) -> None:
    """Full while cutting, copying, packing or reporting: told what to do; with room again, no difference."""
    settings = quick(data, reserve_disk_mb=0)
    assert mount("-o", f"remount,size={size_kb}k", str(disk))
    with pytest.raises(OutputUnwritable, match="No space left"):
        build(photos, disk / "Eileen", settings)
    for name, digest in digests(disk / "Eileen").items():
        assert name.startswith("dataset.new/") or calm[name] == digest
    assert mount("-o", "remount,size=64m", str(disk))
    build(photos, disk / "Eileen", settings)
    assert digests(disk / "Eileen") == calm


@pytest.mark.parametrize("size_kb", [8, 330])
def test_a_full_disk_under_the_database_is_no_bug(
    disk: Path, photos: Path, tmp_path: Path, calm: Result, size_kb: int
) -> None:
    """No traceback; no photo is called unreadable for it; with room again, no difference."""
    assert mount("-o", f"remount,size={size_kb}k", str(disk))
    settings = quick(disk / "data", reserve_disk_mb=0)
    with pytest.raises((StoreUnavailable, OutputUnwritable)):
        build(photos, tmp_path / "out", settings)
    assert mount("-o", "remount,size=64m", str(disk))
    build(photos, tmp_path / "out", settings)
    assert digests(tmp_path / "out") == calm


def test_a_low_disk_stops_a_run_before_it_is_full(photos: Path, data: Path, tmp_path: Path) -> None:
    """The reserve is for the user's other programs; the message names it."""
    with pytest.raises(OutputUnwritable, match="RESERVE_DISK_MB"):
        build(photos, tmp_path / "out", quick(data, reserve_disk_mb=10**9))
    assert not digests(tmp_path / "out")


def test_a_read_only_folder_is_told(disk: Path, photos: Path, data: Path) -> None:
    """Nothing to write to is the user's world, with a remedy."""
    assert mount("-o", "remount,ro", str(disk))
    with pytest.raises(OutputUnwritable, match="Read-only"):
        build(photos, disk / "Eileen", quick(data))


@pytest.mark.parametrize("stage", [Stage.INGEST, Stage.MEASURE, Stage.CROP])
def test_a_drive_that_is_pulled_out_costs_nothing(
    photos: Path, known: Path, tmp_path: Path, calm: Result, stage: Stage
) -> None:
    """The last good dataset stays, no photo is marked unreadable, and with the drive back all is well."""
    drive = tmp_path / "drive"
    shutil.copytree(photos, drive / "Eileen")
    settings = quick(tmp_path / "data")
    shutil.copytree(known.parent / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / ".cache")
    with Store(settings.database) as store:
        project = store.project(tmp_path / "out", "Eileen", drive / "Eileen")
        with pytest.raises(BadInput, match="was there and is not any more"):
            for event in pipeline.run(store, project, settings):
                if event.stage is stage and (drive / "Eileen").exists():
                    (drive / "Eileen").rename(tmp_path / "pulled out")
        assert digests(tmp_path / "out") == calm
        (tmp_path / "pulled out").rename(drive / "Eileen")
        for _ in pipeline.run(store, project, settings):
            pass
    assert digests(tmp_path / "out") == calm


def test_a_file_that_changes_under_a_run_is_not_remembered_wrongly(
    photos: Path, known: Path, tmp_path: Path, calm: Result
) -> None:
    """Measurements are remembered by content: another picture under the same name is never taken for it."""
    shutil.copytree(photos, tmp_path / "in")
    settings = quick(tmp_path / "data")
    with Store(settings.database) as store:
        project = store.project(tmp_path / "out", "Eileen", tmp_path / "in")
        for event in pipeline.run(store, project, settings):
            if event.stage is Stage.MEASURE and event.done == 0:
                shutil.copy(photos / "coffee.jpg", tmp_path / "in" / "portrait.png")
        changed = next(d for d in store.decisions(project.id) if d.source == "portrait.png")
        assert changed.reason == "unreadable" and "changed" in changed.detail
        shutil.copy(photos / "portrait.png", tmp_path / "in" / "portrait.png")
        for _ in pipeline.run(store, project, settings):
            pass
    assert digests(tmp_path / "out") == calm


def test_a_limit_that_is_raised_is_tried_again(photos: Path, tmp_path: Path, portrait_png: bytes) -> None:
    """A photo refused for its size is looked at anew when the limit allows it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "large.png").write_bytes(portrait_png)
    reasons = []
    for limit in (1_000_000, 250_000_000):
        settings = quick(tmp_path / "data", max_image_pixels=limit)
        with Store(settings.database) as store:
            project = store.project(tmp_path / "out", "Eileen", tmp_path / "in")
            for _ in pipeline.run(store, project, settings):
                pass
            reasons += [decision.reason for decision in store.decisions(project.id)]
    assert reasons == ["unreadable", "kept"]


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_set_changes_no_byte(
    photos: Path, data: Path, tmp_path: Path, calm: Result, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Nothing of a dataset depends on the time of day."""
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + days * 86400)
    build(photos, tmp_path / "out", quick(data))
    assert digests(tmp_path / "out") == calm


def test_two_runs_on_one_folder_one_waits_outside(
    photos: Path, data: Path, tmp_path: Path, calm: Result
) -> None:
    """Started at the same moment, from two data folders: one builds, the others say that it is busy."""
    ends: list[object] = []

    def one(number: int) -> None:
        try:
            own = tmp_path / f"data{number}"
            shutil.copytree(data, own)
            ready.wait()
            build(photos, tmp_path / "out", quick(own))
            ends.append("built")
        except ProjectBusy:
            ends.append("busy")

    ready = threading.Barrier(3)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "built" in ends and set(ends) <= {"built", "busy"}
    assert digests(tmp_path / "out") == calm


def test_many_first_starts_make_one_schema(tmp_path: Path) -> None:
    """Two programs that find no database yet: each opens it, and the project is one."""
    script = (
        "import sys; from pathlib import Path; from lora_builder.store import Store\n"
        "place = Path(sys.argv[1])\n"
        "with Store(f'sqlite:///{place}/lora.db') as store:\n"
        "    print(store.project(place / 'out', 'Ann', place / 'in').id)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    ids = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0]
    assert len(ids) == 1


def test_a_schema_is_made_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the tables are made, the next start finds none and makes them all."""
    from alembic.operations import Operations

    true, made = Operations.create_table, []

    def dies(self: Operations, name: str, *columns: object, **more: object) -> object:
        made.append(name)
        if len(made) == 4:
            raise KeyboardInterrupt
        return true(self, name, *columns, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Operations, "create_table", dies)
    with pytest.raises(KeyboardInterrupt):
        Store(f"sqlite:///{tmp_path}/lora.db")
    monkeypatch.undo()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/lora.db")
    assert not sa.inspect(engine).has_table(made[0])
    engine.dispose()
    Store(f"sqlite:///{tmp_path}/lora.db").close()


def test_a_pipe_among_the_photos_is_not_waited_for(tmp_path: Path, settings: Settings) -> None:
    """Pipes, sockets and devices are no photos; reading one would never end."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(tmp_path / "photo.jpg")
    listing = list_sources(tmp_path, settings)
    assert not listing.sources and listing.skipped == {"special file": 1}


def test_a_folder_that_cannot_be_opened_has_a_line(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos behind a closed door are not lost in silence."""
    (tmp_path / "closed").mkdir()
    true = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return true(path)

    monkeypatch.setattr(os, "scandir", scandir)
    problems = list_sources(tmp_path, settings).problems
    assert problems == (
        ("closed/", Rejected("The folder cannot be read: Permission denied.", "Check its permissions.")),
    )


def test_every_fault_is_a_sentence_with_a_remedy() -> None:
    """Each error for people can carry what to do, and says so in one tree."""
    kinds = [LoraBuilderError, *LoraBuilderError.__subclasses__()]
    assert all(str(kind("It broke.", "Mend it.")) == "It broke. Mend it." for kind in kinds)
