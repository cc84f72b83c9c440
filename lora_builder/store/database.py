"""Opens the database and brings its schema to the newest revision; SQLite or PostgreSQL by URL."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import FileLock
from psycopg import OperationalError as PostgresError
from sqlalchemy.dialects import postgresql, sqlite

from lora_builder.errors import StoreUnavailable

BUSY_TIMEOUT_S = 30

UPGRADE_LOCK = 0x6C6F7261
"""PostgreSQL's advisory lock under which the schema is brought up to date."""

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str) -> sa.Engine:
    """The engine of a database at `url` with the newest schema. Raises StoreUnavailable.

    So does every later use of the engine, where the database cannot be reached, read or written.
    """
    parsed = sa.make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    file = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        # A server may have been restarted since the last use: then a new connection is made.
        engine = sa.create_engine(parsed, pool_pre_ping=file is None)
        if parsed.get_backend_name() == "sqlite":
            sa.event.listen(engine, "connect", _careful)
        # Two first starts at once: one makes the tables, the other waits and finds them.
        with FileLock(file.with_name(f".{file.name}.lock")) if file else nullcontext():
            _upgrade(engine)
    except CommandError as error:
        raise StoreUnavailable(
            f"The database {parsed.render_as_string(hide_password=True)} was written by a newer version.",
            "Update this program, or give it another LORA_DATA_DIR.",
        ) from error
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise _unavailable(parsed, error) from error
    sa.event.listen(engine, "handle_error", functools.partial(_refused, parsed))
    return engine


def _unavailable(url: sa.URL, error: BaseException) -> StoreUnavailable:
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return StoreUnavailable(
        f"The database {url.render_as_string(hide_password=True)} cannot be used: {reason}.",
        "Check DATABASE_URL, LORA_DATA_DIR and the disk's free space.",
    )


def _refused(url: sa.URL, context: sa.engine.ExceptionContext) -> None:
    """A full disk, a lost server, a lock held too long are the user's world, not bugs of ours."""
    # A connection that is found dead before it is used is no error: another is made.
    pinging = getattr(context, "is_pre_ping", False)
    if not pinging and isinstance(context.original_exception, (sqlite3.OperationalError, PostgresError)):
        raise _unavailable(url, context.original_exception) from context.original_exception


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that reads in order to write.

    SQLite lets nobody else write from its beginning on, so what was read still holds; on PostgreSQL
    lock the rows that are read.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def upsert(
    connection: sa.Connection,
    table: sa.TableClause,
    rows: list[dict[str, Any]],
    keys: tuple[str, ...],
    only: tuple[str, ...] | None = None,
) -> None:
    """Inserts the rows; one whose `keys` are there already takes that row's place, or only its `only`."""
    names = only if only is not None else tuple(name for name in rows[0] if name not in keys)
    connection.execute(_upserting(connection.dialect.name, table, keys, names), rows)


@functools.cache
def _upserting(
    dialect_name: str, table: sa.TableClause, keys: tuple[str, ...], names: tuple[str, ...]
) -> Any:
    """The statement, made once: building and hashing it costs more processor time than running it."""
    dialect: Any = postgresql if dialect_name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changed = {name: statement.excluded[name] for name in names}
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=list(keys))
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


@functools.cache
def _migrations() -> tuple[Config, str | None]:
    """Alembic's configuration, and the newest revision in migrations/versions."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config, ScriptDirectory.from_config(config).get_current_head()


def _upgrade(engine: sa.Engine) -> None:
    config, head = _migrations()
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
        if sa.inspect(connection).has_table("alembic_version"):
            version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            if version == head:
                return
        if connection.dialect.name == "sqlite":
            # The driver begins no transaction for CREATE TABLE, and a kill would leave half a schema.
            connection.commit()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _careful(connection: sqlite3.Connection, _: object) -> None:
    """WAL: readers do not wait for the writer. FULL: what was committed survives a power cut.

    secure_delete: what was deleted is overwritten, not only forgotten.
    """
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
