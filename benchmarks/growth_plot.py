"""A plot of growth, both axes logarithmic, as an SVG that needs nothing to be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

WIDTH, HEIGHT, MARGIN = 640, 400, 64

SECONDS, MEMORY, GREY = "#4f46e5", "#16a34a", "#6b7280"


class Timed(Protocol):
    """What one step took, seconds of the processor."""

    work: float


class Size(Protocol):
    """One size that was run."""

    photos: int
    peak: float
    steps: dict[str, Timed]


def plotted(results: Sequence[Size]) -> str:
    """Seconds of the processor for the first decision, and MiB at the peak, over the number of photos."""
    photos = [result.photos for result in results]
    seconds = [result.steps["gather"].work + result.steps["decide"].work for result in results]
    memory = [result.peak for result in results]
    low, high = math.floor(math.log10(min(photos))), math.ceil(math.log10(max(photos)))
    least, most = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(*seconds, *memory)))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / max(high - low, 1)
        up = (math.log10(y) - least) / max(most - least, 1)
        return MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for power in range(low, high + 1):
        x, y = place(10**power, 10**least)
        parts.append(_line(x, MARGIN, x, y) + _text(x, y + 18, f"{10**power:,}", "middle"))
    for power in range(least, most + 1):
        x, y = place(10**low, 10**power)
        parts.append(_line(x, y, WIDTH - MARGIN, y) + _text(x - 8, y + 4, f"{10.0**power:,g}", "end"))
    for name, values, colour in (("seconds", seconds, SECONDS), ("MiB", memory, MEMORY)):
        points = [place(x, y) for x, y in zip(photos, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
        parts.append(_text(points[-1][0] + 8, points[-1][1] + 4, name, "start", colour))
    parts.append(
        _text(WIDTH / 2, HEIGHT - 16, "photos decided at once, the first time", "middle") + "</svg>\n"
    )
    return "\n".join(parts)


def _line(x: float, y: float, x2: float, y2: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e5e7eb"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = GREY) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
