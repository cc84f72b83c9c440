"""Opens the database and brings its schema to the newest revision; SQLite or PostgreSQL by URL."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite

from lora_builder.errors import StoreUnavailable

BUSY_TIMEOUT_S = 30

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str) -> sa.Engine:
    """The engine of a database at `url` with the newest schema. Raises StoreUnavailable."""
    parsed = sa.make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed)
        if parsed.get_backend_name() == "sqlite":
            sa.event.listen(engine, "connect", _careful)
        _upgrade(engine)
    except CommandError as error:
        raise StoreUnavailable(
            f"The database {parsed.render_as_string(hide_password=True)} was written by a newer version.",
            "Update this program, or give it another LORA_DATA_DIR.",
        ) from error
    except (sa.exc.SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreUnavailable(
            f"The database {parsed.render_as_string(hide_password=True)} cannot be opened: {reason}.",
            "Check DATABASE_URL, LORA_DATA_DIR and the disk.",
        ) from error
    return engine


def upsert(
    connection: sa.Connection, table: sa.TableClause, rows: list[dict[str, Any]], keys: tuple[str, ...]
) -> None:
    """Inserts the rows; one whose `keys` are there already takes that row's place."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed), rows)


@functools.cache
def _migrations() -> tuple[Config, str | None]:
    """Alembic's configuration, and the newest revision in migrations/versions."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config, ScriptDirectory.from_config(config).get_current_head()


def _upgrade(engine: sa.Engine) -> None:
    config, head = _migrations()
    with engine.begin() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            if version == head:
                return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _careful(connection: Any, _: object) -> None:
    """WAL: readers do not wait for the writer. FULL: what was committed survives a power cut."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")
