"""The app's services behind every step: whose project it is, its settings, its runs, its changes."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lora_builder import measure
from lora_builder.errors import BadInput, BadSettings, LoraBuilderError
from lora_builder.export.layouts import LAYOUTS
from lora_builder.files import writing_to
from lora_builder.jobs import FINISHED, Jobs, State
from lora_builder.records import Box
from lora_builder.settings import Settings, load
from lora_builder.store import Change, Project, Store
from lora_builder.store.notes import SETTINGS, STAMPS, USED
from lora_builder.ui import outward
from lora_builder.ui.accounts import Accounts
from lora_builder.ui.bench import Bench, Benches
from lora_builder.ui.changes import Changes
from lora_builder.ui.door import Signer
from lora_builder.ui.intake import Intake, Upload
from lora_builder.ui.outward import Keys
from lora_builder.ui.pushes import Pushes
from lora_builder.ui.quotas import Quotas
from lora_builder.ui.runs import current_stamps, settings_of
from lora_builder.ui.stamps import MACHINE, OUTWARD, READ_FROM, STAGES_OF, marks
from lora_builder.ui.steps import STEPS
from lora_builder.ui.texts import tr

log = logging.getLogger(__name__)

FALLBACK_NAME = "dataset"

AGREED = "agreed"
"""Kind of the note that says to which of the machine's own endpoints pictures may go (`hosts`)."""

TOUCH_S = 300.0
"""Seconds after which the use of a project is noted again."""

REMEMBERED = 256
"""Settings of projects that are kept ready."""

FACE_SIDE = 168
"""Longest side of a face's picture, pixels."""

ALONE = 1
"""Priority of one step done again: it is short, and whole runs can wait for it."""

MOST_AHEAD_H = 7 * 24
"""How far ahead a start may be planned, hours."""

DELETE_WAIT_S = 15.0
"""How long a deletion waits for the project's run to let go of its files, seconds."""

DELIVERABLES = (
    "train_package.zip",
    "report.html",
    "decisions.jsonl",
    *(f"exports/{name}.zip" for name in LAYOUTS),
)
"""Files of a project's folder that its owner may download, where they are there."""


@dataclass(frozen=True)
class Desk:
    """The app's services. `local`: whoever sees the page sits at this machine."""

    settings: Settings
    store: Store
    jobs: Jobs
    local: bool
    signer: Signer = field(default_factory=Signer)
    benches: Benches = field(default_factory=Benches)
    keys: Keys = field(default_factory=Keys)
    accounts: Accounts = field(default_factory=Accounts)
    quotas: Quotas = field(default_factory=Quotas)
    pushes: Pushes = field(default_factory=Pushes)
    _known: dict[str, Settings] = field(default_factory=dict, repr=False)
    _used: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def changes(self) -> Changes:
        """What the user decides about photos, and taking it back."""
        return Changes(self.store)

    @property
    def intake(self) -> Intake:
        """Where photos come in."""
        return Intake(self.settings, self.store, self.local)

    # Whose

    def mine(self, project_id: Any, owner: str | None) -> Project | None:
        """The project, if it is that visitor's."""
        if not isinstance(project_id, str) or not project_id or not owner:
            return None
        project = self.store.find_project(project_id)
        if project is None or project.owner is None:
            return None
        if not secrets.compare_digest(project.owner.encode(), owner.encode()):
            return None
        self._touch(project)
        return project

    def _touch(self, project: Project) -> None:
        """Notes that the project is in use, now and then: the retention time counts from there."""
        now = time.time()
        if self.settings.retention_hours and now - self._used.get(project.id, 0.0) > TOUCH_S:
            self._used[project.id] = now
            self.store.notes.write(project.id, USED, {"at": now})

    def all_mine(self, owner: str | None) -> list[Project]:
        """The visitor's projects, newest first."""
        return self.store.projects(owner)[::-1] if owner else []

    def hand_over(self, visitor: str, account: str) -> None:
        """Gives what somebody made before they signed in to their account.

        A database that cannot be written keeps nobody from signing in.
        """
        try:
            count = self.store.hand_over(visitor, account)
            self.store.tokens.revoke(visitor)
        except LoraBuilderError as error:
            log.warning("Projects could not be given to an account: %s", error)
        else:
            log.info("Somebody's projects went to their account.", extra={"count": count})

    # Settings

    def settings_of(self, project: Project) -> Settings:
        """The app's settings with the project's own on top. Raises BadSettings."""
        # Reading settings looks at the environment and files again: too slow for every click.
        own = json.dumps(self.store.notes.read(project.id, SETTINGS), sort_keys=True)
        if own not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[own] = settings_of(self.settings, self.store, project)
        return self._known[own]

    def set_settings(
        self, project: Project, changes: Mapping[str, Any], *, undoable: bool = True
    ) -> Settings:
        """Remembers changed settings of the project. Raises BadSettings for values out of range.

        On a shared app also for what would reach beyond the project: other servers, other files.
        """
        if not self.local:
            _stay_inside(project, changes)
        before = self.store.notes.read(project.id, SETTINGS)
        own = before | {name: value for name, value in changes.items() if name not in MACHINE}
        settings = load(**(self.settings.model_dump() | own))
        plain = settings.model_dump(mode="json")
        after = {name: plain[name] for name in own}
        if after != before:
            self.store.notes.write(project.id, SETTINGS, after)
            if undoable:
                change = Change("settings", settings_before=before, settings_after=after)
                self.store.history.record(project.id, change)
        return settings

    # Runs

    def run(
        self,
        project: Project,
        step: str | None = None,
        *,
        ordered: bool = False,
        at: float | None = None,
    ) -> str:
        """Starts everything, or one step again with what it needs of the steps before.

        `ordered`: by a program, which nobody can ask whether pictures may go to the machine's own
        endpoint. `at`: not before then, seconds since the epoch. Raises BadInput where the visitor has
        as many jobs as `visitor_jobs` allows or the time is too far away, and LoraBuilderError where
        pictures would be sent to a host that the visitor has not agreed to.
        """
        if at is not None:
            self._insist_near(at)
        self.may_run(project, step, ordered=ordered)
        self._has_room(project)
        if step is None:
            return self.jobs.start(project, start_at=at)
        return self.jobs.start(project, STAGES_OF[step], ALONE, at)

    def start_now(self, project: Project) -> None:
        """Lets a job that waits for its time begin as soon as it can."""
        job = self.store.queue.latest(project.id)
        if job is not None and job.state == State.QUEUED.value:
            self.jobs.start(project, job.stages, start_at=0.0)

    def call_off(self, project: Project) -> None:
        """Stops the project's job, or takes it off the queue where it waits."""
        job = self.jobs.latest(project.id)
        if job is not None:
            self.jobs.cancel(job)

    def _insist_near(self, at: float) -> None:
        """Raises BadInput for a start after the project would be deleted, or in another year."""
        hours = min(MOST_AHEAD_H, self.settings.retention_hours or MOST_AHEAD_H)
        if not at <= time.time() + 3600 * hours:
            raise BadInput(tr("start_far", "en", hours=hours), tr("start_far_remedy", "en"))

    def _has_room(self, project: Project) -> None:
        """Raises BadInput where the visitor, those of their address or all together have jobs enough."""
        most = self.settings.visitor_jobs
        if not most:
            return
        owners = self._owners_at_work(project)
        mine, near = project.owner or "", self.quotas.neighbours(project.owner or "")
        if owners.count(mine) >= most:
            raise BadInput(tr("too_many_jobs", "en", most=most), tr("too_many_jobs_remedy", "en"))
        here, all_ = self.settings.address_visitors, self.settings.all_visitors
        if (here and sum(owner in near for owner in owners) >= most * here) or (
            all_ and len(owners) >= most * all_
        ):
            raise BadInput(tr("too_busy", "en"), tr("too_busy_remedy", "en"))

    def _owners_at_work(self, but: Project) -> list[str]:
        """Whose projects have a job that waits or runs, one entry a project, one project left out."""
        busy = {job.project_id for job in self.store.queue.unfinished()} - {but.id}
        found = [self.store.find_project(id) for id in busy]
        return [project.owner or "" for project in found if project is not None]

    def may_run(self, project: Project, step: str | None, *, ordered: bool = False) -> None:
        """Raises LoraBuilderError where the run would send pictures and the visitor has not agreed."""
        own = outward.read(self.store, project)
        focus = step == "crop" and (own.looks if own else bool(self.settings.focus_model))
        if step not in outward.SENDING and not focus:
            return
        settings = self.settings_of(project)
        known = self.store.notes.read(project.id, AGREED).get("hosts", "")
        agreed = outward.machine_hosts(settings) if ordered else known
        outward.insist(self.store, project, settings, self.keys, self.local, agreed)

    def where_to_go_on(self, project: Project) -> str:
        """The step that a visitor who opens the project wants to see."""
        if (project.folder / "train_package.zip").is_file():
            return "choose"
        return "photos"

    def delete(self, project: Project) -> None:
        """Stops the project's job, waits until it lets go, and deletes everything of the project."""
        self.pushes.forget(project.id)
        job = self.jobs.latest(project.id)
        if job is not None:
            self.jobs.cancel(job)
            self.jobs.wait_for(job, DELETE_WAIT_S)
        self.intake.delete(project)

    def busy(self, project: Project) -> bool:
        """Whether a job of the project waits or runs."""
        job = self.jobs.latest(project.id)
        snapshot = self.jobs.snapshot(job) if job else None
        return snapshot is not None and snapshot.state not in FINISHED

    def marks(self, project: Project | None) -> dict[str, str]:
        """`todo`, `done` or `stale` by step."""
        if project is None:
            return dict.fromkeys(STEPS, "todo")
        made = self.store.notes.read(project.id, STAMPS)
        return marks(made, current_stamps(self.store, project, self.settings_of(project)))

    def bench(self, project: Project) -> Bench:
        """The project's measured photos, ready to be judged again at once."""
        job = self.jobs.latest(project.id)
        snapshot = self.jobs.snapshot(job) if job else None
        moment = f"{job} {snapshot.state.value if snapshot else ''}"
        return self.benches.get(self.store, project, self.settings_of(project), moment)

    def warm(self, project: Project) -> None:
        """Lays the bench out and judges in the background, so that it is done when it is asked for."""

        def lay_out() -> None:
            # Who opens the step is told what is wrong; here it only was not made ahead.
            with contextlib.suppress(LoraBuilderError):
                self.bench(project).judge(self.settings_of(project), self.store.overrides(project.id))

        threading.Thread(target=lay_out, name="lora-bench", daemon=True).start()

    # What the user decides

    def refer(self, project: Project, upload: Upload | None, *, theirs: bool, language: str) -> None:
        """Adds a photo of the subject, or of somebody who is not (`theirs` False); None forgets all."""
        name = "references" if theirs else "not_references"
        if upload is None:
            self.set_settings(project, {name: ()})
            return
        folder = project.folder / name
        path = self.intake.keep(upload, folder, language)
        settings = self.settings_of(project)
        try:
            measure.reference(path, settings)
            self.set_settings(project, {name: (*getattr(settings, name), path)})
        except LoraBuilderError:
            path.unlink()
            raise

    def take_as_finished(self, project: Project, settings: Mapping[str, Any]) -> None:
        """Every photo of the project is a ready-made crop: kept, and cut nowhere."""
        self.set_settings(project, settings)
        note = self.store.notes.read(project.id, "photos")
        self.store.notes.write(project.id, "photos", {**note, "finished": True})

    # Pictures and files

    def read_picture(self, kind: str, name: str) -> bytes:
        """The JPEG of a signed address; empty where there is none."""
        if kind == "thumb":
            return measure.thumbnail(self.settings, name) or b""
        if kind == "preview":
            path = measure.preview(self.settings, name)
            return path.read_bytes() if path.is_file() else b""
        if kind == "face":
            return _face(self.settings, name)
        return b""

    def file_of(self, name: str, owner: str) -> tuple[Path, str] | None:
        """The file of a signed address, and the name under which it is saved; None: there is none."""
        project_id, _, rest = name.partition("~")
        project = self.mine(project_id, owner)
        what = rest.replace("~", "/")
        if project is None or what not in DELIVERABLES or not (project.folder / what).is_file():
            return None
        return project.folder / what, _saved_as(project, what)

    def deliver(self, project: Project, what: str, language: str) -> Path:
        """A copy for a program to download, under a name that cannot be guessed.

        Raises BadInput where there is none yet.
        """
        if what not in DELIVERABLES or not (project.folder / what).is_file():
            raise BadInput(tr("no_package", language), tr("no_package_remedy", language))
        source = project.folder / what
        folder = self.intake.downloads(project) / secrets.token_hex(16)
        target = folder / _saved_as(project, what)
        with writing_to(folder):
            folder.mkdir(parents=True)
            try:
                # The run replaces its files and never rewrites them, so a second name is as good as a copy.
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)
        return target


def face_name(sha256: str, box: Box, width: int, height: int) -> str:
    """The name of a face's picture: the photo, and the box with a margin."""
    return part_name(sha256, box.padded(0.35, 0.35, 0.35, 0.35), width, height)


def part_name(sha256: str, box: Box, width: int, height: int) -> str:
    """The name of the picture of a part of a photo: the box in thousandths of it."""
    x, y, w, h = box.clamped(width, height)
    parts = (x / width, y / height, w / width, h / height)
    return "_".join([sha256, *(str(round(1000 * part)) for part in parts)])


def _face(settings: Settings, name: str) -> bytes:
    sha256, *parts = name.split("_")
    x, y, w, h = (int(part) / 1000 for part in parts)
    try:
        with Image.open(measure.preview(settings, sha256)) as image:
            wide, high = image.size
            box = (round(x * wide), round(y * high), round((x + w) * wide), round((y + h) * high))
            face = image.crop(box)
            face.thumbnail((FACE_SIDE, FACE_SIDE))
            buffer = io.BytesIO()
            face.save(buffer, "JPEG", quality=82)
    except (OSError, SystemError):  # no preview, or a face of no size
        return b""
    return buffer.getvalue()


def _stay_inside(project: Project, changes: Mapping[str, Any]) -> None:
    """Raises BadSettings where a visitor's settings name servers, or files that are not the project's."""
    for name, value in changes.items():
        if name in OUTWARD:
            raise BadSettings(f"{name} is set by whoever runs this app.", "Run it on your own machine.")
        if name in READ_FROM and value:
            paths = [value] if isinstance(value, str | Path) else list(value)
            home = project.folder.resolve()
            if not all(Path(str(path)).resolve().is_relative_to(home) for path in paths):
                raise BadSettings(f"{name} must lie in the project.", "Upload the photos instead.")


def _saved_as(project: Project, what: str) -> str:
    return f"{_file_name(project.name)}-{Path(what).name.replace('_', '-')}"


def _file_name(name: str) -> str:
    """`name` as every system takes it in a file's name."""
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-")
    return kept[:60] or FALLBACK_NAME
