from __future__ import annotations

import numpy as np
import pytest

from lora_builder import neighbours
from lora_builder.neighbours import correlated


def directions(count: int, dimensions: int = 24, seed: int = 3) -> np.ndarray:
    """Unit vectors, a third of them near another one."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimensions))
    near = rng.choice(count, count // 3, replace=False)
    vectors[near] = vectors[near - 1] + 0.3 * rng.normal(size=(len(near), dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def all_near(vectors: np.ndarray, floor: float) -> list[list[int]]:
    """The plain way: every pair."""
    alike = vectors @ vectors.T
    return [[i, j] for i, j in np.argwhere(np.triu(alike >= floor, 1)).tolist()]


def test_every_near_pair_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks or at once: the pairs that looking at all pairs finds, sorted."""
    vectors = directions(400)
    plain = all_near(vectors, 0.5)
    assert len(plain) > 100 and correlated(vectors, 0.5).tolist() == plain
    monkeypatch.setattr(neighbours, "BLOCK", 37)
    monkeypatch.setattr(neighbours, "WIDE", 2)
    assert correlated(vectors, 0.5).tolist() == plain
    assert correlated(vectors[:0], 0.5).shape == (0, 2)


def test_cells_find_copies_and_invent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many vectors to look at all pairs: nothing that is not there, every pair that is very
    near, nearly all of the others."""
    monkeypatch.setattr(neighbours, "EXACT", 0)
    vectors = directions(3000)
    found = correlated(vectors, 0.5)
    plain = all_near(vectors, 0.5)
    pairs = {tuple(pair) for pair in found.tolist()}
    assert pairs <= {tuple(pair) for pair in plain}
    assert {tuple(pair) for pair in all_near(vectors, 0.9)} <= pairs
    assert len(pairs) >= 0.9 * len(plain)


def test_the_number_of_cores_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core or five: the same pairs, so the same verdicts."""
    vectors = directions(2500)
    found = []
    monkeypatch.setattr(neighbours, "EXACT", 0)
    for cores in (1, 5):
        monkeypatch.setattr(neighbours.os, "cpu_count", lambda cores=cores: cores)
        found.append(correlated(vectors, 0.5).tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("exact", [0, 10_000])
def test_a_thousand_frames_of_one_clip_do_not_make_half_a_million_pairs(
    exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a crowd each keeps its nearest; a pair elsewhere is found all the same."""
    monkeypatch.setattr(neighbours, "EXACT", exact)
    rng = np.random.default_rng(5)
    vectors = directions(3000)
    vectors[1000:2000] = vectors[1000] + 0.01 * rng.normal(size=(1000, vectors.shape[1]))
    vectors[7] = vectors[2900]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = correlated(vectors, 0.5)
    assert len(found) < 3 * neighbours.MOST_ALIKE * 1000
    assert [7, 2900] in found.tolist()
    assert np.isin(np.arange(1000, 2000), found).all()
