"""A review of 500 photos in Chromium: thresholds, keyboard, undo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_builder.settings import load
from lora_builder.store import Store
from lora_builder.ui.door import COOKIE, new_token

from .conftest import Visitor
from .made_project import made_project, made_strangers

pytestmark = pytest.mark.browser

PHOTOS = 500


@pytest.fixture
def reviewer(chromium: Any, address: str, app_data: Path) -> Iterator[Visitor]:
    """A visitor with 500 measured photos."""
    owner = new_token()
    settings = load(data_dir=app_data)
    with Store(settings.database) as store:
        project = made_project(store, settings, owner, PHOTOS, pictures=False)
    someone = Visitor(chromium, address)
    someone.context.add_cookies([{"name": COOKIE, "value": owner, "url": address}])
    someone.page.goto(f"{address}/?project={project.id}&step=choose")
    someone.page.locator(".ldb-choose[data-ready]").wait_for()
    yield someone
    someone.context.close()


def counts(page: Any) -> tuple[int, int]:
    """Kept and left out, as the page says."""
    heads = [page.locator(f".ldb-half.{half} h2").inner_text() for half in ("kept", "dropped")]
    kept, dropped = (int(head.split("(")[1].rstrip(")")) for head in heads)
    return kept, dropped


def test_a_review_of_500_photos(reviewer: Visitor) -> None:
    """Moving a threshold regroups, K and D and undo work from the keyboard, and a reload keeps it all."""
    page = reviewer.page
    kept, dropped = counts(page)
    assert kept + dropped == PHOTOS
    assert page.locator(".ldb-tile").count() < 150
    page.click("#ldb-tune")
    page.locator("#ldb-set-min_brightness").fill("0.5")
    page.wait_for_function(f"document.querySelector('.ldb-half.kept h2').innerText !== 'Kept ({kept})'")
    darker = counts(page)
    assert darker[0] < kept
    assert sum(darker) == PHOTOS
    page.locator("#ldb-go-crop").wait_for()

    page.locator(".ldb-tile.kept").first.click()
    name = page.locator(".ldb-tile.focus .name").get_attribute("title")
    page.keyboard.press("d")
    page.wait_for_function(f"document.querySelector('.ldb-half.kept h2').innerText !== 'Kept ({darker[0]})'")
    after = counts(page)
    assert page.locator(".ldb-tile.focus.kept").count() == 1
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_text("3 selected").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    page.locator(".ldb-zoom[open]").wait_for()
    page.keyboard.press("Space")
    page.locator(".ldb-zoom[open]").wait_for(state="detached")

    page.reload()
    page.locator(".ldb-choose[data-ready]").wait_for()
    assert counts(page) == after
    page.click("#ldb-undo")
    page.wait_for_function(f"document.querySelector('.ldb-half.kept h2').innerText === 'Kept ({darker[0]})'")
    page.click("#ldb-undo")
    page.wait_for_function(f"document.querySelector('.ldb-half.kept h2').innerText === 'Kept ({kept})'")
    page.click("#ldb-redo")
    page.click("#ldb-redo")
    page.wait_for_function(f"document.querySelector('.ldb-half.kept h2').innerText === 'Kept ({after[0]})'")
    assert name
    faults = [fault for fault in reviewer.faults if "404" not in fault]
    assert faults == []


def test_photos_that_only_the_user_can_tell(chromium: Any, address: str, app_data: Path) -> None:
    """They are marked and listed; K, D and a tap answer them; People names the subject by one click."""
    owner = new_token()
    settings = load(data_dir=app_data)
    with Store(settings.database) as store:
        project = made_strangers(store, settings, owner)
    someone = Visitor(chromium, address)
    someone.context.add_cookies([{"name": COOKIE, "value": owner, "url": address}])
    page = someone.page
    page.goto(f"{address}/?project={project.id}&step=choose")
    page.locator(".ldb-choose[data-ready]").wait_for()
    undecided = page.locator(".ldb-tile.undecided")
    assert undecided.count() == 10
    assert undecided.first.locator(".badge").inner_text() == "To decide"
    assert page.locator(".ldb-half.dropped .ldb-head").all_inner_texts() == ["To decide (10)"]
    page.select_option("#ldb-filter", label="To decide (10)")
    undecided.first.click()
    page.keyboard.press("k")
    page.wait_for_function("document.querySelectorAll('.ldb-tile').length === 9")
    page.keyboard.press("d")
    page.wait_for_function("document.querySelectorAll('.ldb-tile').length === 8")
    assert counts(page) == (1, 9)
    page.set_viewport_size({"width": 390, "height": 844})
    undecided.first.click()
    page.locator(".ldb-bulk.on").get_by_role("button", name="Leave out").click()
    page.wait_for_function("document.querySelectorAll('.ldb-tile').length === 7")
    page.click("#ldb-undo")
    page.wait_for_function("document.querySelectorAll('.ldb-tile').length === 8")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.select_option("#ldb-filter", "-1")
    page.click("#ldb-tune")
    page.locator("#ldb-set-duplicates-take").uncheck()
    page.locator("#ldb-set-duplicates-burst").uncheck()
    page.locator("#ldb-set-undecided").select_option("keep")
    page.wait_for_function("document.querySelector('.ldb-half.kept h2').innerText === 'Kept (9)'")
    assert undecided.count() == 8
    assert page.locator(".ldb-control .check input:checked").count() == 3

    someone.go("people")
    faces = page.locator(".ldb-person")
    faces.first.wait_for()
    assert faces.count() == 10
    faces.nth(3).get_by_role("button", name="This is the subject").click()
    page.locator(".ldb-person.subject").wait_for()
    assert page.locator(".ldb-person.subject h3").all_inner_texts() == ["The subject · 6.jpg"]
    faults = [fault for fault in someone.faults if "404" not in fault]
    someone.context.close()
    assert faults == []
