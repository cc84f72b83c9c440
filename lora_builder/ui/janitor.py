"""Deletes what nobody used for the retention time: photos of people do not lie about on a public app."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from lora_builder.errors import LoraBuilderError
from lora_builder.store.notes import USED
from lora_builder.ui.desk import Desk

log = logging.getLogger(__name__)

EVERY_S = 600.0
"""Seconds between two rounds."""


class Janitor:
    """Goes round in a thread of its own, where there is a retention time."""

    def __init__(self, desk: Desk, clock: Callable[[], float] = time.time) -> None:
        self._desk = desk
        self._clock = clock
        self._stop = threading.Event()

    def start(self) -> None:
        """Begins the rounds; without a retention time there are none."""
        if self._desk.settings.retention_hours:
            threading.Thread(target=self._rounds, name="lora-janitor", daemon=True).start()

    def stop(self) -> None:
        """Ends the rounds."""
        self._stop.set()

    def sweep(self) -> int:
        """Deletes the app's projects that were not used for so long, and says how many."""
        limit = self._clock() - 3600 * self._desk.settings.retention_hours
        swept = 0
        for project in self._desk.store.projects():
            used = self._desk.store.notes.read(project.id, USED).get("at", project.created_at)
            # Projects of the command line have no owner, and are none of the app's business.
            if project.owner is not None and used < limit and not self._desk.busy(project):
                self._desk.delete(project)
                swept += 1
        return swept

    def _rounds(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                swept = self.sweep()
            except LoraBuilderError as error:
                log.warning("Old projects could not be deleted: %s", error)
            else:
                if swept:
                    log.info("Deleted %d projects that nobody used for the retention time.", swept)
