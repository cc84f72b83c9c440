"""The whole way through the app, as a user in Chromium."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from .conftest import Visitor

pytestmark = pytest.mark.browser


def test_from_upload_to_download(visitor: Visitor, photos: list[Path], tmp_path: Path, chromium: Any) -> None:
    """Upload, watch, look at kept and dropped, change the language, reload, download the ZIP."""
    page = visitor.page
    visitor.upload(*photos)
    visitor.finish()
    visitor.run_everything()
    visitor.go("choose")
    page.locator(".ldb-tile.kept", has_text="portrait.png").wait_for()
    page.locator(".ldb-tile.dropped", has_text="copy.jpg").wait_for()
    assert page.locator(".ldb-tile", has_text="onerror=alert(1)").is_visible()
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name="一键完成").wait_for()
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")
    page.reload()
    page.locator("#ldb-go-choose[aria-current=step]").wait_for()
    page.locator(".ldb-tile.kept", has_text="portrait.png").wait_for()
    visitor.go("export")
    with page.expect_download() as download:
        page.locator(".ldb-get").first.click()
    download.value.save_as(tmp_path / "package.zip")
    with zipfile.ZipFile(tmp_path / "package.zip") as package:
        assert {"dataset/0001.png", "dataset/0001.txt"} <= set(package.namelist())

    other = Visitor(chromium, visitor.address)
    other.page.goto(page.url)
    other.page.locator("#ldb-go-photos").wait_for()
    assert other.page.locator(".ldb-list .name").count() == 0
    assert other.page.locator(".ldb-tile").count() == 0
    other.context.close()
