"""Jobs that several processes share: who has them, since when, how far; and one a project at a time."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "job_claims"
down_revision = "answer_uses"


def upgrade() -> None:
    for name, kind, default in (
        ("start_at", sa.Float, "0"),
        ("home", sa.Text, ""),
        ("worker", sa.Text, ""),
        ("beat_at", sa.Float, "0"),
        ("tries", sa.Integer, "0"),
        ("stop", sa.Boolean, sa.false()),
    ):
        op.add_column("jobs", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("jobs", sa.Column("progress", sa.JSON))
    # An app that was killed while a job was stopping may have left a second one for the project.
    op.execute(
        "UPDATE jobs SET state = 'cancelled', ended_at = made_at WHERE state IN ('queued', 'running')"
        " AND EXISTS (SELECT 1 FROM jobs newer WHERE newer.project_id = jobs.project_id"
        " AND newer.state IN ('queued', 'running') AND newer.made_at > jobs.made_at)"
    )
    op.drop_index("ix_jobs_state", "jobs")
    op.drop_index("ix_jobs_project_id", "jobs")
    queued, running = sa.text("state = 'queued'"), sa.text("state = 'running'")
    indexes: tuple[tuple[str, list[Any], bool, Any], ...] = (
        ("jobs_next", [sa.text("priority DESC"), "made_at", "id"], False, queued),
        ("jobs_one_waits", ["project_id"], True, queued),
        ("jobs_one_runs", ["project_id"], True, running),
        ("jobs_beats", ["beat_at"], False, running),
        ("jobs_latest", ["project_id", sa.text("made_at DESC"), "id"], False, None),
        ("jobs_ended", ["ended_at"], False, None),
    )
    for name, columns, unique, part in indexes:
        op.create_index(name, "jobs", columns, unique=unique, sqlite_where=part, postgresql_where=part)


def downgrade() -> None:
    for name in ("next", "one_waits", "one_runs", "beats", "latest", "ended"):
        op.drop_index(f"jobs_{name}", "jobs")
    for name in ("progress", "stop", "tries", "beat_at", "worker", "home", "start_at"):
        op.drop_column("jobs", name)
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_index("ix_jobs_project_id", "jobs", ["project_id"])
