"""Which projects an answer of a vision model was given for, so that deleting the last one deletes it."""

import sqlalchemy as sa
from alembic import op

revision = "answer_uses"
down_revision = "app_rooms"


def upgrade() -> None:
    op.create_table(
        "answer_uses",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("project_id", sa.String(43), primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("answer_uses")
