"""What the buttons do, without a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lora_builder.errors import BadInput, BadSettings
from lora_builder.jobs import Jobs
from lora_builder.records import Event
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.ui.actions import Desk, new_owner
from lora_builder.ui.app import build, is_local


def idle(
    store: Store, project: Project, settings: Settings, *, cancelled: Callable[[], bool]
) -> Iterator[Event]:
    yield from ()


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with Store(settings.database) as store:
        yield Desk(settings, store, Jobs(store, settings, idle), local=True)


def upload(tmp_path: Path, folder: str, name: str = "a.jpg", data: bytes = b"photo") -> str:
    path = tmp_path / "cache" / folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return str(path)


def test_uploads_become_a_project_of_their_own(desk: Desk, tmp_path: Path) -> None:
    """Uploads are copied into the project, namesakes side by side, and leave the upload folder."""
    uploads = [upload(tmp_path, "1", data=b"one"), upload(tmp_path, "2", data=b"two")]
    project = desk.open_project(new_owner(), uploads, "", "Ann", None, "en")
    assert project.name == "Ann"
    assert {p.name: p.read_bytes() for p in project.input.iterdir()} == {
        "a.jpg": b"one",
        "a (2).jpg": b"two",
    }
    assert not any(Path(path).exists() for path in uploads)


def test_only_the_owner_finds_a_project(desk: Desk, tmp_path: Path) -> None:
    """Another visitor, a visitor without a token, and projects of the command line stay apart."""
    owner = new_owner()
    project = desk.open_project(owner, [upload(tmp_path, "1")], "", "", None, "en")
    assert desk.mine(project.id, owner) == project
    assert desk.mine(project.id, new_owner()) is None
    assert desk.mine(project.id, "") is desk.mine(project.id, None) is None
    nobodys = desk.store.project(tmp_path / "cli", "cli", tmp_path, None)
    assert desk.mine(nobodys.id, owner) is None
    assert desk.all_mine(owner) == [project]


def test_a_local_folder_is_read_where_it_lies(desk: Desk, tmp_path: Path) -> None:
    """A folder on this machine is taken as it is; a wrong path says so."""
    folder = tmp_path / "Ann B"
    folder.mkdir()
    project = desk.open_project(new_owner(), [], f' "{folder}" ', "", None, "en")
    assert (project.input, project.name) == (folder, "Ann B")
    for wrong in (str(tmp_path / "nowhere"), "relative"):
        with pytest.raises(BadInput):
            desk.open_project(new_owner(), [], wrong, "", None, "en")


def test_a_hosted_app_reads_no_folder_of_its_machine(settings: Settings, tmp_path: Path) -> None:
    """A path sent to an app that others can reach is not looked at."""
    with Store(settings.database) as store:
        desk = Desk(settings, store, Jobs(store, settings, idle), local=False)
        with pytest.raises(BadInput):
            desk.open_project(new_owner(), [], str(tmp_path), "", None, "en")


def test_nothing_new_builds_the_same_again(desk: Desk, tmp_path: Path) -> None:
    """Without new photos the current project is run again; without any there is a plain sentence."""
    owner = new_owner()
    project = desk.open_project(owner, [upload(tmp_path, "1")], "", "", None, "en")
    assert desk.open_project(owner, [], "", "", project, "en") == project
    with pytest.raises(BadInput, match="No photos were chosen"):
        desk.open_project(owner, [], "", "", None, "en")


def test_too_much_at_once_is_refused(desk: Desk, tmp_path: Path) -> None:
    """The limit holds for all files together, and nothing is left behind."""
    small = Desk(desk.settings.model_copy(update={"max_upload_mb": 1}), desk.store, desk.jobs, True)
    uploads = [upload(tmp_path, str(n), data=b"x" * 600_000) for n in range(2)]
    with pytest.raises(BadInput, match="1 MB"):
        small.open_project(new_owner(), uploads, "", "", None, "en")
    assert not (desk.settings.data_dir / "projects").exists()


def test_a_form_out_of_range_is_refused(desk: Desk) -> None:
    """The page's controls are checked again; a browser can send anything."""
    assert desk.adjusted({"resolution": 768, "trigger": "ohwx"}).resolution == 768
    with pytest.raises(BadSettings):
        desk.adjusted({"resolution": 10**9})


def test_a_download_has_a_name_nobody_guesses(desk: Desk, tmp_path: Path) -> None:
    """Each download lies in a folder of random name; before a run there is none."""
    project = desk.open_project(new_owner(), [upload(tmp_path, "1")], "", "../A/n", None, "en")
    with pytest.raises(BadInput):
        desk.deliver(project, "train_package.zip", "en")
    (project.folder / "train_package.zip").write_bytes(b"zip")
    first, second = (desk.deliver(project, "train_package.zip", "en") for _ in range(2))
    assert first.read_bytes() == second.read_bytes() == b"zip"
    assert first.parent != second.parent
    assert first.name == "A-n-train-package.zip"
    assert desk.uploads in first.parents


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


def test_no_handler_is_a_public_endpoint(desk: Desk) -> None:
    """The page's handlers take tokens; none is offered as an API."""
    api = build(desk).get_api_info()
    assert api["named_endpoints"] == {}
