"""One question through the priority list: try again, correct, move on, come back, or give up.

Every request is in the ledger before it leaves: what the server saw, the ledger has. The answer, its
caption and the ledger's line are written in one transaction as soon as the answer is there.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from lora_builder.caption.checks import Found
from lora_builder.caption.client import Ask, Client, Reply, Trouble
from lora_builder.caption.endpoints import Model
from lora_builder.caption.limits import QUOTA_AGAIN_S, Busy, Dead, Gates
from lora_builder.caption.prompts import corrective, doubting
from lora_builder.caption.records import CaptionEntry, KeptAnswer, LedgerRow, Outcome, Purpose
from lora_builder.settings import Settings
from lora_builder.store import Store

BACKOFF_S, BACKOFF_MOST_S = 0.5, 30.0
"""Seconds before the second try, doubled each time up to the most; half of it is chance."""

CORRECTIONS = 1
"""Times that a model is told what was wrong with its answer before the next one is asked."""

QUOTED = 2000
"""Characters of a bad answer that go back with the correction."""

_DEAD: dict[Outcome, Dead] = {
    Outcome.CONNECTION: "endpoint",
    Outcome.SERVER_ERROR: "model",
    Outcome.TIMEOUT: "model",
}
"""What may be down after such an outcome."""

Made = TypeVar("Made", covariant=True)


Doubt = Callable[[object], Sequence[tuple[str, str]]]
"""What an answer says that was measured otherwise, as (said, measured) pairs."""


class Reader(Protocol[Made]):
    """Makes something of an answer, or says what is wrong with it."""

    def __call__(self, text: str, finish: str, model: Model) -> Made | list[Found]: ...


@dataclass(frozen=True)
class Question:
    """What is asked about one training image. `key_parts`: all that the answer depends on but the model."""

    project_id: str
    item: str
    purpose: Purpose
    ask: Ask
    key_parts: tuple[object, ...]

    def key(self, model: Model) -> str:
        """Names the answer: picture, prompt, parameters and model."""
        parts = (*self.key_parts, model.name, model.endpoint.url)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Gave:
    """What was made of a model's answer."""

    made: object
    model: Model


@dataclass(frozen=True)
class GaveUp:
    """No model gave an answer that can be used; `why` names each and what happened."""

    why: str


@dataclass
class Asker:
    """Asks the models of the list; one a run, used by many threads."""

    store: Store
    models: Sequence[Model]
    settings: Settings
    gates: Gates
    clients: dict[str, Client]
    stopped: Callable[[], bool]
    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    @property
    def threads(self) -> int:
        """For every slot of every endpoint one that waits for its answer, and one with the next picture
        ready."""
        return 2 * sum({model.endpoint.name: model.endpoint.parallel for model in self.models}.values())

    def close(self) -> None:
        """Lets go of the connections."""
        for client in self.clients.values():
            client.close()

    def known(
        self, question: Question, read: Reader[object], answers: Mapping[str, KeptAnswer] | None = None
    ) -> Gave | None:
        """An answer that was paid for before, of the first model in the list that has a usable one.

        `answers`: those of many questions, where they were looked up together.
        """
        keys = {question.key(model): model for model in self.models}
        found = self.store.answers.get(list(keys)) if answers is None else answers
        for key, model in keys.items():
            if key in found:
                made = read(found[key].text, found[key].finish, model)
                if not isinstance(made, list):
                    return Gave(made, model)
        return None

    def ask(
        self,
        question: Question,
        read: Reader[object],
        entry: Callable[[object, Model], CaptionEntry] | None = None,
        doubt: Doubt = lambda made: (),
    ) -> Gave | GaveUp:
        """The first usable answer in the order of the list.

        One that is in `doubt` is kept, and its model asked once more: its second answer counts.
        """
        reasons: dict[str, str] = {}
        open_models = list(self.models)
        end = self.clock() + self.settings.caption_patience_s
        while open_models and not self.stopped():
            waits: list[Busy] = []
            for model in list(open_models):
                result = self._try(question, model, read, entry, doubt, reasons)
                if isinstance(result, Gave):
                    return result
                if isinstance(result, Busy):
                    waits.append(result)
                    reasons[model.label] = result.why
                else:
                    open_models.remove(model)
                if self.stopped():
                    return GaveUp("Stopped.")
            soonest = min((busy.until for busy in waits), default=float("inf"))
            if soonest > end:
                break
            self._sleep(max(0.05, soonest - self.clock()))
        return GaveUp(" ".join(f"{label}: {why}" for label, why in reasons.items()) or "Stopped.")

    def _try(
        self,
        question: Question,
        model: Model,
        read: Reader[object],
        entry: Callable[[object, Model], CaptionEntry] | None,
        doubt: Doubt,
        reasons: dict[str, str],
    ) -> Gave | Busy | None:
        """Up to `caption_tries` requests to one model; None: it cannot caption this picture."""
        ask, tries, corrections = question.ask, 0, 0
        first: Gave | None = None  # in doubt, but it stands where nothing better comes
        while tries < self.settings.caption_tries:
            # Noted before the slot is taken: the database's time is not the endpoint's.
            row = self._noted(question, model, tries + 1)
            busy = self.gates.enter(model, self.stopped)
            if busy is not None:
                self.store.ledger.drop(row.id)
                return first or busy
            tries += 1
            row = replace(row, started_at=self.clock())
            started = time.monotonic()
            try:
                reply = self.clients[model.endpoint.name].ask(model.name, ask, self.stopped)
            except Trouble as trouble:
                self._failed(row, trouble, time.monotonic() - started, model)
                reasons[model.label] = trouble.detail
                if trouble.adapt:
                    tries -= 1
                elif trouble.outcome is Outcome.QUOTA:
                    return first or Busy(trouble.until or self.clock() + QUOTA_AGAIN_S, trouble.detail)
                elif not trouble.again:
                    return first
                elif tries < self.settings.caption_tries:
                    self._back_off(model, tries, trouble)
                continue
            self.gates.leave(model, good=True)
            seconds = time.monotonic() - started
            made = read(reply.text, reply.finish, model)
            self._answered(row, reply, made, question, model, entry, seconds)
            structured = ask.schema is not None
            if isinstance(made, list):
                reasons[model.label] = str(made[0])
                words = corrective(" ".join(map(str, made)), structured)
            else:
                doubts = () if first or corrections else doubt(made)
                if not doubts:
                    return Gave(made, model)
                first, words = Gave(made, model), doubting(doubts, structured)
            if corrections >= CORRECTIONS:
                return first
            corrections += 1
            said = reply.text.strip()[:QUOTED] or "(nothing)"
            ask = replace(question.ask, follow_up=(("assistant", said), ("user", words)))
        return first

    def _noted(self, question: Question, model: Model, attempt: int) -> LedgerRow:
        row = LedgerRow(
            question.project_id,
            question.item,
            question.purpose,
            model.endpoint.name,
            model.endpoint.host,
            model.name,
            len(question.ask.picture),
            self.clock(),
            attempt,
        )
        return replace(row, id=self.store.ledger.begin(row))

    def _answered(
        self,
        row: LedgerRow,
        reply: Reply,
        made: object,
        question: Question,
        model: Model,
        entry: Callable[[object, Model], CaptionEntry] | None,
        seconds: float,
    ) -> None:
        bad = made if isinstance(made, list) else []
        done = replace(
            row,
            outcome=Outcome.BAD_ANSWER if bad else Outcome.OK,
            detail=" ".join(map(str, bad)),
            seconds=seconds,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            cost=cost(model, reply),
        )
        if bad:
            self.store.ledger.finish(done)
            return
        answer = KeptAnswer(reply.text, reply.finish, reply.tokens_in, reply.tokens_out, done.cost)
        caption = entry(made, model) if entry is not None else None
        self.store.ledger.finish(done, answer, question.key(model), caption)

    def _failed(self, row: LedgerRow, trouble: Trouble, seconds: float, model: Model) -> None:
        self.gates.leave(model, good=trouble.adapt, dead=_DEAD.get(trouble.outcome))
        until = trouble.until
        if trouble.outcome is Outcome.QUOTA:
            until = until or self.clock() + QUOTA_AGAIN_S
            self.gates.pause(model, until, trouble.detail)
        elif trouble.scope != "picture":
            self.gates.rule_out(model, trouble.detail, whole_endpoint=trouble.scope == "endpoint")
        elif trouble.outcome is Outcome.REFUSED and not trouble.adapt:
            self.gates.turn_down(model, trouble.detail)
        self.store.ledger.finish(
            replace(row, outcome=trouble.outcome, detail=trouble.detail, seconds=seconds, until=until)
        )

    def _back_off(self, model: Model, tries: int, trouble: Trouble) -> None:
        if trouble.wait_s is not None:
            # The server's own wish holds for everybody who asks this model.
            self.gates.pause(model, self.clock() + trouble.wait_s, trouble.detail)
            return
        most = min(BACKOFF_MOST_S, BACKOFF_S * 2 ** (tries - 1))
        self._sleep(most * (0.5 + 0.5 * self.chance()))

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopped() and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.1, left))


def cost(model: Model, reply: Reply) -> float | None:
    """Dollars: as the server says, else by the model's prices, else not known."""
    if reply.cost is not None:
        return reply.cost
    if model.price_in is None or model.price_out is None:
        return None
    return ((reply.tokens_in or 0) * model.price_in + (reply.tokens_out or 0) * model.price_out) / 1e6
