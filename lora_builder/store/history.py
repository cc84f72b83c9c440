"""Every change of the user's to a project, so that it can be undone and done again, also tomorrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from lora_builder.records import Box, ExtraCrop, Override

_changes = sa.table(
    "changes",
    *map(sa.column, ("project_id", "number", "label")),
    sa.column("before", sa.JSON),
    sa.column("after", sa.JSON),
    sa.column("undone", sa.Boolean),
)

MOST = 500
"""Steps back that are kept a project."""

Overrides = Mapping[str, Override | None]
"""Overrides by SHA-256; None: there is none."""

Crops = Mapping[str, tuple[ExtraCrop, ...]]
"""Further crops by SHA-256."""


@dataclass(frozen=True)
class Change:
    """One step: what it was (`keep`, `crop`, `settings` ...), and how things stood around it.

    `settings_before`, `settings_after`: the project's own settings by name, where those changed;
    `crops_before`, `crops_after`: the further crops of the photos whose those changed.
    """

    label: str
    before: Overrides = field(default_factory=dict)
    after: Overrides = field(default_factory=dict)
    settings_before: Mapping[str, Any] | None = None
    settings_after: Mapping[str, Any] | None = None
    crops_before: Crops = field(default_factory=dict)
    crops_after: Crops = field(default_factory=dict)


class History:
    """A line of changes a project; what was undone is forgotten when something new is done."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, project_id: str, change: Change) -> None:
        """Notes a change that was made."""
        ours = _changes.c.project_id == project_id
        with self._engine.begin() as connection:
            connection.execute(_changes.delete().where(ours, _changes.c.undone))
            last = connection.execute(sa.select(sa.func.max(_changes.c.number)).where(ours)).scalar() or 0
            row = {
                "project_id": project_id,
                "number": last + 1,
                "label": change.label,
                "before": _plain(change.before, change.settings_before, change.crops_before),
                "after": _plain(change.after, change.settings_after, change.crops_after),
                "undone": False,
            }
            connection.execute(_changes.insert().values(row))
            connection.execute(_changes.delete().where(ours, _changes.c.number <= last + 1 - MOST))

    def step(self, project_id: str, back: bool) -> Change | None:
        """Marks the newest change as undone (`back`) or the newest undone as done, and hands it out."""
        ours = _changes.c.project_id == project_id
        order = _changes.c.number.desc() if back else _changes.c.number
        wanted = ~_changes.c.undone if back else _changes.c.undone
        with self._engine.begin() as connection:
            row = connection.execute(_changes.select().where(ours, wanted).order_by(order).limit(1)).first()
            if row is None:
                return None
            this = ours & (_changes.c.number == row.number)
            connection.execute(_changes.update().where(this).values(undone=back))
        return Change(
            row.label,
            _overrides(row.before),
            _overrides(row.after),
            row.before["settings"],
            row.after["settings"],
            _crops(row.before),
            _crops(row.after),
        )

    def next(self, project_id: str) -> tuple[str | None, str | None]:
        """The labels of what the next step back, and the next one forward, would change."""
        query = sa.select(_changes.c.label).where(_changes.c.project_id == project_id).limit(1)
        back = query.where(~_changes.c.undone).order_by(_changes.c.number.desc())
        forward = query.where(_changes.c.undone).order_by(_changes.c.number)
        with self._engine.begin() as connection:
            return connection.execute(back).scalar(), connection.execute(forward).scalar()

    def depth(self, project_id: str) -> tuple[int, int]:
        """How many changes can be undone, and how many done again."""
        query = sa.select(_changes.c.undone).where(_changes.c.project_id == project_id)
        with self._engine.begin() as connection:
            undone = [bool(value) for value in connection.execute(query).scalars()]
        return len(undone) - sum(undone), sum(undone)

    def forget(self, connection: sa.Connection, project_id: str) -> None:
        """Removes a project's history, within the caller's transaction."""
        connection.execute(_changes.delete().where(_changes.c.project_id == project_id))


def _plain(overrides: Overrides, settings: Mapping[str, Any] | None, crops: Crops) -> dict[str, Any]:
    photos = {sha256: None if o is None else asdict(o) for sha256, o in overrides.items()}
    drawn = {sha: [[c.name, list(c.box), c.caption] for c in some] for sha, some in crops.items()}
    return {"photos": photos, "settings": None if settings is None else dict(settings), "crops": drawn}


def _crops(plain: Mapping[str, Any]) -> dict[str, tuple[ExtraCrop, ...]]:
    # Changes that an older version noted know of none.
    drawn = plain.get("crops", {}).items()
    return {sha: tuple(ExtraCrop(name, Box(*box), said) for name, box, said in some) for sha, some in drawn}


def _overrides(plain: Mapping[str, Any]) -> dict[str, Override | None]:
    result: dict[str, Override | None] = {}
    for sha256, fields in plain["photos"].items():
        if fields is None:
            result[sha256] = None
        else:
            crop = Box(*fields["crop"]) if fields.get("crop") else None
            # The keys of a JSON object are text.
            faces = {int(index): mark for index, mark in fields.get("faces", {}).items()}
            result[sha256] = Override(**(fields | {"crop": crop, "faces": faces}))
    return result
