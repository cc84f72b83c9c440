"""The command line: the same functions as the app, for a terminal, a script, or a pipe.

Exit codes: 0 all projects built, 1 nothing could be built, 2 wrong usage or settings,
3 some projects failed, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lora_builder import logs, pipeline
from lora_builder.errors import BadInput, BadSettings, LoraBuilderError
from lora_builder.explain import printable
from lora_builder.ingest import find_projects
from lora_builder.models import available
from lora_builder.records import Decision, Stage
from lora_builder.settings import Settings, load, origins
from lora_builder.store import Project, Store
from lora_builder.version import __version__

app = typer.Typer(
    help="From a folder of photos of somebody to a training set for a portrait LoRA.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
out = Console(markup=False)
err = Console(stderr=True)

Input = Annotated[Path, typer.Option("--input", "-i", help="Folder, ZIP, or a folder of several.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the datasets go.")]
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
FaceModel = Annotated[str | None, typer.Option(help="Face model by name; see `models`.")]
LayoutNames = Annotated[
    list[str] | None, typer.Option("--layout", help="Trainer's layout; several times for several.")
]
BaseModel = Annotated[str | None, typer.Option(help="Base model to train: sdxl, flux, qwen-image, ...")]
Mask = Annotated[str | None, typer.Option(help="Training masks: none, subject, head, face.")]
Reference = Annotated[list[Path] | None, typer.Option(help="Photo of the subject; up to five.")]


@dataclass(frozen=True)
class Summary:
    """What became of one project."""

    project: str
    folder: str
    photos: int = 0
    kept: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None


@app.command("run-all")
def run_all(
    input: Input,
    output: Output,
    single: Single = False,
    dry_run: DryRun = False,
    trigger: Trigger = None,
    class_word: ClassWord = None,
    resolution: Resolution = None,
    target: Target = None,
    workers: Workers = None,
    face_model: FaceModel = None,
    reference: Reference = None,
    layout: LayoutNames = None,
    base_model: BaseModel = None,
    mask: Mask = None,
    set: Set = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Build the datasets: measure, decide, crop, caption and pack every project of the input."""
    settings = read_settings(
        set,
        trigger=trigger,
        class_word=class_word,
        resolution=resolution,
        target_count=target,
        workers=workers,
        face_model=face_model,
        references=tuple(reference) if reference else None,
        layouts=tuple(layout) if layout else None,
        base_model=base_model,
        mask=mask,
    )
    build(settings, input, output, pipeline.ALL, single, dry_run, json, verbose)


@app.command()
def prepare(
    input: Input,
    output: Output,
    single: Single = False,
    set: Set = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Read, measure and decide; write nothing but what is known."""
    build(read_settings(set), input, output, (Stage.INGEST, Stage.DECIDE), single, False, json, verbose)


def _stage_command(stage: Stage, help: str) -> None:
    def command(output: Output, set: Set = None, json: Json = False, verbose: Verbose = False) -> None:
        build(read_settings(set), None, output, (stage,), False, False, json, verbose)

    app.command(stage.value, help=help)(command)


_stage_command(Stage.FOCUS, "Frame the crops of the projects prepared in OUTPUT.")
_stage_command(Stage.CROP, "Cut the training images of the projects prepared in OUTPUT.")
_stage_command(Stage.PACK, "Write dataset, report and ZIP of the projects prepared in OUTPUT.")


@app.command()
def models(json: Json = False) -> None:
    """List the models, what they are for, their licence, and whether they are ready."""
    rows = [
        {k: str(v) if isinstance(v, Path) else v for k, v in asdict(m).items()} for m in available(load())
    ]
    if json:
        _print_json(rows)
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
        _print_json(rows)
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
        _print_json([asdict(finding) for finding in findings])
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


def main() -> None:
    """Entry point: errors of the user's world become one plain line and an exit code."""
    from lora_builder import cli_caption, cli_export  # noqa: F401  (their commands join `app`)

    try:
        app(standalone_mode=True)
    except BadSettings as error:
        err.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
    except LoraBuilderError as error:
        err.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)


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


def build(
    settings: Settings,
    input: Path | None,
    output: Path,
    stages: Sequence[Stage],
    single: bool,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    logs.start(settings, logging.DEBUG if verbose else logging.ERROR)
    summaries: list[Summary] = []
    with Store(settings.database) as store:
        projects = _projects(store, settings, input, output, single)
        try:
            for project in projects:
                summaries.append(_run_one(store, project, settings, stages, dry_run))
        except KeyboardInterrupt:
            err.print("\nStopped. What was done is kept: run the same command again to go on.")
            raise typer.Exit(130) from None
    _report(summaries, as_json)
    failed = sum(summary.error is not None for summary in summaries)
    if failed:
        raise typer.Exit(1 if failed == len(summaries) else 3)


def _projects(
    store: Store, settings: Settings, input: Path | None, output: Path, single: bool
) -> list[Project]:
    if input is None:
        below = output.resolve()
        known = [p for p in store.projects() if p.folder == below or below in p.folder.parents]
        if not known:
            raise BadInput(f"No project is known in {output}.", "Run `prepare` or `run-all` first.")
        return known
    inside = input.resolve()
    if inside == output.resolve() or inside in output.resolve().parents:
        raise BadInput("The output folder lies inside the input.", "Choose one beside it.")
    return [
        store.project(output / found.name, found.name, found.path)
        for found in find_projects(input, settings, single=single)
    ]


def _run_one(
    store: Store, project: Project, settings: Settings, stages: Sequence[Stage], dry_run: bool
) -> Summary:
    started = time.monotonic()
    error = None
    try:
        for _ in _shown(pipeline.run(store, project, settings, stages=stages, dry_run=dry_run)):
            pass
    except LoraBuilderError as failure:
        error = str(failure)
        err.print(f"[bold red]{escape(project.name)}:[/] {escape(str(failure))}", highlight=False)
    decisions: list[Decision] = store.decisions(project.id) if error is None else []
    return Summary(
        project.name,
        str(project.folder),
        len(decisions),
        sum(decision.verdict == "kept" for decision in decisions),
        dict(sorted(Counter(decision.reason for decision in decisions).items())),
        round(time.monotonic() - started, 1),
        error,
    )


def _shown(events: Iterator[Any]) -> Iterator[Any]:
    """Passes events on and shows them: bars on a terminal, a line a stage elsewhere."""
    if not err.is_terminal:
        for event in events:
            if event.done == event.total or event.message:
                line = f"{event.project}: {event.stage.value} {event.done}/{event.total} {event.message}"
                err.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)
            yield event
        return
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[photo]}", markup=False),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[Stage, Any] = {}
        for event in events:
            if event.stage not in tasks:
                if event.stage is Stage.INGEST:
                    progress.print(event.project, markup=False)
                    progress.print(event.message, markup=False, highlight=False)
                tasks[event.stage] = progress.add_task(event.stage.value, rate="", photo="")
            task = next(t for t in progress.tasks if t.id == tasks[event.stage])
            rate = f"{task.speed:.1f}/s" if task.speed else ""
            photo = printable(event.photo[-40:]) if event.done < event.total else event.message
            progress.update(task.id, completed=event.done, total=event.total, rate=rate, photo=photo)
            yield event


def _report(summaries: Sequence[Summary], as_json: bool) -> None:
    if as_json:
        _print_json({"version": __version__, "projects": [asdict(summary) for summary in summaries]})
        return
    table = Table("project", "photos", "kept", "dropped because", "seconds", box=None)
    for summary in summaries:
        dropped = ", ".join(f"{n} {reason}" for reason, n in summary.reasons.items() if reason != "kept")
        table.add_row(
            summary.project,
            str(summary.photos),
            str(summary.kept),
            summary.error or dropped,
            f"{summary.seconds:.1f}",
        )
    out.print(table)
    for summary in summaries:
        if summary.error is None:
            out.print(f"{summary.folder}", highlight=False, markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
