"""Whether an endpoint can be used: its models, and what it says to a tiny picture that is nobody's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lora_builder.caption import picture
from lora_builder.caption.client import Ask, Client, Trouble
from lora_builder.caption.endpoints import Endpoint
from lora_builder.caption.records import LedgerRow, Outcome, Purpose
from lora_builder.store import Store

TIMEOUT_S = 30.0
"""Seconds for the list of models, and again for the picture."""

QUESTION = "Say in five words what you see."


@dataclass(frozen=True)
class Probed:
    """What a test found. `said`: the model's answer, or the server's own words where it failed."""

    endpoint: str
    host: str
    good: bool
    said: str
    model: str = ""
    models: tuple[str, ...] = ()
    seconds: float = 0.0


def probe(
    place: Endpoint,
    model: str = "",
    store: Store | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Probed:
    """Asks the endpoint for its models and, if one is named, sends it a grey picture of 64 pixels.

    With `store` the picture's request is in the ledger like any other.
    """
    client = Client(place, TIMEOUT_S)
    started = time.monotonic()
    try:
        names: tuple[str, ...] = ()
        try:
            names = tuple(client.models(cancelled))
        except Trouble as trouble:
            # Some servers have no such list, and still answer.
            if not model or trouble.scope == "endpoint" or trouble.outcome is Outcome.CONNECTION:
                return Probed(place.name, place.host, False, trouble.detail, model)
        if not model:
            said = f"{len(names)} models."
            return Probed(place.name, place.host, True, said, "", names, time.monotonic() - started)
        return _asked(client, model, names, store, cancelled)
    finally:
        client.close()


def _asked(
    client: Client, model: str, names: tuple[str, ...], store: Store | None, cancelled: Callable[[], bool]
) -> Probed:
    place, data, started = client.endpoint, picture.tiny(), time.monotonic()
    trouble: Trouble | None = None
    for _ in range(4):  # three things at most can be left away
        try:
            reply = client.ask(model, Ask("", QUESTION, data, None, 200, 0.0), cancelled)
        except Trouble as error:
            trouble = error
            if error.adapt:
                continue
            break
        said = " ".join(reply.text.split())[:200] or "(an empty answer)"
        found = Probed(place.name, place.host, True, said, model, names, time.monotonic() - started)
        _noted(store, place, model, len(data), Outcome.OK, said, found.seconds)
        return found
    assert trouble is not None
    seconds = time.monotonic() - started
    _noted(store, place, model, len(data), trouble.outcome, trouble.detail, seconds)
    return Probed(place.name, place.host, False, trouble.detail, model, names, seconds)


def _noted(
    store: Store | None, place: Endpoint, model: str, size: int, outcome: Outcome, said: str, seconds: float
) -> None:
    if store is not None:
        now = time.time()
        store.ledger.begin(
            LedgerRow(
                "", "", Purpose.TEST, place.name, place.host, model, size, now, 1, outcome, said, seconds
            )
        )
