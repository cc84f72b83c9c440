"""Captions with history, vision models' answers, the request ledger, saved templates."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "captions"
down_revision = "0001"


def _caption_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recipe", sa.String(64), nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "captions",
        sa.Column("project_id", sa.String(43), primary_key=True),
        sa.Column("item", sa.String(160), primary_key=True),
        *_caption_columns(),
    )
    op.create_table(
        "caption_history",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project_id", sa.String(43), nullable=False),
        sa.Column("item", sa.String(160), nullable=False),
        *_caption_columns(),
        sa.Column("batch", sa.String(16), nullable=False),
        sa.Index("caption_history_item", "project_id", "item"),
    )
    op.create_table(
        "answers",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project_id", sa.String(43), nullable=False, index=True),
        sa.Column("item", sa.String(160), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("bytes_sent", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("tokens_in", sa.Integer),
        sa.Column("tokens_out", sa.Integer),
        sa.Column("cost", sa.Float),
        sa.Column("until", sa.Float),
        sa.Index("requests_model", "endpoint", "model", "started_at"),
    )
    op.create_table(
        "prompt_templates",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("body", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in ("prompt_templates", "requests", "answers", "caption_history", "captions"):
        op.drop_table(table)
