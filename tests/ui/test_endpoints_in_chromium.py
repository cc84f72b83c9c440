"""Captions by a vision model, set up in the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.caption.conftest import Unruly, _server, server  # noqa: F401

from .conftest import Visitor

pytestmark = pytest.mark.browser

KEY = "sk-typed-by-the-visitor-0123456789"


def test_a_vision_model_writes_after_a_yes(
    visitor: Visitor,
    photos: list[Path],
    server: Unruly,  # noqa: F811
    app_data: Path,
) -> None:
    """Type address and key, test, agree, write; the model is in the table, the key is nowhere."""
    page = visitor.page
    visitor.upload(*photos)
    visitor.finish()
    visitor.run_everything()
    visitor.go("caption")
    page.locator("#ldb-caption-body", has_text="portrait.png").wait_for()
    page.locator("#ldb-model > button").click()
    page.wait_for_timeout(800)  # the fold opens slowly, and what is in it comes alive after that
    page.locator("#ldb-model-url input, #ldb-model-url textarea").fill(server.url)
    page.locator("#ldb-model-about", has_text="OpenAI protocol").wait_for()
    page.locator("#ldb-model-key input").fill(KEY)
    models = page.locator("#ldb-model-models input")
    page.locator("#ldb-model-models .token-remove").first.click()
    models.fill("alpha")
    models.press("Enter")
    page.locator("#ldb-model-models .token", has_text="alpha").wait_for()
    models.press("Escape")
    server.behave("401")
    page.click("#ldb-model-test")
    page.locator("#ldb-model-said", has_text="Incorrect API key").wait_for()
    assert KEY not in page.content()
    page.click("#ldb-model-test")
    page.locator("#ldb-model-said", has_text="answers").wait_for()
    tested = len(server.log)
    page.click("#ldb-model-use")
    page.locator("#ldb-model-agree", has_text="1 picture of this project").wait_for()
    page.click("#ldb-run-all:enabled")
    page.locator("#ldb-notice", has_text="agreed").wait_for()
    assert len(server.log) == tested
    page.locator("#ldb-model-agree input").check()
    page.locator("#ldb-model-start:enabled").click()
    page.locator(".ldb-progress:is(.queued, .running)").wait_for()
    visitor.finish()
    page.locator("#ldb-caption-body", has_text="alpha@").wait_for()
    page.locator("#ldb-model-sums tbody tr", has_text="alpha").wait_for()
    assert [line["key"] for line in server.log[tested:]] == [f"Bearer {KEY}"]
    page.reload()
    page.locator("#ldb-model-sums tbody tr", has_text="alpha").wait_for()
    page.locator("#ldb-model > button").click()
    assert page.locator("#ldb-model-key input").input_value() == ""
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert KEY not in stored and KEY not in page.content()
    files = [path for path in app_data.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert all(KEY.encode() not in path.read_bytes() for path in files)
