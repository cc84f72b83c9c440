"""The short version of benchmarks/kills.py."""

from __future__ import annotations

import sys

import pytest

from benchmarks.kills import measure


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
def test_killed_at_random_moments_a_run_goes_on_to_the_same_bytes() -> None:
    """SIGKILL in any stage: nothing torn, nothing left over, and the next run ends as if undisturbed."""
    assert measure(kills=2, seed=7, show=False) == []
