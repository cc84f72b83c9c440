from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed"),
]

playwright = pytest.importorskip("playwright.sync_api")

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)}.png"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The real app, in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "LORA_DATA_DIR": str(tmp_path / "data"),
        "GRADIO_SERVER_PORT": str(port),
        "WORKERS": "1",
    }
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(url)
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    yield url
    process.terminate()
    process.wait()


@pytest.fixture
def photos(tmp_path: Path, portrait: Image.Image) -> list[Path]:
    from skimage.data import coffee

    folder = tmp_path / "photos"
    folder.mkdir()
    large = portrait.resize((1400, 1400), Image.Resampling.LANCZOS)
    large.save(folder / "portrait.png")
    large.resize((1100, 1100)).save(folder / "copy.jpg", quality=80)
    Image.fromarray(coffee()).resize((1600, 1200)).save(folder / HOSTILE)
    return sorted(folder.iterdir())


def watch(page: Any, address: str) -> list[str]:
    """Collects what must never happen: script errors, hostile scripts, requests to other hosts."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(f"a script ran: {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    own = (address, "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else faults.append(request.url))
    return faults


def test_from_upload_to_download(address: str, photos: list[Path], tmp_path: Path) -> None:
    """Upload, watch, look at kept and dropped, change the language, reload, download the ZIP."""
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        faults = watch(page, address)
        page.goto(address)
        page.locator("input[type=file]").first.set_input_files(photos)
        page.get_by_label("Trigger word").fill("ohwx")
        page.locator(".file-preview", has_text="portrait").wait_for()
        page.get_by_role("button", name="Build the dataset").click()
        page.get_by_text("Kept (1)").wait_for(timeout=120_000)
        card = page.locator(".ldb-card", has_text="portrait.png")
        assert card.locator("img").count() == 1
        page.get_by_text("Left out (2)").click()
        page.locator(".ldb-card", has_text="copy.jpg").wait_for()
        assert page.get_by_text("onerror=alert(1)").first.is_visible()

        page.get_by_text("中文").click()
        page.get_by_role("button", name="生成数据集").wait_for()
        page.get_by_text("舍弃 (2)").wait_for()
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")

        page.reload()
        page.get_by_text(re.compile("Kept \\(1\\)|保留 \\(1\\)")).wait_for(timeout=30_000)
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile("Download the training package|下载训练包")).click()
        download.value.save_as(tmp_path / "package.zip")
        with zipfile.ZipFile(tmp_path / "package.zip") as package:
            assert {"dataset/0001.png", "dataset/0001.txt", "dataset.toml"} <= set(package.namelist())
            assert package.read("dataset/0001.txt").startswith(b"ohwx")

        other = browser.new_context().new_page()
        other.goto(address)
        other.get_by_role("button", name="Build the dataset").wait_for()
        time.sleep(2)
        assert other.locator(".ldb-card").count() == 0
        assert faults == []
        browser.close()


def test_a_stopped_run_goes_on_where_it_was(address: str, photos: list[Path], tmp_path: Path) -> None:
    """Without photos there is a plain sentence; Stop stops; a reload forgets nothing; Build goes on."""
    archive = tmp_path / "holiday.zip"
    with zipfile.ZipFile(archive, "w") as package:
        for path in photos:
            package.write(path, f"{HOSTILE}/{path.name}")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        faults = watch(page, address)
        page.goto(address)
        build = page.get_by_role("button", name="Build the dataset")
        build.click()
        page.get_by_role("alert").get_by_text("No photos were chosen").wait_for()

        page.locator("input[type=file]").first.set_input_files(archive)
        page.locator(".file-preview", has_text="holiday").wait_for()
        page.get_by_label("Trigger word").fill("ohwx")
        build.click()
        page.get_by_role("progressbar").first.wait_for()
        page.reload()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("What was done is kept").wait_for(timeout=60_000)
        page.get_by_text("“holiday”").wait_for()
        assert page.get_by_label("Trigger word").input_value() == "ohwx"

        build.click()
        page.get_by_text("Kept (1)").wait_for(timeout=120_000)
        page.get_by_text("Left out (2)").click()
        page.locator(".ldb-card", has_text="copy.jpg").wait_for()
        assert faults == []
        browser.close()
