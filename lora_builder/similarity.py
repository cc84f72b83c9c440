"""How alike two small grey pictures are, for many pairs at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lora_builder.records import Floats

WINDOW = 8
"""Side of the windows, pixels; they tile the picture. (Wang et al. 2004 use 8x8 windows too.)"""

C1, C2 = 0.01**2, 0.03**2
"""SSIM's stabilisers for values 0..1 (Wang et al. 2004)."""

CONTRAST_FLOOR = 4.0
"""Grey levels of standard deviation below which a picture is flat, and not stretched further."""

CHUNK = 2048
"""Pairs compared at a time; bounds memory to tens of megabytes."""

Pairs = NDArray[np.intp]
"""Shape (n, 2): two indices a row."""


def normalised(greys: NDArray[np.uint8]) -> Floats:
    """Tone taken out: each picture of (n, side, side) at mean 0.5 and standard deviation 0.25."""
    flat = greys.reshape(len(greys), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("np,np->n", flat, flat) / flat.shape[1])
    flat *= (0.25 / np.maximum(deviation, CONTRAST_FLOOR))[:, None]
    flat += 0.5
    return flat.reshape(greys.shape)


def ssim(greys: NDArray[np.uint8], pairs: Pairs) -> Floats:
    """Structural similarity of pairs among `greys` (n, side, side), blind to brightness and contrast.

    Returns shape (len(pairs),), -1..1; 1 is identical. SSIM of Wang et al. 2004 over tiling windows
    instead of sliding ones: window sums are then computed once a picture, not once a pair.
    """
    result = np.empty(len(pairs), dtype=np.float32)
    for begin in range(0, len(pairs), CHUNK):
        part = pairs[begin : begin + CHUNK]
        index, inverse = np.unique(part, return_inverse=True)
        windows = _windows(normalised(greys[index]))
        mean, variance = windows.mean(axis=2), windows.var(axis=2)
        left, right = inverse.reshape(part.shape).T
        product = np.einsum("nwp,nwp->nw", windows[left], windows[right]) / windows.shape[2]
        covariance = product - mean[left] * mean[right]
        likeness = (2 * mean[left] * mean[right] + C1) * (2 * covariance + C2)
        bound = (mean[left] ** 2 + mean[right] ** 2 + C1) * (variance[left] + variance[right] + C2)
        result[begin : begin + CHUNK] = (likeness / bound).mean(axis=1)
    return result


def correlated(vectors: Floats, floor: float, block: int = 1024) -> Pairs:
    """Pairs i < j of unit vectors (n, d) with a dot product of at least `floor`."""
    return _upper_pairs(
        len(vectors), block, lambda rows, columns: vectors[rows] @ vectors[columns].T >= floor
    )


def close_hashes(hashes: NDArray[np.uint64], most: int, block: int = 1024) -> Pairs:
    """Pairs i < j of 64-bit hashes (n,) that differ in at most `most` bits."""
    return _upper_pairs(
        len(hashes),
        block,
        lambda rows, columns: np.bitwise_count(hashes[rows, None] ^ hashes[None, columns]) <= most,
    )


def _upper_pairs(count, block, close) -> Pairs:  # type: ignore[no-untyped-def]
    found = [np.empty((0, 2), dtype=np.intp)]
    for row in range(0, count, block):
        for column in range(row, count, block):
            rows, columns = slice(row, row + block), slice(column, column + block)
            hits = np.argwhere(close(rows, columns)) + np.array([row, column])
            found.append(hits[hits[:, 0] < hits[:, 1]])
    return np.concatenate(found)


def _windows(pictures: Floats) -> Floats:
    """(n, side, side) to (n, windows, pixels of a window)."""
    count, side, _ = pictures.shape
    tiles = side // WINDOW
    shaped = pictures.reshape(count, tiles, WINDOW, tiles, WINDOW).swapaxes(2, 3)
    return np.ascontiguousarray(shaped.reshape(count, tiles * tiles, WINDOW * WINDOW))
