"""What each trainer does to each picture, as pictures, in the step Export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lora_builder.export.images import TrainingImage
from lora_builder.export.write import write_exports
from lora_builder.records import Box, Crop
from lora_builder.settings import Settings, load
from lora_builder.ui.desk import Desk
from lora_builder.ui.steps import View
from lora_builder.ui.steps.export import Export
from tests.ui.conftest import Visitor
from tests.ui.editor_pages import open_desk, save_project, view_of, visit

TALL = Crop(Box(0, 0, 832, 1216), 832, 1216)


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with open_desk(settings) as opened:
        yield opened


def packed(desk: Desk, folder: Path, portrait: Image.Image) -> View:
    """Two tall training pictures, one with the face at its very top, packed for a square trainer."""
    paths = []
    for number in range(2):
        paths.append(folder / f"{number}.png")
        portrait.resize((832 + number, 1216)).save(paths[-1], compress_level=1)
    project = save_project(desk, folder, paths, [Box(300, 20, 200, 240)], ["one", "two"])
    desk.set_settings(project, {"layouts": ("imagefolder",)})
    decisions = desk.store.decisions(project.id)
    faces = (Box(300, 500, 200, 240), Box(300, 20, 200, 240))
    images = [
        TrainingImage(f"000{n}", path, f"ohwx {n}", "us", line.sha256, TALL, "mirror" if n == 2 else "", face)
        for n, (path, line, face) in enumerate(zip(paths, decisions, faces, strict=True), 1)
    ]
    write_exports(project.folder, images, decisions, desk.settings_of(project))
    return view_of(desk, project, "export")


def test_the_page_knows_what_is_cut_from_each_picture(
    desk: Desk, tmp_path: Path, portrait: Image.Image
) -> None:
    """The worst first; what is kept and where the face is, in percent; nonsense gives nothing."""
    view = packed(desk, tmp_path, portrait)
    answer = Export().fates(view, {"layout": "imagefolder"})
    bad, good = answer["pictures"]
    assert (bad["name"], bad["mirror"], bad["bad"], good["bad"]) == ("0002", True, True, True)
    assert bad["cut"] > 30 and good["cut"] == 0, "the middle square loses a face at the top"
    left, top, width, height = bad["kept"]
    assert left == 0 and width == pytest.approx(100, abs=0.2)
    assert top == pytest.approx((100 - height) / 2, abs=0.2)
    assert bad["face"] == pytest.approx(
        [100 * 300 / 832, 100 * 20 / 1216, 100 * 200 / 832, 100 * 240 / 1216], abs=0.1
    )
    assert (bad["from"], bad["to"]) == ("832 × 1216", "1024 × 1024")
    assert Export().fates(view, {"layout": "x"}) == Export().fates(view, {}) == {"pictures": [], "more": 0}


def test_a_problem_shows_the_pictures_it_is_about(desk: Desk, tmp_path: Path, portrait: Image.Image) -> None:
    """Each with the photo it was cut from, which a click opens."""
    view = packed(desk, tmp_path, portrait)
    (planned,) = Export().load(view, {})["plans"]
    cut = next(problem for problem in planned["problems"] if "cut into" in problem["text"])
    ((photo, name, address),) = cut["images"]
    assert photo in {line.sha256 for line in desk.store.decisions(view.theirs.id)}
    assert name == "1.png" and photo in address


@pytest.mark.browser
def test_a_trainer_is_looked_at_rather_than_read(
    app_data: Path, visitor: Visitor, tmp_path: Path, portrait: Image.Image
) -> None:
    """One fold shows each picture with what is kept and the face; a click leads to that crop; a phone too."""
    page = visitor.page
    with open_desk(load(data_dir=app_data)) as desk:
        view = packed(desk, tmp_path, portrait)
        visit(visitor, view.theirs, "export")
        page.click("#ldb-fates-imagefolder > summary")
        tile = page.locator(".ldb-fates .fate").first
        tile.locator("strong", has_text="of the face cut off").wait_for()
        page.wait_for_function("document.querySelector('.ldb-fates img').naturalWidth > 0")
        seen, kept = (tile.locator(part).bounding_box() for part in (".seen", ".kept"))
        assert seen["y"] < kept["y"] and kept["y"] + kept["height"] < seen["y"] + seen["height"]
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        tile.click()
        page.locator("#ldb-go-crop[aria-current=step]").wait_for()
        page.locator(".ldb-crop .name", has_text="1.png").wait_for()
