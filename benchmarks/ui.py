"""How the app feels: first paint, regrouping while a slider moves, many pages at once, memory.

    python benchmarks/ui.py [--photos 500 5000] [--pages 20] [--opened 50]

Drives the real app in headless Chromium over a project of made-up measured photos. Times are
milliseconds as the page sees them, from the event to the drawn answer. Prints the table that
docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

from lora_builder.settings import load
from lora_builder.store import Store
from lora_builder.ui.door import COOKIE, new_token
from tests.ui.conftest import CHROMIUM, free_port, running_app
from tests.ui.made_project import made_project

MOVES = (
    ("phash_threshold", "ArrowLeft"),
    ("min_brightness", "ArrowRight"),
    ("keep_per_cluster", "ArrowRight"),
)
"""Sliders that are moved, and the key that moves them."""

STEPS_A_SLIDER = 5


def memory_mb(port: int) -> float:
    """Resident memory of the process that listens at that port, MiB (Linux)."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if f"GRADIO_SERVER_PORT={port}".encode() in environment and b"app.py" in command:
                status = (folder / "status").read_text()
                return int(status.split("VmRSS:")[1].split()[0]) / 1024
    return float("nan")


def page_of(browser: Any, address: str, owner: str, project: str, step: str) -> Any:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": COOKIE, "value": owner, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/?project={project}&step={step}")
    page.locator(f"#ldb-go-{step}[aria-current=step]").wait_for()
    return page


def painted(page: Any, step: str, selector: str) -> float:
    """Milliseconds from the click on a step to its first thing drawn."""
    return float(
        page.evaluate(
            """([step, selector]) => new Promise((done) => {
                const began = performance.now();
                const end = () => done(performance.now() - began);
                const look = () => requestAnimationFrame(document.querySelector(selector) ? end : look);
                document.querySelector(`#ldb-go-${step}`).click();
                look();
            })""",
            [step, selector],
        )
    )


def regrouped(page: Any) -> list[float]:
    """Milliseconds from a slider's step to the regrouped page, for a few sliders and steps."""
    page.click("#ldb-tune")
    times = []
    for name, key in MOVES:
        slider = page.locator(f"#ldb-set-{name}")
        slider.focus()
        for _ in range(STEPS_A_SLIDER):
            page.evaluate("delete document.querySelector('.ldb-choose').dataset.regroup")
            page.keyboard.press(key)
            page.locator(".ldb-choose[data-regroup]").wait_for(state="attached")
            times.append(float(page.locator(".ldb-choose").get_attribute("data-regroup")))
            page.wait_for_timeout(300)
    return times


def clicked(page: Any) -> float:
    """Milliseconds of one change of step and back: the median of a few."""
    times = []
    for _ in range(5):
        times.append(painted(page, "people", "#ldb-go-people[aria-current=step]"))
        times.append(painted(page, "photos", "#ldb-go-photos[aria-current=step]"))
    return statistics.median(times)


def row(what: str, value: str, wanted: str) -> None:
    print(f"| {what} | {value} | {wanted} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--opened", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as engine:
        settings, owner = load(data_dir=Path(place) / "data"), new_token()
        with Store(settings.database) as store:
            projects = {
                count: made_project(store, settings, owner, count, f"{count}").id for count in asked.photos
            }
        port = free_port()
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        print("| what | measured | wanted |\n|---|---|---|")
        with running_app(settings.data_dir, port) as address:
            for count, project in projects.items():
                page = page_of(browser, address, owner, project, "photos")
                first = painted(page, "choose", "#ldb-choose-grid .ldb-tile")
                row(f"Choose, {count} photos: first paint after a run", f"{first:.0f} ms", "1500 ms at 500")
                times = regrouped(page)
                wanted = "100 ms at 500, 300 ms at 5,000"
                middle, worst = statistics.median(times), max(times)
                row(f"a threshold moves, {count} photos", f"{middle:.0f} ms, worst {worst:.0f}", wanted)
                page.context.close()
            smallest = projects[min(projects)]
            alone = page_of(browser, address, owner, smallest, "photos")
            before = clicked(alone)
            idle = [page_of(browser, address, owner, smallest, "choose") for _ in range(asked.pages)]
            time.sleep(2)
            after = clicked(alone)
            row(f"a click beside {asked.pages} idle pages", f"x {after / before:.2f}", "x 2")
            for page in [alone, *idle]:
                page.context.close()
            start = 0.0
            for number in range(asked.opened):
                page_of(browser, address, owner, smallest, "choose").context.close()
                if number == asked.opened // 5:
                    start = memory_mb(port)
            grown = memory_mb(port) - start
            row(
                f"memory over {asked.opened} pages opened and closed",
                f"{grown:+.0f} MB of {start:.0f}",
                "flat",
            )
        browser.close()


if __name__ == "__main__":
    main()
