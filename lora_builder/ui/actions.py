"""What the page's buttons do, without the page: copying uploads, starting, finding one's own things."""

from __future__ import annotations

import base64
import functools
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lora_builder import measure
from lora_builder.errors import BadInput
from lora_builder.files import writing_to
from lora_builder.jobs import Jobs
from lora_builder.settings import Settings, load
from lora_builder.store import Project, Store
from lora_builder.ui.texts import tr

OWNER_BYTES = 24
"""Random bytes of a visitor's token: nobody guesses 192 bits."""

DOWNLOADS = "downloads"
"""Folder among the uploads for files that a visitor asked for, each in a folder of random name."""

FALLBACK_NAME = "dataset"

Deliverable = Literal["train_package.zip", "report.html"]


def new_owner() -> str:
    """A token that makes a visitor known again; it lives in their browser."""
    return secrets.token_urlsafe(OWNER_BYTES)


@dataclass(frozen=True)
class Desk:
    """The app's services. `local`: whoever sees the page sits at this machine."""

    settings: Settings
    store: Store
    jobs: Jobs
    local: bool

    @property
    def uploads(self) -> Path:
        """Where Gradio keeps uploads until they are copied, and downloads until they are fetched."""
        return self.settings.data_dir / "uploads"

    def mine(self, project_id: str | None, owner: str | None) -> Project | None:
        """The project, if it is that visitor's."""
        if not project_id or not owner:
            return None
        project = self.store.find_project(project_id)
        if project is None or project.owner is None:
            return None
        return project if secrets.compare_digest(project.owner.encode(), owner.encode()) else None

    def all_mine(self, owner: str | None) -> list[Project]:
        """The visitor's projects, newest first."""
        return self.store.projects(owner)[::-1] if owner else []

    def adjusted(self, form: dict[str, Any]) -> Settings:
        """The app's settings with the page's controls on top. Raises BadSettings."""
        return load(**(self.settings.model_dump() | form))

    def open_project(
        self,
        owner: str,
        uploads: Sequence[str],
        folder: str,
        name: str,
        current: Project | None,
        language: str,
    ) -> Project:
        """The project to build: of new uploads, else of a local folder, else the current one again.

        Raises BadInput where there is nothing to build of, OutputUnwritable where the disk refuses.
        """
        place = self.settings.data_dir / "projects" / secrets.token_hex(12)
        if uploads:
            self._copy(uploads, place / "input", language)
            title = name.strip() or _telling_name(uploads, language)
            return self.store.project(place, title, place / "input", owner)
        if self.local and folder.strip():
            source = Path(folder.strip().strip("\"'")).expanduser()
            if not source.is_absolute() or not source.exists():
                raise BadInput(tr("no_folder", language), tr("no_folder_remedy", language))
            if current is not None and current.input == source.resolve():
                return current
            title = name.strip() or source.stem or FALLBACK_NAME
            return self.store.project(place, title, source, owner)
        if current is not None:
            return current
        raise BadInput(tr("no_photos", language), tr("no_photos_remedy", language))

    def _copy(self, uploads: Sequence[str], target: Path, language: str) -> None:
        sources = [Path(upload) for upload in uploads]
        if not all(source.is_file() for source in sources):
            raise BadInput(tr("upload_gone", language), tr("upload_gone_remedy", language))
        limit = self.settings.max_upload_mb
        if sum(source.stat().st_size for source in sources) > limit * 2**20:
            raise BadInput(
                tr("too_much", language, mb=f"{limit:,}"),
                tr("too_much_remedy", language),
            )
        try:
            with writing_to(target):
                target.mkdir(parents=True)
                for source in sources:
                    shutil.copyfile(source, _free(target / source.name))
        except BaseException:
            # Half a project is none; whoever stops the copying starts anew.
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
        for source in sources:
            source.unlink(missing_ok=True)

    def photo_in_hand(self, project: Project, name: str) -> str:
        """A `data:` URI of the photo that the run is at, empty where there is none yet."""
        job = self.jobs.latest(project.id)
        snapshot = self.jobs.snapshot(job) if job else None
        if snapshot is None or not name or len(snapshot.stages) < 2:
            return ""  # The photos are not listed before the second stage.
        sha256 = _contents(self.store, project.id, job).get(name, "")
        return self.picture(sha256) if sha256 else ""

    def picture(self, sha256: str) -> str:
        """A `data:` URI of a thumbnail: nothing is served that another visitor could ask for."""
        data = measure.thumbnail(self.settings, sha256)
        return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data else ""

    def deliver(self, project: Project, what: Deliverable, language: str) -> Path:
        """A copy for download, under a name that cannot be guessed. Raises BadInput if there is none."""
        source = project.folder / what
        if not source.is_file():
            raise BadInput(tr("no_package", language), tr("no_package_remedy", language))
        folder = self.uploads / DOWNLOADS / secrets.token_hex(16)
        target = folder / f"{_file_name(project.name)}-{what.replace('_', '-')}"
        with writing_to(folder):
            folder.mkdir(parents=True)
            try:
                # The run replaces its files and never rewrites them, so a second name is as good as a copy.
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)
        return target


def _telling_name(uploads: Sequence[str], language: str) -> str:
    """A single ZIP's own name; a heap of photos has none, so the day."""
    if len(uploads) == 1 and uploads[0].lower().endswith(".zip"):
        return Path(uploads[0]).stem
    return tr("unnamed", language, day=time.strftime("%Y-%m-%d"))


def _free(path: Path) -> Path:
    """`path`, or the same with a number where two uploads have one name."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return candidate


def _file_name(name: str) -> str:
    """`name` as every system takes it in a file's name."""
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-")
    return kept[:60] or FALLBACK_NAME


@functools.lru_cache(maxsize=16)
def _contents(store: Store, project_id: str, job: str | None) -> dict[str, str]:
    """SHA-256 by source name; `job` is in the key because the next one may read other files."""
    photos, _ = store.photos(project_id)
    return {photo.source.name: photo.sha256 for photo in photos}
