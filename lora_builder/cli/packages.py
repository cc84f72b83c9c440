"""The commands about packages: `layouts`, `export`, `verify`, `diff`, `push`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from lora_builder import edits
from lora_builder.cli.common import (
    BaseModel,
    Json,
    LayoutNames,
    Output,
    Set,
    app,
    err,
    out,
    parse_pairs,
    print_json,
    read_settings,
)
from lora_builder.cli.outputs import known_projects, published
from lora_builder.errors import BadInput, BadSettings
from lora_builder.export import hub, packages
from lora_builder.export.layouts import LAYOUTS
from lora_builder.export.plan import ExportPlan, plan
from lora_builder.export.write import class_pictures, write_layouts
from lora_builder.files import locked
from lora_builder.settings import Settings, load, origins
from lora_builder.store import Store

Package = Annotated[Path, typer.Argument(help="Folder or ZIP of an export, or a project's folder.")]

TOKEN = "HF_TOKEN"
"""Environment variable with the Hub's token: the only place that it is read from."""


@app.command()
def layouts(json: Json = False) -> None:
    """List the trainers' layouts, the base models they train, and whether they take masks."""
    rows: list[dict[str, Any]] = [
        {
            "name": layout.name,
            "for": layout.title,
            "base_models": list(layout.bases) or ["any"],
            "masks": layout.masks,
            "class_pictures": layout.classes,
        }
        for layout in LAYOUTS.values()
    ]
    if json:
        print_json(rows)
        return
    table = Table("name", "for", "base models", "masks", "class pictures", box=None)
    for row in rows:
        flags = ("yes" if row[name] else "no" for name in ("masks", "class_pictures"))
        table.add_row(row["name"], row["for"], ", ".join(row["base_models"]), *flags)
    out.print(table)


@app.command()
def export(
    output: Output,
    layout: LayoutNames = None,
    base_model: BaseModel = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be written, and write nothing.")] = False,
    set: Set = None,
    json: Json = False,
) -> None:
    """Write the layouts of the projects built in OUTPUT, into SUBJECT/exports/."""
    given = {"layouts": tuple(layout) if layout else None, "base_model": base_model}
    settings = read_settings(set, **given)
    if not settings.layouts:
        raise BadInput("No layout is named.", "Give --layout NAME, as often as you like; see `layouts`.")
    made: dict[str, Any] = {}
    with Store(settings.database) as store:
        for project in known_projects(store, output, settings):
            # What the run was made with holds, unless it is said otherwise here.
            ran_with = as_it_ran(project.folder, set, given)
            with locked(project.folder):
                images = packages.read_project(project.folder)
                classes = class_pictures(project.folder, ran_with)
                if dry_run:
                    made[project.name] = plan(images, ran_with, classes)
                    continue
                decisions = store.decisions(project.id)
                made[project.name] = write_layouts(project.folder, images, decisions, ran_with, classes)
                published(store, project)
    if dry_run:
        _show_plans(made, json)
    elif json:
        print_json({name: [str(path) for path in paths] for name, paths in made.items()})
    else:
        for path in (path for paths in made.values() for path in paths):
            out.print(str(path), highlight=False, markup=False, soft_wrap=True)


@app.command()
def verify(package: Package, json: Json = False) -> None:
    """Check a package: nothing missing, changed, empty or telling; exit code 1 where something is."""
    found = packages.verify(package)
    if json:
        print_json(asdict(found))
    else:
        for fault in found.faults:
            out.print(f"{fault.path}: {fault.message}", highlight=False, markup=False, soft_wrap=True)
        state = _counted(len(found.faults), "fault") if found.faults else "everything is as it was written"
        held = f"{_counted(found.files, 'file')}, {_counted(found.images, 'picture')}"
        out.print(f"{found.layout}: {held}: {state}.", highlight=False, markup=False)
    if found.faults:
        raise typer.Exit(1)


@app.command()
def diff(one: Package, other: Package, json: Json = False) -> None:
    """Say what changed between two packages: pictures, crops, edits, captions, settings, reasons."""
    found = packages.diff(one, other)
    if json:
        print_json(asdict(found))
        return
    if found.same:
        out.print("The two packages hold the same.")
        return
    for name, title in _CHANGES.items():
        values = getattr(found, name)
        if values:
            out.print(f"{title} ({len(values)}):", highlight=False, markup=False)
        for value in values:
            out.print(f"  {_change(name, value)}", highlight=False, markup=False, soft_wrap=True)


_CHANGES = {
    "added": "Pictures that are new",
    "removed": "Pictures that are gone",
    "recropped": "Pictures that are cut differently",
    "reedited": "Pictures that are edited differently",
    "recaptioned": "Captions that changed",
    "settings": "Settings that changed",
    "photos": "Photos that were decided differently, by the beginning of their SHA-256",
    "files": "Files of the same name that hold something else",
}
"""What each field of a `Difference` says to people."""


def _change(name: str, value: Any) -> str:
    """One line of a difference."""
    if isinstance(value, str):
        return value
    what, before, after = value
    what = what[:12] if name == "photos" else what
    was, now = ("nothing" if text in ("", None, [], ()) else str(text) for text in (before, after))
    if name == "recaptioned":
        return f"{what}\n    before: {was}\n    now:    {now}"
    return f"{what}: {was} -> {now}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@app.command()
def recipes(
    save: Annotated[
        str | None, typer.Option(metavar="NAME=EDITS", help="As in soft=auto_levels,sharpen=0.2")
    ] = None,
    forget: Annotated[str | None, typer.Option(metavar="NAME", help="Name of a saved recipe.")] = None,
    set: Set = None,
    json: Json = False,
) -> None:
    """List recipes of light edits, built in and saved; save one under a name, for --set recipe=NAME."""
    with Store(read_settings(set).database) as store:
        saved = store.finishing.recipes()
        if save is not None:
            name, equals, words = save.partition("=")
            name = name.strip()
            if not equals or not name.replace("-", "").isalnum() or name in edits.BUILT_IN:
                raise BadSettings(
                    f"{save!r} is not NAME=EDITS with a name of its own.", "As in soft=sharpen=0.2."
                )
            store.finishing.save_recipe(name, edits.parse(words, saved))
        if forget is not None:
            store.finishing.save_recipe(forget, None)
        found = {**edits.BUILT_IN, **store.finishing.recipes()}
    if json:
        print_json({name: edits.written(recipe) for name, recipe in found.items()})
        return
    table = Table("recipe", "edits", box=None)
    for name, recipe in found.items():
        table.add_row(name, edits.written(recipe))
    out.print(table)


@app.command()
def push(
    project: Annotated[str, typer.Argument(help="Folder of one project, as in DATASETS/anna.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Dataset repository on the Hub.")],
    public: Annotated[
        bool, typer.Option(help="Let everybody see it; needs --consent and --licence.")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="As the Hub names it: cc-by-4.0, other, ...")] = None,
    consent: Annotated[str | None, typer.Option(help="Who agreed to the publication, and how.")] = None,
    message: Annotated[str, typer.Option(help="Commit message.")] = "Upload the dataset",
    set: Set = None,
    json: Json = False,
) -> None:
    """Push a dataset to the Hugging Face Hub: private, resumable; the token is read from HF_TOKEN."""
    given = {"licence": licence, "consent": consent}
    settings = read_settings(set, **given)
    with Store(settings.database) as store:
        (known,) = known_projects(store, project, settings)[:1]
        with locked(known.folder):
            done = hub.push(
                packages.read_project(known.folder),
                store.decisions(known.id),
                as_it_ran(known.folder, set, given),
                repository,
                os.environ.get(TOKEN, ""),
                public=public,
                message=message,
                coverage=hub.coverage_of_report(known.folder),
                progress=lambda n, total: err.print(f"pushed {n}/{total}", highlight=False),
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
    if json:
        print_json(asdict(done))
        return
    seen = "private" if done.private else "public"
    out.print(
        f"{done.url} ({seen}, {done.files} files, commit {done.commit[:8]})", highlight=False, markup=False
    )


def as_it_ran(folder: Path, pairs: list[str] | None, given: dict[str, Any]) -> Settings:
    """The settings of the project's last run, under those that are given now, whatever the source."""
    arguments = {name: value for name, value in given.items() if value is not None} | parse_pairs(pairs)
    where = origins(arguments)
    before = {
        name: value
        for name, value in packages.project_settings(folder).items()
        if where.get(name) == "default" and name not in ("references", "not_references")
    }
    return load(**(before | arguments))


def _show_plans(plans: dict[str, ExportPlan], as_json: bool) -> None:
    if as_json:
        print_json({name: asdict(found) for name, found in plans.items()})
        return
    for name, found in plans.items():
        out.print(f"{name}: {_counted(found.images, 'picture')}", highlight=False)
        _show_plan(found)


def _show_plan(found: ExportPlan) -> None:
    table = Table("layout", "files", "MiB", "repeats", "steps", "buckets", box=None)
    for layout in found.layouts:
        buckets = ", ".join(f"{w}x{h}: {n}" for (w, h), n in layout.buckets) or "as they are"
        size = f"{layout.bytes / 2**20:.1f}"
        table.add_row(layout.name, str(layout.files), size, str(layout.repeats), str(layout.steps), buckets)
    out.print(table)
    for problem in (*found.problems, *(p for layout in found.layouts for p in layout.problems)):
        kind = "This stops the export" if problem.blocks else "Note"
        names = f" ({', '.join(problem.images[:8])})" if problem.images else ""
        out.print(f"{kind}: {problem.message}{names} {problem.remedy}", highlight=False, soft_wrap=True)
