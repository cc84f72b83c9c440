"""Routes for whoever runs the app: is it alive, how much did it do, what did it write down."""

from __future__ import annotations

import html
import ipaddress
import os
import secrets

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lora_builder import logs, resources
from lora_builder.errors import LoraBuilderError
from lora_builder.metrics import METRICS, Labels
from lora_builder.settings import Settings
from lora_builder.store import Store
from lora_builder.version import __version__

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
        lines = await anyio.to_thread.run_sync(logs.latest, settings, SHOWN)
        if request.query_params.get("format") == "json":
            return JSONResponse(lines)
        return HTMLResponse(_page(lines))

    return [Route("/healthz", health), Route("/metrics", metrics), Route("/log", log)]


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


def _page(lines: list[dict[str, object]]) -> str:
    """The log, newest first; everything in it is text."""
    known = ("time", "level", "message")
    rows = []
    for line in reversed(lines):
        more = " ".join(f"{name}={value}" for name, value in line.items() if name not in known)
        cells = [str(line.get(name, "")) for name in known] + [more]
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Log</title>'
        "<style>body{font:13px ui-monospace,monospace;margin:1rem}td{padding:.15rem .6rem;vertical-align:top;"
        "white-space:pre-wrap;border-top:1px solid #8883}</style>"
        f"<table>{''.join(rows) or '<tr><td>Nothing was written yet.</td></tr>'}</table></html>"
    )
