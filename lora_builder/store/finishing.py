"""What becomes of a kept photo's pixels by the user's wish: further crops, light edits, saved recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from lora_builder.records import Box, Edits, ExtraCrop
from lora_builder.store.database import upsert

_crops = sa.table("extra_crops", sa.column("project_id"), sa.column("sha256"), sa.column("crops", sa.JSON))
_edits = sa.table("photo_edits", sa.column("project_id"), sa.column("sha256"), sa.column("edits", sa.JSON))
_recipes = sa.table("recipes", sa.column("owner"), sa.column("name"), sa.column("edits", sa.JSON))


class Finishing:
    """The tables of crops, edits and recipes. Reached as `Store.finishing`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def extra_crops(self, project_id: str) -> dict[str, tuple[ExtraCrop, ...]]:
        """The user's further crops, by the photo's SHA-256, in the order they were given."""
        return {
            row.sha256: tuple(ExtraCrop(name, Box(*box), caption) for name, box, caption in row.crops)
            for row in self._of(_crops, project_id)
        }

    def set_extra_crops(self, project_id: str, sha256: str, crops: Sequence[ExtraCrop]) -> None:
        """Replaces a photo's further crops; none forgets them."""
        value = [[crop.name, list(crop.box), crop.caption] for crop in crops]
        self._put(_crops, project_id, sha256, "crops", value or None)

    def edits(self, project_id: str) -> dict[str, Edits]:
        """Photos with edits of their own, by SHA-256; the others follow the settings' recipe."""
        return {row.sha256: _edits_of(row.edits) for row in self._of(_edits, project_id)}

    def set_edits(self, project_id: str, sha256: str, edits: Edits | None) -> None:
        """Remembers or (None) forgets the edits of one photo."""
        self._put(_edits, project_id, sha256, "edits", asdict(edits) if edits is not None else None)

    def recipes(self, owner: str = "") -> dict[str, Edits]:
        """The edits that were saved under a name, for every project of that owner."""
        query = _recipes.select().where(_recipes.c.owner == owner).order_by(_recipes.c.name)
        with self._engine.begin() as connection:
            return {row.name: _edits_of(row.edits) for row in connection.execute(query)}

    def save_recipe(self, name: str, edits: Edits | None, owner: str = "") -> None:
        """Saves edits under a name, or (None) forgets the name."""
        with self._engine.begin() as connection:
            if edits is None:
                ours = (_recipes.c.owner == owner) & (_recipes.c.name == name)
                connection.execute(_recipes.delete().where(ours))
            else:
                row = {"owner": owner, "name": name, "edits": asdict(edits)}
                upsert(connection, _recipes, [row], ("owner", "name"))

    def hand_over(self, connection: sa.Connection, owner: str, to: str) -> None:
        """Gives an owner's recipes to another, in the caller's transaction; of one name theirs stays."""
        names = sa.select(_recipes.c.name).where(_recipes.c.owner == to).scalar_subquery()
        mine = _recipes.c.owner == owner
        connection.execute(_recipes.delete().where(mine & _recipes.c.name.in_(names)))
        connection.execute(_recipes.update().where(mine).values(owner=to))

    def forget(self, connection: sa.Connection, project_id: str) -> None:
        """Deletes what belongs to a project, in the caller's transaction."""
        for table in (_crops, _edits):
            connection.execute(table.delete().where(table.c.project_id == project_id))

    def _of(self, table: sa.TableClause, project_id: str) -> Sequence[Any]:
        with self._engine.begin() as connection:
            return connection.execute(table.select().where(table.c.project_id == project_id)).all()

    def _put(self, table: sa.TableClause, project_id: str, sha256: str, column: str, value: Any) -> None:
        ours = (table.c.project_id == project_id) & (table.c.sha256 == sha256)
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(ours))
            if value is not None:
                row = {"project_id": project_id, "sha256": sha256, column: value}
                connection.execute(table.insert().values(row))


def _edits_of(fields: dict[str, Any]) -> Edits:
    """Edits from JSON; what an older or newer version knew and this one does not is left out."""
    known = Edits.__dataclass_fields__
    return Edits(**{name: value for name, value in fields.items() if name in known})
