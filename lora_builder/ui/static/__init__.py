"""The scripts and styles of the page's own components; each script is read by one `gr.HTML`."""

from __future__ import annotations

import functools
from pathlib import Path

FOLDER = Path(__file__).parent


@functools.cache
def script(*names: str) -> str:
    """`dom.js` and the scripts, one after the other, for `js_on_load`."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in ("dom.js", *names))


@functools.cache
def read(name: str) -> str:
    """One of the files here, as text."""
    return (FOLDER / name).read_text(encoding="utf-8")
