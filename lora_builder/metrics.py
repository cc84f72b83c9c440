"""Counts of what this process did since it started, in the text format that Prometheus reads."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]

HELP = {
    "lora_builder_runs_total": "Runs of a project, by how they ended.",
    "lora_builder_photos_total": "Photos gone through a stage.",
    "lora_builder_stage_seconds_total": "Time spent in a stage.",
    "lora_builder_unreadable_total": "Photos that could not be measured or cut.",
    "lora_builder_logins_refused_total": "Logins with a wrong name or password.",
    "lora_builder_model_requests": "Requests to vision models, of all times.",
    "lora_builder_jobs_waiting": "Jobs of the app that wait.",
    "lora_builder_free_memory_bytes": "Memory that can be had without swapping.",
    "lora_builder_free_disk_bytes": "Free space where the data folder is.",
}


@dataclass
class Metrics:
    """Counters by name and labels; every method may be called from any thread."""

    _values: dict[tuple[str, Labels], float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Counts `amount` more."""
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] += amount

    def value(self, name: str, **labels: str) -> float:
        """The count so far."""
        with self._lock:
            return self._values.get((name, tuple(sorted(labels.items()))), 0.0)

    def text(self, now: Mapping[tuple[str, Labels], float] | None = None) -> str:
        """All counters, and the figures of this moment, as text."""
        with self._lock:
            values = dict(self._values)
        return "\n".join([*_lines(values, "counter"), *_lines(now or {}, "gauge"), ""])


def _lines(values: Mapping[tuple[str, Labels], float], kind: str) -> Iterator[str]:
    seen = ""
    for (name, labels), value in sorted(values.items()):
        if name != seen:
            yield f"# HELP {name} {HELP.get(name, name)}"
            yield f"# TYPE {name} {kind}"
            seen = name
        yield f"{name}{_written(labels)} {value:g}"


def _written(labels: Iterable[tuple[str, str]]) -> str:
    parts = []
    for name, value in labels:
        safe = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        parts.append(f'{name}="{safe}"')
    return "{" + ",".join(parts) + "}" if parts else ""


METRICS = Metrics()
"""The counts of this process."""
