"""Made-up photos and their measurements, as many as wanted, in the shape of real ones.

The shape was measured on ../shared/photos/people: how fast a picture's frequencies fall off, how
alike strangers' faces and one person's are, how many faces a photo has. One photo in ten is the
next frame of a burst, one in thirty a smaller copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lora_builder.records import Body, Box, Exposure, Face, HeadPose, Measurement, Photo, Source

BATCH = 512
"""Photos made at a time, each batch from a seed of its own, so that any number starts alike."""

FREQUENCIES, FALL = 16, 1.9
"""Cosine frequencies of a picture each way, and the power by which their energy falls (measured 1.92)."""

KINDS, KINDRED = 40, 0.3
"""Kinds of scene (a head before a wall, a person in a street), and how much of a picture is its kind:
of unrelated photos 0.05% correlate by 0.8 or more when blurred (measured 0.05%)."""

EMBEDDED, RECOGNISED = 128, 44
"""Numbers of an embedding, and in how many directions they really vary: strangers' cosines reach 0.25
in one pair of twenty."""

OWN, SESSION = (0.1, 1.1), 0.4
"""How far a face is from its person's mean, by itself (from, to) and with its session: one person's
cosines are 0.44, 0.66 and 0.82 at the 5th, 50th and 95th percentile (measured 0.33, 0.66, 0.85)."""

FACES = (0.01, 0.77, 0.15, 0.07)
"""How often a photo has none, one, two and three."""

STRANGERS = 0.001
"""Other people there are, for each photo; each is in several."""

SIDE = 64
"""Of the grey pictures."""

MARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
"""Eyes, nose, corners of the mouth, as shares of the face box."""


def made_up(count: int) -> Iterator[tuple[Photo, Measurement]]:
    """`count` photos and their measurements: half of them one person's, the rest strangers'."""
    people = max(20, int(count * STRANGERS))
    shared = np.random.default_rng(0)
    directions = np.linalg.qr(shared.normal(size=(EMBEDDED, RECOGNISED)))[0]
    means = shared.normal(size=(people + 1, RECOGNISED))
    kinds = shared.normal(size=(KINDS, FREQUENCIES, FREQUENCIES))
    for first in range(0, count, BATCH):
        yield from _batch(first, min(BATCH, count - first), means @ directions.T, kinds)


def _batch(
    first: int, count: int, means: NDArray[np.float64], kinds: NDArray[np.float64]
) -> Iterator[tuple[Photo, Measurement]]:
    rng = np.random.default_rng((7, first))
    kind = kinds[rng.integers(0, len(kinds), count)]
    scenes = _pictures(np.sqrt(KINDRED) * kind + np.sqrt(1 - KINDRED) * rng.normal(size=kind.shape))
    number = rng.choice(4, count, p=FACES)
    who = np.where(rng.random(count) < 0.5, 0, rng.integers(1, len(means), count))
    looks = _pictures(rng.normal(size=(count, FREQUENCIES, FREQUENCIES)) + 0.3 * kinds[0])
    sessions = rng.normal(size=(count // 20 + 1, EMBEDDED))
    previous: Measurement | None = None
    for i in range(count):
        sha256 = f"{first + i:064x}"
        draw = rng.random()
        if previous is not None and draw < 0.1:
            look = _next_frame(previous, sha256, rng)
        elif previous is not None and draw < 0.133:
            look = _smaller_copy(previous, sha256, rng)
        else:
            faces = tuple(
                _face(means[int(who[i]) if f == 0 else int(rng.integers(1, len(means)))],
                      sessions[i // 20], looks[(i + 97 * f) % count], f, rng)
                for f in range(number[i])
            )  # fmt: skip
            look = _measurement(sha256, scenes[i], faces, rng)
        previous = look
        name = f"{first + i:07d}.jpg"
        size = int(rng.integers(400_000, 6_000_000))
        yield Photo(Source(name, Path("/made-up") / name), sha256, size), look


def _pictures(noise: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey pictures (n, 64, 64) of cosine frequencies that fall off as real ones do."""
    steps = (np.arange(SIDE) + 0.5) * np.pi / SIDE
    basis = np.cos(np.arange(FREQUENCIES)[:, None] * steps).astype(np.float32)
    rows, columns = np.mgrid[:FREQUENCIES, :FREQUENCIES]
    amplitude = np.maximum(np.hypot(rows, columns), 1) ** (-FALL / 2)
    amplitude[0, 0] = 0
    waves = (noise * amplitude).astype(np.float32)
    halves = np.where(np.arange(FREQUENCIES) > 0, 0.5, 1.0)
    spread = np.sqrt((waves**2 * halves[:, None] * halves).sum(axis=(1, 2), keepdims=True))
    pictures = basis.T @ (waves * (50 / spread)).astype(np.float32) @ basis
    return np.clip(pictures + 120, 0, 255).astype(np.uint8)


def _face(
    mean: NDArray[np.float64],
    session: NDArray[np.float64],
    grey: NDArray[np.uint8],
    rank: int,
    rng: np.random.Generator,
) -> Face:
    vector = mean / np.linalg.norm(mean) + SESSION * session / np.linalg.norm(session)
    own = rng.normal(size=EMBEDDED)
    vector = vector + rng.uniform(*OWN) * own / np.linalg.norm(own)
    side = float(rng.integers(250, 500)) * 0.7**rank
    x = float(rng.integers(100, 1400)) if rank == 0 else float(rng.integers(1600, 2400))
    box = Box(x, float(rng.integers(100, 1500)), side, 1.25 * side)
    return Face(
        box, (MARKS * side).astype(np.float32), 0.9, (vector / np.linalg.norm(vector)).astype(np.float32),
        HeadPose(float(rng.normal(0, 20)), float(rng.normal(0, 8)), float(rng.normal(0, 6))), grey,
        float(rng.lognormal(-0.9, 0.5)), float(np.clip(rng.normal(0.5, 0.12), 0.05, 0.95)),
        float(rng.beta(8, 2)), float(rng.beta(2, 3)), float(rng.beta(2, 8)),
    )  # fmt: skip


def _measurement(
    sha256: str, grey: NDArray[np.uint8], faces: tuple[Face, ...], rng: np.random.Generator
) -> Measurement:
    exposure = Exposure(float(rng.normal(0.45, 0.1)), 0.2, 0.02, 0.02)
    bodies = tuple(
        Body(np.ones((33, 3), np.float32), face.box.padded(1, 0.5, 1, 3).clamped(3000, 3000), i)
        for i, face in enumerate(faces[:2])
    )
    return Measurement(
        sha256, 3000, 3000, "JPEG", float(rng.integers(0, 10**8)), int(rng.integers(0, 2**63)), grey,
        float(rng.lognormal(-0.7, 0.5)), exposure, faces, bodies, (), None,
        rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), int(rng.integers(60, 97)),
    )  # fmt: skip


def _next_frame(look: Measurement, sha256: str, rng: np.random.Generator) -> Measurement:
    """An instant later: everything moved a little, the face as well recognised."""
    shift = tuple(int(step) for step in rng.integers(-3, 4, 2))
    faces = tuple(
        replace(face, grey=_noisy(face.grey, rng), embedding=_near(face, rng)) for face in look.faces
    )
    return replace(
        look, sha256=sha256, faces=faces, grey=_noisy(np.roll(look.grey, shift, (0, 1)), rng),
        phash=look.phash ^ int(rng.integers(0, 2**24)), captured_at=(look.captured_at or 0.0) + 1,
    )  # fmt: skip


def _smaller_copy(look: Measurement, sha256: str, rng: np.random.Generator) -> Measurement:
    faces = tuple(replace(face, box=face.box.scaled(0.6), embedding=_near(face, rng)) for face in look.faces)
    bodies = tuple(replace(body, extent=body.extent.scaled(0.6)) for body in look.bodies)
    return replace(
        look, sha256=sha256, width=1800, height=1800, faces=faces, bodies=bodies,
        grey=_noisy(look.grey, rng), phash=look.phash ^ (1 << int(rng.integers(0, 63))), captured_at=None,
    )  # fmt: skip


def _noisy(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(grey + rng.normal(0, 3, grey.shape), 0, 255).astype(np.uint8)


def _near(face: Face, rng: np.random.Generator) -> NDArray[np.float32]:
    vector = face.embedding + 0.02 * rng.normal(size=len(face.embedding))
    result: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return result
