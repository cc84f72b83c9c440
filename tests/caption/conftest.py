"""The unruly server as a process, and small training images to caption."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_builder.caption.asking import CaptionTask
from lora_builder.records import Shot
from tests.made import face, measurement


@dataclass(frozen=True)
class Unruly:
    """A running server. `log` has one entry a chat request, in the order of arrival."""

    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def behave(self, *plan: str, **settings: Any) -> None:
        """The next requests in turn, then `then` (good)."""
        body = json.dumps({"plan": list(plan), "latency": 0} | settings).encode()
        urllib.request.urlopen(f"{self.url}/behave", body, timeout=5).close()
        self.log_file.write_text("")

    def most(self) -> int:
        """The most requests that were there at once."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=5) as answer:
            return int(json.load(answer)["most"])

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


def start(folder: Path) -> tuple[subprocess.Popen[bytes], Unruly]:
    port, log = folder / "port", folder / "log"
    log.write_text("")
    script = Path(__file__).with_name("unruly_server.py")
    process = subprocess.Popen([sys.executable, str(script), str(port), str(log)])
    end = time.monotonic() + 20
    while not port.exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    return process, Unruly(int(port.read_text()), log)


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unruly]:
    process, server = start(tmp_path_factory.mktemp("unruly"))
    yield server
    process.kill()
    process.wait()


@pytest.fixture
def server(_server: Unruly) -> Unruly:
    """The server, well behaved until told otherwise."""
    _server.behave()
    return _server


def make_tasks(folder: Path, count: int, side: int = 64) -> list[CaptionTask]:
    """Training images of one person, each other pixels, with measurements to match."""
    tasks = []
    for number in range(count):
        path = folder / f"{number:04d}.png"
        # The number in black and white blocks: no two survive JPEG as the same picture.
        bits = [255 * (number >> bit & 1) for bit in range(16)]
        blocks = Image.frombytes("L", (4, 4), bytes(bits)).resize((side, side), Image.Resampling.NEAREST)
        blocks.convert("RGB").save(path)
        look = measurement(f"{number + 1:x}", face())
        tasks.append(
            CaptionTask(look.sha256, f"{number:04d}.jpg", look, 0, Shot.BUST, None, path, f"pixels-{number}")
        )
    return tasks


@pytest.fixture
def tasks(tmp_path: Path) -> list[CaptionTask]:
    (tmp_path / "pictures").mkdir()
    return make_tasks(tmp_path / "pictures", 6)
