"""What is kept of pages that come and go."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
from starlette.types import Receive, Scope, Send

from lora_builder.ui.sessions import GRACE_S, LetGo, middleware


async def answered(scope: Scope, receive: Receive, send: Send) -> None:
    """An application whose heartbeats end at once."""


def beat(watch: LetGo, session: str) -> None:
    async def nothing(*_: Any) -> Any:
        return None

    scope = {"type": "http", "path": f"/gradio_api/heartbeat/{session}"}
    # In a thread: a browser that other tests hold open has its event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, watch(scope, nothing, nothing)).result()


def test_a_closed_page_is_forgotten_and_one_that_comes_back_is_not() -> None:
    """A while after its connection ended a session is let go; a cut line that comes back keeps it."""
    now, kept = [0.0], {"left": 1, "cut": 2, "open": 3}
    watch = LetGo(answered, lambda: (kept,), lambda: now[0])
    beat(watch, "left")
    beat(watch, "cut")
    now[0] = GRACE_S - 1
    beat(watch, "cut")
    assert set(kept) == {"left", "cut", "open"}
    now[0] = GRACE_S
    beat(watch, "another")
    assert set(kept) == {"cut", "open"}


def test_gradio_keeps_sessions_where_we_look_for_them() -> None:
    """A new Gradio that keeps them elsewhere is noticed here, not by an app that grows."""
    with gr.Blocks() as blocks:
        box = gr.Textbox()
        box.change(lambda value: value, box, box)
    blocks.launch(prevent_thread_lock=True, quiet=True, server_port=None, share=False, ssr_mode=False)
    try:
        blocks.state_holder["a session"]
        sessions, used, events = middleware(blocks).kwargs["sessions"]()
        assert "a session" in sessions
        assert "a session" in used
        assert hasattr(events, "pop")
    finally:
        blocks.close()
