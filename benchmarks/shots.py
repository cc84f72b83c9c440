"""Makes the pictures of the app that the README and docs/ show, from the sample that comes with it.

    python benchmarks/shots.py [--out docs]

The photos are scikit-image's: Eileen Collins (NASA, public domain), coffee and a cat (CC0).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from playwright.sync_api import sync_playwright

from lora_builder.ui.steps import STEPS
from tests.ui.conftest import CHROMIUM, free_port, running_app

WIDE, NARROW = (1280, 800), (390, 844)
COLOURS = 192
"""Colours of the pictures: a fraction of the bytes, and nobody sees it."""


def shoot(page: Any, path: Path) -> None:
    page.wait_for_timeout(1200)
    page.screenshot(path=path)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1000} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    out = parser.parse_args().out
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as place,
        sync_playwright() as engine,
        running_app(Path(place) / "data", port) as address,
    ):
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDE[0], "height": WIDE[1]})
        page.goto(address)
        page.click("#ldb-sample")
        page.locator(".ldb-progress.done").wait_for(timeout=180_000)
        page.locator("#ldb-go-export[aria-current=step]").wait_for()
        page.click(".ldb-progress .ldb-stop")
        for step in STEPS:
            page.click(f"#ldb-go-{step}")
            page.locator(f"#ldb-go-{step}[aria-current=step]").wait_for()
            if step == "choose":
                page.locator(".ldb-tile.dropped").nth(1).click()
                page.click("#ldb-tune")
            shoot(page, out / f"app-{step}.png")
        page.click("#ldb-go-choose")
        page.locator(".ldb-tile").first.wait_for()
        page.click("#ldb-theme")
        page.click("#ldb-speak-zh")
        page.locator("html[lang^=zh]").wait_for()
        shoot(page, out / "app-dark-zh.png")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        page.reload()
        page.locator(".ldb-tile").first.wait_for()
        shoot(page, out / "app-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
