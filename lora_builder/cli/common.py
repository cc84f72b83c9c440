"""What all commands share: the program, its consoles, its options, and how they become settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lora_builder import logs
from lora_builder.errors import BadSettings
from lora_builder.settings import Settings, load

app = typer.Typer(
    help="From a folder of photos of somebody to a training set for a portrait LoRA.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
out = Console(markup=False)
err = Console(stderr=True)

Input = Annotated[
    str, typer.Option("--input", "-i", help="Folder, ZIP, or a folder of several; also s3://, gs://, hf://.")
]
Output = Annotated[
    str, typer.Option("--output", "-o", help="Where the datasets go: a folder, or s3://, gs://.")
]
Single = Annotated[bool, typer.Option(help="Take the whole input as one project.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what happens.")]
DryRun = Annotated[bool, typer.Option(help="Decide and report, write no images.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting; see `config`.")
]
Trigger = Annotated[str | None, typer.Option(help="Word that calls the person, as in ohwx.")]
ClassWord = Annotated[str | None, typer.Option(help="What they are: woman, man, person.")]
Resolution = Annotated[int | None, typer.Option(help="Side of the square crops, pixels.")]
Target = Annotated[int | None, typer.Option(help="Keep at most this many photos.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; 0: one per core.")]
Cluster = Annotated[str | None, typer.Option(help="Dask scheduler, as tcp://127.0.0.1:8786.")]
FaceModel = Annotated[str | None, typer.Option(help="Face model by name; see `models`.")]
LayoutNames = Annotated[
    list[str] | None, typer.Option("--layout", help="Trainer's layout; several times for several.")
]
BaseModel = Annotated[str | None, typer.Option(help="Base model to train: sdxl, flux, qwen-image, ...")]
Mask = Annotated[str | None, typer.Option(help="Training masks: none, subject, head, face.")]
Reference = Annotated[list[Path] | None, typer.Option(help="Photo of the subject; up to five.")]

LISTS = ("references", "not_references", "duplicates", "quotas")
"""Settings that take several values, separated by commas."""


def parse_pairs(pairs: Sequence[str] | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not equals or name not in Settings.model_fields:
            raise BadSettings(f"--set {pair}: there is no such setting.", "`config` lists every setting.")
        arguments[name] = value.split(",") if name in LISTS else value
    return arguments


def read_settings(pairs: Sequence[str] | None, **flags: Any) -> Settings:
    """The settings in force with flags on top; from here on the log is written. Raises BadSettings."""
    settings = load(
        **{**parse_pairs(pairs), **{name: value for name, value in flags.items() if value is not None}}
    )
    logs.start(settings)
    return settings


def print_json(value: Any) -> None:
    """One JSON value on standard output, for machines."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
