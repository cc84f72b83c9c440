"""Routes for whoever runs the app: is it alive, how much did it do, what did it write down."""

from __future__ import annotations

import html
import ipaddress
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lora_builder import logs, resources
from lora_builder.errors import LoraBuilderError
from lora_builder.explain import printable
from lora_builder.metrics import METRICS, Labels
from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.version import __version__

if TYPE_CHECKING:
    from lora_builder.ui.desk import Desk

SHOWN = 500
"""Lines of the log on its page."""


def routes(settings: Settings, store: Store) -> list[BaseRoute]:
    """`/healthz` for everybody; `/metrics` and `/log` for this machine, or with METRICS_TOKEN."""

    async def health(request: Request) -> Response:
        reason = await anyio.to_thread.run_sync(_sick, settings, store)
        body = {"status": "ok" if not reason else "failing", "version": __version__}
        return JSONResponse(body | ({"reason": reason} if reason else {}), 503 if reason else 200)

    async def metrics(request: Request) -> Response:
        if not _may_look(request, settings):
            return Response(status_code=404)
        text = await anyio.to_thread.run_sync(lambda: METRICS.text(_now(settings, store)))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def log(request: Request) -> Response:
        if not _may_look(request, settings):
            return Response(status_code=404)
        asked = request.query_params
        chosen = {"least": asked.get("level", "debug"), "project": asked.get("project", "")}
        lines = await anyio.to_thread.run_sync(lambda: logs.latest(settings, SHOWN, **chosen))
        if asked.get("format") == "json":
            return JSONResponse(lines)
        projects = await anyio.to_thread.run_sync(store.projects)
        return HTMLResponse(_page(lines, chosen, {project.id: project.name for project in projects}))

    return [Route("/healthz", health), Route("/metrics", metrics), Route("/log", log)]


def may_read_log(desk: Desk) -> bool:
    """Whether the page may show the way to the log: whoever sees it sits at this machine."""
    return desk.local and not desk.settings.metrics_token.get_secret_value()


def _may_look(request: Request, settings: Settings) -> bool:
    """This machine itself, where nobody stands between, or whoever knows METRICS_TOKEN."""
    token = settings.metrics_token.get_secret_value()
    if token:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        return secrets.compare_digest(given.encode(), token.encode())
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if forwarded or os.environ.get("SPACE_ID") or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _sick(settings: Settings, store: Store) -> str:
    """What keeps the app from working, without details for strangers; empty where nothing does."""
    try:
        store.queue.waiting()
    except LoraBuilderError:
        return "database"
    return "disk" if resources.disk_mb(settings.data_dir) < settings.reserve_disk_mb else ""


def _now(settings: Settings, store: Store) -> dict[tuple[str, Labels], float]:
    free = resources.look(settings.data_dir)
    figures: dict[tuple[str, Labels], float] = {
        ("lora_builder_jobs_waiting", ()): len(store.queue.waiting()),
        ("lora_builder_free_memory_bytes", ()): free.memory_mb << 20,
        ("lora_builder_free_disk_bytes", ()): free.disk_mb << 20,
    }
    for line in store.ledger.sums():
        labels = (("endpoint", line.endpoint), ("model", line.model))
        figures["lora_builder_model_requests", labels] = line.requests
    return figures


def _page(lines: list[dict[str, object]], chosen: Mapping[str, str], projects: Mapping[str, str]) -> str:
    """The log, newest first, and what it can be narrowed down to; everything in it is text."""
    known = ("time", "level", "message")
    rows = []
    for line in reversed(lines):
        more = " ".join(f"{name}={value}" for name, value in line.items() if name not in known)
        cells = [str(line.get(name, "")) for name in known] + [more]
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    levels = {name.lower(): f"{name.lower()} and graver" for name in logs.LEVELS}
    form = _select("level", levels, chosen["least"]) + _select(
        "project", {"": "all projects"} | dict(projects), chosen["project"]
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Log</title>'
        "<style>body{font:13px ui-monospace,monospace;margin:1rem}td{padding:.15rem .6rem;vertical-align:top;"
        "white-space:pre-wrap;border-top:1px solid #8883}form{margin-bottom:.8rem}"
        "select,button{font:inherit;margin-right:.6rem;max-width:24rem}</style>"
        f"<form>{form}<button>Show</button></form>"
        f"<table>{''.join(rows) or '<tr><td>Nothing of this was written.</td></tr>'}</table></html>"
    )


def _select(name: str, options: Mapping[str, str], chosen: str) -> str:
    rows = "".join(
        f'<option value="{html.escape(value)}"{" selected" if value == chosen else ""}>'
        f"{html.escape(printable(text))}</option>"
        for value, text in options.items()
    )
    return f'<select name="{name}" aria-label="{name}">{rows}</select>'
