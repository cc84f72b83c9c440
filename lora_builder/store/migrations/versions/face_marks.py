"""Per-face marks of the user, and the photo they prefer among its repetitions."""

import sqlalchemy as sa
from alembic import op

revision = "face_marks"
down_revision = "captions"


def upgrade() -> None:
    op.add_column("overrides", sa.Column("faces", sa.JSON))
    op.add_column("overrides", sa.Column("prefer", sa.Boolean))


def downgrade() -> None:
    for name in ("prefer", "faces"):
        op.drop_column("overrides", name)
