"""How the app feels: first paint, regrouping while a slider moves, many pages at once, memory.

    python benchmarks/ui.py [--photos 500 5000] [--pages 20] [--opened 50]

Drives the real app in headless Chromium over projects of made-up measured photos. Times are
milliseconds as the page sees them, from the event to the drawn answer, and beside them the server's
own time on the processor, which a busy machine does not stretch. The idle pages, and those that come
and go, are `tests/ui/light_page.py`: HTTP clients that do what Gradio's page does, session, first
questions and open heartbeat, because twenty Chromium pages on two cores would measure Chromium.
Prints the table that docs/benchmarks.md quotes.
"""

from __future__ import annotations

import argparse
import os
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
from lora_builder.ui.sessions import GRACE_S
from tests.ui.conftest import CHROMIUM, free_port, running_app
from tests.ui.light_page import LightPage
from tests.ui.made_project import made_project

MOVES = (
    ("phash_threshold", "ArrowLeft"),
    ("min_brightness", "ArrowRight"),
    ("keep_per_cluster", "ArrowRight"),
)
"""Sliders that are moved, and the key that moves them."""

STEPS_A_SLIDER = 5

CLICKS = 10
"""Changes of step that a median is taken over; an even number."""


TICKS = os.sysconf("SC_CLK_TCK")

WARM = 10
"""Pages opened and closed before memory is looked at: what the app loads once is loaded then."""


class Server:
    """What the system says of the app's process (Linux)."""

    def __init__(self, port: int) -> None:
        self.folder = next(f for f in Path("/proc").iterdir() if f.name.isdigit() and _serves(f, port))

    @property
    def cpu_ms(self) -> float:
        """Milliseconds on the processor since it started."""
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory_mb(self) -> float:
        """Resident memory, MiB."""
        return int((self.folder / "status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def _serves(folder: Path, port: int) -> bool:
    try:
        environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
    except OSError:
        return False
    return f"GRADIO_SERVER_PORT={port}".encode() in environment and b"app.py" in command


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


def clicked(page: Any, server: Server) -> tuple[float, float]:
    """Milliseconds of a change of step, as the page sees it (median) and on the server's processor."""
    times, before = [], server.cpu_ms
    for _ in range(CLICKS // 2):
        times.append(painted(page, "people", "#ldb-go-people[aria-current=step]"))
        times.append(painted(page, "photos", "#ldb-go-photos[aria-current=step]"))
    return statistics.median(times), (server.cpu_ms - before) / CLICKS


def row(what: str, value: str, wanted: str) -> None:
    print(f"| {what} | {value} | {wanted} |", flush=True)


def review(browser: Any, address: str, server: Server, owner: str, project: str, count: int) -> None:
    """First paint of Choose, and thresholds on their way."""
    page = page_of(browser, address, owner, project, "photos")
    before = server.cpu_ms
    first = painted(page, "choose", "#ldb-choose-body .ldb-tile")
    spent = server.cpu_ms - before
    row(
        f"Choose, {count} photos: first paint, nothing laid out",
        f"{first:.0f} ms ({spent:.0f})",
        "1500" if count <= 500 else "",
    )
    before = server.cpu_ms
    times = regrouped(page)
    spent = (server.cpu_ms - before) / len(times)
    middle, worst = statistics.median(times), max(times)
    value = f"{middle:.0f} ms, worst {worst:.0f} ({spent:.0f} a move)"
    wanted = {500: "100", 5000: "300"}.get(count, "")
    row(f"a threshold moves and is kept, {count} photos", value, wanted)
    page.context.close()


def crowd(browser: Any, address: str, server: Server, owner: str, project: str, count: int) -> None:
    """A click beside many idle pages, against the same click before and after them."""
    page = page_of(browser, address, owner, project, "photos")
    clicked(page, server)
    before, before_cpu = clicked(page, server)
    idle = [LightPage(address, owner, project, "choose") for _ in range(count)]
    time.sleep(2)
    rested, began = server.cpu_ms, time.monotonic()
    time.sleep(5)
    resting = (server.cpu_ms - rested) / (time.monotonic() - began)
    beside, beside_cpu = clicked(page, server)
    for one in idle:
        one.close()
    time.sleep(2)
    after, after_cpu = clicked(page, server)
    alone, alone_cpu = (before + after) / 2, (before_cpu + after_cpu) / 2
    row(
        f"a click beside {count} idle pages",
        f"{beside:.0f} ms, alone {alone:.0f}: x {beside / alone:.2f}",
        "x 2",
    )
    row("the same, on the server's processor", f"{beside_cpu:.0f} ms, alone {alone_cpu:.0f}", "")
    row(f"{count} idle pages, the server's processor a second", f"{resting:.0f} ms", "")
    page.context.close()


def come_and_go(address: str, server: Server, owner: str, project: str, count: int) -> None:
    """Memory after pages that came and went, against that after the first of them."""

    def at_rest() -> float:
        """Memory once those who left are forgotten: whoever comes next sweeps up after them."""
        time.sleep(GRACE_S + 2)
        LightPage(address, owner, project, "choose").close()
        return server.memory_mb

    for _ in range(WARM):
        LightPage(address, owner, project, "choose").close()
    start = at_rest()
    for _ in range(count):
        LightPage(address, owner, project, "choose").close()
    end = at_rest()
    row(
        f"memory over {count} pages opened and closed",
        f"{end - start:+.1f} MiB of {start:.0f}",
        "flat",
    )


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
        print(f"load average {os.getloadavg()[0]:.1f}; in brackets: milliseconds on the server's processor\n")
        print("| what | measured | wanted |\n|---|---|---|")
        with running_app(settings.data_dir, port) as address:
            server = Server(port)
            for count, project in projects.items():
                review(browser, address, server, owner, project, count)
            smallest = projects[min(projects)]
            crowd(browser, address, server, owner, smallest, asked.pages)
            come_and_go(address, server, owner, smallest, asked.opened)
        browser.close()


if __name__ == "__main__":
    main()
