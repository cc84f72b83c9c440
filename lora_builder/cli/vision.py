"""The commands about vision models: `caption`, `endpoints`, `ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from lora_builder.caption.endpoints import PRESETS, endpoints_of, models_of
from lora_builder.caption.probe import probe
from lora_builder.cli.build import build
from lora_builder.cli.common import Json, Output, Set, Verbose, app, out, print_json, read_settings
from lora_builder.cli.outputs import known_projects
from lora_builder.records import Stage
from lora_builder.settings import Settings
from lora_builder.store import Store

EndpointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        metavar="NAME|URL|NAME=URL",
        help="Server to ask, as often as you like; see `endpoints`.",
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="MODEL[@NAME]", help="Vision model, by priority, as often as you like."),
]
Template = Annotated[str | None, typer.Option(help="Prompt template by name.")]


@app.command()
def caption(
    output: Output,
    endpoint: EndpointOption = None,
    model: ModelOption = None,
    template: Template = None,
    set: Set = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Caption the kept photos of the projects prepared in OUTPUT.

    Keys come from the environment: MODELSCOPE_TOKEN for a URL, NAME_API_KEY for a named endpoint.
    """
    settings = _asked(set, endpoint, model, caption_template=template)
    build(settings, None, output, (Stage.CAPTION,), False, False, json, verbose)


@app.command()
def endpoints(
    endpoint: EndpointOption = None,
    model: ModelOption = None,
    test: Annotated[
        bool, typer.Option("--test", help="Ask each; with a tiny grey picture for models.")
    ] = False,
    set: Set = None,
    json: Json = False,
) -> None:
    """List the servers that can be asked, where to get keys, and, with --test, whether they answer."""
    settings = _asked(set, endpoint, model)
    if test:
        _test(settings, json)
        return
    used = endpoints_of(settings)
    rows: list[dict[str, Any]] = [
        {"name": p.name, "url": p.url, "model": p.model, "photos_leave": p.leaves, "key": p.key_name,
         "key_from": p.key_from, "in_use": p.name in used}
        for p in PRESETS.values()
    ]  # fmt: skip
    rows += [
        {"name": e.name, "url": e.url, "model": "", "photos_leave": e.leaves, "key": "", "key_from": "",
         "in_use": True}
        for e in used.values() if e.name not in PRESETS
    ]  # fmt: skip
    if json:
        print_json(rows)
        return
    table = Table("name", "in use", "photos leave", "key", "model", "address", box=None)
    for row in rows:
        flags = ("yes" if row[name] else "no" for name in ("in_use", "photos_leave"))
        table.add_row(row["name"], *flags, row["key"], row["model"], row["url"])
    out.print(table)


@app.command()
def ledger(output: Output, json: Json = False) -> None:
    """Say what left this machine for the projects in OUTPUT: requests, tokens, cost, failures a model."""
    settings = read_settings(None)
    rows: list[dict[str, Any]] = []
    with Store(settings.database) as store:
        for project in known_projects(store, output, settings):
            rows += [{"project": project.name, **asdict(line)} for line in store.ledger.sums(project.id)]
    if json:
        print_json(rows)
        return
    table = Table(
        "project",
        "model",
        "host",
        "requests",
        "pictures",
        "MB",
        "tokens",
        "cost",
        "seconds",
        "failures",
        box=None,
    )
    for row in rows:
        table.add_row(
            row["project"],
            row["model"],
            row["host"],
            str(row["requests"]),
            str(row["pictures"]),
            f"{row['bytes_sent'] / 1e6:.1f}",
            str(row["tokens_in"] + row["tokens_out"]),
            "" if row["cost"] is None else f"${row['cost']:.4f}",
            f"{row['seconds']:.0f}",
            ", ".join(f"{count} {kind}" for kind, count in row["failures"].items()),
        )
    out.print(table)


def _test(settings: Settings, json: bool) -> None:
    places = endpoints_of(settings)
    named = settings.tag_model or settings.focus_model or settings.fallback_model
    models = models_of(settings, settings.tag_model) if named else []
    with Store(settings.database) as store:
        found = [probe(model.endpoint, model.name, store) for model in models]
        asked = {model.endpoint.name for model in models}
        found += [probe(place) for name, place in places.items() if name not in asked]
    if json:
        print_json([asdict(entry) for entry in found])
    else:
        table = Table("endpoint", "answers", "model", "seconds", "it says", "models", box=None)
        for entry in found:
            some = ", ".join(entry.models[:8]) + (" ..." if len(entry.models) > 8 else "")
            good = "yes" if entry.good else "no"
            table.add_row(entry.endpoint, good, entry.model, f"{entry.seconds:.1f}", entry.said, some)
        out.print(table)
    if not found or not all(entry.good for entry in found):
        raise typer.Exit(1)


def _asked(
    pairs: Sequence[str] | None, places: Sequence[str] | None, models: Sequence[str] | None, **more: Any
) -> Settings:
    """Settings with the named endpoints in place of the environment's, and the models in their order."""
    flags: dict[str, Any] = dict(more)
    if models:
        flags["tag_model"] = ",".join(models)
    if places:
        plain = [place for place in places if "://" in place and "=" not in place.partition("://")[0]]
        flags["base_url"] = plain[0] if plain else ""
        rest = [place for place in places if place not in plain]
        rest += [f"endpoint{number}={url}" for number, url in enumerate(plain[1:], 2)]
        flags["endpoints"] = tuple(rest)
    return read_settings(pairs, **flags)
