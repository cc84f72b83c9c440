"""Focus by vision model: any way to write a box, and nothing believed that our own eyes deny."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_builder import pipeline
from lora_builder.records import Box, Photo, Reason, Source, Stage, Verdict
from lora_builder.settings import load
from lora_builder.store import Store
from lora_builder.vision_focus import doubts, focus_all, read_focus
from tests.caption.conftest import Unruly, _server, server  # noqa: F401  (fixtures)
from tests.made import face, measurement

LOOK = measurement("1", face(box=Box(800, 600, 400, 500)), size=(2000, 3000))
SENT = (683, 1024)
"""What the model saw of the 2000 x 3000 photo."""


@pytest.mark.parametrize(
    "answer",
    [
        {"box": [136.6, 102.4, 546.4, 921.6]},
        {"box": [0.2, 0.1, 0.8, 0.9]},
        {"box": [200, 100, 800, 900]},
        {"bbox_2d": [200, 100, 800, 900]},
        {"box_2d": [100, 200, 900, 800]},
        {"box": {"x1": 0.2, "y1": 0.1, "x2": 0.8, "y2": 0.9}},
        {"box": {"x": 0.2, "y": 0.1, "width": 0.6, "height": 0.8}},
        {"bounding_box": [[200, 100, 800, 900]]},
        {"box": ["0.2", "0.1", "0.8", "0.9"]},
        {"box": [400, 300, 1600, 2700]},
    ],
)
def test_pixels_shares_and_thousandths_are_the_same_box(answer: dict[str, object]) -> None:
    """Whatever the model's habit, the crop is the one it meant."""
    found = read_focus(json.dumps(answer), SENT, LOOK, 0)
    assert isinstance(found, tuple) and found[0] is not None
    assert all(abs(a - b) < 60 for a, b in zip(found[0], Box(400, 300, 1200, 2400), strict=True))


@pytest.mark.parametrize(
    "answer",
    ["no idea", "{}", '{"box": [0, 0, 0, 0]}', '{"box": [0.7, 0.7, 0.9, 0.9]}', '{"box": [1, 2, 3]}',
     '{"box": [-500, -500, 4000, 9000]}', '{"box": ["a", "b", "c", "d"]}'],
)  # fmt: skip
def test_a_box_without_the_face_is_not_believed(answer: str) -> None:
    """Then the model is asked again, and at last the local focus is used."""
    assert isinstance(read_focus(answer, SENT, LOOK, 0), list)


def test_not_usable_comes_with_a_reason() -> None:
    """The model may say that the picture is no good, and why."""
    found = read_focus('{"usable": false, "why": "face covered", "box": [0,0,0,0]}', SENT, LOOK, 0)
    assert found == (None, False, "face covered")


@given(st.lists(st.floats(-2000, 5000), min_size=4, max_size=4))
def test_a_believed_box_holds_the_face_and_lies_in_the_picture(numbers: list[float]) -> None:
    """Whatever the numbers."""
    found = read_focus(json.dumps({"box": numbers}), SENT, LOOK, 0)
    if isinstance(found, tuple) and found[0] is not None:
        box, head = found[0], LOOK.faces[0].box
        assert Box(0, 0, 2000, 3000).contains(box, slack=0.01)
        assert box.intersection(head).area >= 0.89 * head.area


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'lora.db'}") as opened:
        yield opened


@pytest.mark.parametrize("one_request", [False, True])
def test_a_run_by_environment_alone(
    server: Unruly,  # noqa: F811
    store: Store,
    tmp_path: Path,
    portrait: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
    one_request: bool,
) -> None:
    """With BASE_URL, TAG_MODEL and FOCUS_MODEL set: both by model; in one request if so asked."""
    (tmp_path / "in").mkdir()
    portrait.resize((1500, 1500)).save(tmp_path / "in" / "eileen.jpg")
    server.behave(focus={"usable": True, "why": "", "box": [0.1, 0.0, 0.9, 0.8]})
    monkeypatch.setenv("BASE_URL", server.url)
    monkeypatch.setenv("MODELSCOPE_TOKEN", "ms-1234567890abcdef")
    monkeypatch.setenv("TAG_MODEL", "alpha,beta")
    monkeypatch.setenv("FOCUS_MODEL", "alpha")
    settings = load(trigger="ohwx", workers=1, one_request=one_request, class_word="woman")
    project = store.project(tmp_path / "out", "Eileen", tmp_path / "in")
    for event in pipeline.run(store, project, settings, stages=tuple(Stage)):
        assert event.done <= event.total
    (line,) = store.decisions(project.id)
    assert line.caption is not None and line.caption.startswith("ohwx woman, a bust shot")
    assert line.crop is not None and line.crop[2] in range(1190, 1210)
    assert len(server.log) == (1 if one_request else 2)
    assert {entry["key"] for entry in server.log} == {"Bearer ms-1234567890abcdef"}
    text = (tmp_path / "out" / "dataset" / "0001.txt").read_text(encoding="utf-8")
    assert text == line.caption
    assert all(b"ms-1234567890" not in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


def test_a_photo_that_a_model_would_not_use_stays_and_says_why(
    server: Unruly,  # noqa: F811
    store: Store,
    tmp_path: Path,
    portrait: Image.Image,
) -> None:
    """Models err: nothing is dropped in silence; the reason is there until a run says otherwise."""
    portrait.resize((900, 900)).save(tmp_path / "eileen.jpg")
    look = measurement("1", face(box=Box(300, 200, 200, 250)), size=(900, 900))
    photo = Photo(Source("eileen.jpg", tmp_path / "eileen.jpg"), look.sha256, 1)
    settings = load(base_url=server.url, tag_model="alpha", focus_model="alpha")
    kept = [Verdict(photo, Reason.KEPT, subject=0)]
    server.behave(focus={"usable": False, "why": "hand over the face", "box": [0, 0, 1, 1]})
    found = list(focus_all(store, "p", kept, {look.sha256: look}, settings))
    assert "hand over the face" in found[-1].message
    assert doubts(store, "p") == {look.sha256: "hand over the face (alpha@base)"}
    list(focus_all(store, "p", kept, {look.sha256: look}, load()))
    assert doubts(store, "p") == {}
