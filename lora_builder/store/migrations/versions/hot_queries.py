"""Indexes for what is asked again and again; `tests/test_queries.py` shows by EXPLAIN that they are used."""

import sqlalchemy as sa
from alembic import op

revision = "hot_queries"
down_revision = "template_owners"


def upgrade() -> None:
    op.create_index("photos_sha256", "photos", ["sha256"])
    op.create_index("answer_uses_project", "answer_uses", ["project_id"])
    paused = sa.text("until IS NOT NULL")
    op.create_index(
        "requests_paused",
        "requests",
        ["endpoint", "model", sa.text("id DESC")],
        sqlite_where=paused,
        postgresql_where=paused,
    )


def downgrade() -> None:
    for table, name in (("photos", "sha256"), ("answer_uses", "project"), ("requests", "paused")):
        op.drop_index(f"{table}_{name}", table)
