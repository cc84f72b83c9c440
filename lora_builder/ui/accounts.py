"""Who has signed in: with a name and a password, or on a Space with their Hugging Face account.

Both make a visitor the same one in every browser: the middleware puts a token made of the account in
the place of the browser's cookie, so every other part of the app knows one kind of visitor only. That
token never reaches a browser.

Gradio's OAuth (`gr.LoginButton`, `gradio.oauth`) does the talking with the Hub, and leaves the access
token in a cookie, signed but readable. It is taken out of there at once: it lives in this process's
memory alone, for as long as it is valid, and the cookie holds a random name for it.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import os
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from pydantic import SecretStr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lora_builder.files import atomic_write
from lora_builder.metrics import METRICS
from lora_builder.passwords import Passwords
from lora_builder.settings import Settings
from lora_builder.ui.door import COOKIE, SIGNED_IN, cookies_of, visitor
from lora_builder.ui.quotas import address_of

log = logging.getLogger(__name__)

OAUTH = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")
"""What a Space with `hf_oauth: true` is given in its environment."""

KEPT = "ldb_account"
"""The session's entry that names the account."""

GRADIOS = "oauth_info"
"""Where Gradio leaves what the Hub said of a visitor."""

STAYS_S = 14 * 24 * 3600.0
"""How long a visitor stays signed in, as Gradio's own cookie does; pushing ends when the token does."""

MOST = 10_000
"""Sessions that are remembered; the oldest end."""

LOGINS_A_MINUTE = 20
"""Tries to log in from one address: a person mistypes, a program guesses."""

MINUTE_S = 60.0

HandOver = Callable[[str, str], None]
"""Gives what one visitor has to another."""


@dataclass(frozen=True)
class Account:
    """Somebody who signed in. `owner`: the visitor that they are. `token`: for the Hub, until `expires`
    (seconds since the epoch); empty where they signed in with a password."""

    owner: str
    name: str
    token: SecretStr = field(default=SecretStr(""), repr=False)
    expires: float = 0.0


class Accounts:
    """Who is signed in, as long as the app runs; every method may be called from any thread."""

    def __init__(self, key: bytes = b"", clock: Callable[[], float] = time.time) -> None:
        self._key = key or secrets.token_bytes(32)
        self._clock = clock
        self._sessions: OrderedDict[str, tuple[float, Account]] = OrderedDict()
        self._lock = threading.Lock()

    def visitor(self, kind: str, name: str) -> str:
        """The visitor's token of that account; nobody without the key can make it."""
        return SIGNED_IN + hmac.new(self._key, f"{kind} {name}".encode(), hashlib.sha256).hexdigest()

    def enter(self, said: Mapping[str, Any]) -> tuple[str, Account]:
        """Signs somebody in by what the Hub said of them; gives the session's name too."""
        person = said["userinfo"]
        # The Hub's `sub` stays when a name changes, and is never another's; a name may be.
        owner = self.visitor("hub", str(person["sub"]))
        account = Account(
            owner,
            str(person.get("preferred_username") or person.get("name") or ""),
            SecretStr(str(said.get("access_token", ""))),
            float(said.get("expires_at") or 0),
        )
        session = secrets.token_urlsafe(24)
        self._keep(session, account)
        return session, account

    def note(self, session: str, name: str) -> Account:
        """The account of somebody who gave a password."""
        account = self.known(session)
        if account is None:
            account = Account(self.visitor("login", name), name)
            self._keep(session, account)
        return account

    def known(self, session: str) -> Account | None:
        """Who signed in under that session's name."""
        with self._lock:
            began, account = self._sessions.get(session, (0.0, None))
            return account if self._clock() - began < STAYS_S else None

    def leave(self, session: str) -> None:
        """Signs a session out; its token is forgotten."""
        with self._lock:
            self._sessions.pop(session, None)

    def of(self, owner: str) -> Account | None:
        """The account of a visitor who is signed in, with the token that is good for longest."""
        with self._lock:
            found = [a for _, a in self._sessions.values() if hmac.compare_digest(a.owner, owner)]
        return max(found, key=lambda account: account.expires, default=None)

    def hub_token(self, owner: str) -> str:
        """The visitor's token for the Hub; empty where there is none that is still good."""
        account = self.of(owner)
        return account.token.get_secret_value() if account and account.expires > self._clock() else ""

    def _keep(self, session: str, account: Account) -> None:
        with self._lock:
            self._sessions[session] = (self._clock(), account)
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)


def oauth_ready(settings: Settings) -> bool:
    """Whether visitors can sign in with the Hub: on a Space that asks for it, where no password does."""
    here = os.environ.get("SPACE_ID") and all(os.environ.get(name) for name in OAUTH)
    return bool(here) and not Passwords(settings).needed


def login_key(settings: Settings) -> bytes:
    """The key that makes visitors' tokens of accounts; it lives in the data folder."""
    path = settings.data_dir / ".login-key"
    if not path.is_file():
        atomic_write(path, secrets.token_bytes(32), mode=0o600)
    return path.read_bytes()


def gradio_auth(passwords: Passwords) -> Any:
    """What Gradio asks whether a password is right; None where everybody may come in."""

    async def right(name: str, password: str) -> bool:
        # Hashing takes its time on purpose; the page of everybody else does not wait for it.
        found = await anyio.to_thread.run_sync(functools.partial(passwords.check, name, password))
        if not found:
            METRICS.add("lora_builder_logins_refused_total")
            log.warning("A login was refused.")
        return found

    return right if passwords.needed else None


@dataclass
class KnowAccounts:
    """The middleware: whoever is signed in is that visitor, whatever cookie their browser has."""

    app: ASGIApp
    accounts: Accounts
    passwords: Passwords
    settings: Settings
    hand_over: HandOver
    tries: dict[str, deque[float]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (scope["method"], scope["path"].rstrip("/")) == ("POST", "/login") and self._guessing(scope):
            await JSONResponse({"detail": "Too many tries: wait a minute."}, 429)(scope, receive, send)
            return
        cookies = cookies_of(scope)
        before = cookies.get(COOKIE)
        if getattr(scope.get("app"), "auth", None) is not None:
            self._by_password(scope, cookies)
        else:
            self._by_session(scope, cookies)
        if cookies.get(COOKIE) != before:
            header = "; ".join(f"{name}={value}" for name, value in cookies.items())
            headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
            scope["headers"] = [*headers, (b"cookie", header.encode("latin-1"))]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._taken_out(scope.get("session"), visitor(cookies))
            await send(message)

        await self.app(scope, receive, sending)

    def _by_password(self, scope: Scope, cookies: dict[str, str]) -> None:
        """Where people log in, nobody is anybody without a login."""
        gradio: Any = scope["app"]
        cookies.pop(COOKIE, None)
        names = (f"access-token-{gradio.cookie_id}", f"access-token-unsecure-{gradio.cookie_id}")
        session = next((cookies[name] for name in names if name in cookies), None)
        name = gradio.tokens.get(session)
        if session is None or name is None:
            return
        if not self.passwords.knows(name):  # taken out of the file since
            gradio.tokens.pop(session, None)
            self.accounts.leave(session)
            return
        cookies[COOKIE] = self.accounts.note(session, name).owner

    def _by_session(self, scope: Scope, cookies: dict[str, str]) -> None:
        """Whoever signed in with the Hub; everybody else is who their cookie says."""
        if cookies.get(COOKIE, "").startswith(SIGNED_IN):
            del cookies[COOKIE]
        session = scope.get("session")
        if not session or KEPT not in session:
            return
        if scope["path"].rstrip("/") == "/logout":
            self.accounts.leave(session.pop(KEPT))
            return
        account = self.accounts.known(session[KEPT])
        if account is not None:
            cookies[COOKIE] = account.owner

    async def _taken_out(self, session: Any, anonymous: str) -> None:
        """Moves what Gradio wrote into the cookie to where no browser keeps it."""
        if not session or GRADIOS not in session:
            return
        name, account = self.accounts.enter(session.pop(GRADIOS))
        session[KEPT] = name
        log.info("Somebody signed in.")
        if anonymous and not anonymous.startswith(SIGNED_IN):
            await anyio.to_thread.run_sync(self.hand_over, anonymous, account.owner)

    def _guessing(self, scope: Scope) -> bool:
        """Whether this address tried to log in too often in the last minute."""
        if len(self.tries) > MOST:
            self.tries.clear()
        address = address_of(scope, self.settings.trusted_proxies)
        recent = self.tries.setdefault(address, deque(maxlen=LOGINS_A_MINUTE))
        full = len(recent) == LOGINS_A_MINUTE and time.monotonic() - recent[0] < MINUTE_S
        recent.append(time.monotonic())
        return full
