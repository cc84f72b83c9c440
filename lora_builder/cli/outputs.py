"""Where --output is: a folder, or a store whose projects are made in a folder of this machine."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from lora_builder.claims import Claim
from lora_builder.errors import BadInput
from lora_builder.ingest import find_projects
from lora_builder.places import Location, Place, located
from lora_builder.publish import publish, work_folder
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.store.notes import PLACE


def folder_of(output: str, settings: Settings) -> Path:
    """The folder in which the projects of OUTPUT are made. Raises BadSettings."""
    place = located(output)
    return work_folder(place, settings) if isinstance(place, Place) else place


def known_projects(store: Store, output: str, settings: Settings) -> list[Project]:
    """The projects built in OUTPUT, or the one whose folder it is. Raises BadInput."""
    below = folder_of(output, settings).resolve()
    found = [p for p in store.projects() if p.folder == below or below in p.folder.parents]
    if not found:
        raise BadInput(f"No project is known in {output}.", "Run `prepare` or `run-all` first.")
    return found


def new_projects(store: Store, input: str, output: str, settings: Settings, single: bool) -> list[Project]:
    """The projects of INPUT, to be built in OUTPUT. Raises BadInput, BadSettings."""
    source, target = located(input), located(output)
    if _inside(source, target):
        raise BadInput("The output folder lies inside the input.", "Choose one beside it.")
    folder = folder_of(output, settings)
    made = []
    for found in find_projects(source, settings, single=single):
        project = store.project(folder / found.name, found.name, found.path)
        if isinstance(target, Place):
            store.notes.write(project.id, PLACE, {"url": str(target / found.name)})
        made.append(project)
    return made


def results(store: Store, project: Project) -> Location:
    """Where the user finds the project's results."""
    return store.notes.place(project.id) or project.folder


def published(store: Store, project: Project) -> None:
    """Brings what changed in the project's folder to its store, if it has one.

    Raises OutputUnwritable, and ProjectBusy where a run on another machine is at work on that store.
    """
    place = store.notes.place(project.id)
    if place is not None:
        with Claim(place) as claim:
            deque(claim.take(), 0)
            deque(publish(project.folder, place), 0)


def _inside(source: Location, target: Location) -> bool:
    if isinstance(source, Place) and isinstance(target, Place):
        return source.holds(target)
    if isinstance(source, Path) and isinstance(target, Path):
        return source.resolve() == target.resolve() or source.resolve() in target.resolve().parents
    return False
