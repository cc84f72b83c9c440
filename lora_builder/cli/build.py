"""The commands that build datasets: `run-all`, `prepare`, and the stages one by one."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lora_builder import logs
from lora_builder.cli.common import (
    BaseModel,
    ClassWord,
    Cluster,
    DryRun,
    FaceModel,
    Input,
    Json,
    LayoutNames,
    Mask,
    Output,
    Reference,
    Resolution,
    Set,
    Single,
    Target,
    Trigger,
    Verbose,
    Workers,
    app,
    err,
    out,
    print_json,
    read_settings,
)
from lora_builder.cli.outputs import known_projects, new_projects, results
from lora_builder.errors import LoraBuilderError
from lora_builder.explain import printable
from lora_builder.records import Decision, Stage
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.version import __version__


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
    cluster: Cluster = None,
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
        cluster=cluster,
        face_model=face_model,
        references=tuple(reference) if reference else None,
        layouts=tuple(layout) if layout else None,
        base_model=base_model,
        mask=mask,
    )
    build(settings, input, output, tuple(Stage), single, dry_run, json, verbose)


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


def build(
    settings: Settings,
    input: str | None,
    output: str,
    stages: Sequence[Stage],
    single: bool,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    logs.start(settings, logging.DEBUG if verbose else logging.ERROR)
    summaries: list[Summary] = []
    with Store(settings.database) as store:
        if input is None:
            projects = known_projects(store, output, settings)
        else:
            projects = new_projects(store, input, output, settings, single)
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


def _run_one(
    store: Store, project: Project, settings: Settings, stages: Sequence[Stage], dry_run: bool
) -> Summary:
    from lora_builder import pipeline  # takes a second or two: only who runs it waits for it

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
        str(results(store, project)),
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
        print_json({"version": __version__, "projects": [asdict(summary) for summary in summaries]})
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
