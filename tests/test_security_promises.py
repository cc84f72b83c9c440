"""SECURITY.md promises only what a test proves."""

from __future__ import annotations

import re
from pathlib import Path

from lora_builder.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_exists() -> None:
    """A test that is renamed or dropped takes its promise along, or fails here."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    exist = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40 and named <= exist, sorted(named - exist)
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]
    assert all("`test_" in line for line in rows)


def test_settings_and_files_that_it_names_exist() -> None:
    """LOGIN, SHARE, the fuzzer, the fence: what the page speaks of is there."""
    fields = {name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"`([A-Z_]{4,})=", PAGE)) <= fields
    for path in re.findall(r"`((?:benchmarks|ui)/[\w.]+)`", PAGE):
        assert (ROOT / path).exists() or (ROOT / "lora_builder" / path).exists(), path
