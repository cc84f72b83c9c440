"""Which of many vectors lie near each other: all pairs where they are few, cells where they are many.

Up to `EXACT` vectors every pair is looked at, in blocks of matrix products. Beyond, an inverted file
(Jégou et al. 2011): the vectors fall into cells around some of them, and each is compared with those
in the cells nearest to it. `benchmarks/decide.py --growth` says what share of the pairs that finds;
no verdict rests on it, since every pair found is then compared itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from lora_builder.memory import give_back
from lora_builder.records import Floats

BLAS = ThreadpoolController()
"""Products of a few thousand rows take one core milliseconds, and several cores, where others work
too, three times as long: they wait for each other at the end of each. So `limit(limits=1)`; whole
blocks are shared out instead."""

EXACT = 20_000
"""Vectors up to which all pairs are looked at: a second or two on one core."""

MOST_ALIKE = 40
"""Pairs looked for, for each vector: longer bursts than this are rare."""

BLOCK, WIDE = 1024, 16
"""Vectors in a block, and blocks of columns compared with one block of rows: memory stays at some tens
of megabytes."""

PROBES = 16
"""Cells in which a vector's neighbours are looked for, the nearest ones."""

TOGETHER = 4
"""Of those, the ones looked at before what was found is thinned out."""

CELLS = 2.0
"""Cells, times the square root of the number of vectors."""

TRAINED, ROUNDS = 32, 6
"""Vectors for each cell from which the cells' centres are computed, and how often."""

FEW = 1_000_000
"""Pairs that are not worth thinning out."""

Part = TypeVar("Part")
Done = TypeVar("Done")

Pairs = NDArray[np.intp]
"""Shape (n, 2): two indices a row."""

Hits = tuple[NDArray[np.int32], NDArray[np.int32], Floats]
"""Of pairs: the one, the other, their dot product."""


def correlated(vectors: Floats, floor: float, most: int = MOST_ALIKE) -> Pairs:
    """Pairs i < j of unit vectors (n, d) with a dot product of at least `floor`, sorted.

    Of a vector that is near more than `most` others only the nearest so many are sure to be there:
    a thousand frames of one clip do not make half a million pairs.
    """
    with BLAS.limit(limits=1, user_api="blas"):
        if len(vectors) <= EXACT:
            return _all_pairs(vectors, floor, most)
        pairs = _by_cells(vectors, floor, most)
    give_back()
    return pairs


def shared_out(work: Callable[[Part], Done], parts: Iterable[Part]) -> list[Done]:
    """`work` done on each part by as many threads as there are cores; the results in order.

    For numpy's heavy calls, which let other threads run. Which thread does what changes no result.
    """
    todo = list(parts)
    if len(todo) < 2:
        return [work(part) for part in todo]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, todo))


def _all_pairs(vectors: Floats, floor: float, most: int) -> Pairs:
    count = len(vectors)

    def near(row: int) -> Pairs:
        part = vectors[row : row + BLOCK]
        found = [np.empty((0, 2), dtype=np.intp)]
        for column in range(row, count, WIDE * BLOCK):
            alike = part @ vectors[column : column + WIDE * BLOCK].T
            if column == row:
                np.fill_diagonal(alike[:, : len(part)], -1)
            left, right = _hits(alike, alike >= floor, most)
            found.append(np.stack([left + row, right + column], axis=1))
        return np.concatenate(found)

    found = shared_out(near, range(0, max(count, 1), BLOCK))
    return unique_pairs(np.concatenate(found), count)


def _hits(alike: Floats, near: NDArray[np.bool_], most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of what is near; of rows with more than `most` the most alike."""
    left, right = np.divmod(np.flatnonzero(near), alike.shape[1])
    if len(left) > most:
        crowded = np.flatnonzero(np.bincount(left, minlength=len(alike)) > most)
        if len(crowded):
            nearest = np.argpartition(-alike[crowded], most, axis=1)[:, :most]
            plain = ~np.isin(left, crowded)
            left = np.concatenate([left[plain], np.repeat(crowded, most)])
            right = np.concatenate([right[plain], nearest.ravel()])
    return left, right


def unique_pairs(pairs: Pairs, count: int) -> Pairs:
    """The pairs of `count` things, i < j, sorted, each once."""
    low, high = pairs.min(axis=1, initial=count), pairs.max(axis=1, initial=0)
    numbers = np.unique(low * count + high)
    return np.stack(np.divmod(numbers, max(count, 1)), axis=1).astype(np.intp)


@dataclass
class _Nearest:
    """The nearest found so far: rows, who is near them and by how much; `floor` (n,): by vector the
    dot product from which another one is of interest."""

    floor: Floats
    most: int
    rows: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    others: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    alike: Floats = field(default_factory=lambda: np.empty(0, np.float32))

    def add(self, found: Sequence[Hits]) -> None:
        self.rows, self.others, self.alike = (
            np.concatenate(parts) for parts in zip((self.rows, self.others, self.alike), *found, strict=True)
        )

    def thin(self) -> None:
        """Leaves each vector its nearest ones, and asks more of those still to come."""
        order = np.lexsort((self.others, -self.alike, self.rows))
        rows = self.rows[order]
        starts = np.searchsorted(rows, np.arange(len(self.floor)))
        place = np.arange(len(rows)) - starts[rows]
        last = order[place == self.most - 1]
        self.floor[self.rows[last]] = self.alike[last]
        order = order[place < self.most]
        self.rows, self.others, self.alike = self.rows[order], self.others[order], self.alike[order]


def _by_cells(vectors: Floats, floor: float, most: int) -> Pairs:
    count = len(vectors)
    centres = _centres(vectors, int(CELLS * count**0.5))
    blocks = range(0, count, BLOCK)
    near = np.concatenate(shared_out(lambda row: _nearest_cells(vectors[row : row + BLOCK], centres), blocks))
    members = _grouped(near[:, 0], len(centres))
    found = _Nearest(np.full(count, floor, np.float32), most)
    thinned = 0
    for probe in range(0, PROBES, TOGETHER):
        rows = [
            group // TOGETHER for group in _grouped(near[:, probe : probe + TOGETHER].ravel(), len(centres))
        ]

        def compare(cell: int, rows: list[NDArray[np.intp]] = rows) -> Hits:
            own, others = rows[cell], members[cell]
            alike = vectors[own] @ vectors[others].T
            alike[own[:, None] == others] = -1
            left, right = _hits(alike, alike >= found.floor[own, None], most)
            return own[left].astype(np.int32), others[right].astype(np.int32), alike[left, right]

        found.add(shared_out(compare, range(len(centres))))
        if len(found.rows) > 2 * thinned + FEW:
            found.thin()
            thinned = len(found.rows)
    found.thin()
    return unique_pairs(np.stack([found.rows, found.others], axis=1).astype(np.intp), count)


def _grouped(labels: NDArray[np.intp], count: int) -> list[NDArray[np.intp]]:
    """By label 0..count-1 the indices that have it."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, count)))


def _nearest_cells(part: Floats, centres: Floats) -> NDArray[np.intp]:
    """(n, PROBES): the cells nearest to each vector, nearest first."""
    alike = part @ centres.T
    near = np.argpartition(-alike, PROBES, axis=1)[:, :PROBES]
    order = np.argsort(-np.take_along_axis(alike, near, axis=1), axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1).astype(np.intp)


def _centres(vectors: Floats, count: int) -> Floats:
    """Unit vectors in the midst of evenly taken ones (spherical k-means)."""
    sample = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), TRAINED * count)).astype(np.intp)]
    centres: Floats = sample[np.linspace(0, len(sample) - 1, count).astype(np.intp)].copy()

    def nearest(row: int) -> NDArray[np.intp]:
        labels: NDArray[np.intp] = (sample[row : row + BLOCK] @ centres.T).argmax(axis=1)
        return labels

    for _ in range(ROUNDS):
        labels = np.concatenate(shared_out(nearest, range(0, len(sample), BLOCK)))
        order = np.argsort(labels, kind="stable")
        there, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts)
        centres[there] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres
