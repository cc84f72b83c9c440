"""Who a visitor is, and pictures for their eyes only: what the app adds around Gradio's own routes.

A visitor is known by a random token in an HttpOnly cookie: no script of a page can read it, nothing
of it lies in the browser's storage, and every request carries it, so each handler can check it.
Pictures have addresses signed for one visitor; they are never in Gradio's cache, which has no owner.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

import anyio
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "ldb_visitor"
SIGNED_IN = "account-"
"""How the tokens of those who signed in begin: made here, by `accounts`, and never given to a browser."""

TOKEN_BYTES = 24
"""Random bytes of a visitor's token: nobody guesses 192 bits."""

TOKEN = re.compile(r"[\w-]{32,128}", re.ASCII)
YEAR_S = 365 * 24 * 3600
PICTURES = "ldb/picture"
"""Where pictures are served, relative to the page."""

Pictures = Callable[[str, str], bytes]
"""The JPEG of (kind, name), empty where there is none: `thumb` of a SHA-256, `crop` of a crop's key."""


Files = Callable[[str, str], "tuple[Path, str] | None"]
"""The file of (name, visitor), with the name under which it is saved; None where there is none."""


def new_token() -> str:
    """A token that makes a visitor known again."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def visitor(cookies: object) -> str:
    """The visitor's token among a request's cookies; empty where there is none that we made."""
    token = cookies.get(COOKIE, "") if hasattr(cookies, "get") else ""
    return token if isinstance(token, str) and TOKEN.fullmatch(token) else ""


class Signer:
    """Signs the addresses of pictures for one visitor; the key lives as long as the app runs."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def address(self, kind: str, name: str, owner: str) -> str:
        """The address of a picture, relative to the page, good for that visitor alone."""
        return f"{PICTURES}/{kind}/{name}/{self._sign(kind, name, owner)}"

    def holds(self, kind: str, name: str, owner: str, signature: str) -> bool:
        """Whether we gave that address to that visitor."""
        return hmac.compare_digest(self._sign(kind, name, owner).encode(), signature.encode())

    def _sign(self, kind: str, name: str, owner: str) -> str:
        message = f"{kind}\n{name}\n{owner}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:32]


def routes(signer: Signer, pictures: Pictures, files: Files) -> list[BaseRoute]:
    """The route of pictures and files. A wrong signature and what is not there look the same: 404."""

    async def picture(request: Request) -> Response:
        kind, name = request.path_params["kind"], request.path_params["name"]
        owner = visitor(request.cookies)
        if not owner or not signer.holds(kind, name, owner, request.path_params["signature"]):
            return Response(status_code=404)
        if kind == "file":
            found = await anyio.to_thread.run_sync(functools.partial(files, name, owner))
            if found is None:
                return Response(status_code=404)
            return FileResponse(found[0], filename=found[1], headers={"Cache-Control": "no-store"})
        data = await anyio.to_thread.run_sync(functools.partial(pictures, kind, name))
        if not data:
            return Response(status_code=404)
        headers = {
            "Cache-Control": "private, max-age=86400, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(data, media_type="image/jpeg", headers=headers)

    return [Route(f"/{PICTURES}/{{kind}}/{{name}}/{{signature}}", picture)]


class _KnowVisitors:
    """Gives a visitor without a token a fresh one with the page itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in ("", "/"):
            await self.app(scope, receive, send)
            return
        known = visitor(cookies_of(scope))
        if known.startswith(SIGNED_IN):
            await self.app(scope, receive, send)
            return
        token = known or new_token()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", _cookie(token, scope).encode())]
            await send(message)

        await self.app(scope, receive, sending)


def middleware() -> list[Middleware]:
    """What stands before Gradio's routes."""
    return [Middleware(_KnowVisitors)]


def cookies_of(scope: Scope) -> dict[str, str]:
    """The cookies of a request."""
    header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def _cookie(token: str, scope: Scope) -> str:
    """A Space's page lies in a frame of another site, where only such a cookie is kept."""
    framed = bool(os.environ.get("SPACE_ID"))
    rules = "SameSite=None; Secure; Partitioned" if framed else "SameSite=Lax"
    if not framed and scope["scheme"] == "https":
        rules += "; Secure"
    return f"{COOKIE}={token}; Path=/; Max-Age={YEAR_S}; HttpOnly; {rules}"
