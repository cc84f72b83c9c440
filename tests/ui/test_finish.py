"""Edits, masks and backdrops in the step Crop: seen before and after, saved, taken back, named."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_builder import edits
from lora_builder.errors import BadInput, BadSettings, LoraBuilderError
from lora_builder.pipeline import run
from lora_builder.records import Box, Edits, Stage
from lora_builder.settings import Settings, load
from lora_builder.ui.desk import Desk
from lora_builder.ui.editors.pictures import Darkroom
from lora_builder.ui.steps import View
from lora_builder.ui.steps.finish import Finish
from tests.ui.conftest import Visitor
from tests.ui.editor_pages import open_desk, save_project, view_of, visit

FACE, STRANGER = Box(500, 100, 320, 420), Box(60, 80, 150, 200)
PLAIN: dict[str, Any] = {"mask": "none", "feather": 16}


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with open_desk(settings) as opened:
        yield opened


@pytest.fixture
def step() -> Finish:
    return Finish(Darkroom())


def opened(desk: Desk, folder: Path, portrait: Image.Image, photos: int = 1) -> tuple[View, list[str]]:
    """A project of portraits with a stranger's face in each."""
    paths = []
    for number in range(photos):
        paths.append(folder / f"{number}.png")
        portrait.resize((1200 + number, 1200)).save(paths[-1], compress_level=1)
    view = view_of(desk, save_project(desk, folder, paths, [FACE, STRANGER]), "crop")
    return view, [photo["key"] for photo in Finish(Darkroom()).open_finish(view, {})["photos"]]


def pixels(uri: str) -> Any:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)


def test_the_picture_after_is_the_one_a_run_makes(
    desk: Desk, step: Finish, tmp_path: Path, portrait: Image.Image
) -> None:
    """Mirror and a plain backdrop look as the file does that the crop stage then writes; so does the mask."""
    view, (key,) = opened(desk, tmp_path, portrait)
    wanted = "mirror,backdrop=#00ff00"
    seen = step.see_finish(view, {"key": key, "edits": wanted, "mask": "head", "feather": 8})
    before, after, masked = (pixels(seen[name]) for name in ("before", "after", "masked"))
    assert abs(before[:, ::-1] - after).mean() > 5, "the backdrop is another"
    assert 0.02 < seen["trained"] < 0.6
    assert (masked[:, :, 0] - after[:, :, 0]).max() > 100, "red lies over what does not train"
    step.save_finish(view, {"recipe": wanted, "mask": "head", "feather": 8, "own": {}})
    for _ in run(desk.store, view.theirs, view.settings, stages=[Stage.CROP]):
        pass
    crops = [p for p in (view.theirs.folder / ".cache/crops").iterdir() if ".mask" not in p.name]
    with Image.open(crops[0]) as file:
        # JPEG, in which the preview travels, keeps colours to a few levels.
        assert abs(np.asarray(file.convert("RGB"), np.int16) - after).mean() < 3


def test_edits_hold_for_all_or_for_one_and_go_again(
    desk: Desk, step: Finish, tmp_path: Path, portrait: Image.Image
) -> None:
    """A photo's own edits win over those of all, `null` gives them up, and the step is out of date."""
    view, (one, two) = opened(desk, tmp_path, portrait, photos=2)
    before = desk.marks(view.theirs)["crop"]
    state = step.save_finish(view, {"recipe": "sharpen=0.4", "own": {one: "", two: "mirror"}, **PLAIN})
    assert (state["recipe"], state["own"]) == ("sharpen=0.4", {one: "", two: "mirror"})
    assert desk.store.finishing.edits(view.theirs.id) == {one: Edits(), two: Edits(mirror=True)}
    assert desk.settings_of(view.theirs).recipe == "sharpen=0.4"
    state = step.save_finish(view, {"recipe": "", "own": {one: None, two: None}, **PLAIN})
    assert (state["recipe"], state["own"]) == ("", {})
    assert desk.marks(view.theirs)["crop"] == before


def test_a_saved_recipe_is_there_in_other_projects_of_the_same_visitor(
    desk: Desk, step: Finish, tmp_path: Path, portrait: Image.Image
) -> None:
    """By name, and for nobody else; names of built-in recipes and of edits are refused."""
    view, _ = opened(desk, tmp_path, portrait)
    step.name_recipe(view, {"name": " my  look ", "edits": "sharpen=0.2,bystanders=blur"})
    other = desk.store.project(tmp_path / "other", "Other", tmp_path, view.theirs.owner)
    stranger = desk.store.project(tmp_path / "third", "Third", tmp_path, "somebody-else-entirely-123456789")
    assert ["my look", "sharpen=0.2,bystanders=blur", True] in step.open_finish(
        view_of(desk, other, "crop"), {}
    )["recipes"]
    names = [name for name, *_ in step.open_finish(view_of(desk, stranger, "crop"), {})["recipes"]]
    assert names == list(edits.BUILT_IN)
    for name in ("gentle", "mirror", "", "a=b", "x" * 41):
        with pytest.raises(LoraBuilderError):
            step.name_recipe(view, {"name": name, "edits": ""})
    left = step.name_recipe(view, {"name": "my look", "edits": None})
    assert "my look" not in [name for name, *_ in left["recipes"]]


@pytest.mark.parametrize(
    "sent",
    [
        {"recipe": "explode", "own": {}, **PLAIN},
        {"recipe": 7, "own": {}, **PLAIN},
        {"recipe": "", "own": {"gone": "mirror"}, **PLAIN},
        {"recipe": "", "own": [], **PLAIN},
        {"recipe": "", "own": {}, "mask": "all", "feather": 16},
        {"recipe": "", "own": {}, "mask": "head", "feather": 1e9},
        {"recipe": "sharpen=0." + "1" * 300, "own": {}, **PLAIN},
    ],
)
def test_what_a_page_cannot_mean_changes_nothing(
    desk: Desk, step: Finish, tmp_path: Path, portrait: Image.Image, sent: dict[str, Any]
) -> None:
    """Unknown edits, photos that are not there, values out of range: refused before anything is saved."""
    view, _ = opened(desk, tmp_path, portrait)
    before = step.open_finish(view, {})
    with pytest.raises((BadInput, BadSettings)):
        step.save_finish(view, sent)
    assert step.open_finish(view, {}) == before


@pytest.mark.browser
def test_a_photographer_edits_looks_and_takes_back(
    visitor: Visitor, app_data: Path, tmp_path: Path, portrait: Image.Image
) -> None:
    """A recipe for all, one photo apart, the mask in red, undo, in both languages, on a phone as well."""
    page = visitor.page
    with open_desk(load(data_dir=app_data)) as desk:
        view, (one, _two) = opened(desk, tmp_path, portrait, photos=2)
        visit(visitor, view.theirs, "crop")
        page.click("#ldb-finish > summary")
        page.locator("#ldb-finish-after[src^='data:image/jpeg']").wait_for()
        page.select_option("#ldb-finish-recipe", label="Blur other people")
        page.locator(".ldb-finish .pair[data-shown='bystanders=blur']:not(.loading)").wait_for()
        page.click(".ldb-finish [data-scope=this]")
        page.check("#ldb-finish-mirror")
        assert "not the same on both sides" in page.inner_text(".ldb-finish .side")
        page.select_option("#ldb-finish-mask", "head")
        page.locator(".ldb-finish .work", has_text="of the picture trains").wait_for()
        page.locator(".ldb-finish .saved[data-state=saved]").wait_for()
        page.wait_for_timeout(400)

        def known() -> tuple[str, str, dict[str, Edits]]:
            now = desk.settings_of(view.theirs)
            return now.recipe, now.mask, desk.store.finishing.edits(view.theirs.id)

        assert known() == ("bystanders=blur", "head", {one: Edits(bystanders="blur", mirror=True)})
        for _ in range(2):
            page.locator("#ldb-finish-past button").first.click()
        page.wait_for_timeout(800)
        assert known() == ("bystanders=blur", "none", {})
        page.fill("#ldb-finish-name", "my look")
        page.click("#ldb-finish-save")
        page.locator(".ldb-finish", has_text="for all your projects").wait_for()
        assert page.locator("#ldb-finish-recipe option", has_text="my look").count() == 1
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.click("#ldb-speak-zh")
        page.locator("#ldb-finish > summary", has_text="编辑、蒙版与背景").wait_for()
        assert "Edits" not in page.inner_text(".ldb-finish .side")
        json.dumps(known()[0])
