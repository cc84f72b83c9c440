"""Photos of a store in the app, on a real S3 server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_builder.places import Place
from tests.far_servers import S3Server
from tests.servers import free_port

from .conftest import Visitor, running_app

pytestmark = pytest.mark.browser


def test_photos_of_a_store_become_a_set(
    s3: S3Server, photos: list[Path], tmp_path: Path, chromium: Any
) -> None:
    """An address in the folder's box is read where it lies; one that is wrong says what to do."""
    bucket = Place(f"s3://{s3.BUCKET}")
    for path in photos:
        (bucket / "Ann" / path.name).put(path)
    with running_app(tmp_path / "data", free_port(), **s3.environment) as url:
        visitor = Visitor(chromium, url)
        page = visitor.page
        page.goto(url)
        for wrong, why in (("s3://nobodys/Ann", "no such bucket"), (f"{bucket}/Ben", "There is nothing in")):
            read(page, wrong)
            page.locator("#ldb-notice", has_text=why).wait_for()
        read(page, f"{bucket}/Ann")
        visitor.finish()
        page.locator("#ldb-photos-zone", has_text="This project reads a store").wait_for()
        page.locator("#ldb-photos-zone code", has_text="s3://photos/Ann").wait_for()
        visitor.run_everything()
        visitor.go("crop")
        page.get_by_text("from 1400 × 1400 pixels of the original").wait_for()
        visitor.go("export")
        with page.expect_download():
            page.locator(".ldb-get").first.click()
        assert visitor.faults == []
        visitor.context.close()
    assert len((bucket / "Ann").files()) == len(photos)


def read(page: Any, address: str) -> None:
    """Types an address and opens it."""
    page.locator("#ldb-folder textarea, #ldb-folder input").fill(address)
    page.click("#ldb-folder-open")
