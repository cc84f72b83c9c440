"""Prompt templates that somebody saved."""

from __future__ import annotations

import sqlalchemy as sa

from lora_builder.caption.records import StoredTemplate
from lora_builder.store.database import upsert

_templates = sa.table("prompt_templates", sa.column("owner"), sa.column("name"), sa.column("body", sa.JSON))

EVERYBODY = ""
"""Owner of the templates that were saved on the command line: all may use them, on a shared app too."""


class Templates:
    """The templates by owner and name. Reached as `Store.templates`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self, owner: str = EVERYBODY) -> list[StoredTemplate]:
        """Those that the owner may use, by name: their own, and everybody's that these do not hide."""
        query = _templates.select().where(_templates.c.owner.in_((EVERYBODY, owner)))
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(_templates.c.owner, _templates.c.name)).all()
        found = {row.name: StoredTemplate(row.name, row.body, row.owner) for row in rows}
        return [found[name] for name in sorted(found)]

    def save(self, template: StoredTemplate) -> None:
        """Keeps the template; one of the same owner and name gives way."""
        row = {"owner": template.owner, "name": template.name, "body": dict(template.body)}
        with self._engine.begin() as connection:
            upsert(connection, _templates, [row], ("owner", "name"))

    def delete(self, name: str, owner: str = EVERYBODY) -> bool:
        """Forgets the owner's own template; False where there is none of that name."""
        ours = (_templates.c.owner == owner) & (_templates.c.name == name)
        with self._engine.begin() as connection:
            return bool(connection.execute(_templates.delete().where(ours)).rowcount)

    def hand_over(self, connection: sa.Connection, owner: str, to: str) -> None:
        """Gives an owner's templates to another, in the caller's transaction; of one name theirs stays."""
        names = sa.select(_templates.c.name).where(_templates.c.owner == to).scalar_subquery()
        mine = _templates.c.owner == owner
        connection.execute(_templates.delete().where(mine & _templates.c.name.in_(names)))
        connection.execute(_templates.update().where(mine).values(owner=to))
