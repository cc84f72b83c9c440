"""A page without a browser: it does over HTTP what Gradio's own page does, and then sits there.

Twenty Chromium pages on two cores measure Chromium. To the server a page is its session, the answers
to its first questions, and a heartbeat that stays open: that is what this gives it.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from typing import Any

import httpx

from lora_builder.ui.door import COOKIE

PATIENCE_S = 60.0


class LightPage:
    """Opens the app at a step of a project, as its owner; `close` goes away as a closed tab does."""

    def __init__(self, address: str, owner: str, project: str, step: str) -> None:
        self.session = secrets.token_hex(6)
        self.client = httpx.Client(base_url=address, cookies={COOKIE: owner}, timeout=PATIENCE_S)
        query = f"project={project}&step={step}"
        page = self.client.get(f"/?{query}").raise_for_status().text
        found = re.search(r"window\.gradio_config = (\{.*?\});?\s*</script>", page, re.DOTALL)
        assert found, "the page holds no configuration"
        config = json.loads(found[1])
        self.root = config.get("api_prefix", "/gradio_api")
        self.referer = f"{address}/?{query}"
        self.heart = self._stream("GET", f"{self.root}/heartbeat/{self.session}")
        for number, dependency in enumerate(config["dependencies"]):
            if any(event == "load" for _, event in dependency["targets"]):
                self.ask(dependency.get("id", number), [None] * len(dependency["inputs"]))

    def ask(self, function: int, data: list[Any]) -> dict[str, Any]:
        """What a function of the page answers."""
        sent = {"data": data, "fn_index": function, "session_hash": self.session, "trigger_id": None}
        headers = {"referer": self.referer}
        self.client.post(f"{self.root}/queue/join", json=sent, headers=headers).raise_for_status()
        with contextlib.closing(
            self._stream("GET", f"{self.root}/queue/data?session_hash={self.session}")
        ) as news:
            for line in news.iter_lines():
                if line.startswith("data:"):
                    message: dict[str, Any] = json.loads(line[5:])
                    if message["msg"] == "process_completed":
                        assert message["success"], message
                        return message
        raise AssertionError("no answer came")

    def close(self) -> None:
        self.heart.close()
        self.client.close()

    def _stream(self, method: str, path: str) -> httpx.Response:
        answer = self.client.send(self.client.build_request(method, path), stream=True)
        return answer.raise_for_status()
