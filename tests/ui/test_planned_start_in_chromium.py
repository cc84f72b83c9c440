"""A run that starts at its hour: planned, seen, called off, begun after all."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from .conftest import Visitor

pytestmark = pytest.mark.browser


def plan(visitor: Visitor, when: datetime.datetime | None) -> None:
    """Opens the clock beside *Run everything* and sets a time; None leaves it empty."""
    visitor.page.click("#ldb-later:enabled")
    visitor.page.fill("#ldb-at", when.strftime("%Y-%m-%dT%H:%M") if when else "")
    visitor.page.click("#ldb-at-go")


def test_a_run_is_planned_and_called_off_and_begun(visitor: Visitor, photos: list[Path]) -> None:
    """The page and the list of projects say when, over a reload and in both languages."""
    page = visitor.page
    visitor.upload(*photos)
    visitor.finish()
    tomorrow = datetime.datetime.now() + datetime.timedelta(days=1)
    plan(visitor, tomorrow)
    said = page.locator(".ldb-progress.queued .ldb-status")
    said.filter(has_text="Starts").wait_for()
    assert tomorrow.strftime("%I:%M").lstrip("0") in said.inner_text().replace(" 0", " ")
    page.locator(".ldb-list .s.planned", has_text="planned").wait_for()
    assert page.locator("#ldb-run-all").is_disabled()
    page.reload()
    said.filter(has_text="Starts").wait_for()
    page.get_by_role("button", name="中文").click()
    said.filter(has_text="开始").wait_for()
    page.click("#ldb-cancel")
    page.locator(".ldb-progress.cancelled").wait_for()
    page.locator("#ldb-run-all:enabled").wait_for()
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Run everything").wait_for()

    plan(visitor, tomorrow + datetime.timedelta(days=30))
    page.locator("#ldb-notice", has_text="hours ahead").wait_for()
    plan(visitor, tomorrow)
    page.locator(".ldb-list .more").click()
    page.get_by_role("button", name="Start now").last.wait_for()
    page.click("#ldb-begin")
    visitor.finish()
    page.locator("#ldb-go-export.done").wait_for()

    plan(visitor, None)
    visitor.finish()
