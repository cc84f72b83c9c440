"""Lets go of what Gradio keeps of a page once the page is closed.

Gradio remembers the layout of every session, 0.3 MB each of ours, until 10,000 are there: 3 GB, or an
app that grows with every reload. Nothing of a page is in there that it would miss (`Shell`): the place
travels with every event, so a page that comes back after all finds what it needs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

GRACE_S = 30.0
"""A page whose connection was cut comes back under the same name within seconds."""

MOST = 1000
"""Sessions that Gradio may keep: pages open at once, before the least used one is laid out anew."""

_HEART = re.compile(r"/heartbeat/([\w-]+)/?$")


class LetGo:
    """Watches the heartbeats that pages hold open; a session is forgotten a while after its last one.

    `sessions` gives Gradio's own mappings by session.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Callable[[], tuple[MutableMapping[str, Any], ...]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self._sessions = sessions
        self._clock = clock
        self._closed: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        heart = _HEART.search(scope["path"]) if scope["type"] == "http" else None
        if heart is None:
            await self.app(scope, receive, send)
            return
        self._closed.pop(heart[1], None)
        self._sweep()
        try:
            await self.app(scope, receive, send)
        finally:
            self._closed[heart[1]] = self._clock()

    def _sweep(self) -> None:
        """Whoever comes sweeps up after those who left: what is kept is bounded by how fast pages come."""
        limit = self._clock() - GRACE_S
        for session in [name for name, since in self._closed.items() if since <= limit]:
            del self._closed[session]
            for kept in self._sessions():
                kept.pop(session, None)


def middleware(blocks: Any) -> Middleware:
    """What stands before the routes of that `gr.Blocks`, which need not be launched yet."""

    def sessions() -> tuple[MutableMapping[str, Any], ...]:
        # Not of Gradio's public face: requirements.txt pins the version, and tests/ui/test_sessions.py looks.
        holder = blocks.state_holder
        return holder.session_data, holder.time_last_used, blocks._queue.pending_event_ids_session

    return Middleware(LetGo, sessions=sessions)
