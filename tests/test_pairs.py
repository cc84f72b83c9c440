"""The measure by which we and other tools are compared: `benchmarks/pairs.py`."""

from __future__ import annotations

from benchmarks.pairs import PairTruth, closed, dropped_for, score
from lora_builder.records import Reason, Verdict
from tests.made import photo

TRUTH = PairTruth(
    ("a", "b", "c", "d", "e"),
    {("a", "b"): ("one", "burst"), ("a", "c"): ("one", "burst"), ("d", "e"): ("two", "crop")},
    frozenset({("b", "c")}),
)


def test_a_pair_that_nobody_can_tell_counts_neither_way() -> None:
    """A tool is neither blamed nor praised for what the ground truth leaves open."""
    told, untold = score(TRUTH, {("a", "b")}), score(TRUTH, {("a", "b"), ("b", "c")})
    assert told == untold
    assert told.wrong == ()


def test_f1_falls_with_every_missed_and_every_wrong_pair() -> None:
    """Precision and recall both count: 1 of 3 found and 1 wrong is an F1 of 2 * 1 / (1 + 1 + 3)."""
    assert score(TRUTH, TRUTH.same).value == 1
    assert abs(score(TRUTH, {("a", "b"), ("a", "e")}).value - 0.4) < 1e-9
    assert score(TRUTH, set()).value == 0


def test_a_group_of_many_pairs_does_not_drown_the_others() -> None:
    """Where each group counts once, half of one group and all of another come to F1 of 2 * 1.5 / 3.5."""
    assert abs(score(TRUTH, {("a", "b"), ("d", "e")}).even_value - 3 / 3.5) < 1e-9


def test_a_kind_is_judged_by_its_own_pairs_and_by_every_wrong_one() -> None:
    """A false alarm counts against each kind, for nobody knows which one it was meant to be."""
    crops = score(TRUTH, {("a", "b"), ("d", "e"), ("c", "e")}, "crop")
    assert (crops.hits.total(), crops.there.total(), crops.wrong) == (1, 1, (("c", "e"),))


def test_photos_dropped_for_one_keeper_are_one_group() -> None:
    """What a user sees: everything that went because of one photo repeats it, and so each other."""
    kept = Verdict(photo("a", "a"), Reason.KEPT)
    gone = [Verdict(photo(name, name), Reason.NEAR_DUPLICATE, because_of="a") for name in ("b", "c")]
    assert (
        dropped_for([kept, *gone]) == {("a", "b"), ("a", "c"), ("b", "c")} == closed([("a", "b"), ("c", "b")])
    )
