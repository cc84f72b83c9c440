"""The real app in a process of its own, and a browser that fails on what must never happen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}}.png"


@contextlib.contextmanager
def running_app(data_dir: Path, port: int, **environment: str) -> Iterator[str]:
    """`python app.py` at that port until the block ends."""
    variables = os.environ | {
        "LORA_DATA_DIR": str(data_dir),
        "GRADIO_SERVER_PORT": str(port),
        "WORKERS": "1",
        **environment,
    }
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=variables)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, "the app ended"
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(url)
                break
            time.sleep(0.25)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def app_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app") / "data"


@pytest.fixture(scope="session")
def address(app_data: Path) -> Iterator[str]:
    """One app for all browser tests: each visitor has projects of their own."""
    with running_app(app_data, free_port()) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A person with a browser of their own; `faults` collects what must never happen to them."""

    def __init__(self, browser: Any, address: str, width: int = 1280, height: int = 900) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.address = address
        self.faults: list[str] = []
        self.page = self.context.new_page()
        self._watch(self.page)

    def _watch(self, page: Any) -> None:
        faults, own = self.faults, (self.address, "data:", "blob:")
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"a script ran: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.on(
            "request", lambda request: None if request.url.startswith(own) else faults.append(request.url)
        )

    def go(self, step: str) -> None:
        """Opens a step, and waits until it is there."""
        self.page.click(f"#ldb-go-{step}")
        self.page.locator(f"#ldb-go-{step}[aria-current=step]").wait_for()

    def upload(self, *paths: Path) -> None:
        self.page.locator("#ldb-files").set_input_files(list(paths))

    def finish(self, timeout: float = 120_000) -> None:
        """Waits until the project's job has ended well."""
        self.page.locator(".ldb-progress.done").wait_for(timeout=timeout)
        self.page.locator("#ldb-run-all:enabled").wait_for()

    def run_everything(self) -> None:
        self.page.click("#ldb-run-all:enabled")
        self.page.locator(".ldb-progress:is(.queued, .running)").wait_for()
        self.finish()


@pytest.fixture
def visitor(chromium: Any, address: str) -> Iterator[Visitor]:
    """A visitor on the app's first page; the test fails if anything bad happened to them."""
    someone = Visitor(chromium, address)
    someone.page.goto(address)
    yield someone
    faults = list(someone.faults)
    someone.context.close()
    assert faults == []


@pytest.fixture
def photos(tmp_path: Path, portrait: Image.Image) -> list[Path]:
    """A portrait, a copy of it, and a cup of coffee under a hostile name."""
    from skimage.data import coffee

    folder = tmp_path / "photos"
    folder.mkdir()
    large = portrait.resize((1400, 1400), Image.Resampling.LANCZOS)
    large.save(folder / "portrait.png")
    large.resize((1100, 1100)).save(folder / "copy.jpg", quality=80)
    Image.fromarray(coffee()).resize((1600, 1200)).save(folder / HOSTILE)
    return sorted(folder.iterdir())
