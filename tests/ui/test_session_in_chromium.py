"""Pages come and go: reloads, lost networks, other people, other languages."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from lora_builder.ui.steps import STEPS
from lora_builder.ui.texts import LANGUAGES, TEXTS

from .conftest import Visitor
from .proxy import Cable

pytestmark = pytest.mark.browser


def test_a_job_outlives_its_page_and_its_network(chromium: Any, address: str) -> None:
    """A reload and a pulled cable in mid-job lose nothing: the page re-attaches and sees the end."""
    cable = Cable(int(urlsplit(address).port or 0))
    someone = Visitor(chromium, f"http://127.0.0.1:{cable.port}")
    page = someone.page
    try:
        page.goto(someone.address)
        page.click("#ldb-sample")
        page.locator(".ldb-progress.running").wait_for()
        page.reload()
        page.locator(".ldb-progress:is(.running, .queued)").wait_for()
        assert page.locator(".ldb-list .name[aria-current]").count() == 1
        cable.pull()
        time.sleep(2)
        cable.plug()
        someone.finish()
        page.locator("#ldb-go-export.done[aria-current=step]").wait_for()
    finally:
        someone.context.close()
        cable.close()


def test_stop_acts_at_once_and_keeps_what_is_done(
    visitor: Visitor, tmp_path: Path, portrait: Image.Image
) -> None:
    """Stop is answered within a second, says so, and running again goes on to the end."""
    page = visitor.page
    # Photos that no test before this one has had measured: the job must last until it is stopped.
    photos = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(photos):
        portrait.resize((1100 + 10 * number,) * 2).save(path)
    visitor.upload(*photos)
    page.locator(".ldb-progress.running").wait_for()
    page.click("#ldb-cancel")
    clicked = time.monotonic()
    page.locator(".ldb-progress.cancelled, .ldb-status:has-text('Stopping')").first.wait_for()
    assert time.monotonic() - clicked < 2.0
    page.locator(".ldb-progress.cancelled").wait_for(timeout=30_000)
    visitor.run_everything()
    page.locator("#ldb-go-export.done").wait_for()


def test_nobody_sees_anothers_photos(visitor: Visitor, chromium: Any, photos: list[Path]) -> None:
    """Another visitor gets neither the project, nor its functions, nor a picture by its address."""
    page = visitor.page
    visitor.upload(photos[0])
    visitor.finish()
    visitor.go("choose")
    picture = page.locator(".ldb-tile img").first.get_attribute("src")
    assert page.request.get(f"{visitor.address}/{picture}").status == 200
    called = []
    page.on("request", lambda request: called.append(request) if "component_server" in request.url else None)
    visitor.go("people")
    visitor.go("choose")
    page.wait_for_timeout(800)
    question = next(request.post_data for request in called if '"load"' in (request.post_data or ""))

    other = Visitor(chromium, visitor.address)
    other.page.goto(page.url)
    other.page.locator("#ldb-go-photos[aria-current=step]").wait_for()
    assert other.page.locator(".ldb-list .name").count() == 0
    assert other.page.request.get(f"{visitor.address}/{picture}").status == 404
    url = f"{visitor.address}/gradio_api/component_server"
    headers = {"content-type": "application/json"}
    assert "photos" in page.request.post(url, data=question, headers=headers).json()
    assert other.page.request.post(url, data=question, headers=headers).status == 403
    own_session = json.dumps({**json.loads(question), "session_hash": "another1"})
    assert set(other.page.request.post(url, data=own_session, headers=headers).json()) == {"error"}
    other.context.close()


def test_nothing_secret_lies_in_the_browser(visitor: Visitor, photos: list[Path]) -> None:
    """No script can read the visitor's token: it is neither in the page's storage nor in its cookies."""
    page = visitor.page
    visitor.upload(photos[0])
    visitor.finish()
    token = next(cookie for cookie in visitor.context.cookies() if cookie["name"] == "ldb_visitor")
    assert token["httpOnly"]
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert token["value"] not in stored
    assert token["value"] not in page.content()


PROPER = frozenset(
    """LoRA API Dataset Builder English JPEG jpg PNG png RAW ZIP MB GB kB HEIC CSV csv txt RE sRGB Hub kohya
    sd scripts ostris ai toolkit OneTrainer musubi tuner diffusion pipe SimpleTuner Hugging Face imagefolder
    diffusers WebDataset shards Plain pairs SDXL FLUX Qwen Image Turbo Krea dev of woman man person ohwx
    Enter Shift Esc Ctrl Alt Delete Home End Page Up Down
    huggingface co settings tokens anna portraits""".split()
)
"""Latin words that stay as they are on a Chinese page: names, formats, units, keys, what is typed."""

VISIBLE = """() => {
    for (const fold of document.querySelectorAll('.ldb-panel details')) fold.open = true;
    const page = document.body.cloneNode(true);
    document.body.append(page);
    for (const foreign of page.querySelectorAll('[lang=en], [translate=no], script, style')) foreign.remove();
    const text = page.innerText;
    const names = ['aria-label', 'title', 'placeholder'];
    const labels = [...document.querySelectorAll(names.map((name) => `[${name}]`))]
        .filter((node) => node.checkVisibility())
        .flatMap((node) => names.map((name) => node.getAttribute(name) || ''));
    page.remove();
    return [text, ...labels].join('\\n');
}"""


def test_a_chinese_page_holds_no_english(
    visitor: Visitor, tmp_path: Path, portrait: Image.Image, chromium: Any
) -> None:
    """With photos, a repeat, a file that cannot be read and every fold open, all words are Chinese."""
    page = visitor.page
    page.click("#ldb-speak-zh")
    page.locator("html[lang^=zh]").wait_for()
    portrait.resize((1100, 1100)).save(tmp_path / "甲.png")
    portrait.resize((1040, 1040)).save(tmp_path / "乙.jpg", quality=80)
    (tmp_path / "丙.jpg").write_bytes(b"no photo")
    (tmp_path / "丁.zip").write_bytes(b"no zip")
    visitor.upload(*sorted(tmp_path.iterdir()))
    visitor.finish()
    visitor.run_everything()
    english = {}
    for step in STEPS:
        visitor.go(step)
        page.wait_for_timeout(1000)
        if step == "choose":
            page.locator(".ldb-tile.dropped", has_text="乙.jpg").click()
            page.click("#ldb-tune")
            page.wait_for_timeout(500)
            told = words(page)
            page.click("#ldb-cover")
            page.keyboard.press("Escape")
            english[step] = told | words(page)
        else:
            english[step] = words(page)
    assert {step: found for step, found in english.items() if found} == {}


def words(page: Any) -> set[str]:
    """Latin words of two letters and more that a reader sees or hears."""
    return set(re.findall(r"[A-Za-z]{2,}", re.sub(r"\S*/projects/\w+", "", page.evaluate(VISIBLE)))) - PROPER


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_step_speaks_the_language(visitor: Visitor, chromium: Any, language: str) -> None:
    """No step shows a key, an unfilled field, or a text of the other language; all fit 390 pixels."""
    page = visitor.page
    page.click(f"#ldb-speak-{language}")
    page.locator(f"html[lang^={language}]").wait_for()
    page.click("#ldb-new")
    page.locator(".ldb-list .name[aria-current]").wait_for()
    page.set_viewport_size({"width": 390, "height": 844})
    theirs = 0 if language == "zh" else 1
    foreign = [
        pair[theirs]
        for pair in TEXTS.values()
        if pair[0] != pair[1] and len(pair[theirs]) > 3 and "{" not in pair[theirs]
        if pair[theirs] not in LANGUAGES.values()
    ]
    for step in STEPS:
        visitor.go(step)
        page.wait_for_timeout(300)
        text = page.locator("body").inner_text()
        assert not re.search(r"\b(nav|side|photos|people|choose|crop|caption|export|edit)_[a-z]+\b", text)
        assert not re.search(r"\{\w+\}|undefined|\bnull\b|NaN", text)
        assert [words for words in foreign if words in text.splitlines()] == [], step
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1], step
