"""Pushing to the Hub, against a process that speaks its protocol on loopback."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lora_builder.errors import BadInput, BadSettings, HubRefused
from lora_builder.export.card import card
from lora_builder.export.hub import push
from lora_builder.export.images import TrainingImage
from lora_builder.records import Decision
from lora_builder.settings import Settings
from tests.export.hub_server import TOKEN

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    folder: Path
    endpoint: str

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())

    def fails(self, at: str, status: int, after: int = 0) -> None:
        (self.folder / "fault.json").write_text(json.dumps({"at": at, "status": status, "after": after}))

    def works(self) -> None:
        (self.folder / "fault.json").unlink(missing_ok=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A Hub of the test's own, as a process."""
    folder = tmp_path / "hub"
    folder.mkdir()
    # huggingface_hub waits seconds between tries: the wait is not what is tested.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.export.hub_server", str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield Server(folder, f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def plain(images: list[TrainingImage]) -> list[TrainingImage]:
    return [replace(image, mask=None) for image in images]


def test_a_push_is_private_and_holds_everything(
    hub: Server, plain: list[TrainingImage], decisions: list[Decision], named: Settings
) -> None:
    """Pictures, captions, card and manifest arrive in one commit with the user's message."""
    seen: list[tuple[int, int]] = []
    done = push(
        plain, decisions, named, "anna/set", TOKEN, message="First try", endpoint=hub.endpoint,
        coverage={"framing": {"face": 2, "bust": 1, "body": 0}},
        progress=lambda n, total: seen.append((n, total)),
    )  # fmt: skip
    repo = hub.state["repos"]["anna/set"]
    assert repo["private"] and done.private and done.url.endswith("/datasets/anna/set")
    assert set(repo["files"]) == {
        "README.md", "manifest.json", "train/metadata.jsonl", "train/0001.png", "train/0001_face.png",
        "train/0002.png",
    }  # fmt: skip
    assert hub.state["commits"] == ["First try"]
    assert seen[0] == (0, 6) and seen[-1] == (6, 6)
    everything = json.dumps(repo["files"])
    assert "Eileen" not in everything and TOKEN not in everything and "/tmp" not in everything
    assert "framing: face | 2" in repo["files"]["README.md"]


def test_a_second_push_sends_only_what_is_new_and_takes_away_what_is_gone(
    hub: Server, plain: list[TrainingImage], decisions: list[Decision], named: Settings
) -> None:
    """Known content is not sent again; pictures that are not in the set any more leave it."""
    push(plain, decisions, named, "anna/set", TOKEN, endpoint=hub.endpoint)
    assert hub.state["puts"] == 3
    push(plain[:2], decisions, named, "anna/set", TOKEN, endpoint=hub.endpoint)
    assert hub.state["puts"] == 3
    files = hub.state["repos"]["anna/set"]["files"]
    assert "train/0002.png" not in files and "train/0001.png" in files


def test_a_push_that_was_cut_goes_on_where_it_was(
    hub: Server, plain: list[TrainingImage], decisions: list[Decision], named: Settings
) -> None:
    """The line is cut in the middle: nothing is visible yet, and the next push sends only the rest."""
    hub.fails("upload", 0, after=1)
    with pytest.raises(HubRefused, match="cut") as caught:
        push(plain, decisions, named, "anna/set", TOKEN, endpoint=hub.endpoint)
    assert "again" in caught.value.remedy
    assert hub.state["repos"]["anna/set"]["files"] == {} and hub.state["puts"] >= 1
    hub.works()
    push(plain, decisions, named, "anna/set", TOKEN, endpoint=hub.endpoint)
    assert hub.state["puts"] == 3 and len(hub.state["repos"]["anna/set"]["files"]) == 6


@pytest.mark.parametrize(
    ("at", "status", "words"),
    [
        ("create", 403, "may not write"),
        ("commit", 409, "same moment"),
        ("batch", 507, "storage is full"),
        ("upload", 507, "storage is full"),
        ("preupload", 404, "no such account"),
        ("commit", 413, "too large"),
        ("create", 429, "pause"),
        ("look", 500, "answered 500"),
    ],
)
def test_refusals_say_what_to_do(
    hub: Server, plain: list[TrainingImage], decisions: list[Decision], named: Settings,
    at: str, status: int, words: str,
) -> None:  # fmt: skip
    """Each has a sentence and a remedy; the server's own words are there, but never the token."""
    hub.fails(at, status)
    with pytest.raises(HubRefused, match=words) as caught:
        push(plain, decisions, named, "anna/set", TOKEN, endpoint=hub.endpoint)
    assert caught.value.remedy and TOKEN not in str(caught.value)
    hub.works()
    assert push(plain, decisions, named, "anna/set", TOKEN, endpoint=hub.endpoint).files == 6


def test_a_wrong_token_is_said_and_never_shown(
    hub: Server, plain: list[TrainingImage], decisions: list[Decision], named: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """401 names HF_TOKEN; the token is in no message, log or file."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(HubRefused, match="token") as caught:
        push(plain, decisions, named, "anna/set", "hf_wrong_but_secret", endpoint=hub.endpoint)
    assert "HF_TOKEN" in caught.value.remedy
    assert "hf_wrong_but_secret" not in str(caught.value) + caplog.text


def test_nothing_reaches_out_without_token_or_consent(
    plain: list[TrainingImage], decisions: list[Decision], named: Settings
) -> None:
    """Refused before any connection: no token, no consent, no licence, no name, a blocked plan."""
    nowhere = "http://127.0.0.1:1"
    agreed = named.model_copy(update={"consent": "signed by her"})
    for settings, repository, token, public, words in (
        (named, "anna/set", "", False, "token"),
        (named, "anna/set", TOKEN, True, "consent"),
        (agreed, "anna/set", TOKEN, True, "licence"),
        (named, "anna", TOKEN, False, "OWNER/NAME"),
        (named, "anna/../set", TOKEN, False, "OWNER/NAME"),
    ):
        with pytest.raises(BadSettings, match=words):
            push(plain, decisions, settings, repository, token, public=public, endpoint=nowhere)
    with pytest.raises(BadSettings, match="no pictures"):
        push([], decisions, named, "anna/set", TOKEN, endpoint=nowhere)


def test_a_private_push_never_lands_in_a_public_repository(
    hub: Server, plain: list[TrainingImage], decisions: list[Decision], named: Settings
) -> None:
    """A repository that is public already is refused, unless this push is public too."""
    agreed = named.model_copy(update={"consent": "She signed a release.", "licence": "cc-by-4.0"})
    assert not push(plain, decisions, agreed, "anna/open", TOKEN, public=True, endpoint=hub.endpoint).private
    assert "She signed a release." in hub.state["repos"]["anna/open"]["files"]["README.md"]
    with pytest.raises(BadInput, match="public"):
        push(plain, decisions, named, "anna/open", TOKEN, endpoint=hub.endpoint)


def test_the_card_has_what_the_hub_reads(plain: list[TrainingImage], named: Settings) -> None:
    """YAML with licence, size and tags; hostile words stay words."""
    settings = named.model_copy(update={"licence": 'x"\nprivate: true', "trigger": "a`b"})
    text = card(plain * 500, 9, {}, settings)
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == 'x"\nprivate: true' and front["size_categories"] == ["1K<n<10K"]
    assert set(front) == {"license", "task_categories", "size_categories", "tags"}
    assert "Nothing is stated: not for publication." in text and "`ab`" in text


def test_the_command_pushes_and_keeps_the_token_to_itself(hub: Server, tmp_path: Path) -> None:
    """`push` on a built project: token from HF_TOKEN, progress on stderr, one line at the end."""
    from PIL import Image
    from skimage.data import astronaut

    (tmp_path / "in").mkdir()
    Image.fromarray(astronaut()).resize((1200, 1200)).save(tmp_path / "in" / "Eileen.jpg")
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lora_builder", *map(str, arguments)],
            capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False,
        )  # fmt: skip

    built = run("run-all", "-i", tmp_path / "in", "-o", tmp_path / "out", "--trigger", "ohwx",
                "--layout", "kohya", "--workers", 1)  # fmt: skip
    assert built.returncode == 0, built.stderr
    done = run("push", tmp_path / "out" / "in", "anna/set", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["private"] is True and "pushed 4/4" in done.stderr
    assert "ohwx" in hub.state["repos"]["anna/set"]["files"]["train/metadata.jsonl"]
    for shown in (built, done):
        assert TOKEN not in shown.stdout + shown.stderr
    _the_other_commands(tmp_path / "out")


def _the_other_commands(output: Path) -> None:
    """`verify`, `export`, `diff` and a refused `push`, in this process."""
    from lora_builder.cli import app, packages

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [*map(str, arguments)])

    assert packages.TOKEN == "HF_TOKEN"
    refused = run("push", output / "in", "anna/set", "--public")
    assert isinstance(refused.exception, BadSettings)
    checked = run("verify", output / "in" / "exports" / "kohya.zip", "--json")
    assert checked.exit_code == 0 and json.loads(checked.stdout)["faults"] == []
    planned = run("export", "-o", output, "--layout", "musubi", "--dry-run", "--json")
    assert json.loads(planned.stdout)["in"]["layouts"][0]["problems"][0]["blocks"] is True
    later = run("export", "-o", output, "--layout", "ai-toolkit", "--base-model", "z-image")
    assert later.exit_code == 0, later.exception
    exports = output / "in" / "exports"
    assert 'trigger_word: "ohwx"' in (exports / "ai-toolkit" / "config.yaml").read_text("utf-8"), "as it ran"
    assert "hold the same" in run("diff", exports / "ai-toolkit", exports / "ai-toolkit.zip").stdout
    (exports / "ai-toolkit" / "dataset" / "0001.txt").unlink()
    assert run("verify", exports / "ai-toolkit").exit_code == 1
    assert "musubi-tuner" in run("layouts").stdout
