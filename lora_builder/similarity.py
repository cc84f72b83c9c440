"""How alike small grey pictures are, for many pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from lora_builder.looks import Pictures
from lora_builder.neighbours import Pairs, shared_out
from lora_builder.records import Floats

WINDOW = 8
"""Side of the windows, pixels; they tile the picture. (Wang et al. 2004 use 8x8 windows too.)"""

C1, C2 = 0.01**2, 0.03**2
"""SSIM's stabilisers for values 0..1 (Wang et al. 2004)."""

CONTRAST_FLOOR = 4.0
"""Grey levels of standard deviation below which a picture is flat, and not stretched further."""

CHUNK = 32
"""Pairs compared at a time: few, so that what they need stays in the processor's cache."""

SKETCHES = 256
"""Pairs of sketches compared at a time, for the same reason."""

LOT = 4096
"""Pairs, or pictures, that one core works on before it takes the next."""

FREQUENCIES = 7
"""The spectrum keeps so many by so many of the lowest cosine frequencies (pHash keeps 8 by 8)."""

SKETCHED, SURROUNDINGS = 16, 3
"""Side of a sketch, and of the square around each of its pixels, pixels."""

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

Number = TypeVar("Number", np.float16, np.float32)

Sketches = NDArray[np.float16]

Greys = Pictures | Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
"""Pictures (side, side), by index."""


def normalised(greys: NDArray[np.uint8]) -> Floats:
    """Tone taken out: each picture of (n, side, side) at mean 0 and standard deviation 0.25."""
    flat = greys.reshape(len(greys), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("np,np->n", flat, flat) / flat.shape[1])
    flat *= (0.25 / np.maximum(deviation, CONTRAST_FLOOR))[:, None]
    return flat.reshape(greys.shape)


def ssim(greys: Greys, pairs: Pairs) -> Floats:
    """Structural similarity of pairs among `greys`, blind to brightness and contrast.

    Returns shape (len(pairs),), -1..1; 1 is identical. SSIM of Wang et al. 2004 over tiling windows
    instead of sliding ones: window sums are then computed once a picture, not once a pair.
    """
    return _each_pair(greys, pairs, _compare)


def ssim_shifted(greys: Greys, pairs: Pairs) -> Floats:
    """`ssim` of what two pictures have in common after the best shift; -1 where that is too little.

    The shift is where their circular cross-correlation peaks: a hand that moved between two frames.
    """
    return _each_pair(greys, pairs, _compare_shifted)


def sketches(greys: Greys, rows: NDArray[np.intp]) -> Sketches:
    """Unit pictures (n, 16, 16) of what stands out from its surroundings in these pictures: made small, with
    the local mean taken out and the local contrast evened (Jarrett et al. 2009). Half precision will do."""
    if not len(rows):
        return np.empty((0, SKETCHED, SKETCHED), np.float16)
    return _each_picture(greys, rows, _sketched)


def _sketched(pictures: NDArray[np.uint8]) -> Sketches:
    count, step = len(pictures), pictures.shape[1] // SKETCHED
    tiles = pictures.reshape(count, SKETCHED, step, SKETCHED, step).astype(np.float32)
    small = tiles.mean(axis=(2, 4))
    mean, square = (
        ndimage.uniform_filter(values, SURROUNDINGS, axes=(1, 2), mode="nearest")
        for values in (small, small * small)
    )
    contrast = np.maximum(small.reshape(count, -1).std(axis=1), CONTRAST_FLOOR)[:, None, None]
    # Where a window has less contrast than this, SSIM calls it flat: pictures are compared at 0.25.
    flat = C2**0.5 / 0.25 * contrast
    outstanding = (small - mean) / np.maximum(np.sqrt(np.maximum(square - mean * mean, 0)), flat)
    outstanding -= outstanding.mean(axis=(1, 2), keepdims=True)
    return _unit(outstanding.reshape(count, -1)).reshape(outstanding.shape).astype(np.float16)


def correlation_shifted(drawn: Sketches, pairs: Pairs) -> Floats:
    """Correlation of pairs of sketches after the circular shift that makes it largest, -1..1."""
    result = np.empty(len(pairs), np.float32)
    for begin in range(0, len(pairs), SKETCHES):
        left, right = (
            fft.rfft2(drawn[rows].astype(np.float32)) for rows in pairs[begin : begin + SKETCHES].T
        )
        crossed = fft.irfft2(left * np.conj(right), s=(SKETCHED, SKETCHED))
        result[begin : begin + SKETCHES] = crossed.max(axis=(1, 2))
    return result


def ssim_turned(greys: Greys, pairs: Pairs, turns: NDArray[np.intp]) -> Floats:
    """`ssim` of the first picture of each pair with the second one laid as `TURNS[turns[i]]`."""
    result = np.empty(len(pairs), dtype=np.float32)
    for turn in np.unique(turns):
        rows = np.flatnonzero(turns == turn)
        for begin in range(0, len(rows), CHUNK):
            part = rows[begin : begin + CHUNK]
            laid = [lay(grey, TURNS[turn]) for grey in _chosen(greys, pairs[part, 1])]
            both = np.concatenate([_chosen(greys, pairs[part, 0]), laid])
            first = np.arange(len(part))
            result[part] = ssim(both, np.stack([first, first + len(part)], axis=1))
    return result


def lay(grey: NDArray[np.uint8], turn: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    """A square picture transposed, flipped upside down, flipped left to right, in this order."""
    transposed, up, over = turn
    grey = grey.T if transposed else grey
    grey = grey[::-1] if up else grey
    return grey[:, ::-1] if over else grey


def spectra(greys: Greys, rows: NDArray[np.intp] | None = None) -> Floats:
    """Unit vectors (n, 48) of the lowest cosine frequencies without the mean: dot products are
    correlations of the blurred pictures. `rows`: of which pictures; default all."""
    rows = np.arange(len(greys)) if rows is None else rows
    if not len(rows):
        return np.empty((0, FREQUENCIES**2 - 1), np.float32)
    return _unit(_each_picture(greys, rows, _waves))


def _each_picture(
    greys: Greys, rows: NDArray[np.intp], made: Callable[[NDArray[np.uint8]], NDArray[Number]]
) -> NDArray[Number]:
    """What is made of each of these pictures, a chunk at a time, by all cores."""

    def lot(begin: int) -> NDArray[Number]:
        chunks = range(begin, min(begin + LOT, len(rows)), CHUNK)
        return np.concatenate([made(_chosen(greys, rows[i : i + CHUNK])) for i in chunks])

    return np.concatenate(shared_out(lot, range(0, len(rows), LOT)))


def _waves(pictures: NDArray[np.uint8]) -> Floats:
    """The lowest cosine frequencies (n, 48) of pictures (n, side, side), without the mean."""
    count, side = len(pictures), pictures.shape[1]
    steps = (np.arange(side) + 0.5) * np.pi / side
    basis = np.cos(np.arange(FREQUENCIES)[:, None] * steps).astype(np.float32)
    basis[0] *= np.sqrt(0.5)
    across = pictures.reshape(-1, side).astype(np.float32) @ basis.T
    result: Floats = (basis @ across.reshape(count, side, FREQUENCIES)).reshape(count, -1)[:, 1:]
    return result


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


def _chosen(greys: Greys, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Those pictures, (n, side, side)."""
    if isinstance(greys, Pictures):
        return greys.take(rows)
    return greys[rows] if isinstance(greys, np.ndarray) else np.array([greys[row] for row in rows])


Comparison = Callable[[Floats, NDArray[np.intp], NDArray[np.intp]], Floats]
"""From normalised pictures and the places of each pair's two among them to how alike they are."""


def _each_pair(greys: Greys, pairs: Pairs, compare: Comparison) -> Floats:
    result = np.empty(len(pairs), dtype=np.float32)
    for begin in range(0, len(pairs), CHUNK):
        part = pairs[begin : begin + CHUNK]
        index, inverse = np.unique(part, return_inverse=True)
        left, right = inverse.reshape(part.shape).T
        result[begin : begin + CHUNK] = compare(normalised(_chosen(greys, index)), left, right)
    return result


def _compare(pictures: Floats, left: NDArray[np.intp], right: NDArray[np.intp]) -> Floats:
    mean, square = _pooled(pictures), _pooled(pictures * pictures)
    product = _pooled(pictures[left] * pictures[right])
    likeness = _likeness((mean[left], mean[right]), (square[left], square[right]), product)
    result: Floats = likeness.mean(axis=(1, 2))
    return result


def _compare_shifted(pictures: Floats, left: NDArray[np.intp], right: NDArray[np.intp]) -> Floats:
    side = pictures.shape[1]
    spectrum = fft.rfft2(pictures)
    crossed = fft.irfft2(spectrum[left] * np.conj(spectrum[right]), s=(side, side))
    peak = crossed.reshape(len(left), -1).argmax(axis=1)
    down, over = ((step + side // 2) % side - side // 2 for step in np.divmod(peak, side))
    rows, columns = np.arange(side) - down[:, None], np.arange(side) - over[:, None]
    tall, wide = ((places >= 0) & (places < side) for places in (rows, columns))
    whole: NDArray[np.bool_] = _all_of(tall)[:, :, None] & _all_of(wide)[:, None, :]
    one, other = np.zeros((2, len(left), side, side), np.float32)
    for i, (d, o) in enumerate(zip(down.tolist(), over.tolist(), strict=True)):
        place = np.s_[max(d, 0) : side + min(d, 0), max(o, 0) : side + min(o, 0)]
        one[i][place] = pictures[left[i]][place]
        other[i][place] = pictures[right[i], max(-d, 0) : side - max(d, 0), max(-o, 0) : side - max(o, 0)]
    # Tone is taken out again, over the pixels that count: on the windows' sums, not on the pixels.
    count = ((side - np.abs(down)) * (side - np.abs(over))).astype(np.float32)[:, None, None]
    sums, squares, scales = [], [], []
    for picture in (one, other):
        mean, square = _pooled(picture), _pooled(picture * picture)
        centre = WINDOW**2 * mean.sum(axis=(1, 2), keepdims=True) / count
        variance = WINDOW**2 * square.sum(axis=(1, 2), keepdims=True) / count - centre**2
        scale = 0.25 / np.maximum(np.sqrt(np.maximum(variance, 0)), 0.02)
        sums.append((mean - centre) * scale)
        squares.append((square - 2 * centre * mean + centre**2) * scale**2)
        scales.append((centre, scale, mean))
    (centre, scale, mean), (centre2, scale2, mean2) = scales
    product = (_pooled(one * other) - centre * mean2 - centre2 * mean + centre * centre2) * scale * scale2
    likeness = _likeness((sums[0], sums[1]), (squares[0], squares[1]), product)
    together = (likeness * whole).sum(axis=(1, 2)) / np.maximum(whole.sum(axis=(1, 2)), 1)
    result: Floats = np.where(whole.mean(axis=(1, 2)) >= LEAST_OVERLAP, together, -1).astype(np.float32)
    return result


def _likeness(means: tuple[Floats, Floats], squares: tuple[Floats, Floats], product: Floats) -> Floats:
    """SSIM by window, from the windows' means, mean squares and mean products, around mid-grey."""
    mean, mean2 = means
    variance, variance2 = squares[0] - mean * mean, squares[1] - mean2 * mean2
    covariance = product - mean * mean2
    light, light2 = mean + 0.5, mean2 + 0.5
    alike = (2 * light * light2 + C1) * (2 * covariance + C2)
    most = (light * light + light2 * light2 + C1) * (variance + variance2 + C2)
    return (alike / most).astype(np.float32, copy=False)


def _pooled(pictures: Floats) -> Floats:
    """The means of the windows: (n, side, side) to (n, tiles, tiles)."""
    count, side, _ = pictures.shape
    tiles = side // WINDOW
    pool = np.repeat(np.eye(tiles, dtype=np.float32), WINDOW, axis=0) / np.float32(WINDOW)
    across = (pictures.reshape(-1, side) @ pool).reshape(count, side, tiles)
    result: Floats = pool.T @ across
    return result


def _all_of(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Along one axis, (n, side) to (n, tiles): which windows lie wholly inside."""
    result: NDArray[np.bool_] = np.logical_and.reduce(inside.reshape(len(inside), -1, WINDOW), axis=2)
    return result
