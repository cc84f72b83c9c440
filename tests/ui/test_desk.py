"""What the buttons do, without a page."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_builder import places
from lora_builder.errors import BadInput, BadSettings
from lora_builder.jobs import Jobs
from lora_builder.records import Event, Override, Stage
from lora_builder.settings import Settings, load
from lora_builder.store import Store
from lora_builder.ui.app import build, hosted, is_local
from lora_builder.ui.desk import Desk
from lora_builder.ui.door import new_token
from lora_builder.ui.intake import Upload
from lora_builder.ui.janitor import Janitor
from lora_builder.ui.runs import jobs_of, stamped_run
from tests.runs import as_run


def a_desk(settings: Settings, store: Store, local: bool = True) -> Desk:
    idle = as_run(lambda *_: ())
    return Desk(settings, store, Jobs(store, lambda project: settings, idle), local)


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with Store(settings.database) as store:
        yield a_desk(settings, store)


def upload(desk: Desk, folder: str, name: str = "a.jpg", data: bytes = b"photo") -> Upload:
    path = desk.intake.uploads / folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return Upload(path, name)


def test_uploads_become_the_projects_own(desk: Desk) -> None:
    """Uploads are copied into the project, namesakes side by side, and leave the upload folder."""
    project = desk.intake.create(new_token(), " Ann  B ", "en")
    assert project.name == "Ann B"
    uploads = [upload(desk, "1", data=b"one"), upload(desk, "2", data=b"two")]
    assert desk.intake.add(project, uploads, "en") == 2
    assert {p.name: p.read_bytes() for p in project.input.iterdir()} == {
        "a.jpg": b"one",
        "a (2).jpg": b"two",
    }
    assert not any(one.path.exists() for one in uploads)


def test_folders_of_an_upload_keep_their_names(desk: Desk) -> None:
    """A dropped folder arrives with its folders, and no name leads out of the project."""
    project = desk.intake.create(new_token(), "", "en")
    one, two = upload(desk, "1"), upload(desk, "2")
    desk.intake.add(project, [Upload(one.path, "day/a.jpg"), Upload(two.path, "../../../b.jpg")], "en")
    names = {p.relative_to(project.input).as_posix() for p in project.input.rglob("*") if p.is_file()}
    assert names == {"day/a.jpg", "b.jpg"}


def test_a_page_cannot_name_a_file_of_the_server(desk: Desk, tmp_path: Path) -> None:
    """Only what was uploaded is taken in: a path to anything else is refused."""
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    project = desk.intake.create(new_token(), "", "en")
    for path in (secret, desk.intake.uploads / ".." / ".." / "secret.jpg"):
        with pytest.raises(BadInput):
            desk.intake.add(project, [Upload(path, "a.jpg")], "en")
    assert list(project.input.iterdir()) == []


def test_only_the_owner_finds_a_project(desk: Desk, tmp_path: Path) -> None:
    """Another visitor, a visitor without a token, and projects of the command line stay apart."""
    owner = new_token()
    project = desk.intake.create(owner, "", "en")
    assert desk.mine(project.id, owner) == project
    assert desk.mine(project.id, new_token()) is None
    assert desk.mine(project.id, "") is desk.mine(project.id, None) is None
    nobodys = desk.store.project(tmp_path / "cli", "cli", tmp_path, None)
    assert desk.mine(nobodys.id, owner) is None
    assert desk.all_mine(owner) == [project]


def test_a_local_folder_is_read_where_it_lies(desk: Desk, tmp_path: Path) -> None:
    """A folder on this machine is taken as it is, nothing is added to it; a wrong path says so."""
    folder = tmp_path / "Ann B"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"photo")
    [project] = desk.intake.of_folder(new_token(), f' "{folder}" ', "", "en")
    assert (project.input, project.name) == (folder, "Ann B")
    with pytest.raises(BadInput):
        desk.intake.add(project, [upload(desk, "1")], "en")
    for wrong in (str(tmp_path / "nowhere"), "relative", ""):
        with pytest.raises(BadInput):
            desk.intake.of_folder(new_token(), wrong, "", "en")


def test_a_stores_folder_is_read_where_it_lies(desk: Desk, settings: Settings, tmp_path: Path) -> None:
    """Here and nowhere else: an address that is none says how one looks, a shared app looks at none."""
    owner, folder = new_token(), f"hf://datasets/ann/{tmp_path.name}"
    for wrong, why in (
        ("hf://datasets/x", "no address"),
        ("s3://", "no folder"),
        ("http://a/b", "no folder"),
    ):
        with pytest.raises(BadInput, match=why):
            desk.intake.of_folder(owner, wrong, "", "en")
    with pytest.raises(BadSettings, match="not installed") as missing, no_library():
        desk.intake.of_folder(owner, "GS://bucket/ann", "", "en")
    assert "lora-dataset-builder[gcs]" in missing.value.remedy
    with pytest.raises(BadInput, match="no folder"):
        a_desk(settings, desk.store, local=False).intake.of_folder(owner, folder, "", "en")


@contextlib.contextmanager
def no_library() -> Iterator[None]:
    """No library of Google's store is installed."""
    places._system.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gcsfs", None)
        yield
    places._system.cache_clear()


def test_a_start_is_planned_within_reach(settings: Settings, tmp_path: Path) -> None:
    """Not after the project would be deleted, nor in another year; a time that has passed is now."""
    hosted = settings.model_copy(update={"retention_hours": 24})
    with Store(settings.database) as store:
        for rules, hours, far in ((settings, 167, 169), (hosted, 23, 25)):
            desk = a_desk(rules, store)
            project = desk.intake.create(new_token(), "", "en")
            for wrong in (time.time() + 3600 * far, float("inf"), float("nan")):
                with pytest.raises(BadInput, match="hours ahead"):
                    desk.run(project, at=wrong)
            assert store.queue.latest(project.id) is None
            id = desk.run(project, at=time.time() + 3600 * hours)
            snapshot = desk.jobs.snapshot(id)
            assert snapshot is not None and snapshot.start_at and desk.busy(project)
            desk.start_now(project)
            ended(desk.jobs, id)
            desk.start_now(project)
            assert store.queue.waiting() == [], "what has ended is not started again"


def ended(jobs: Jobs, id: str) -> None:
    until = time.monotonic() + 10
    while (snapshot := jobs.snapshot(id)) is None or not snapshot.finished:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_folder_of_folders_is_several_projects(desk: Desk, tmp_path: Path) -> None:
    """A root without photos of its own makes one project a folder."""
    for name in ("Ann", "Ben"):
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "a.jpg").write_bytes(b"photo")
    made = desk.intake.of_folder(new_token(), str(tmp_path / "people"), "", "en")
    assert [project.name for project in made] == ["Ann", "Ben"]


def test_a_hosted_app_reads_no_folder_of_its_machine(settings: Settings, tmp_path: Path) -> None:
    """A path sent to an app that others can reach is not looked at."""
    with Store(settings.database) as store, pytest.raises(BadInput):
        a_desk(settings, store, local=False).intake.of_folder(new_token(), str(tmp_path), "", "en")


def test_too_much_at_once_is_refused(desk: Desk) -> None:
    """The limit holds for all files together, and nothing is left behind."""
    small = a_desk(desk.settings.model_copy(update={"max_upload_mb": 1}), desk.store)
    project = small.intake.create(new_token(), "", "en")
    uploads = [upload(small, str(n), data=b"x" * 600_000) for n in range(2)]
    with pytest.raises(BadInput, match="1 MB"):
        small.intake.add(project, uploads, "en")
    assert list(project.input.iterdir()) == []


def test_settings_stay_with_their_project(desk: Desk) -> None:
    """A project remembers its own settings; values out of range and the machine's own are refused."""
    owner = new_token()
    one, other = desk.intake.create(owner, "", "en"), desk.intake.create(owner, "", "en")
    desk.set_settings(one, {"resolution": 768, "trigger": "ohwx", "max_upload_mb": 9})
    assert (desk.settings_of(one).resolution, desk.settings_of(one).trigger) == (768, "ohwx")
    assert desk.settings_of(one).max_upload_mb == desk.settings.max_upload_mb
    assert desk.settings_of(other).resolution == desk.settings.resolution
    with pytest.raises(BadSettings):
        desk.set_settings(one, {"resolution": 10**9})
    assert desk.settings_of(one).resolution == 768


def test_every_change_can_be_undone_and_done_again(desk: Desk) -> None:
    """Undo and redo walk along the user's changes, bulk ones as one step; a new one ends the redo."""
    project = desk.intake.create(new_token(), "", "en")
    first, second = "a" * 64, "b" * 64
    desk.changes.keep(project, [first, second], True)
    desk.changes.keep(project, [second], False)
    assert desk.store.overrides(project.id) == {first: Override(True), second: Override(False)}
    assert desk.changes.undo(project)
    assert desk.store.overrides(project.id)[second] == Override(True)
    assert desk.changes.undo(project)
    assert desk.store.overrides(project.id) == {}
    assert desk.changes.undo(project) is None
    assert desk.changes.redo(project)
    assert desk.store.overrides(project.id) == {first: Override(True), second: Override(True)}
    desk.changes.keep(project, [first], None)
    assert desk.changes.redo(project) is None
    assert desk.store.history.depth(project.id) == (2, 0)


def test_a_copy_is_a_project_of_its_own(desk: Desk) -> None:
    """A duplicate has the photos, settings and choices; deleting it leaves the first alone."""
    project = desk.intake.create(new_token(), "Ann", "en")
    desk.intake.add(project, [upload(desk, "1", data=b"one")], "en")
    desk.set_settings(project, {"trigger": "ohwx"})
    desk.changes.keep(project, ["a" * 64], True)
    copy = desk.intake.duplicate(project, "en")
    assert copy.name == "Ann (copy)"
    assert (copy.input / "a.jpg").read_bytes() == b"one"
    assert desk.settings_of(copy).trigger == "ohwx"
    assert desk.store.overrides(copy.id) == desk.store.overrides(project.id)
    desk.delete(copy)
    assert not copy.folder.exists()
    assert (project.input / "a.jpg").read_bytes() == b"one"


def test_deleting_leaves_a_folder_that_was_only_read(desk: Desk, tmp_path: Path) -> None:
    """A project's own files go; the user's folder stays as it was."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").write_bytes(b"photo")
    [project] = desk.intake.of_folder(new_token(), str(tmp_path / "mine"), "", "en")
    desk.delete(project)
    assert (tmp_path / "mine" / "a.jpg").exists()
    assert desk.store.find_project(project.id) is None


def test_a_step_says_when_it_is_out_of_date(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a run all is done; a change marks its own step and those after it, undoing it clears them."""

    def run(*_: object, **__: object) -> Iterator[Event]:
        yield from (Event("p", stage, 1, 1) for stage in Stage)

    monkeypatch.setattr("lora_builder.pipeline.run", run)
    with Store(settings.database) as store:
        desk = Desk(settings, store, jobs_of(store, settings), True)
        project = desk.intake.create(new_token(), "", "en")
        assert set(desk.marks(project).values()) == {"todo"}
        list(stamped_run(store, project, settings, stages=tuple(Stage), cancelled=lambda: False))
        assert set(desk.marks(project).values()) == {"done"}
        desk.changes.keep(project, ["a" * 64], False)
        stale = [step for step, mark in desk.marks(project).items() if mark == "stale"]
        assert stale == ["choose", "crop", "caption", "export"]
        desk.changes.undo(project)
        assert set(desk.marks(project).values()) == {"done"}
        desk.set_settings(project, {"trigger": "ohwx"})
        stale = [step for step, mark in desk.marks(project).items() if mark == "stale"]
        assert stale == ["caption", "export"]


def test_a_download_has_a_name_nobody_guesses(desk: Desk) -> None:
    """Each download lies in a folder of random name; before a run there is none."""
    project = desk.intake.create(new_token(), "../A/n", "en")
    with pytest.raises(BadInput):
        desk.deliver(project, "train_package.zip", "en")
    (project.folder / "train_package.zip").write_bytes(b"zip")
    first, second = (desk.deliver(project, "train_package.zip", "en") for _ in range(2))
    assert first.read_bytes() == second.read_bytes() == b"zip"
    assert first.parent != second.parent
    assert first.name == "A-n-train-package.zip"
    assert desk.intake.uploads in first.parents


def test_what_nobody_uses_is_deleted_after_the_retention_time(settings: Settings, tmp_path: Path) -> None:
    """An unused project goes with its photos, a used one and one of the command line stay."""
    kept_for = settings.model_copy(update={"retention_hours": 2})
    with Store(settings.database) as store:
        desk = a_desk(kept_for, store)
        owner = new_token()
        old, used = (desk.intake.create(owner, name, "en") for name in ("old", "used"))
        nobodys = store.project(tmp_path / "cli", "cli", tmp_path, None)
        for project in (old, used):
            store.notes.write(project.id, "used", {"at": 0.0})
        desk.mine(used.id, owner)
        assert Janitor(desk).sweep() == 1
        assert [project.name for project in store.projects()] == ["used", nobodys.name]
        assert not old.folder.exists()
        hours = 3600.0
        assert Janitor(desk, clock=lambda: time.time() + 3 * hours).sweep() == 1


def test_a_space_deletes_after_a_day(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public Space has a retention time without anybody setting one; another value is respected."""
    assert hosted(settings).retention_hours == 0
    monkeypatch.setenv("SPACE_ID", "me/app")
    assert hosted(settings).retention_hours == 24
    assert hosted(load(retention_hours=0)).retention_hours == 0


def test_only_loopback_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder box is for those who sit at the machine; a Space is never local."""
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert is_local("127.0.0.1")
    assert is_local("localhost")
    assert is_local("::1")
    assert not is_local("0.0.0.0")
    assert not is_local("example.org")
    monkeypatch.setenv("SPACE_ID", "me/app")
    assert not is_local("127.0.0.1")


def test_no_handler_of_the_page_is_a_public_endpoint(desk: Desk) -> None:
    """The page's handlers act for its visitor; only the endpoints that take a token are an API."""
    endpoints = build(desk).get_api_info()["named_endpoints"]
    assert endpoints
    for name, endpoint in endpoints.items():
        assert endpoint["parameters"][0]["parameter_name"] == "token", name


@pytest.mark.parametrize(("language", "word"), [("en", "cores"), ("zh", "核心")])
def test_a_run_says_what_the_machine_has_to_give(desk: Desk, language: str, word: str) -> None:
    """Before there is a pace to tell, cores, memory and disk are shown to whoever sits at the machine."""
    from lora_builder.ui.progress import free
    from lora_builder.ui.steps import View

    assert word in free(View(desk, new_token(), None, language, "photos"))
