"""What the app asks the database again and again stays quick however much lies there."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lora_builder.records import Override, Photo, Source, Stage
from lora_builder.store import Change, Project, Store
from lora_builder.store.notes import SETTINGS

PROJECTS, PHOTOS = 3000, 8
"""Enough rows that PostgreSQL's planner would not look through a table from end to end."""

FILL = (
    "INSERT INTO projects SELECT 'p' || n, 'name', '/f/' || n, '/i', 'owner' || n % 500, n "
    "FROM generate_series(1, :projects) n",
    "INSERT INTO photos SELECT 'p' || n, 'photo' || m, '/x', NULL, md5(n || ' ' || m) || md5('y'), 5, NULL "
    "FROM generate_series(1, :projects) n, generate_series(1, :photos) m",
    "INSERT INTO decisions SELECT project_id, source, '{}' FROM photos",
    "INSERT INTO measurements SELECT DISTINCT sha256, 'recipe', '{}', ''::bytea FROM photos",
    "INSERT INTO overrides (project_id, sha256, keep) SELECT project_id, sha256, true FROM photos",
    "INSERT INTO captions SELECT project_id, sha256, 'text', 'author', 'ok', '', 'r', false, 0 FROM photos",
    "INSERT INTO caption_history (project_id, item, text, author, state, reason, recipe, locked, at, batch) "
    "SELECT project_id, sha256, 'text', 'author', 'ok', '', 'r', false, 0, '' FROM photos",
    "INSERT INTO requests (project_id, item, purpose, endpoint, host, model, bytes_sent, started_at, "
    "attempt, outcome, detail, seconds) SELECT project_id, sha256, 'caption', 'e' || length(source) % 3, "
    "'h', 'm' || md5(sha256), 5, 0, 1, 'ok', '', 1 FROM photos",
    "INSERT INTO answers SELECT sha256, '{}', 0 FROM photos",
    "INSERT INTO answer_uses SELECT sha256, project_id FROM photos",
    "INSERT INTO changes SELECT 'p' || n, m, 'keep', '{}', '{}', false "
    "FROM generate_series(1, :projects) n, generate_series(1, :photos) m",
    "INSERT INTO project_notes SELECT 'p' || n, 'kind' || m, '{}' "
    "FROM generate_series(1, :projects) n, generate_series(1, :photos) m",
    "INSERT INTO jobs (id, project_id, stages, priority, state, made_at, ended_at, error, remedy) "
    "SELECT 'j' || n || '-' || m, 'p' || n, '[]', 0, CASE WHEN m = 1 AND n % 50 = 0 THEN 'queued' "
    "ELSE 'done' END, m, CASE WHEN m > 1 OR n % 50 > 0 THEN extract(epoch FROM now()) END, '', '' "
    "FROM generate_series(1, :projects) n, generate_series(1, :photos) m",
)


TABLES = {statement.split()[2] for statement in FILL}


@pytest.fixture(scope="module")
def filled(_postgresql_server: str) -> Iterator[Store]:
    """A PostgreSQL database with the traces of many people."""
    name = f"test_{secrets.token_hex(4)}"
    url = sa.make_url(_postgresql_server).set(drivername="postgresql+psycopg", database="postgres")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    with Store(f"{_postgresql_server}/{name}") as store:
        with store._engine.begin() as connection:
            for statement in FILL:
                connection.execute(sa.text(statement), {"projects": PROJECTS, "photos": PHOTOS})
        with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("ANALYZE"))
        yield store


def plans(store: Store, ask: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """Every statement that `ask` makes, with PostgreSQL's plan for it."""
    asked: list[tuple[str, Any]] = []

    def note(*event: Any) -> None:
        asked.append((event[2], event[3]))

    sa.event.listen(store._engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sa.event.remove(store._engine, "before_cursor_execute", note)
    with store._engine.connect() as connection:
        for statement, parameters in asked:
            if not statement.startswith("SELECT extract"):
                rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
                yield statement, "\n".join(row[0] for row in rows)
        connection.rollback()


PROJECT = Project("p7", "name", Path("/f/7"), Path("/i"), "owner7", 7.0)
PHOTO = Photo(Source("new", Path("/x")), "0" * 64, 5)

HOT: dict[str, Callable[[Store], object]] = {
    "a project": lambda store: store.find_project("p7"),
    "a visitor's projects": lambda store: store.projects("owner7"),
    "a project's photos": lambda store: store.photos("p7"),
    "its photos saved": lambda store: store.save_photos("p7", [PHOTO], []),
    "its decisions": lambda store: store.decisions("nobody"),
    "its overrides": lambda store: store.overrides("p7"),
    "an override": lambda store: store.set_override("p7", "0" * 64, Override(keep=True)),
    "measurements": lambda store: store.looks(["0" * 64, "1" * 64], "recipe"),
    "contents nobody lists": lambda store: store.unused(["0" * 64, "1" * 64]),
    "measurements forgotten": lambda store: store.forget_looks(["0" * 64]),
    "its settings": lambda store: store.notes.read("p7", SETTINGS),
    "its captions": lambda store: store.captions.all("nobody"),
    "captions to write anew": lambda store: store.captions.forgotten("p7"),
    "its requests": lambda store: store.ledger.rows("p7"),
    "sums of a project": lambda store: store.ledger.sums("p7"),
    "what a model did lately": lambda store: store.ledger.used_since("e1", "m1", 5.0),
    "a model that wants a pause": lambda store: store.ledger.paused_until("e1", "m1"),
    "answers": lambda store: store.answers.get(["0" * 64]),
    "a change undone": lambda store: store.history.step("nobody", back=True),
    "a change": lambda store: store.history.record("p9", Change("keep")),
    "a job asked for": lambda store: store.queue.ask("new", tuple(Stage)),
    "a project's newest job": lambda store: store.queue.latest("p7"),
    "a job": lambda store: store.queue.find("j7-7"),
    "whether a job waits": lambda store: store.queue.due("me", 30.0),
    "the next job": lambda store: store.queue.take("me", 30.0),
    "a report": lambda store: store.queue.report("j7-7", "me", {}),
    "a project deleted": lambda store: store.delete_project("p11"),
}


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_goes_by_an_index(filled: Store, name: str) -> None:
    """No table is read from end to end for what is asked at every click, photo or second."""
    asked = list(plans(filled, lambda: HOT[name](filled)))
    assert asked
    for statement, plan in asked:
        read_through = {table for table in re.findall(r"Seq Scan on (\w+)", plan) if table in TABLES}
        assert not read_through, f"{statement}\n{plan}"


def test_claims_are_quick_with_many_jobs(filled: Store) -> None:
    """Taking a job of thousands does not take longer than of a few."""
    began = time.process_time()
    for number in range(20):
        assert filled.queue.take(f"worker{number}", 30.0) is not None
    assert time.process_time() - began < 2
