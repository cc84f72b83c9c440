"""Further crops of a photo, light edits, and edits saved under a name."""

import sqlalchemy as sa
from alembic import op

revision = "finishing"
down_revision = "face_marks"


def upgrade() -> None:
    for table, column in (("extra_crops", "crops"), ("photo_edits", "edits")):
        op.create_table(
            table,
            sa.Column("project_id", sa.String(43), primary_key=True),
            sa.Column("sha256", sa.String(64), primary_key=True),
            sa.Column(column, sa.JSON, nullable=False),
        )
    op.create_table(
        "recipes",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("edits", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in ("recipes", "photo_edits", "extra_crops"):
        op.drop_table(table)
