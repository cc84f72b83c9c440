"""Taking photos out of a project, and putting them back."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import HOSTILE, Visitor

pytestmark = pytest.mark.browser


def test_photos_leave_a_project_and_come_back(visitor: Visitor, photos: list[Path], app_data: Path) -> None:
    """One photo and one that cannot be read leave by a click, stay away over a reload, and come back."""
    page = visitor.page
    broken = photos[0].parent / "broken.jpg"
    broken.write_bytes(b"")
    visitor.upload(*photos, broken)
    visitor.finish()
    three = "document.querySelectorAll('.ldb-gallery .ldb-tile').length === 3"
    page.wait_for_function(three)
    page.locator(".ldb-tile", has_text="onerror=alert(1)").click()
    page.keyboard.press("Delete")
    page.locator(".ldb-removed summary", has_text="Removed from the project: 1").wait_for()
    page.wait_for_function("document.querySelectorAll('.ldb-gallery .ldb-tile').length === 2")
    page.click(".ldb-problems:not(.ldb-removed) summary")
    page.get_by_role("button", name="Remove these from the project").click()
    page.locator(".ldb-removed summary", has_text="Removed from the project: 2").wait_for()
    visitor.finish()
    assert len(list(app_data.glob("projects/*/input/broken.jpg"))) >= 1

    page.reload()
    page.locator(".ldb-removed summary").click()
    assert set(page.locator(".ldb-removed li > span").all_inner_texts()) == {HOSTILE, "broken.jpg"}
    visitor.go("choose")
    page.locator(".ldb-tile", has_text="portrait.png").wait_for()
    assert page.locator(".ldb-tile").count() == 2
    visitor.go("photos")
    page.locator(".ldb-removed summary").click()
    page.click("#ldb-restore")
    page.wait_for_function(three)
    assert page.locator(".ldb-removed").is_hidden()
    visitor.finish()
