"""Pushing from the app: beside it, one at a time a project, with a token that is kept nowhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_builder.errors import BadInput, HubRefused, LoraBuilderError
from lora_builder.export.hub import Progress, Pushed
from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.ui.pushes import Pushes, PushState
from lora_builder.ui.steps import View
from lora_builder.ui.steps.push import PushToHub
from tests.ui.test_desk import a_desk

TOKEN = "hf_typed_and_marked_token"
DONE = Pushed("https://hub/datasets/ann/one", "abc", 3, private=True)


def until(asked: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not asked():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_push_a_project_and_it_can_be_stopped() -> None:
    """A second click starts no second push; a stop ends it before anything is visible."""
    pushes, went = Pushes(), threading.Event()

    def endless(progress: Progress) -> Pushed:
        while True:
            progress(1, 3)
            went.set()
            time.sleep(0.01)

    pushes.start("one", endless)
    went.wait(10)
    with pytest.raises(BadInput, match="already"):
        pushes.start("one", endless)
    pushes.stop("one")
    until(lambda: pushes.of("one").state is PushState.STOPPED)  # type: ignore[union-attr]
    until(lambda: not pushes._stops)
    pushes.start("one", lambda progress: DONE)
    until(lambda: pushes.of("one").state is PushState.DONE)  # type: ignore[union-attr]


def test_what_goes_wrong_is_told_and_a_deleted_project_is_forgotten() -> None:
    """The Hub's word reaches the visitor; a bug of ours ends the push, not the app."""
    pushes = Pushes()

    def refused(progress: Progress) -> Pushed:
        raise HubRefused("The Hub asks for a pause.", "Wait.")

    def bug(progress: Progress) -> Pushed:
        raise TypeError("ours")

    for name, work, error in (("a", refused, "The Hub asks for a pause."), ("b", bug, "")):
        pushes.start(name, work)
        until(lambda name=name: pushes.of(name).state is PushState.FAILED)  # type: ignore[misc]
        found = pushes.of(name)
        assert found is not None and found.error == error
    pushes.forget("a")
    assert pushes.of("a") is None


def test_a_push_runs_beside_the_app_and_keeps_its_token_to_itself(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The typed token goes to the push alone: not into notes, answers, or the next push."""
    asked: list[str] = []

    def pushed(
        images: object, decisions: object, own: Settings, name: str, token: str, **_: object
    ) -> Pushed:
        asked.append(token)
        return DONE

    monkeypatch.setattr("lora_builder.ui.steps.push.hub.push", pushed)
    monkeypatch.setattr("lora_builder.ui.steps.push.packages.read_project", lambda folder: [])
    monkeypatch.setattr("lora_builder.ui.steps.push.packages.project_settings", lambda folder: {})
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with Store(settings.database) as store:
        desk = a_desk(settings, store, local=False)
        project = desk.intake.create("a" * 40, "Ann am See", "en")
        view, panel = View(desk, "a" * 40, project, "en", "export"), PushToHub()
        assert panel.pushing(view, {})["by"] == "typed"
        form = {"repository": "ann/lake", "licence": "", "consent": "", "public": False, "token": ""}
        with pytest.raises(LoraBuilderError, match="no token"):
            panel.start_push(view, form)
        with pytest.raises(LoraBuilderError, match="consent"):
            panel.start_push(view, form | {"token": TOKEN, "public": True})
        panel.start_push(view, form | {"token": TOKEN})
        until(lambda: desk.pushes.of(project.id).state is PushState.DONE)  # type: ignore[union-attr]
        state = panel.pushing(view, {})
        assert asked == [TOKEN] and state["repository"] == "ann/lake"
        assert state["push"]["url"] == DONE.url and state["push"]["private"]
        assert TOKEN not in repr(state) and TOKEN not in repr(desk.pushes.__dict__)
        with pytest.raises(LoraBuilderError, match="no token"):
            panel.start_push(view, form)
    held = b"".join(path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file())
    assert TOKEN.encode() not in held


def test_the_machines_token_is_for_whoever_sits_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_TOKEN of a shared server pushes no visitor's photos."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Store(settings.database) as store:
        for local, by in ((True, "machine"), (False, "typed")):
            desk = a_desk(settings, store, local=local)
            project = desk.intake.create("a" * 40, "one", "en")
            assert PushToHub().pushing(View(desk, "a" * 40, project, "en", "export"), {})["by"] == by
