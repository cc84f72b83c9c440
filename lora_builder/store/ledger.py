"""Vision models' answers, paid for once, and the ledger of every request that left for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from lora_builder.caption.records import CaptionEntry, KeptAnswer, LedgerRow, ModelSums, Outcome, Purpose
from lora_builder.store.captions import BATCH, Captions
from lora_builder.store.database import upsert

_answers = sa.table("answers", sa.column("key"), sa.column("answer", sa.JSON), sa.column("at"))
_uses = sa.table("answer_uses", *map(sa.column, ("key", "project_id")))
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

_SUMMED = ("bytes_sent", "tokens_in", "tokens_out", "seconds", "cost")

# Made once: building and hashing a statement costs more processor time than running it.
_BEGIN = _requests.insert().returning(_requests.c.id)
_FINISH = _requests.update().where(_requests.c.id == sa.bindparam("row"))


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
        self._captions = Captions(engine, clock)
        self._clock = clock
        self._turn = threading.Lock()

    def begin(self, row: LedgerRow) -> int:
        """Notes a request before it leaves; its number, for `finish`."""
        with self._turn, self._engine.begin() as connection:
            return int(connection.execute(_BEGIN, _row_fields(row)).scalar_one())

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
            connection.execute(_FINISH, _row_fields(row) | {"row": row.id})
            if answer is not None and key:
                kept = {"key": key, "answer": asdict(answer), "at": self._clock()}
                upsert(connection, _answers, [kept], ("key",))
                upsert(connection, _uses, [{"key": key, "project_id": row.project_id}], ("key", "project_id"))
            if caption is not None:
                self._captions.record_in(connection, row.project_id, caption)

    def forget(self, connection: sa.Connection, project_id: str) -> None:
        """Deletes a project's requests, and answers given for it alone, in the caller's transaction."""
        ours = sa.select(_uses.c.key).where(_uses.c.project_id == project_id)
        others = sa.exists().where(_uses.c.key == _answers.c.key, _uses.c.project_id != project_id)
        connection.execute(_answers.delete().where(_answers.c.key.in_(ours), ~others))
        for table in (_uses, _requests):
            connection.execute(table.delete().where(table.c.project_id == project_id))

    def rows(self, project_id: str, limit: int = 1000) -> list[LedgerRow]:
        """The project's requests, newest first."""
        query = _requests.select().where(_requests.c.project_id == project_id)
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(_requests.c.id.desc()).limit(limit)).all()
        return [_ledger_row(row) for row in rows]

    def sums(self, project_id: str | None = None) -> list[ModelSums]:
        """What each model did, for one project or for all, busiest first."""
        of = (_requests.c.endpoint, _requests.c.host, _requests.c.model)
        wanted = [_requests.c.purpose != Purpose.TEST.value]
        if project_id is not None:
            wanted.append(_requests.c.project_id == project_id)
        ends = sa.select(
            *of,
            _requests.c.outcome,
            sa.func.count().label("requests"),
            *(sa.func.sum(_requests.c[name]).label(name) for name in _SUMMED),
        )
        pictures = sa.select(*of, sa.func.count(_requests.c.item.distinct()).label("pictures"))
        groups: dict[tuple[str, str, str], list[Any]] = {}
        with self._engine.begin() as connection:
            for row in connection.execute(ends.where(*wanted).group_by(*of, _requests.c.outcome)):
                groups.setdefault((row.endpoint, row.host, row.model), []).append(row)
            seen = connection.execute(pictures.where(*wanted).group_by(*of)).all()
        sums = [_sum(row, groups.get((row.endpoint, row.host, row.model), [])) for row in seen]
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


def _row_fields(row: LedgerRow) -> dict[str, Any]:
    fields = vars(row) | {"purpose": row.purpose.value, "outcome": row.outcome.value}
    del fields["id"]
    return fields


def _ledger_row(row: Any) -> LedgerRow:
    fields = dict(row._mapping)
    return LedgerRow(**fields | {"purpose": Purpose(row.purpose), "outcome": Outcome(row.outcome)})


def _sum(pictures: Any, ends: Sequence[Any]) -> ModelSums:
    """One model's sums, of a row for each way in which its requests ended."""
    failures = {row.outcome: row.requests for row in ends if row.outcome != Outcome.OK.value}
    requests = sum(row.requests for row in ends)
    costs = [row.cost for row in ends if row.cost is not None]
    return ModelSums(
        pictures.endpoint,
        pictures.host,
        pictures.model,
        requests=requests,
        answered=requests - sum(failures.values()),
        pictures=pictures.pictures,
        bytes_sent=int(sum(row.bytes_sent for row in ends)),
        tokens_in=int(sum(row.tokens_in or 0 for row in ends)),
        tokens_out=int(sum(row.tokens_out or 0 for row in ends)),
        seconds=sum(row.seconds for row in ends),
        cost=sum(costs) if costs else None,
        failures=dict(sorted(failures.items())),
    )
