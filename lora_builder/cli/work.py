"""The command that works for an app elsewhere: `worker`."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Annotated

import typer

from lora_builder import logs
from lora_builder.bell import BrokerBell
from lora_builder.cli.common import Set, app, err, read_settings
from lora_builder.runner import LOOK_S, is_dead
from lora_builder.store import Store

Once = Annotated[bool, typer.Option("--once", help="Work off what waits, then end.")]

RUNG_LOOK_S = 10.0
"""How often a worker that can be rung looks at the queue by itself."""

HEARS_S = 1.0
"""How soon a waiting worker hears that it should end."""


@app.command()
def worker(once: Once = False, set: Set = None) -> None:
    """Run the app's jobs in this process, until Ctrl-C or SIGTERM; several may, on several machines.

    They share DATABASE_URL, LORA_DATA_DIR and, where set, REDIS_URL with the app.
    """
    settings = read_settings(set)
    logs.start(settings, logging.WARNING)
    from lora_builder.ui.runs import runner_of  # takes a second or two: only who runs it waits for it

    bell = BrokerBell(settings.redis_url) if settings.redis_url else None
    # Who falls silent is noticed by whoever looks.
    look_s = min(RUNG_LOOK_S, settings.job_lease_s) if bell else LOOK_S
    closing = threading.Event()
    with Store(settings.database) as store:
        runner = runner_of(store, settings)

        def end(number: int, frame: object) -> None:
            # The signal may come while this very thread holds the runner's lock.
            closing.set()
            threading.Thread(target=runner.close, daemon=True).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)

        def wait() -> None:
            if once:
                runner.close()
                return
            for _ in range(round(look_s / HEARS_S)):
                if closing.is_set() or (bell.wait(HEARS_S) if bell else closing.wait(HEARS_S)):
                    return

        store.queue.bury(is_dead)
        err.print(f"Worker {runner.name} waits for jobs.", highlight=False, soft_wrap=True)
        runner.work(wait)
        if bell is not None:
            bell.close()
