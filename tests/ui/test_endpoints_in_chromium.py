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
    """Type address and key, test, order two models, write a prompt of one's own, agree, write captions.

    The first model of the list is in the table, the key is nowhere.
    """
    page = visitor.page
    visitor.upload(*photos)
    visitor.finish()
    visitor.run_everything()
    visitor.go("caption")
    page.locator("#ldb-caption-body", has_text="portrait.png").wait_for()
    page.locator("#ldb-model > button").click()
    address = page.locator("#ldb-model-url input, #ldb-model-url textarea")
    address.click()  # waits until the fold has stopped moving
    address.fill(server.url)
    page.locator("#ldb-model-about", has_text="OpenAI protocol").wait_for()
    page.locator("#ldb-model-key input").fill(KEY)
    models = page.locator("#ldb-model-models input")
    page.locator("#ldb-model-models .token-remove").first.click()
    for name in ("beta", "alpha"):
        models.fill(name)
        models.press("Enter")
        page.locator("#ldb-model-models .token", has_text=name).wait_for()
    models.press("Escape")
    server.behave("401")
    page.click("#ldb-model-test")
    page.locator("#ldb-model-said", has_text="Incorrect API key").wait_for()
    assert KEY not in page.content()
    page.click("#ldb-model-test")
    page.locator("#ldb-model-said", has_text="answers").wait_for()
    tested = len(server.log)
    page.click("#ldb-model-use")
    rows = page.locator("#ldb-models-body tbody tr")
    rows.nth(1).wait_for()
    page.locator("#ldb-model-up-1").click()
    page.locator("#ldb-models-body tbody tr:first-child", has_text="1. alpha").wait_for()
    page.locator("#ldb-model-per_minute-0").fill("600")
    page.locator("#ldb-model-per_minute-0").press("Tab")
    page.locator("#ldb-prompt > button").click()
    page.locator("#ldb-prompt-edit summary").click()
    page.locator("#ldb-prompt-name").fill("mine")
    page.locator("#ldb-prompt-user").fill("Say what the {class_word} does.\n{shape}")
    page.locator(".ldb-prompts pre", has_text="Say what the person does.").wait_for()
    page.locator("#ldb-prompt-save").click()
    page.locator("#ldb-prompt-choice option", has_text="mine").wait_for(state="attached")
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
    [line] = server.log[tested:]
    assert line["key"] == f"Bearer {KEY}" and line["model"] == "alpha"
    page.reload()
    page.locator("#ldb-model-sums tbody tr", has_text="alpha").wait_for()
    page.locator("#ldb-model > button").click()
    assert page.locator("#ldb-model-key input").input_value() == ""
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert KEY not in stored and KEY not in page.content()
    files = [path for path in app_data.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert all(KEY.encode() not in path.read_bytes() for path in files)
