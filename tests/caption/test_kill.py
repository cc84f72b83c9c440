"""A run that is killed loses no caption and pays for none twice."""

from __future__ import annotations

from benchmarks.caption import faults, kills


def test_killed_at_random_moments() -> None:
    """Short version of the benchmark: what was saved stands, what was on its way is in the ledger."""
    assert kills(3, 160)


def test_a_third_of_all_requests_goes_wrong() -> None:
    """Short version of the benchmark: everybody is captioned or failed with a reason, nobody paid twice."""
    assert faults(60)
