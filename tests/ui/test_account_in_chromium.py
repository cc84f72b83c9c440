"""A visitor of a Space in Chromium: signs in, pushes, signs out; and nothing secret stays in the browser."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.export.hub_server import TOKEN
from tests.oidc_server import SECRET, Provider, running_provider
from tests.servers import free_port

from .conftest import CHROMIUM, ROOT, Visitor, running_app

pytestmark = pytest.mark.browser

KEY = "sk-marked-typed-key-0123456789"
MARKS = {"OPENAI_API_KEY": "sk-marked-of-the-machine", "METRICS_TOKEN": "marked-metrics-word"}

STORAGE = """async () => {
  const dump = {local: {...localStorage}, session: {...sessionStorage}, cookie: document.cookie};
  dump.bases = {}; dump.caches = [];
  for (const {name} of await indexedDB.databases()) {
    const base = await new Promise((good, bad) => {
      const asked = indexedDB.open(name); asked.onsuccess = () => good(asked.result); asked.onerror = bad;
    });
    for (const store of base.objectStoreNames) {
      dump.bases[`${name}/${store}`] = await new Promise((good) => {
        const asked = base.transaction(store).objectStore(store).getAll();
        asked.onsuccess = () => good(asked.result);
      });
    }
  }
  for (const name of await caches.keys()) dump.caches.push(name);
  return JSON.stringify(dump);
}"""


class Profile:
    """A browser whose profile lies in a folder, so that it can be looked through."""

    def __init__(self, chromium: Any, folder: Path) -> None:
        self.chromium, self.folder = chromium, folder

    def new_context(self, viewport: dict[str, int]) -> Any:
        start = self.chromium.browser_type.launch_persistent_context
        return start(self.folder, executable_path=CHROMIUM, args=["--no-sandbox"], viewport=viewport)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as server:
        server.token = TOKEN
        yield server


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A Hub on loopback: its folder and address."""
    folder = tmp_path / "hub"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.export.hub_server", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield folder, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def everywhere(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


def test_signing_in_pushing_and_nothing_secret_left_behind(
    chromium: Any, provider: Provider, hub: tuple[Path, str], photos: list[Path], tmp_path: Path
) -> None:
    """What was made before comes along; the push is private and the account's; no key is in the browser
    (storage, cookies, its profile on the disk) nor in the app's folder, though all were used or typed."""
    data, (hub_folder, endpoint) = tmp_path / "data", hub
    environment = os.environ.get("HF_HUB_OFFLINE", "")
    with running_app(
        data, free_port(), HF_ENDPOINT=endpoint, HF_HUB_OFFLINE=environment, **provider.environment, **MARKS
    ) as url:
        visitor = Visitor(Profile(chromium, tmp_path / "profile"), url)
        page = visitor.page
        answered: list[str] = []
        page.on("response", lambda answer: answered.append(answer.url))
        page.goto(url)
        visitor.upload(*photos)
        visitor.finish()
        visitor.run_everything()
        visitor.go("caption")
        page.locator("#ldb-model > button").click()
        page.wait_for_timeout(800)
        page.locator("#ldb-model-key input").fill(KEY)
        page.click("#ldb-model-test")
        page.locator("#ldb-model-said:not(:empty)").or_(page.locator("#ldb-notice:visible")).first.wait_for()
        visitor.go("export")
        page.locator("#ldb-push summary").click()
        assert page.locator("#ldb-push-token").is_visible()
        page.locator("#ldb-push a.enter").click()
        page.locator("#ldb-leave").wait_for()
        page.locator("#ldb-go-export[aria-current=step]").wait_for()
        assert page.locator(".ldb-projects .foot", has_text="Signed in as ann").is_visible()
        page.locator("#ldb-push summary").click()
        name = page.locator("#ldb-push-repository").input_value()
        assert name.startswith("ann/") and not page.locator("#ldb-push-token").count()
        page.click("#ldb-push-start")
        page.locator("#ldb-push", has_text="only you can see it").wait_for()
        state = json.loads((hub_folder / "state.json").read_text())
        assert state["repos"][name]["private"] and "train/0001.png" in state["repos"][name]["files"]

        secrets = [KEY, TOKEN, SECRET, *MARKS.values()]
        held = page.evaluate(STORAGE) + json.dumps(visitor.context.cookies()) + page.content()
        assert "ldb-place" in held and "ldb_account" not in page.evaluate("document.cookie")
        page.click("#ldb-leave")
        page.locator("#ldb-enter").wait_for()
        assert page.locator(".ldb-list .name").count() == 0
        visitor.context.close()
        places = [("the page", held.encode()), *everywhere(tmp_path / "profile"), *everywhere(data)]
        found = functools.reduce(
            lambda seen, place: seen + [(place[0], s) for s in secrets if s.encode() in place[1]], places, []
        )
        assert found == []
        # On a Space Gradio asks for its fonts and the Space's state; the content policy lets nothing out.
        assert [address for address in answered if not address.startswith((url, provider.url))] == []
        assert [fault for fault in visitor.faults if fault.startswith("a script ran")] == []
