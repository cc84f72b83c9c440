"""Tokens by which a visitor's own programs are let in."""

import sqlalchemy as sa
from alembic import op

revision = "access_tokens"
down_revision = "hot_queries"


def upgrade() -> None:
    op.create_table(
        "access_tokens",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("owner", sa.Text, nullable=False, index=True),
        sa.Column("made_at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("access_tokens")
