"""How soon the editors are there: the caption table with many rows, and the crop editor's answers.

    python benchmarks/ui_editors.py --rows 1000

Starts the app on loopback with a made-up project, opens it in headless Chromium, and prints a table.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from playwright.sync_api import sync_playwright

from lora_builder.records import Box
from lora_builder.settings import load
from lora_builder.store import Project
from lora_builder.ui.desk import Desk
from lora_builder.ui.steps.crop import Crop
from tests.ui.conftest import CHROMIUM, Visitor, free_port, running_app
from tests.ui.editor_pages import coded, open_desk, save_project, view_of, visit

PLACES = ("a garden", "a street", "a kitchen", "a beach", "an office", "a park", "a train")
COATS = ("red coat", "blue coat", "grey jumper", "white shirt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        place = Path(folder)
        settings = load(data_dir=place / "data")
        with running_app(settings.data_dir, free_port()) as address, open_desk(settings) as desk:
            browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            table = captions_project(desk, place / "table", arguments.rows)
            visitor = Visitor(browser, address)
            visitor.page.goto(address)
            report(f"Caption table, {arguments.rows:,} rows", caption_times(visitor, table))
            report("Crop editor, one 24-megapixel photo", crop_times(desk, place / "crop"))
            assert visitor.faults == [], visitor.faults


def captions_project(desk: Desk, folder: Path, rows: int) -> Project:
    """A project of that many tiny photos, each with a caption of some 25 words."""
    folder.mkdir()
    files, captions = [], []
    for number in range(rows):
        path = folder / f"{number:05d}.png"
        Image.new("RGB", (64, 80), (number % 256, number // 256, 90)).save(path)
        files.append(path)
        captions.append(
            f"ohwx woman in a head-and-shoulders shot, facing the camera, wearing a {COATS[number % 4]}, "
            f"standing in {PLACES[number % 7]} on day {number}, soft light from the left, smiling."
        )
    return save_project(desk, folder, files, [Box(10, 10, 20, 25)], captions)


def caption_times(visitor: Visitor, project: Project) -> dict[str, float]:
    """Seconds to the first rows on the screen and to the last, to sift, and to preview and do a change."""
    page = visitor.page
    visit(visitor, project, "export")
    page.locator("#ldb-go-export[aria-current=step]").wait_for()
    opened = []
    for _ in range(3):
        page.click("#ldb-go-export")
        page.locator("#ldb-go-export[aria-current=step]").wait_for()
        page.wait_for_timeout(1500)
        opened.append(page.evaluate(OPEN))
    times = {
        "step clicked -> first rows": statistics.median(first for first, _ in opened),
        "step clicked -> all rows": statistics.median(last for _, last in opened),
    }
    page.wait_for_timeout(3000)
    times["search typed -> sifted"] = page.evaluate(SIFT, "kitchen")
    page.get_by_label("Search captions").fill("")
    page.get_by_text("Edit many").click()
    page.get_by_label("Find", exact=True).fill("smiling")
    page.get_by_label("Replace with").fill("laughing")
    page.wait_for_timeout(500)
    preview = (".ldb-captions .tools .go-on", "document.querySelector('.ldb-captions .sheet .go-on')")
    times["find and replace, preview of all"] = page.evaluate(CLICK, preview)
    apply = (
        ".ldb-captions .sheet .go-on",
        "document.querySelector('.ldb-captions textarea').value.includes('laughing')",
    )
    times["find and replace, all saved and shown"] = page.evaluate(CLICK, apply)
    return times


SIFT = """words => new Promise((done) => {
  const search = document.querySelector('.ldb-captions input[type=search]');
  const count = document.querySelector('.ldb-captions [role=status]');
  const before = count.textContent, begin = performance.now();
  search.value = words;
  search.dispatchEvent(new Event('input'));
  const look = () => {
    if (count.textContent !== before) done((performance.now() - begin) / 1000);
    else requestAnimationFrame(look);
  };
  look();
})"""
"""Seconds from typing until the count of rows has changed."""

CLICK = """([selector, ready]) => new Promise((done) => {
  const begin = performance.now(), there = Function(`return Boolean(${ready})`);
  document.querySelector(selector).click();
  const look = () => {
    if (there()) done((performance.now() - begin) / 1000);
    else requestAnimationFrame(look);
  };
  look();
})"""
"""Seconds from a click until something is so. In the page: asking from outside lays out every row."""

OPEN = """() => new Promise((done) => {
  const begin = performance.now();
  let first = null;
  const look = () => {
    const list = document.querySelector('.ldb-captions .rows');
    const rows = list ? list.children.length : 0;
    const now = (performance.now() - begin) / 1000;
    if (rows && first === null && list.firstChild.getBoundingClientRect().height > 0) first = now;
    const shown = document.querySelector('.ldb-captions [role=status]');
    const total = shown ? Number((shown.textContent.match(/of ([0-9]+)/) || [])[1]) : 0;
    if (first !== null && rows === total) done([first, now]);
    else requestAnimationFrame(look);
  };
  document.querySelector('#ldb-go-caption').click();
  requestAnimationFrame(look);
})"""
"""Seconds from the step's click until the first row has a height, and until all rows are there."""


def crop_times(desk: Desk, folder: Path) -> dict[str, float]:
    """Seconds of the crop editor's answers, in Python."""
    folder.mkdir()
    path = folder / "large.jpg"
    coded(6000, 4000).save(path, quality=92)
    project = save_project(desk, folder, [path], [Box(2500, 1200, 700, 900)])
    view, step = view_of(desk, project, "crop"), Crop()
    key = step.open_crops(view, {})["photos"][0]["key"]
    sent = {"key": key, "crop": "", "box": [1500, 500, 2400, 2400], "size": [1024, 1024]}

    def median(act: Callable[[], Any]) -> float:
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            act()
            taken.append(time.perf_counter() - begin)
        return statistics.median(taken)

    first = time.perf_counter()
    step.open_photo(view, sent)
    return {
        "the photo as a 1,600 px proxy, the first time": time.perf_counter() - first,
        "the same again": median(lambda: step.open_photo(view, sent)),
        "warnings of a moving box": median(lambda: step.check_box(view, sent)),
        "the training image of a box at rest": median(lambda: step.view_box(view, sent)),
        "a box saved": median(lambda: step.save_box(view, sent)),
    }


def report(title: str, times: dict[str, float]) -> None:
    print(f"\n| {title} | seconds |\n|---|---|")
    for what, seconds in times.items():
        print(f"| {what} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
