"""Captions with their history, vision models' answers, the request ledger, and saved templates."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from lora_builder.caption.records import (
    USER,
    CaptionEntry,
    CaptionState,
    CaptionVersion,
    KeptAnswer,
    LedgerRow,
    ModelSums,
    Outcome,
    Purpose,
    StoredTemplate,
)
from lora_builder.store.database import upsert

BATCH = 500
"""Keys a query: below every database's limit on parameters."""

_ENTRY = ("text", "author", "state", "reason", "recipe", "locked", "at")
_captions = sa.table(
    "captions",
    *map(sa.column, ("project_id", "item", "text", "author", "state", "reason", "recipe", "at")),
    sa.column("locked", sa.Boolean),
)
_history = sa.table(
    "caption_history",
    *map(
        sa.column,
        ("id", "project_id", "item", "text", "author", "state", "reason", "recipe", "at", "batch"),
    ),
    sa.column("locked", sa.Boolean),
)
_overrides = sa.table("overrides", *map(sa.column, ("project_id", "sha256", "caption")))
_answers = sa.table("answers", sa.column("key"), sa.column("answer", sa.JSON), sa.column("at"))
_requests = sa.table(
    "requests",
    *map(
        sa.column,
        (
            "id", "project_id", "item", "purpose", "endpoint", "host", "model", "bytes_sent", "started_at",
            "attempt", "outcome", "detail", "seconds", "tokens_in", "tokens_out", "cost", "until",
        ),
    ),
)  # fmt: skip
_uses = sa.table("answer_uses", *map(sa.column, ("key", "project_id")))
_templates = sa.table("prompt_templates", sa.column("name"), sa.column("body", sa.JSON))


class Captions:
    """The captions of each project, and every text they ever had."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def all(self, project_id: str) -> dict[str, CaptionEntry]:
        """What is known about the project's captions, by item."""
        with self._engine.begin() as connection:
            rows = connection.execute(_captions.select().where(_captions.c.project_id == project_id)).all()
        return {row.item: _entry(row) for row in rows}

    def get(self, project_id: str, item: str) -> CaptionEntry | None:
        """The caption of one training image."""
        with self._engine.begin() as connection:
            return self._get(connection, project_id, item)

    def record(self, project_id: str, entry: CaptionEntry) -> bool:
        """What a run found out about a caption; False, and nothing changed, where it is locked."""
        with self._engine.begin() as connection:
            known = self._get(connection, project_id, entry.item)
            if known is not None and known.locked:
                return False
            self._put(connection, project_id, entry, known, batch="")
        return True

    def record_many(self, project_id: str, entries: Iterable[CaptionEntry]) -> None:
        """The same for many at once, all or none; locked ones are passed over."""
        with self._engine.begin() as connection:
            known = self._known(connection, project_id)
            pairs = [(entry, known.get(entry.item)) for entry in entries]
            free = [(entry, before) for entry, before in pairs if before is None or not before.locked]
            self._put_all(connection, project_id, free, batch="")

    def set_by_user(
        self, project_id: str, texts: Mapping[str, str], *, author: str = USER, lock: bool = True
    ) -> str:
        """The user's own words, for one item or many; the name of the batch, for `undo`.

        With `lock` no later run changes them. Empty texts are not captions: ValueError.
        """
        batch = secrets.token_urlsafe(9)
        with self._engine.begin() as connection:
            all_known = self._known(connection, project_id)
            pairs = []
            for item, text in texts.items():
                line = " ".join(text.split())
                if not line:
                    raise ValueError(f"The caption of {item} is empty.")
                known = all_known.get(item)
                entry = CaptionEntry(item, line, author, locked=lock)
                if not lock and known is not None:
                    # A remedy edits a text that a run wrote: it stays as current, or as locked, as it was.
                    entry = replace(entry, recipe=known.recipe, locked=known.locked)
                pairs.append((entry, known))
            self._put_all(connection, project_id, pairs, batch)
        return batch

    def lock(self, project_id: str, items: Iterable[str], locked: bool = True) -> None:
        """Locked captions are changed by nobody but the user."""
        with self._engine.begin() as connection:
            for item in items:
                ours = (_captions.c.project_id == project_id) & (_captions.c.item == item)
                connection.execute(_captions.update().where(ours).values(locked=locked))

    def history(self, project_id: str, item: str) -> list[CaptionVersion]:
        """Every text that the item ever had, newest first."""
        ours = (_history.c.project_id == project_id) & (_history.c.item == item)
        with self._engine.begin() as connection:
            rows = connection.execute(_history.select().where(ours).order_by(_history.c.id.desc())).all()
        return [CaptionVersion(row.id, _entry(row), row.batch) for row in rows]

    def revert(self, project_id: str, item: str, version: int | None = None) -> CaptionEntry | None:
        """Brings back a version, or (None) the one before the present; None where there is none."""
        versions = self.history(project_id, item)
        if version is None:
            wanted = versions[1] if len(versions) > 1 else None
        else:
            wanted = next((v for v in versions if v.id == version), None)
        if wanted is None:
            return None
        with self._engine.begin() as connection:
            known = self._get(connection, project_id, item)
            self._put(connection, project_id, wanted.entry, known, batch="")
        return self.get(project_id, item)

    def undo(self, project_id: str, batch: str) -> list[str]:
        """Takes back what one click changed, except where it was changed again since; the items."""
        undone, back = [], []
        with self._engine.begin() as connection:
            ours = (_history.c.project_id == project_id) & (_history.c.batch == batch)
            rows = connection.execute(_history.select().where(ours)).all()
            known = self._known(connection, project_id) if rows else {}
            for row in rows:
                same = (_history.c.project_id == project_id) & (_history.c.item == row.item)
                query = _history.select().where(same).order_by(_history.c.id.desc()).limit(2)
                versions = connection.execute(query).all()
                if versions[0].id != row.id:
                    continue
                if len(versions) > 1:
                    back.append((_entry(versions[1]), known.get(row.item)))
                else:
                    self._drop(connection, project_id, row.item)
                undone.append(row.item)
            self._put_all(connection, project_id, back, batch="")
        return undone

    def forget(self, project_id: str, item: str) -> None:
        """Makes the next run write this caption anew, known answer or not; its history stays."""
        with self._engine.begin() as connection:
            self._drop(connection, project_id, item)

    def forgotten(self, project_id: str) -> set[str]:
        """The items that had a caption and were told to be written anew: known answers do not count."""
        kept = sa.select(_captions.c.item).where(_captions.c.project_id == project_id)
        ours = (_history.c.project_id == project_id) & _history.c.item.not_in(kept)
        with self._engine.begin() as connection:
            return set(connection.execute(sa.select(_history.c.item).where(ours).distinct()).scalars())

    @staticmethod
    def forget_project(connection: sa.Connection, project_id: str) -> None:
        """Deletes all that is known of a project's captions and requests, and answers given for it alone."""
        ours = sa.select(_uses.c.key).where(_uses.c.project_id == project_id)
        others = sa.select(_uses.c.key).where(_uses.c.project_id != project_id)
        connection.execute(_answers.delete().where(_answers.c.key.in_(ours) & _answers.c.key.not_in(others)))
        connection.execute(_uses.delete().where(_uses.c.project_id == project_id))
        for table in (_captions, _history, _requests):
            connection.execute(table.delete().where(table.c.project_id == project_id))

    def _get(self, connection: sa.Connection, project_id: str, item: str) -> CaptionEntry | None:
        ours = (_captions.c.project_id == project_id) & (_captions.c.item == item)
        row = connection.execute(_captions.select().where(ours)).first()
        return None if row is None else _entry(row)

    def _known(self, connection: sa.Connection, project_id: str) -> dict[str, CaptionEntry]:
        query = _captions.select().where(_captions.c.project_id == project_id)
        return {row.item: _entry(row) for row in connection.execute(query)}

    def _put(
        self,
        connection: sa.Connection,
        project_id: str,
        entry: CaptionEntry,
        known: CaptionEntry | None,
        batch: str,
    ) -> None:
        self._put_all(connection, project_id, [(entry, known)], batch)

    def _put_all(
        self,
        connection: sa.Connection,
        project_id: str,
        pairs: Iterable[tuple[CaptionEntry, CaptionEntry | None]],
        batch: str,
    ) -> None:
        """Writes entries over what is known of them: a thousand rows are three statements."""
        rows, history = [], []
        for entry, known in pairs:
            if known is not None and replace(known, at=0.0) == replace(entry, at=0.0):
                continue
            fields = asdict(entry) | {
                "state": entry.state.value,
                "at": self._clock(),
                "project_id": project_id,
            }
            rows.append(fields)
            if (
                known is not None
                and not batch
                and replace(known, at=0.0, recipe="") == replace(entry, at=0.0, recipe="")
            ):
                continue  # made anew to the same words: nothing that anybody would want back
            history.append(fields | {"batch": batch})
        if rows:
            upsert(connection, _captions, rows, ("project_id", "item"))
        if history:
            connection.execute(_history.insert(), history)
        theirs = {row["item"] for row in history if row["author"] == USER}
        if theirs:
            # The older place for the user's words; one truth is enough.
            ours = (_overrides.c.project_id == project_id) & _overrides.c.caption.is_not(None)
            older = connection.execute(sa.select(_overrides.c.sha256).where(ours)).scalars().all()
            for item in theirs.intersection(older):
                connection.execute(
                    _overrides.update().where(ours, _overrides.c.sha256 == item).values(caption=None)
                )

    def _drop(self, connection: sa.Connection, project_id: str, item: str) -> None:
        ours = (_captions.c.project_id == project_id) & (_captions.c.item == item)
        connection.execute(_captions.delete().where(ours))


class Answers:
    """What vision models answered, by picture, prompt, model and parameters: paid for once."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def get(self, keys: Sequence[str]) -> dict[str, KeptAnswer]:
        """The answers that are known of these keys."""
        found: dict[str, KeptAnswer] = {}
        with self._engine.begin() as connection:
            for begin in range(0, len(keys), BATCH):
                query = _answers.select().where(_answers.c.key.in_(list(keys[begin : begin + BATCH])))
                for row in connection.execute(query):
                    found[row.key] = KeptAnswer(**row.answer)
        return found

    def forget(self, key: str) -> None:
        """Makes the next run ask again."""
        with self._engine.begin() as connection:
            connection.execute(_answers.delete().where(_answers.c.key == key))


class Ledger:
    """Every request that left for a vision model.

    Its writers take turns: SQLite lets those that meet sleep for up to 100 ms, a lock for microseconds.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._turn = threading.Lock()

    def begin(self, row: LedgerRow) -> int:
        """Notes a request before it leaves; its number, for `finish`."""
        fields = _row_fields(row)
        with self._turn, self._engine.begin() as connection:
            result = connection.execute(_requests.insert().values(fields).returning(_requests.c.id))
            return int(result.scalar_one())

    def drop(self, id: int) -> None:
        """Takes back a note: the request did not leave."""
        with self._turn, self._engine.begin() as connection:
            connection.execute(_requests.delete().where(_requests.c.id == id))

    def finish(
        self,
        row: LedgerRow,
        answer: KeptAnswer | None = None,
        key: str = "",
        caption: CaptionEntry | None = None,
    ) -> None:
        """How the request `row.id` ended and, in the same transaction, the answer and the caption.

        So an answer that arrived is either known whole, or was never seen.
        """
        with self._turn, self._engine.begin() as connection:
            fields = _row_fields(row)
            connection.execute(_requests.update().where(_requests.c.id == row.id).values(fields))
            if answer is not None and key:
                kept = {"key": key, "answer": asdict(answer), "at": self._clock()}
                upsert(connection, _answers, [kept], ("key",))
                use = {"key": key, "project_id": row.project_id}
                upsert(connection, _uses, [use], ("key", "project_id"))
            if caption is not None:
                captions = Captions(self._engine, self._clock)
                known = captions._get(connection, row.project_id, caption.item)
                if known is None or not known.locked:
                    captions._put(connection, row.project_id, caption, known, batch="")

    def rows(self, project_id: str, limit: int = 1000) -> list[LedgerRow]:
        """The project's requests, newest first."""
        query = _requests.select().where(_requests.c.project_id == project_id)
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(_requests.c.id.desc()).limit(limit)).all()
        return [_ledger_row(row) for row in rows]

    def sums(self, project_id: str | None = None) -> list[ModelSums]:
        """What each model did, for one project or for all, busiest first."""
        query = _requests.select().where(_requests.c.purpose != Purpose.TEST.value)
        if project_id is not None:
            query = query.where(_requests.c.project_id == project_id)
        groups: dict[tuple[str, str, str], list[Any]] = {}
        with self._engine.begin() as connection:
            for row in connection.execute(query):
                groups.setdefault((row.endpoint, row.host, row.model), []).append(row)
        sums = [_sum(names, rows) for names, rows in groups.items()]
        return sorted(sums, key=lambda line: (-line.requests, line.endpoint, line.model))

    def used_since(self, endpoint: str, model: str, since: float) -> list[float]:
        """When, seconds since the epoch, requests left for the model from `since` on, oldest first."""
        ours = (_requests.c.endpoint == endpoint) & (_requests.c.model == model)
        query = sa.select(_requests.c.started_at).where(ours & (_requests.c.started_at >= since))
        with self._engine.begin() as connection:
            return sorted(row.started_at for row in connection.execute(query))

    def paused_until(self, endpoint: str, model: str) -> float:
        """Until when the server wants no more requests for the model; 0: it said nothing."""
        ours = (_requests.c.endpoint == endpoint) & (_requests.c.model == model)
        query = sa.select(_requests.c.until).where(ours & _requests.c.until.is_not(None))
        with self._engine.begin() as connection:
            last = connection.execute(query.order_by(_requests.c.id.desc()).limit(1)).scalar()
        return float(last or 0.0)


class Templates:
    """Prompt templates that the user saved, by name."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> list[StoredTemplate]:
        """The saved templates, by name."""
        with self._engine.begin() as connection:
            rows = connection.execute(_templates.select().order_by(_templates.c.name)).all()
        return [StoredTemplate(row.name, row.body) for row in rows]

    def save(self, template: StoredTemplate) -> None:
        """Keeps the template; one of the same name gives way."""
        row = {"name": template.name, "body": dict(template.body)}
        with self._engine.begin() as connection:
            upsert(connection, _templates, [row], ("name",))

    def delete(self, name: str) -> None:
        """Forgets the template."""
        with self._engine.begin() as connection:
            connection.execute(_templates.delete().where(_templates.c.name == name))


def _entry(row: Any) -> CaptionEntry:
    fields = {name: getattr(row, name) for name in _ENTRY}
    fields |= {"state": CaptionState(row.state), "locked": bool(row.locked)}
    return CaptionEntry(row.item, **fields)


def _row_fields(row: LedgerRow) -> dict[str, Any]:
    fields = asdict(row) | {"purpose": row.purpose.value, "outcome": row.outcome.value}
    del fields["id"]
    return fields


def _ledger_row(row: Any) -> LedgerRow:
    fields = dict(row._mapping)
    return LedgerRow(**fields | {"purpose": Purpose(row.purpose), "outcome": Outcome(row.outcome)})


def _sum(names: tuple[str, str, str], rows: Sequence[Any]) -> ModelSums:
    failures: dict[str, int] = {}
    for row in rows:
        if row.outcome != Outcome.OK.value:
            failures[row.outcome] = failures.get(row.outcome, 0) + 1
    costs = [row.cost for row in rows if row.cost is not None]
    return ModelSums(
        *names,
        requests=len(rows),
        answered=len(rows) - sum(failures.values()),
        pictures=len({row.item for row in rows}),
        bytes_sent=sum(row.bytes_sent for row in rows),
        tokens_in=sum(row.tokens_in or 0 for row in rows),
        tokens_out=sum(row.tokens_out or 0 for row in rows),
        seconds=sum(row.seconds for row in rows),
        cost=sum(costs) if costs else None,
        failures=dict(sorted(failures.items())),
    )
