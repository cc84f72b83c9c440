"""How alike small grey pictures are, for many pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lora_builder.records import Floats

WINDOW = 8
"""Side of the windows, pixels; they tile the picture. (Wang et al. 2004 use 8x8 windows too.)"""

C1, C2 = 0.01**2, 0.03**2
"""SSIM's stabilisers for values 0..1 (Wang et al. 2004)."""

CONTRAST_FLOOR = 4.0
"""Grey levels of standard deviation below which a picture is flat, and not stretched further."""

CHUNK = 32
"""Pairs compared at a time: few, so that what they need stays in the processor's cache."""

FREQUENCIES = 7
"""The spectrum keeps so many by so many of the lowest cosine frequencies (pHash keeps 8 by 8)."""

TURNS: tuple[tuple[bool, bool, bool], ...] = (
    (False, False, True),
    (False, True, False),
    (False, True, True),
    (True, False, False),
    (True, False, True),
    (True, True, False),
    (True, True, True),
)
"""The seven ways to lay a square picture other than upright: (transposed, flipped up, flipped over)."""

LEAST_OVERLAP = 0.4
"""Share of the windows that two shifted pictures must have in common."""

MOST_ALIKE = 40
"""Pairs looked for, for each picture and the later ones: longer bursts than this are rare."""

WIDE = 16
"""Blocks of columns compared with one block of rows: memory stays at some tens of megabytes."""

Greys = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
"""Pictures (side, side), by index."""

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


def ssim(greys: Greys, pairs: Pairs) -> Floats:
    """Structural similarity of pairs among `greys`, blind to brightness and contrast.

    Returns shape (len(pairs),), -1..1; 1 is identical. SSIM of Wang et al. 2004 over tiling windows
    instead of sliding ones: window sums are then computed once a picture, not once a pair.
    """

    def compare(left: Floats, right: Floats) -> Floats:
        one, other = _windows(left), _windows(right)
        result: Floats = _likeness(one, other, np.ones(one.shape[-1], np.float32)).mean(axis=1)
        return result

    return _each_pair(greys, pairs, compare)


def ssim_shifted(greys: Greys, pairs: Pairs) -> Floats:
    """`ssim` of what two pictures have in common after the best shift; -1 where that is too little.

    The shift is where their circular cross-correlation peaks: a hand that moved between two frames.
    """
    return _each_pair(greys, pairs, _compare_shifted)


def ssim_turned(greys: Greys, pairs: Pairs, turns: NDArray[np.intp]) -> Floats:
    """`ssim` of the first picture of each pair with the second one laid as `TURNS[turns[i]]`."""
    result = np.empty(len(pairs), dtype=np.float32)
    for turn in np.unique(turns):
        rows = np.flatnonzero(turns == turn)
        laid = [lay(greys[second], TURNS[turn]) for second in pairs[rows, 1]]
        both = [*(greys[first] for first in pairs[rows, 0]), *laid]
        count = len(rows)
        result[rows] = ssim(both, np.stack([np.arange(count), np.arange(count) + count], axis=1))
    return result


def lay(grey: NDArray[np.uint8], turn: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    """A square picture transposed, flipped upside down, flipped left to right, in this order."""
    transposed, up, over = turn
    grey = grey.T if transposed else grey
    grey = grey[::-1] if up else grey
    return grey[:, ::-1] if over else grey


def spectra(greys: Greys) -> Floats:
    """Unit vectors (n, 48) of the lowest cosine frequencies without the mean: dot products are
    correlations of the blurred pictures."""
    side = greys[0].shape[0] if len(greys) else 8
    steps = (np.arange(side) + 0.5) * np.pi / side
    basis = np.cos(np.arange(FREQUENCIES)[:, None] * steps).astype(np.float32)
    basis[0] *= np.sqrt(0.5)
    result = np.empty((len(greys), FREQUENCIES**2 - 1), dtype=np.float32)
    for begin in range(0, len(greys), CHUNK):
        part = np.asarray(greys[begin : begin + CHUNK]).astype(np.float32)
        result[begin : begin + CHUNK] = (basis @ part @ basis.T).reshape(len(part), FREQUENCIES**2)[:, 1:]
    return _unit(result)


def spectra_turned(vectors: Floats, turn: tuple[bool, bool, bool]) -> Floats:
    """The spectra of the pictures laid so: flips turn the signs of odd frequencies."""
    transposed, up, over = turn
    table = np.concatenate([np.zeros((len(vectors), 1), np.float32), vectors], axis=1)
    table = table.reshape(-1, FREQUENCIES, FREQUENCIES)
    table = table.swapaxes(1, 2) if transposed else table
    sign = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    table = table * (sign[:, None] if up else 1) * (sign[None, :] if over else 1)
    result: Floats = table.reshape(len(vectors), FREQUENCIES**2)[:, 1:].astype(np.float32)
    return result


def spectra_unturned(vectors: Floats) -> Floats:
    """Unit vectors that are the same however the picture is laid: of how much there is of each pair of
    frequencies, beyond what falls off in every picture."""
    table = np.concatenate([np.zeros((len(vectors), 1), np.float32), vectors], axis=1)
    table = np.abs(table.reshape(len(vectors), FREQUENCIES, FREQUENCIES))
    rows, columns = np.triu_indices(FREQUENCIES)
    rows, columns = rows[1:], columns[1:]
    usual = _unit((1 / np.hypot(rows, columns)[None]).astype(np.float32))
    even = (table + table.swapaxes(1, 2))[:, rows, columns]
    odd = np.abs(table - table.swapaxes(1, 2))[:, rows, columns]
    rest = np.concatenate([even - (even @ usual.T) * usual, odd - (odd @ usual.T) * usual], axis=1)
    return _unit(rest)


def _unit(vectors: Floats) -> Floats:
    result: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return result


def correlated(vectors: Floats, floor: float, block: int = 1024, most: int = MOST_ALIKE) -> Pairs:
    """Pairs i < j of unit vectors (n, d) with a dot product of at least `floor`.

    Of a vector that is near more than `most` others in one stretch of `WIDE` blocks, only the nearest
    so many are taken: a thousand frames of one clip do not make half a million pairs.
    """
    found = [np.empty((0, 2), dtype=np.intp)]
    for row in range(0, len(vectors), block):
        part = vectors[row : row + block]
        for column in range(row, len(vectors), WIDE * block):
            alike = part @ vectors[column : column + WIDE * block].T
            if column == row:
                np.fill_diagonal(alike[:, : len(part)], -1)
            left, right = np.divmod(np.flatnonzero(alike >= floor), alike.shape[1])
            crowded = np.flatnonzero(np.bincount(left, minlength=len(part)) > most)
            if len(crowded):
                near = np.argpartition(-alike[crowded], most, axis=1)[:, :most]
                plain = ~np.isin(left, crowded)
                left = np.concatenate([left[plain], np.repeat(crowded, most)])
                right = np.concatenate([right[plain], near.ravel()])
            found.append(np.sort(np.stack([left + row, right + column], axis=1), axis=1))
    result: Pairs = np.unique(np.concatenate(found), axis=0)
    return result


def _each_pair(greys: Greys, pairs: Pairs, compare: Callable[[Floats, Floats], Floats]) -> Floats:
    result = np.empty(len(pairs), dtype=np.float32)
    for begin in range(0, len(pairs), CHUNK):
        part = pairs[begin : begin + CHUNK]
        index, inverse = np.unique(part, return_inverse=True)
        pictures = normalised(np.array([greys[i] for i in index]))
        left, right = inverse.reshape(part.shape).T
        result[begin : begin + CHUNK] = compare(pictures[left], pictures[right])
    return result


def _likeness(one: Floats, other: Floats, weights: Floats) -> Floats:
    """SSIM of windows (n, windows, pixels), each pixel with its weight."""
    count = np.maximum(weights.sum(axis=-1), 1e-6)
    mean, mean2 = ((w * weights).sum(axis=-1) / count for w in (one, other))
    first, second = one - mean[..., None], other - mean2[..., None]
    variance, variance2, covariance = (
        (a * b * weights).sum(axis=-1) / count for a, b in ((first, first), (second, second), (first, second))
    )
    result: Floats = ((2 * mean * mean2 + C1) * (2 * covariance + C2)) / (
        (mean**2 + mean2**2 + C1) * (variance + variance2 + C2)
    )
    return result


def _compare_shifted(left: Floats, right: Floats) -> Floats:
    count, side, _ = left.shape
    spectrum = np.fft.rfft2(left - 0.5) * np.conj(np.fft.rfft2(right - 0.5))
    peak = np.fft.irfft2(spectrum, s=(side, side)).reshape(count, -1).argmax(axis=1)
    down, over = ((step + side // 2) % side - side // 2 for step in np.divmod(peak, side))
    rows, columns = np.arange(side) - down[:, None], np.arange(side) - over[:, None]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    moved = right[
        np.arange(count)[:, None, None],
        rows.clip(0, side - 1)[:, :, None],
        columns.clip(0, side - 1)[:, None, :],
    ]
    weights = inside.astype(np.float32)
    one, other = (_toned(picture, weights) for picture in (left, moved))
    whole = _windows(weights).mean(axis=2) > 0.99
    likeness = _likeness(_windows(one), _windows(other), np.ones(WINDOW * WINDOW, np.float32))
    share = whole.mean(axis=1)
    mean = (likeness * whole).sum(axis=1) / np.maximum(whole.sum(axis=1), 1)
    result: Floats = np.where(share >= LEAST_OVERLAP, mean, -1).astype(np.float32)
    return result


def _toned(pictures: Floats, weights: Floats) -> Floats:
    """Mean 0.5 and standard deviation 0.25 again, over the pixels that count."""
    count = np.maximum(weights.sum(axis=(1, 2), keepdims=True), 1)
    pictures = pictures - (pictures * weights).sum(axis=(1, 2), keepdims=True) / count
    deviation = np.sqrt((pictures**2 * weights).sum(axis=(1, 2), keepdims=True) / count)
    result: Floats = pictures * (0.25 / np.maximum(deviation, 0.02)) + 0.5
    return result


def _windows(pictures: Floats) -> Floats:
    """(n, side, side) to (n, windows, pixels of a window)."""
    count, side, _ = pictures.shape
    tiles = side // WINDOW
    shaped = pictures.reshape(count, tiles, WINDOW, tiles, WINDOW).swapaxes(2, 3)
    return np.ascontiguousarray(shaped.reshape(count, tiles * tiles, WINDOW * WINDOW))
