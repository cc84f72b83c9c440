"""Captions, and every text that they ever had."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from lora_builder.caption.records import USER, CaptionEntry, CaptionState, CaptionVersion
from lora_builder.store.database import upsert

BATCH = 500
"""Keys a query: below every database's limit on parameters."""

_ENTRY = ("text", "author", "state", "reason", "recipe", "locked", "at")
_captions = sa.table(
    "captions",
    *map(sa.column, ("project_id", "item", "text", "author", "state", "reason", "recipe", "at")),
    sa.column("locked", sa.Boolean),
)
_history = sa.table(
    "caption_history",
    *map(
        sa.column,
        ("id", "project_id", "item", "text", "author", "state", "reason", "recipe", "at", "batch"),
    ),
    sa.column("locked", sa.Boolean),
)
_overrides = sa.table("overrides", *map(sa.column, ("project_id", "sha256", "caption")))

# Made once: building and hashing a statement costs more processor time than running it.
_ONE = _captions.select().where(
    _captions.c.project_id == sa.bindparam("project"), _captions.c.item == sa.bindparam("one")
)
_NOTE = _history.insert()


class Captions:
    """The captions of each project, and every text they ever had."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def all(self, project_id: str) -> dict[str, CaptionEntry]:
        """What is known about the project's captions, by item."""
        with self._engine.begin() as connection:
            rows = connection.execute(_captions.select().where(_captions.c.project_id == project_id)).all()
        return {row.item: _entry(row) for row in rows}

    def get(self, project_id: str, item: str) -> CaptionEntry | None:
        """The caption of one training image."""
        with self._engine.begin() as connection:
            return self._get(connection, project_id, item)

    def record(self, project_id: str, entry: CaptionEntry) -> bool:
        """What a run found out about a caption; False, and nothing changed, where it is locked."""
        with self._engine.begin() as connection:
            return self.record_in(connection, project_id, entry)

    def record_in(self, connection: sa.Connection, project_id: str, entry: CaptionEntry) -> bool:
        """The same in the caller's transaction."""
        known = self._get(connection, project_id, entry.item)
        if known is not None and known.locked:
            return False
        self._put(connection, project_id, entry, known, batch="")
        return True

    def record_many(self, project_id: str, entries: Iterable[CaptionEntry]) -> None:
        """The same for many at once, all or none; locked ones are passed over."""
        with self._engine.begin() as connection:
            known = self._known(connection, project_id)
            pairs = [(entry, known.get(entry.item)) for entry in entries]
            free = [(entry, before) for entry, before in pairs if before is None or not before.locked]
            self._put_all(connection, project_id, free, batch="")

    def set_by_user(
        self, project_id: str, texts: Mapping[str, str], *, author: str = USER, lock: bool = True
    ) -> str:
        """The user's own words, for one item or many; the name of the batch, for `undo`.

        With `lock` no later run changes them. Empty texts are not captions: ValueError.
        """
        batch = secrets.token_urlsafe(9)
        with self._engine.begin() as connection:
            all_known = self._known(connection, project_id)
            pairs = []
            for item, text in texts.items():
                line = " ".join(text.split())
                if not line:
                    raise ValueError(f"The caption of {item} is empty.")
                known = all_known.get(item)
                entry = CaptionEntry(item, line, author, locked=lock)
                if not lock and known is not None:
                    # A remedy edits a text that a run wrote: it stays as current, or as locked, as it was.
                    entry = replace(entry, recipe=known.recipe, locked=known.locked)
                pairs.append((entry, known))
            self._put_all(connection, project_id, pairs, batch)
        return batch

    def lock(self, project_id: str, items: Iterable[str], locked: bool = True) -> None:
        """Locked captions are changed by nobody but the user."""
        with self._engine.begin() as connection:
            for item in items:
                ours = (_captions.c.project_id == project_id) & (_captions.c.item == item)
                connection.execute(_captions.update().where(ours).values(locked=locked))

    def history(self, project_id: str, item: str) -> list[CaptionVersion]:
        """Every text that the item ever had, newest first."""
        ours = (_history.c.project_id == project_id) & (_history.c.item == item)
        with self._engine.begin() as connection:
            rows = connection.execute(_history.select().where(ours).order_by(_history.c.id.desc())).all()
        return [CaptionVersion(row.id, _entry(row), row.batch) for row in rows]

    def revert(self, project_id: str, item: str, version: int | None = None) -> CaptionEntry | None:
        """Brings back a version, or (None) the one before the present; None where there is none."""
        versions = self.history(project_id, item)
        if version is None:
            wanted = versions[1] if len(versions) > 1 else None
        else:
            wanted = next((v for v in versions if v.id == version), None)
        if wanted is None:
            return None
        with self._engine.begin() as connection:
            known = self._get(connection, project_id, item)
            self._put(connection, project_id, wanted.entry, known, batch="")
        return self.get(project_id, item)

    def undo(self, project_id: str, batch: str) -> list[str]:
        """Takes back what one click changed, except where it was changed again since; the items."""
        undone, back = [], []
        with self._engine.begin() as connection:
            ours = (_history.c.project_id == project_id) & (_history.c.batch == batch)
            rows = connection.execute(_history.select().where(ours)).all()
            known = self._known(connection, project_id) if rows else {}
            for row in rows:
                same = (_history.c.project_id == project_id) & (_history.c.item == row.item)
                query = _history.select().where(same).order_by(_history.c.id.desc()).limit(2)
                versions = connection.execute(query).all()
                if versions[0].id != row.id:
                    continue
                if len(versions) > 1:
                    back.append((_entry(versions[1]), known.get(row.item)))
                else:
                    self._drop(connection, project_id, row.item)
                undone.append(row.item)
            self._put_all(connection, project_id, back, batch="")
        return undone

    def forget(self, project_id: str, item: str) -> None:
        """Makes the next run write this caption anew, known answer or not; its history stays."""
        with self._engine.begin() as connection:
            self._drop(connection, project_id, item)

    def forgotten(self, project_id: str) -> set[str]:
        """The items that had a caption and were told to be written anew: known answers do not count."""
        kept = sa.select(_captions.c.item).where(_captions.c.project_id == project_id)
        ours = (_history.c.project_id == project_id) & _history.c.item.not_in(kept)
        with self._engine.begin() as connection:
            return set(connection.execute(sa.select(_history.c.item).where(ours).distinct()).scalars())

    def forget_project(self, connection: sa.Connection, project_id: str) -> None:
        """Deletes all that is known of a project's captions, in the caller's transaction."""
        for table in (_captions, _history):
            connection.execute(table.delete().where(table.c.project_id == project_id))

    def _get(self, connection: sa.Connection, project_id: str, item: str) -> CaptionEntry | None:
        row = connection.execute(_ONE, {"project": project_id, "one": item}).first()
        return None if row is None else _entry(row)

    def _known(self, connection: sa.Connection, project_id: str) -> dict[str, CaptionEntry]:
        query = _captions.select().where(_captions.c.project_id == project_id)
        return {row.item: _entry(row) for row in connection.execute(query)}

    def _put(
        self,
        connection: sa.Connection,
        project_id: str,
        entry: CaptionEntry,
        known: CaptionEntry | None,
        batch: str,
    ) -> None:
        self._put_all(connection, project_id, [(entry, known)], batch)

    def _put_all(
        self,
        connection: sa.Connection,
        project_id: str,
        pairs: Iterable[tuple[CaptionEntry, CaptionEntry | None]],
        batch: str,
    ) -> None:
        """Writes entries over what is known of them: a thousand rows are three statements."""
        rows, history = [], []
        for entry, known in pairs:
            if known is not None and replace(known, at=0.0) == replace(entry, at=0.0):
                continue
            fields = asdict(entry) | {
                "state": entry.state.value,
                "at": self._clock(),
                "project_id": project_id,
            }
            rows.append(fields)
            if (
                known is not None
                and not batch
                and replace(known, at=0.0, recipe="") == replace(entry, at=0.0, recipe="")
            ):
                continue  # made anew to the same words: nothing that anybody would want back
            history.append(fields | {"batch": batch})
        if rows:
            upsert(connection, _captions, rows, ("project_id", "item"))
        if history:
            connection.execute(_NOTE, history)
        theirs = {row["item"] for row in history if row["author"] == USER}
        if theirs:
            # The older place for the user's words; one truth is enough.
            ours = (_overrides.c.project_id == project_id) & _overrides.c.caption.is_not(None)
            older = connection.execute(sa.select(_overrides.c.sha256).where(ours)).scalars().all()
            for item in theirs.intersection(older):
                connection.execute(
                    _overrides.update().where(ours, _overrides.c.sha256 == item).values(caption=None)
                )

    def _drop(self, connection: sa.Connection, project_id: str, item: str) -> None:
        ours = (_captions.c.project_id == project_id) & (_captions.c.item == item)
        connection.execute(_captions.delete().where(ours))


def _entry(row: Any) -> CaptionEntry:
    fields = {name: getattr(row, name) for name in _ENTRY}
    fields |= {"state": CaptionState(row.state), "locked": bool(row.locked)}
    return CaptionEntry(row.item, **fields)
