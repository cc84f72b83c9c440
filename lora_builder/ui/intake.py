"""Where photos come in: uploads copied into a project, folders of this machine, whole new projects."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lora_builder import logs, measure
from lora_builder.errors import BadInput
from lora_builder.files import writing_to
from lora_builder.ingest import find_projects, identify
from lora_builder.places import READ, Location, Place
from lora_builder.records import Photo, Source
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.store.notes import SETTINGS
from lora_builder.ui.texts import tr

DOWNLOADS = "downloads"
"""Folder among the uploads for results that a program asked for, each in a folder of random name."""

REFERENCES = ("references", "not_references")
"""Folders in a project's folder for photos of the subject and of others."""

UNFINISHED_S = 3600.0
"""Age from which a folder that belongs to no project was left by a kill, seconds."""

INPUT = "input"
"""Folder in a project's own folder that holds its uploads."""

LONGEST_NAME = 120
"""Characters of a project's name that are kept."""


@dataclass(frozen=True)
class Upload:
    """One file that came in: where it lies now, and its path inside what the user chose."""

    path: Path
    name: str


@dataclass(frozen=True)
class Intake:
    """Makes projects and fills them. `local`: whoever sees the page sits at this machine."""

    settings: Settings
    store: Store
    local: bool

    @property
    def uploads(self) -> Path:
        """Where Gradio keeps uploads until they are copied, and downloads until they are fetched."""
        return self.settings.data_dir / "uploads"

    @property
    def projects(self) -> Path:
        """Where the folders of the app's projects are."""
        return self.settings.data_dir / "projects"

    def create(self, owner: str, name: str, language: str) -> Project:
        """An empty project."""
        place = self.projects / secrets.token_hex(12)
        with writing_to(place):
            (place / INPUT).mkdir(parents=True)
        title = _tidy(name) or tr("unnamed", language, day=time.strftime("%Y-%m-%d"))
        return self.store.project(place, title, place / INPUT, owner)

    def owns_input(self, project: Project) -> bool:
        """Whether the photos lie in the project's own folder, and may be added to."""
        return project.input == project.folder / INPUT

    def add(self, project: Project, uploads: Sequence[Upload], language: str) -> int:
        """Moves uploads into the project, and says how many. Raises BadInput."""
        if not self.owns_input(project):
            raise BadInput(tr("reads_folder", language), tr("reads_folder_remedy", language))
        sources = [self._checked(upload, language) for upload in uploads]
        limit = self.settings.max_upload_mb
        if sum(source.stat().st_size for source in sources) > limit * 2**20:
            raise BadInput(tr("too_much", language, mb=f"{limit:,}"), tr("too_much_remedy", language))
        made: list[Path] = []
        try:
            inside = project.folder / INPUT
            with writing_to(inside):
                for source, upload in zip(sources, uploads, strict=True):
                    target = _free(inside / _inside(upload.name or source.name))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    made.append(target)
                    shutil.copyfile(source, target)
        except BaseException:
            # Half a heap of photos is none; whoever stops the copying starts anew.
            for target in made:
                target.unlink(missing_ok=True)
            raise
        for source in sources:
            source.unlink(missing_ok=True)
        note = self.store.notes.read(project.id, "photos")
        self.store.notes.write(project.id, "photos", {**note, "added": note.get("added", 0) + len(sources)})
        return len(sources)

    def keep(self, upload: Upload, folder: Path, language: str) -> Path:
        """Moves one upload into a folder of a project."""
        source = self._checked(upload, language)
        target = _free(folder / _inside(upload.name).name)
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        source.unlink(missing_ok=True)
        return target

    def of_folder(self, owner: str, path: str, name: str, language: str) -> list[Project]:
        """The projects of a folder or ZIP on this machine or in a store, read where it lies.

        Raises BadInput, and BadSettings where the store's library is not installed.
        """
        source = _located(path) if self.local else None
        if source is None:
            raise BadInput(tr("no_folder", language), tr("no_folder_remedy", language))
        found = find_projects(source, self.settings)
        made = []
        for entry in found:
            title = _tidy(name) if name.strip() and len(found) == 1 else entry.name
            place = self.projects / secrets.token_hex(12)
            made.append(self.store.project(place, title, entry.path, owner))
        return made

    def rename(self, project: Project, name: str) -> None:
        """Another name; an empty one changes nothing."""
        if _tidy(name):
            self.store.rename_project(project.id, _tidy(name))

    def duplicate(self, project: Project, language: str) -> Project:
        """The same photos, settings and decisions once more, to try something else with."""
        place = self.projects / secrets.token_hex(12)
        source = project.input
        if self.owns_input(project):
            source = place / INPUT
            with writing_to(place):
                shutil.copytree(project.folder / INPUT, source, copy_function=_linked)
        copy = self.store.project(place, tr("copy_of", language, name=project.name), source, project.owner)
        self.store.notes.write(copy.id, SETTINGS, self.store.notes.read(project.id, SETTINGS))
        for sha256, override in self.store.overrides(project.id).items():
            self.store.set_override(copy.id, sha256, override)
        return copy

    def delete(self, project: Project) -> None:
        """The project, its files, and what was measured of photos that no other project has.

        A folder of this machine that was only read is left alone. Files go first and measurements
        last, so that after a kill another deletion finds what this one left.
        """
        photos, _ = self.store.photos(project.id)
        contents = {photo.sha256 for photo in photos} | self._references(project)
        if project.folder.parent == self.projects.resolve():
            shutil.rmtree(project.folder, ignore_errors=True)
        shutil.rmtree(self.downloads(project), ignore_errors=True)
        self.store.delete_project(project.id)
        unused = self.store.unused(contents) | self.store.orphans()
        for sha256 in unused:
            measure.forget_preview(self.settings, sha256)
        self.store.forget_looks(unused)
        self.store.compact()
        logs.forget(self.settings, project.id)

    def tidy(self) -> None:
        """Removes folders of projects that were never finished, or never wholly deleted, before a kill."""
        known = {project.folder for project in self.store.projects()}
        for folder in self.projects.resolve().glob("*"):
            if folder not in known and time.time() - folder.stat().st_mtime > UNFINISHED_S:
                shutil.rmtree(folder, ignore_errors=True)

    def downloads(self, project: Project) -> Path:
        """Where copies of the project's results wait to be fetched by programs."""
        return self.uploads / DOWNLOADS / hashlib.sha256(project.id.encode()).hexdigest()[:32]

    def _references(self, project: Project) -> set[str]:
        """Contents of the reference photos, of which previews were made too."""
        files = [path for name in REFERENCES for path in (project.folder / name).glob("*")]
        found = [identify(Source(path.name, path), self.settings) for path in files]
        return {photo.sha256 for photo in found if isinstance(photo, Photo)}

    def _checked(self, upload: Upload, language: str) -> Path:
        """The uploaded file. A page may name any path, so only those among the uploads count."""
        path = upload.path.resolve()
        if self.uploads.resolve() not in path.parents or not path.is_file():
            raise BadInput(tr("upload_gone", language), tr("upload_gone_remedy", language))
        return path


def _located(path: str) -> Location | None:
    """What somebody typed as a folder, ZIP or store; None where it is none."""
    plain = path.strip().strip("\"'")
    scheme, there, rest = plain.partition("://")
    if there and rest and scheme.lower() in READ:
        return Place(f"{scheme.lower()}://{rest}")
    source = Path(plain).expanduser()
    return source if plain and source.is_absolute() and source.exists() else None


def _inside(name: str) -> Path:
    """A name from a browser as a path that stays inside the folder it is put into."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    return Path(*[part.replace("\0", "_").strip()[:200] or "_" for part in parts[-6:]] or ["photo"])


def _free(path: Path) -> Path:
    """`path`, or the same with a number where two uploads have one name."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return candidate


def _linked(source: str, target: str) -> None:
    """A second name for the file where the disk can, else a copy: inputs are never rewritten."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _tidy(name: str) -> str:
    return " ".join(name.split())[:LONGEST_NAME]
