"""Projects, their photos, measurements by content, decisions, and what the user decided."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lora_builder.places import Location, located
from lora_builder.records import Box, Decision, Look, Override, Photo, Rejected, Source
from lora_builder.store.captions import Captions
from lora_builder.store.database import open_database, upsert
from lora_builder.store.finishing import Finishing
from lora_builder.store.history import History
from lora_builder.store.ledger import Answers, Ledger
from lora_builder.store.measurement_codec import decode, encode
from lora_builder.store.notes import Notes
from lora_builder.store.queue import JobQueue
from lora_builder.store.templates import Templates
from lora_builder.store.tokens import Tokens

BATCH = 500
"""Keys a query: below every database's limit on parameters."""

_projects = sa.table("projects", *map(sa.column, ("id", "name", "folder", "input", "owner", "created_at")))
_photos = sa.table(
    "photos",
    *map(sa.column, ("project_id", "source", "path", "member", "sha256", "bytes")),
    sa.column("problem", sa.JSON),
)
_decisions = sa.table("decisions", sa.column("project_id"), sa.column("source"), sa.column("line", sa.JSON))
_measurements = sa.table("measurements", *map(sa.column, ("sha256", "recipe", "facts", "arrays")))
_overrides = sa.table(
    "overrides",
    *map(sa.column, ("project_id", "sha256")),
    sa.column("keep", sa.Boolean),
    sa.column("crop", sa.JSON(none_as_null=True)),
    sa.column("caption"),
    sa.column("faces", sa.JSON(none_as_null=True)),
    sa.column("prefer", sa.Boolean),
)


@dataclass(frozen=True)
class Project:
    """One subject. `id` cannot be guessed; `folder` is what a run leaves; `owner` None: everybody's."""

    id: str
    name: str
    folder: Path
    input: Location
    owner: str | None
    created_at: float


class Store:
    """A database at `url`, brought to the newest schema. Raises StoreUnavailable.

    `captions`, `ledger`, `notes`, `queue`, ...: the groups of tables that have a file of their own.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_database(url)
        self.captions = Captions(self._engine)
        self.answers = Answers(self._engine)
        self.ledger = Ledger(self._engine)
        self.templates = Templates(self._engine)
        self.finishing = Finishing(self._engine)
        self.notes = Notes(self._engine)
        self.queue = JobQueue(self._engine)
        self.history = History(self._engine)
        self.tokens = Tokens(self._engine)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def on_server(self) -> bool:
        """Whether the database is a server, which may be away for a moment."""
        return self._engine.dialect.name != "sqlite"

    def close(self) -> None:
        """Lets go of the connections."""
        self._engine.dispose()

    def project(self, folder: Path, name: str, input: Location, owner: str | None = None) -> Project:
        """The project that lives in `folder`, made if there is none."""
        folder, input = folder.resolve(), input.resolve()
        fresh = Project(secrets.token_urlsafe(24), name, folder, input, owner, time.time())
        row = asdict(fresh) | {"folder": str(folder), "input": str(input)}
        with self._engine.begin() as connection:
            # Written first and read then: of two at the same moment one makes it, both see it.
            upsert(connection, _projects, [row], ("folder",), only=("input",))
            known = connection.execute(_projects.select().where(_projects.c.folder == str(folder))).one()
        return _project(known)

    def find_project(self, id: str) -> Project | None:
        """The project of that id."""
        with self._engine.begin() as connection:
            row = connection.execute(_projects.select().where(_projects.c.id == id)).first()
        return None if row is None else _project(row)

    def projects(self, owner: str | None = None) -> list[Project]:
        """All projects, or those of one owner, oldest first."""
        query = _projects.select().order_by(_projects.c.created_at, _projects.c.id)
        if owner is not None:
            query = query.where(_projects.c.owner == owner)
        with self._engine.begin() as connection:
            return [_project(row) for row in connection.execute(query)]

    def hand_over(self, owner: str, to: str) -> int:
        """Gives an owner's projects, recipes and templates to another, and says how many projects."""
        with self._engine.begin() as connection:
            for room in (self.finishing, self.templates):
                room.hand_over(connection, owner, to)
            theirs = _projects.update().where(_projects.c.owner == owner)
            return connection.execute(theirs.values(owner=to)).rowcount

    def rename_project(self, id: str, name: str) -> None:
        """Gives the project another name."""
        with self._engine.begin() as connection:
            connection.execute(_projects.update().where(_projects.c.id == id).values(name=name))

    def delete_project(self, id: str) -> None:
        """Forgets the project; measurements stay, they belong to the photos' content."""
        with self._engine.begin() as connection:
            for table in (_photos, _decisions, _overrides):
                connection.execute(table.delete().where(table.c.project_id == id))
            self.captions.forget_project(connection, id)
            for room in (self.ledger, self.finishing, self.notes, self.queue, self.history):
                room.forget(connection, id)
            connection.execute(_projects.delete().where(_projects.c.id == id))

    def unused(self, sha256s: Iterable[str]) -> set[str]:
        """Those of the contents that no project lists."""
        wanted = sorted(set(sha256s))
        used: set[str] = set()
        with self._engine.begin() as connection:
            for begin in range(0, len(wanted), BATCH):
                batch = wanted[begin : begin + BATCH]
                query = sa.select(_photos.c.sha256).where(_photos.c.sha256.in_(batch))
                used.update(connection.execute(query).scalars())
        return set(wanted) - used

    def orphans(self) -> set[str]:
        """Measured contents that no project lists any more."""
        listed = sa.exists().where(_photos.c.sha256 == _measurements.c.sha256)
        query = sa.select(_measurements.c.sha256).where(~listed).distinct()
        with self._engine.begin() as connection:
            return set(connection.execute(query).scalars())

    def compact(self) -> None:
        """Empties SQLite's write-ahead log: what was deleted is in no file any more."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def forget_looks(self, sha256s: Iterable[str]) -> None:
        """Removes what was measured of these contents, by whatever recipe."""
        wanted = sorted(set(sha256s))
        with self._engine.begin() as connection:
            for begin in range(0, len(wanted), BATCH):
                batch = wanted[begin : begin + BATCH]
                connection.execute(_measurements.delete().where(_measurements.c.sha256.in_(batch)))

    def looks(
        self, sha256s: Iterable[str], recipe: str, into: MutableMapping[str, Look] | None = None
    ) -> MutableMapping[str, Look]:
        """What is known of these contents, by SHA-256; put `into` what the caller holds looks in, as they
        are read."""
        wanted = sorted(set(sha256s))
        found = {} if into is None else into
        with self._engine.begin() as connection:
            for begin in range(0, len(wanted), BATCH):
                query = _measurements.select().where(
                    _measurements.c.recipe == recipe,
                    _measurements.c.sha256.in_(wanted[begin : begin + BATCH]),
                )
                for row in connection.execute(query):
                    found[row.sha256] = decode(row.facts, bytes(row.arrays))
        return found

    def save_looks(self, recipe: str, looks: Mapping[str, Look]) -> None:
        """Remembers looks, all or none; not those that hold for this run alone."""
        rows = []
        for sha256, look in looks.items():
            if isinstance(look, Rejected) and look.passing:
                continue
            facts, arrays = encode(look)
            rows.append({"sha256": sha256, "recipe": recipe, "facts": facts, "arrays": arrays})
        if rows:
            with self._engine.begin() as connection:
                upsert(connection, _measurements, rows, ("sha256", "recipe"))

    def save_photos(
        self, project_id: str, photos: Iterable[Photo], problems: Iterable[tuple[str, Rejected]]
    ) -> None:
        """Replaces the project's list of input files."""
        rows: list[dict[str, Any]] = [
            {
                "project_id": project_id,
                "source": photo.source.name,
                "path": str(photo.source.path),
                "member": photo.source.member,
                "sha256": photo.sha256,
                "bytes": photo.bytes,
                "problem": None,
            }
            for photo in photos
        ]
        rows += [
            {
                "project_id": project_id,
                "source": name,
                "path": "",
                "member": None,
                "sha256": None,
                "bytes": None,
                "problem": [problem.message, problem.remedy],
            }
            for name, problem in problems
        ]
        self._replace(_photos, project_id, rows)

    def photos(self, project_id: str) -> tuple[list[Photo], list[tuple[str, Rejected]]]:
        """The project's input files, readable and not, sorted by source name."""
        with self._engine.begin() as connection:
            rows = connection.execute(_photos.select().where(_photos.c.project_id == project_id)).all()
        rows = sorted(rows, key=lambda row: row.source)
        photos = [
            Photo(Source(row.source, located(row.path), row.member), row.sha256, row.bytes)
            for row in rows
            if row.sha256 is not None
        ]
        return photos, [(row.source, Rejected(*row.problem)) for row in rows if row.sha256 is None]

    def count_photos(self, project_id: str) -> int:
        """How many input files the project lists."""
        query = sa.select(sa.func.count()).where(_photos.c.project_id == project_id)
        with self._engine.begin() as connection:
            return int(connection.execute(query.select_from(_photos)).scalar() or 0)

    def save_decisions(self, project_id: str, decisions: Iterable[Decision]) -> None:
        """Replaces the project's decisions."""
        rows = [{"project_id": project_id, "source": d.source, "line": asdict(d)} for d in decisions]
        self._replace(_decisions, project_id, rows)

    def decisions(self, project_id: str) -> list[Decision]:
        """The project's decisions, sorted by source name."""
        with self._engine.begin() as connection:
            rows = connection.execute(_decisions.select().where(_decisions.c.project_id == project_id)).all()
        return [_decision(row.line) for row in sorted(rows, key=lambda row: row.source)]

    def overrides(self, project_id: str) -> dict[str, Override]:
        """What the user decided, by SHA-256."""
        with self._engine.begin() as connection:
            rows = connection.execute(_overrides.select().where(_overrides.c.project_id == project_id)).all()
        return {
            row.sha256: Override(
                None if row.keep is None else bool(row.keep),
                Box(*row.crop) if row.crop else None,
                row.caption,
                {int(index): bool(mark) for index, mark in (row.faces or {}).items()},
                bool(row.prefer),
            )
            for row in rows
        }

    def set_override(self, project_id: str, sha256: str, override: Override | None) -> None:
        """Remembers or (None) forgets what the user decided about a photo."""
        ours = (_overrides.c.project_id == project_id) & (_overrides.c.sha256 == sha256)
        with self._engine.begin() as connection:
            connection.execute(_overrides.delete().where(ours))
            if override is not None:
                crop = list(override.crop) if override.crop else None
                faces = {str(index): mark for index, mark in override.faces.items()} or None
                fields = {**asdict(override), "crop": crop, "faces": faces}
                row = {"project_id": project_id, "sha256": sha256, **fields}
                connection.execute(_overrides.insert().values(row))

    def _replace(self, table: sa.TableClause, project_id: str, rows: list[dict[str, Any]]) -> None:
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.project_id == project_id))
            if rows:
                connection.execute(table.insert(), rows)


def _project(row: Any, input: Location | None = None) -> Project:
    return Project(row.id, row.name, Path(row.folder), input or located(row.input), row.owner, row.created_at)


def _decision(line: dict[str, Any]) -> Decision:
    boxes = {name: tuple(line[name]) if line[name] else None for name in ("subject_face", "crop")}
    return Decision(**(line | boxes))
