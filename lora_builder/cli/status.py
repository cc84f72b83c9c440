"""The commands that look and change nothing: `models`, `config`, `doctor`, `version`; and `app`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table

from lora_builder.cli.common import Json, Set, app, out, parse_pairs, print_json, read_settings
from lora_builder.models import available
from lora_builder.settings import Settings, load, origins
from lora_builder.version import __version__


@app.command()
def models(json: Json = False) -> None:
    """List the models, what they are for, their licence, and whether they are ready."""
    rows = [
        {k: str(v) if isinstance(v, Path) else v for k, v in asdict(m).items()} for m in available(load())
    ]
    if json:
        print_json(rows)
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None)
    for row in rows:
        table.add_row(*(("yes" if v else "no") if isinstance(v, bool) else str(v) for v in row.values()))
    out.print(table)


@app.command()
def config(set: Set = None, json: Json = False) -> None:
    """Print every setting, its value, and where the value comes from."""
    arguments = parse_pairs(set)
    settings = read_settings(set)
    where = origins(arguments)
    rows = [
        {"name": name, "value": str(getattr(settings, name)), "from": where[name], "help": info.description}
        for name, info in Settings.model_fields.items()
    ]
    if json:
        print_json(rows)
        return
    table = Table("setting", "value", "from", "meaning", box=None)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    out.print(table)


@app.command()
def doctor(set: Set = None, json: Json = False) -> None:
    """Look whether everything is here that the work needs, and how to get what is missing."""
    from lora_builder.doctor import Health, examine

    findings = examine(read_settings(set))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("", "", "found", "how to mend it", box=None)
        for finding in findings:
            table.add_row(finding.health.value, finding.name, finding.found, finding.remedy)
        out.print(table)
    if any(finding.health is Health.BROKEN for finding in findings):
        raise typer.Exit(1)


@app.command("app")
def start_app() -> None:
    """Open the app in the browser."""
    from lora_builder.ui.app import launch

    launch(load())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)
