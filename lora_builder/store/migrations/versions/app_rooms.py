"""What the app keeps of a project: its settings, what each step was made of, the queue, the history."""

import sqlalchemy as sa
from alembic import op

revision = "app_rooms"
down_revision = "finishing"


def upgrade() -> None:
    op.create_table(
        "project_notes",
        sa.Column("project_id", sa.String(43), primary_key=True),
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("project_id", sa.String(43), nullable=False, index=True),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False, index=True),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
    )
    op.create_table(
        "changes",
        sa.Column("project_id", sa.String(43), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("after", sa.JSON, nullable=False),
        sa.Column("undone", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    for table in ("changes", "jobs", "project_notes"):
        op.drop_table(table)
