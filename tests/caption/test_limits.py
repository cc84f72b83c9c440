"""When a request may leave, on a clock of the test's own."""

from __future__ import annotations

from lora_builder.caption.endpoints import Endpoint, Model
from lora_builder.caption.limits import BREAK_AFTER, OUT_AFTER, Gates

HERE = Endpoint("here", "http://127.0.0.1:1/v1", parallel=2)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def never() -> bool:
    return False


def once(gates: Gates, model: Model, **how: object) -> bool:
    """Whether a request may leave now; it ends as `how` says."""
    if gates.enter(model, never, patience_s=0) is not None:
        return False
    gates.leave(model, **({"good": True} | how))  # type: ignore[arg-type]
    return True


def test_a_days_requests_count_over_runs() -> None:
    """What was used this morning counts, and comes back a day later."""
    clock = Clock()
    model = Model("m", HERE, per_day=3)
    gates = Gates(history=lambda model, since: [900.0, 950.0], clock=clock)
    assert once(gates, model)
    busy = gates.enter(model, never)
    assert busy is not None and busy.until == 900.0 + 86_400
    clock.now = busy.until + 1
    assert once(gates, model)


def test_a_minutes_requests_are_waited_for() -> None:
    """The window slides: the oldest request of the last minute makes room."""
    clock = Clock()
    model = Model("m", HERE, per_minute=2)
    gates = Gates(clock=clock)
    assert once(gates, model) and once(gates, model) and not once(gates, model)
    clock.now += 61
    assert once(gates, model)


def test_a_dead_endpoint_rests_and_is_probed_once() -> None:
    """After failures in a row nobody asks; then one probe; a good one opens the door again."""
    clock = Clock()
    model, other = Model("m", HERE), Model("n", HERE)
    gates = Gates(clock=clock)
    for _ in range(BREAK_AFTER):
        assert once(gates, model, good=False, dead="endpoint")
    assert not once(gates, model) and not once(gates, other)
    clock.now += 16
    assert gates.enter(model, never) is None
    assert gates.enter(other, never) is not None
    gates.leave(model, dead="endpoint")
    assert not once(gates, other)
    clock.now += 31
    assert once(gates, model) and once(gates, other)


def test_a_model_that_fails_alone_rests_alone() -> None:
    """One model's server errors do not close the endpoint for the others."""
    model, other = Model("m", HERE), Model("n", HERE)
    gates = Gates(clock=Clock())
    for _ in range(BREAK_AFTER):
        assert once(gates, model, good=False, dead="model")
    assert not once(gates, model) and once(gates, other)


def test_a_model_that_turns_everything_down_is_out() -> None:
    """A few refusals in a row as such, and it is not asked again in this run."""
    model = Model("m", HERE)
    gates = Gates(clock=Clock())
    for _ in range(OUT_AFTER):
        assert once(gates, model, good=False)
        gates.turn_down(model, "It takes no pictures.")
    busy = gates.enter(model, never)
    assert busy is not None and busy.until == float("inf") and busy.why == "It takes no pictures."


def test_a_remembered_pause_holds() -> None:
    """What the server said in an earlier run still counts."""
    clock = Clock()
    gates = Gates(paused=lambda model: 5000.0, clock=clock)
    model = Model("m", HERE)
    busy = gates.enter(model, never)
    assert busy is not None and busy.until == 5000.0 and not busy.brief
    clock.now = 5001.0
    assert once(gates, model)
