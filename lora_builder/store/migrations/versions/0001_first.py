"""Projects, their photos, measurements by content, and what the user decided."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False, unique=True),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, index=True),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "photos",
        sa.Column("project_id", sa.String(43), primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("member", sa.Integer),
        sa.Column("sha256", sa.String(64)),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("problem", sa.JSON),
    )
    op.create_table(
        "decisions",
        sa.Column("project_id", sa.String(43), primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("line", sa.JSON, nullable=False),
    )
    op.create_table(
        "measurements",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("recipe", sa.String(200), primary_key=True),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "overrides",
        sa.Column("project_id", sa.String(43), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("keep", sa.Boolean),
        sa.Column("crop", sa.JSON),
        sa.Column("caption", sa.Text),
    )


def downgrade() -> None:
    for table in ("overrides", "measurements", "decisions", "photos", "projects"):
        op.drop_table(table)
