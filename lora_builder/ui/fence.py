"""What stands between Gradio's routes and the world when several people, or strangers, share one app.

Gradio's upload cache and its event streams have no owners: whoever knows a path or a session's name
gets what is there. Here each visitor (`door`) gets only what the app itself handed to that visitor.
Routes that the page does not need are closed, answers carry headers that hold a browser back, and
nobody fills the disk.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import anyio
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lora_builder import resources
from lora_builder.settings import Settings
from lora_builder.ui.door import cookies_of, visitor
from lora_builder.ui.quotas import Quotas, address_of

log = logging.getLogger(__name__)

API = "/gradio_api"

CLOSED = re.compile(
    rf"{API}/(proxy=|vibe|undo-vibe|process_recording|stream/|deep_link|profiling|runs|run-history|file/)"
    r"|/monitoring|/pwa_icon"
)
"""Routes of Gradio's that the page does not use: a fetcher of addresses, editors of code, dashboards."""

ADDRESS = b"x-ldb-address"
"""The header in which handlers find the visitor's address, as the fence saw it."""

SESSIONS = ("/queue/join", "/queue/data", "/cancel", "/reset", "/component_server", "/heartbeat/")
"""Routes, below API, that name a session."""

REMEMBERED = 200_000
"""Files and sessions whose owners are kept in memory; the oldest are forgotten, and then nobody's."""

MOST_BODY = 16 << 20
"""Bytes of a handler's input; an upload goes another way."""

LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors {frames}"
)
"""Gradio's page needs inline scripts; but whatever ran in it could send nothing to another host."""

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-resource-policy": "same-origin",
}


class Owners:
    """Which visitors were handed a thing, by its name; the oldest are forgotten past REMEMBERED."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, set[str]] = OrderedDict()
        self._lock = threading.Lock()

    def give(self, name: str, owner: str) -> None:
        """That visitor may have it too."""
        with self._lock:
            self._known.setdefault(name, set()).add(owner)
            self._known.move_to_end(name)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def take(self, name: str, owner: str) -> bool:
        """Whether it is that visitor's; what is nobody's yet becomes theirs."""
        with self._lock:
            return owner in self._known.setdefault(name, {owner})

    def has(self, name: str, owner: str) -> bool:
        """Whether it was handed to that visitor."""
        with self._lock:
            return owner in self._known.get(name, ())


@dataclass
class Fence:
    """What the middleware knows. `local`: only this machine can open the page."""

    settings: Settings
    local: bool
    quotas: Quotas
    files: Owners = field(default_factory=Owners)
    sessions: Owners = field(default_factory=Owners)

    @property
    def cache(self) -> Path:
        """Gradio's cache: uploads and downloads."""
        return self.settings.data_dir / "uploads"

    def place(self, path: str) -> str | None:
        """The folder in the cache that a path leads into, None if it leads elsewhere."""
        if "\0" in path:
            return None
        file, cache = Path(path).resolve(), self.cache.resolve()
        if not file.is_relative_to(cache) or file == cache or file.parent == cache:
            return None
        return file.parent.relative_to(cache).as_posix()

    def may_upload(self, owner: str, size: int) -> str:
        """Why an upload of so many bytes is refused; empty: it is not."""
        if resources.disk_mb(self.cache) - (size >> 20) < self.settings.reserve_disk_mb:
            return "The disk of this server is nearly full."
        limit = self.settings.visitor_upload_mb
        if not self.quotas.take("upload", limit, owner, size / (1 << 20)):
            return f"More than {limit} MB in an hour, or too much from one place: go on later."
        return ""


def middleware(fence: Fence, who: Sequence[Middleware]) -> list[Middleware]:
    """What stands before Gradio's routes, outermost first; `who` finds out who a visitor is."""
    return [Middleware(_Headers, fence=fence), *who, Middleware(_Guard, fence=fence)]


class _Headers:
    """Adds what holds a browser back to every answer, and refuses names that are not ours."""

    def __init__(self, app: ASGIApp, fence: Fence) -> None:
        self.app = app
        self.local = fence.local
        frames = (
            "'self' https://huggingface.co https://*.hf.space" if os.environ.get("SPACE_ID") else "'self'"
        )
        self.headers = HEADERS | {"content-security-policy": POLICY.format(frames=frames)}
        if not os.environ.get("SPACE_ID"):
            self.headers["x-frame-options"] = "SAMEORIGIN"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A page of the internet whose name was made to point here would be let in by the browser.
        if self.local and not LOOPBACK.fullmatch(_header(scope, b"host")):
            await _refuse(scope, receive, send, 421, "This app is for this machine alone; see BEHIND_PROXY.")
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in self.headers.items() if k.encode() not in given]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self.app(scope, receive, sending)


class _Guard:
    """Lets each visitor at their own files and sessions alone."""

    def __init__(self, app: ASGIApp, fence: Fence) -> None:
        self.app = app
        self.fence = fence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if scope["type"] != "http" or not (path.startswith(API) or CLOSED.match(path)):
            await self.app(scope, receive, send)
            return
        if CLOSED.match(path):
            await _refuse(scope, receive, send, 404, "There is no such page.")
            return
        address = address_of(scope, self.fence.settings.trusted_proxies)
        # Programs have no cookie, and are told apart by their address.
        owner = visitor(cookies_of(scope)) or f"program at {address}"
        self.fence.quotas.seen(owner, address)
        others = [(name, value) for name, value in scope["headers"] if name != ADDRESS]
        scope["headers"] = [*others, (ADDRESS, address.encode())]
        route = path.removeprefix(API)
        if route.startswith("/file="):
            place = self.fence.place(unquote(route.removeprefix("/file=")))
            if place is None or not self.fence.files.has(place, owner):
                await _refuse(scope, receive, send, 404, "There is no such file.")
                return
        elif route.startswith("/upload") and scope["method"] == "POST":
            await self._upload(scope, receive, send, owner)
            return
        elif route.startswith(SESSIONS) or route.startswith(("/run/", "/api/", "/call/")):
            await self._session(scope, receive, send, owner, route)
            return
        await self.app(scope, receive, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, owner: str) -> None:
        """Counts what a visitor uploads, and notes that the files are theirs."""
        length = _header(scope, b"content-length")
        size = int(length) if length.isdecimal() else self.fence.settings.max_upload_mb << 20
        reason = await anyio.to_thread.run_sync(self.fence.may_upload, owner, size)
        if reason:
            await _refuse(scope, receive, send, 429, reason)
            return
        answer = bytearray()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body"):
                    for path in _strings(_parsed(bytes(answer))):
                        self._give(path, owner)
            await send(message)

        await self.app(scope, receive, sending)

    async def _session(self, scope: Scope, receive: Receive, send: Send, owner: str, route: str) -> None:
        """A session belongs to the visitor who began it; what it names and hands out must be theirs."""
        body = await _read(receive) if scope["method"] == "POST" else b""
        if body is None:
            await _refuse(scope, receive, send, 413, "Too much at once.")
            return
        given = _parsed(body)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        session = query.get("session_hash", [""])[0]
        if isinstance(given, dict) and isinstance(given.get("session_hash"), str):
            session = given["session_hash"]
        if route.startswith("/heartbeat/"):
            session = route.removeprefix("/heartbeat/")
        theirs = not session or self.fence.sessions.take(session, owner)
        if not theirs or not all(self._may_name(text, owner) for text in _strings(given)):
            log.warning("A visitor named what is not theirs.")
            await _refuse(scope, receive, send, 403, "Reload the page.")
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body":
                for path in _handed_out(message.get("body", b"")):
                    self._give(path, owner)
            await send(message)

        await self.app(scope, _again(body, receive) if scope["method"] == "POST" else receive, sending)

    def _give(self, path: str, owner: str) -> None:
        place = self.fence.place(path)
        if place is not None:
            self.fence.files.give(place, owner)

    def _may_name(self, text: str, owner: str) -> bool:
        if self.fence.cache.name not in text or len(text) > 4096:
            return True
        place = self.fence.place(text)
        return place is None or self.fence.files.has(place, owner)


HANDED_OUT = re.compile(rb'(?<!\\)"path":\s*"((?:[^"\\]|\\.)*)"')
"""A file in an answer. Text of a user's cannot look so: inside JSON its quotes have backslashes."""


def _handed_out(chunk: bytes) -> Iterator[str]:
    for match in HANDED_OUT.finditer(chunk):
        text = _parsed(b'"' + match[1] + b'"')
        if isinstance(text, str):
            yield text


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value, however deep."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None if it is longer than MOST_BODY."""
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if len(body) > MOST_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, once more; then whatever else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    await JSONResponse({"detail": why}, status)(scope, receive, send)
