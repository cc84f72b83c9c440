"""What the app notes about a project besides its photos: settings of its own, and made-of stamps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from lora_builder.places import Place
from lora_builder.store.database import upsert

_notes = sa.table("project_notes", sa.column("project_id"), sa.column("kind"), sa.column("value", sa.JSON))

SETTINGS, STAMPS, USED = "settings", "stamps", "used"
"""Kinds of notes: changed settings by name, fingerprints by step, when it was last used (`at`)."""


PLACE = "place"
"""Kind of the note that names the store that a project's results go to (`url`)."""


class Notes:
    """One small JSON object a project and kind."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def read(self, project_id: str, kind: str) -> dict[str, Any]:
        """What was noted; empty where nothing was."""
        query = _notes.select().where(_notes.c.project_id == project_id, _notes.c.kind == kind)
        with self._engine.begin() as connection:
            row = connection.execute(query).first()
        return dict(row.value) if row else {}

    def write(self, project_id: str, kind: str, value: Mapping[str, Any]) -> None:
        """Replaces the note."""
        row = {"project_id": project_id, "kind": kind, "value": dict(value)}
        with self._engine.begin() as connection:
            upsert(connection, _notes, [row], ("project_id", "kind"))

    def place(self, project_id: str) -> Place | None:
        """The store that the project's results go to, None where they stay in its folder."""
        url = self.read(project_id, PLACE).get("url")
        return Place(url) if url else None

    def forget(self, connection: sa.Connection, project_id: str) -> None:
        """Removes all notes of a project, within the caller's transaction."""
        connection.execute(_notes.delete().where(_notes.c.project_id == project_id))
