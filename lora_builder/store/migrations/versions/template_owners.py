"""Prompt templates have an owner; those that are there were saved on the command line: everybody's."""

import sqlalchemy as sa
from alembic import op

revision = "template_owners"
down_revision = "job_claims"

_new = sa.table("owned_templates", sa.column("owner"), sa.column("name"), sa.column("body", sa.JSON))
_old = sa.table("prompt_templates", sa.column("name"), sa.column("body", sa.JSON))


def upgrade() -> None:
    op.create_table(
        "owned_templates",
        sa.Column("owner", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("body", sa.JSON, nullable=False),
    )
    everybodys = sa.select(sa.literal(""), _old.c.name, _old.c.body)
    op.execute(_new.insert().from_select(["owner", "name", "body"], everybodys))
    op.drop_table("prompt_templates")
    op.rename_table("owned_templates", "prompt_templates")


def downgrade() -> None:
    op.create_table(
        "plain_templates",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("body", sa.JSON, nullable=False),
    )
    plain = sa.table("plain_templates", sa.column("name"), sa.column("body", sa.JSON))
    owned = sa.table("prompt_templates", sa.column("owner"), sa.column("name"), sa.column("body", sa.JSON))
    everybodys = sa.select(owned.c.name, owned.c.body).where(owned.c.owner == "")
    op.execute(plain.insert().from_select(["name", "body"], everybodys))
    op.drop_table("prompt_templates")
    op.rename_table("plain_templates", "prompt_templates")
