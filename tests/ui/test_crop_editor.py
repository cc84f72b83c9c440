"""The crop editor: what its functions answer, and what a hand at the page really cuts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_builder.decode import read_crop
from lora_builder.errors import BadInput, UnreadablePhoto
from lora_builder.framing import chosen
from lora_builder.records import Box, ExtraCrop, Override
from lora_builder.settings import Settings, load
from lora_builder.ui.desk import Desk
from lora_builder.ui.steps import View
from lora_builder.ui.steps.crop import Crop
from tests.ui.conftest import HOSTILE, Visitor
from tests.ui.editor_pages import CODE_STEP, coded, leave, open_desk, save_project, view_of, visit

WIDTH, HEIGHT = 2000, 1400
FACE = Box(600, 400, 300, 400)
STRANGER = Box(1500, 400, 280, 380)
SQUARE = [1024, 1024]
TURNED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""How the upright picture is stored for each EXIF orientation."""


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with open_desk(settings) as desk:
        yield desk


def stored(folder: Path, orientation: int, name: str = "") -> Path:
    """A colour-coded PNG whose pixels lie as a camera held that way stores them."""
    image = coded(WIDTH, HEIGHT)
    turn = TURNED[orientation]
    image = image if turn is None else image.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / (name or f"turned {orientation}.png")
    image.save(path, exif=exif, compress_level=1)
    return path


@pytest.fixture
def step() -> Crop:
    return Crop()


def opened(desk: Desk, folder: Path, faces: list[Box], language: str = "en") -> tuple[View, str]:
    """A project of one photo, seen by its owner, and the photo's key."""
    project = save_project(desk, folder, [stored(folder, 1)], faces)
    return view_of(desk, project, "crop", language), desk.store.decisions(project.id)[0].sha256


def test_whatever_a_browser_sends_only_legal_boxes_are_kept(desk: Desk, step: Crop, tmp_path: Path) -> None:
    """Boxes outside, of another shape, of no size, or no boxes at all: clamped, or refused in a sentence."""
    view, key = opened(desk, tmp_path, [FACE])
    nonsense: list[Any] = [
        "x",
        [],
        [1, 2, 3],
        [0, 0, "9", 9],
        [0, 0, 0, 10],
        [True, 0, 9, 9],
        [0, 0, 1e400, 1],
    ]
    for box in nonsense:
        with pytest.raises(BadInput):
            step.save_box(view, {"key": key, "crop": "", "box": box, "size": SQUARE})
    for sent in ({"key": "gone"}, {"key": ["x"]}, {}, {"key": key, "crop": "../x"}, {"key": key, "crop": 7}):
        with pytest.raises(BadInput):
            step.save_box(view, {"box": [0, 0, 99, 99], "size": SQUARE, **sent})
    assert desk.store.overrides(view.theirs.id) == {}
    wild = step.save_box(view, {"key": key, "crop": "", "box": [-1e6, -5.5, 99, 1e9], "size": [3, 4]})
    json.dumps(wild, allow_nan=False)
    kept = desk.store.overrides(view.theirs.id)[key].crop
    assert kept is not None
    assert Box(0, 0, WIDTH, HEIGHT).contains(kept) and kept.width == kept.height


def test_the_users_box_and_verdict_live_side_by_side(desk: Desk, step: Crop, tmp_path: Path) -> None:
    """A crop drawn here keeps what was decided elsewhere, and the app's undo takes it back."""
    view, key = opened(desk, tmp_path, [FACE])
    desk.store.set_override(view.theirs.id, key, Override(keep=True, faces={0: True}))
    step.save_box(view, {"key": key, "crop": "", "box": [100, 100, 1200, 1200], "size": SQUARE})
    after = Override(keep=True, crop=Box(100, 100, 1200, 1200), faces={0: True})
    assert desk.store.overrides(view.theirs.id)[key] == after
    step.save_box(view, {"key": key, "crop": "", "box": None})
    assert desk.store.overrides(view.theirs.id)[key] == Override(keep=True, faces={0: True})
    desk.changes.undo(view.theirs)
    assert desk.store.overrides(view.theirs.id)[key] == after


def test_one_photo_gives_several_pictures(desk: Desk, step: Crop, tmp_path: Path) -> None:
    """A tight face beside the main crop is saved by its name, moved, keeps its caption, and goes again."""
    view, key = opened(desk, tmp_path, [FACE])
    desk.store.finishing.set_extra_crops(view.theirs.id, key, [ExtraCrop("face", Box(1, 1, 99, 99), "close")])
    box = {"key": key, "crop": "face", "box": [400, 200, 700, 700], "size": SQUARE}
    state = step.save_box(view, box)
    assert list(state["crops"]) == ["", "face"]
    assert state["crops"]["face"]["output"] == [696, 696], "a small box is not blown up"
    assert "696" in state["crops"]["face"]["warnings"][0]["text"]
    extra = desk.store.finishing.extra_crops(view.theirs.id)[key]
    assert extra == (ExtraCrop("face", Box(400, 200, 700, 700), "close"),)
    assert list(step.save_box(view, {**box, "box": None})["crops"]) == [""]
    assert desk.store.finishing.extra_crops(view.theirs.id) == {}


def test_warnings_speak_the_readers_language(settings: Settings, step: Crop, tmp_path: Path) -> None:
    """A box that cuts the face, holds a stranger or is enlarged is said to, in English and Chinese."""
    with open_desk(load(data_dir=settings.data_dir, max_upscale=4.0)) as desk:
        view, key = opened(desk, tmp_path, [FACE, STRANGER])

        def said(box: list[int], language: str = "en") -> str:
            seen = view_of(desk, view.theirs, "crop", language)
            answer = step.check_box(seen, {"key": key, "box": box, "size": SQUARE})
            return " ".join(line["text"] for line in answer["warnings"])

        assert "50%" in said([750, 250, 1100, 1100]) and "face is cut" in said([750, 250, 1100, 1100])
        assert "Other faces inside: 1" in said([400, 0, 1400, 1400])
        assert "Enlarged 2.00 times" in said([450, 250, 512, 512])
        assert "放大了 2.00 倍" in said([450, 250, 512, 512], "zh")
        assert said([300, 100, 1100, 1100]) == ""


@pytest.mark.parametrize("orientation", TURNED)
def test_the_view_is_cut_where_the_box_is(desk: Desk, step: Crop, tmp_path: Path, orientation: int) -> None:
    """The saved box cuts those very pixels, however the camera was held."""
    path = stored(tmp_path, orientation)
    project = save_project(desk, tmp_path, [path], [FACE])
    view = view_of(desk, project, "crop")
    key = step.open_crops(view, {})["photos"][0]["key"]
    step.save_box(view, {"key": key, "crop": "", "box": [900, 300, 1024, 1024], "size": SQUARE})
    box = desk.store.overrides(project.id)[key].crop
    assert box == Box(900, 300, 1024, 1024)
    pixels = read_crop(path, chosen(box, WIDTH, HEIGHT, desk.settings), desk.settings)
    for x, y in ((0, 0), (1023, 0), (0, 1023), (1023, 1023), (500, 77)):
        assert pixels[y, x, :2].tolist() == [(900 + x) // CODE_STEP, (300 + y) // CODE_STEP]


def test_a_photo_that_is_gone_is_a_sentence(desk: Desk, step: Crop, tmp_path: Path) -> None:
    """An original that was moved away breaks neither the page nor the saved crop."""
    view, key = opened(desk, tmp_path, [FACE])
    (tmp_path / "turned 1.png").unlink()
    assert step.open_crops(view, {})["photos"][0]["key"] == key
    with pytest.raises((UnreadablePhoto, BadInput)) as raised:
        step.open_photo(view, {"key": key})
    assert str(raised.value)


@pytest.mark.browser
def test_a_problem_leads_to_its_very_photo(app_data: Path, visitor: Visitor, tmp_path: Path) -> None:
    """Whoever is led to a photo finds it in hand, in Crop and in Caption, and not again after a reload."""
    files = [stored(tmp_path, 1), stored(tmp_path, 6), stored(tmp_path, 8)]
    page = visitor.page
    with open_desk(load(data_dir=app_data)) as desk:
        project = save_project(desk, tmp_path, files, [FACE], ["one", "two", "three"])
        key = desk.store.decisions(project.id)[1].sha256
        visit(visitor, project, f"crop&photo={key}")
        page.locator(f".ldb-crop .item[data-photo='{key}'][aria-current]").wait_for()
        assert "photo=" not in page.url
        visit(visitor, project, f"caption&photo={key}")
        page.wait_for_function("document.activeElement.matches('.ldb-captions textarea')")
        assert page.evaluate("document.activeElement.value") == "two"


@pytest.mark.browser
def test_a_hand_at_the_page_cuts_exactly_there(app_data: Path, visitor: Visitor, tmp_path: Path) -> None:
    """Drag, stretch, keys, next, undo and reload, at two widths, upright and turned: pixel for pixel."""
    files = [stored(tmp_path, 1, HOSTILE), stored(tmp_path, 6), stored(tmp_path, 8)]
    page = visitor.page
    with open_desk(load(data_dir=app_data)) as desk:
        project = save_project(desk, tmp_path, files, [FACE, STRANGER])
        visit(visitor, project, "crop")
        page.locator(".ldb-crop .item").nth(2).wait_for()
        keys = [str(item.get_attribute("data-photo")) for item in page.locator(".ldb-crop .item").all()]
        page.locator(".ldb-crop .name", has_text="onerror=alert(1)").wait_for()
        for number, width in ((0, 1280), (1, 390), (2, 1280)):
            page.set_viewport_size({"width": width, "height": 900})
            if number:
                page.locator(".ldb-crop .box").focus()
                page.keyboard.press("n")
            shown(page, keys[number])
            drag_and_check(page)
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Alt+ArrowLeft")
        wait_saved(page)
        drawn = box_of(page)
        assert desk.store.overrides(project.id)[keys[2]].crop == Box(*drawn)

        page.keyboard.press("Control+z")
        page.locator(f".ldb-crop .box[data-box='{json.dumps(drawn, separators=(',', ':'))}']").wait_for(
            state="detached"
        )
        page.keyboard.press("Control+Shift+z")
        wait_saved(page)
        assert box_of(page) == drawn
        page.keyboard.press("r")
        wait_saved(page)
        assert {keys[0], keys[1]} == set(desk.store.overrides(project.id))

        page.get_by_role("button", name="Add: Face").click()
        wait_saved(page)
        assert [extra.name for extra in desk.store.finishing.extra_crops(project.id)[keys[2]]] == ["face"]
        page.keyboard.press("Control+z")
        wait_saved(page)
        assert desk.store.finishing.extra_crops(project.id) == {}

        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        leave(visitor, page.reload)
        shown(page, keys[0])
        assert desk.store.overrides(project.id)[keys[0]].crop == Box(*box_of(page))

        undo = page.locator(".ldb-crop").get_by_role("button", name="Undo")
        undo.click()
        shown(page, keys[2])
        wait_saved(page)
        assert desk.store.overrides(project.id)[keys[2]].crop == Box(*drawn) == Box(*box_of(page))


def shown(page: Any, key: str | None) -> None:
    """Waits until that photo is in hand."""
    page.wait_for_function(
        "key => { const image = document.querySelector('.ldb-crop .frame img');"
        " return image?.dataset.key === key && image.naturalWidth > 0; }",
        arg=key,
    )


def box_of(page: Any) -> list[int]:
    box: list[int] = json.loads(page.locator(".ldb-crop .box").get_attribute("data-box"))
    return box


def wait_saved(page: Any) -> None:
    page.wait_for_timeout(400)
    page.locator(".ldb-crop .saved[data-state=saved]").wait_for()


def drag_and_check(page: Any) -> None:
    """Moves and stretches the box by the mouse; what the screen and the view show is where it says it is."""
    handle = page.locator(".ldb-crop .handle.se").bounding_box()
    frame = page.locator(".ldb-crop .frame").bounding_box()
    page.mouse.move(handle["x"] + 22, handle["y"] + 22)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.7, frame["y"] + frame["height"] * 0.9, steps=4)
    page.mouse.up()
    middle = page.locator(".ldb-crop .box").bounding_box()
    x, y = middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - frame["width"] * 0.1, y + frame["height"] * 0.05, steps=4)
    page.mouse.up()
    wait_saved(page)
    box = box_of(page)
    left, top, across, down = box
    # Where the border is on the screen, in pixels of the original: no more than a screen pixel off.
    seen = page.locator(".ldb-crop .box").bounding_box()
    frame = page.locator(".ldb-crop .frame").bounding_box()
    scale = WIDTH / frame["width"]
    assert abs((seen["x"] - frame["x"]) * scale - left) <= scale
    assert abs((seen["y"] - frame["y"]) * scale - top) <= scale
    assert abs(seen["width"] * scale - across) <= scale
    # What the exact view shows: its corners' colours say where they were cut.
    page.locator(f".ldb-crop canvas[data-exact='{json.dumps(box, separators=(',', ':'))}']").wait_for()
    colours = page.evaluate(
        "() => { const c = document.querySelector('.ldb-crop canvas'), pen = c.getContext('2d');"
        " return [[20, 20], [c.width - 20, c.height - 20]]"
        ".map(([x, y]) => [...pen.getImageData(x, y, 1, 1).data.slice(0, 2)]); }"
    )
    inset = 20 * across / 1024
    wanted = [(left + inset, top + inset), (left + across - inset, top + down - inset)]
    # JPEG keeps a colour to a few steps of eight pixels.
    assert np.abs(np.array(colours) * CODE_STEP - np.array(wanted)).max() <= 4 * CODE_STEP
