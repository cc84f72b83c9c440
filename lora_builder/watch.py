"""What is noted of a run while it runs: log lines and counts, made of its events alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from lora_builder.errors import Cancelled, LoraBuilderError
from lora_builder.metrics import METRICS
from lora_builder.records import Event, Stage

log = logging.getLogger(__name__)

SHORT = 12
"""Digits of a project's id or a photo's SHA-256 in a log line: enough to tell them apart."""


def watched(project_id: str, events: Iterator[Event]) -> Iterator[Event]:
    """Passes events on; notes when each stage ended and how the run did."""
    began = stage_began = time.monotonic()
    last: Event | None = None
    state = "failed"
    project = {"project": project_id[:SHORT]}
    log.info("The run begins.", extra=project)

    def ended(event: Event) -> None:
        seconds, stage = time.monotonic() - stage_began, event.stage.value
        METRICS.add("lora_builder_photos_total", event.done, stage=stage)
        METRICS.add("lora_builder_stage_seconds_total", seconds, stage=stage)
        more = {"stage": stage, "count": event.done, "seconds": round(seconds, 3)}
        log.info("Stage done.", extra=project | more)

    try:
        for event in events:
            if last is not None and event.stage is not last.stage:
                ended(last)
                stage_began = time.monotonic()
            last = event
            yield event
        if last is not None:
            ended(last)
        state = "done"
    except (Cancelled, GeneratorExit):
        state = "cancelled"
        raise
    except LoraBuilderError as error:
        log.warning("The run failed: %s", error, extra=project)
        raise
    finally:
        METRICS.add("lora_builder_runs_total", state=state)
        seconds = round(time.monotonic() - began, 3)
        log.info("The run ended.", extra=project | {"state": state, "seconds": seconds})


def unreadable(project_id: str, stage: Stage, sha256: str, message: str) -> None:
    """Notes a photo of which nothing can be had."""
    METRICS.add("lora_builder_unreadable_total", stage=stage.value)
    more = {"project": project_id[:SHORT], "photo": sha256[:SHORT], "stage": stage.value}
    log.info("Unreadable: %s", message, extra=more)
