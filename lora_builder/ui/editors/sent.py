"""What a browser sent, checked: it can be anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lora_builder.errors import BadInput
from lora_builder.ui.steps import View
from lora_builder.ui.texts import tr

LONGEST = 10_000
"""Characters of a text that a browser may send; no caption and no pattern is longer."""

MOST = 100_000
"""Items of a list that a browser may send; no project has more pictures."""


def text_of(view: View, sent: Mapping[str, Any], name: str, longest: int = LONGEST) -> str:
    """A string. Raises BadInput for anything else."""
    value = sent.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise BadInput(tr("edit_bad_page", view.language))
    return value


def numbers_of(view: View, sent: Mapping[str, Any], name: str, count: int) -> list[float]:
    """`count` finite numbers. Raises BadInput for anything else."""
    value = sent.get(name)
    if not isinstance(value, list) or len(value) != count:
        raise BadInput(tr("edit_bad_page", view.language))
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e12 for n in value):
        raise BadInput(tr("edit_bad_page", view.language))
    if not all(math.isfinite(n) for n in value):
        raise BadInput(tr("edit_bad_page", view.language))
    return [float(n) for n in value]


def names_of(view: View, sent: Mapping[str, Any], name: str) -> list[str]:
    """A list of strings. Raises BadInput for anything else."""
    value = sent.get(name)
    if not isinstance(value, list) or len(value) > MOST or not all(isinstance(item, str) for item in value):
        raise BadInput(tr("edit_bad_page", view.language))
    return value
