"""The commands that serve a busy machine: `worker` runs the app's jobs, `forget` clears old projects away."""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Annotated

import typer

from lora_builder import logs
from lora_builder.bell import BrokerBell
from lora_builder.cli.common import Set, app, err, out, read_settings
from lora_builder.runner import LOOK_S
from lora_builder.settings import Settings
from lora_builder.store import Project, Store
from lora_builder.store.notes import USED
from lora_builder.who import is_dead

Once = Annotated[bool, typer.Option("--once", help="Work off what waits, then end.")]
UnusedDays = Annotated[int, typer.Option(min=1, help="Only those that nobody used for so long.")]
Look = Annotated[bool, typer.Option("--dry-run", help="Say which, forget none.")]

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


@app.command()
def forget(unused_days: UnusedDays, dry_run: Look = False, set: Set = None) -> None:
    """Forget old projects of the command line: the datasets stay, what the database knows of them goes.

    Measurements go where no other project has the photo. Those of the app: RETENTION_HOURS.
    """
    settings = read_settings(set)
    limit = time.time() - unused_days * 24 * 3600
    with Store(settings.database) as store:
        old = [p for p in store.projects() if p.owner is None and _last_use(store, p) < limit]
        for project in old:
            out.print(str(project.folder), highlight=False, soft_wrap=True)
            if not dry_run:
                store.delete_project(project.id)
        if old and not dry_run:
            _clear_away(store, settings)
    err.print(f"{len(old)} projects {'would be ' if dry_run else ''}forgotten.", highlight=False)


def _last_use(store: Store, project: Project) -> float:
    noted = float(store.notes.read(project.id, USED).get("at", 0.0))
    written = project.folder / "decisions.jsonl"
    return max(project.created_at, noted, written.stat().st_mtime if written.is_file() else 0.0)


def _clear_away(store: Store, settings: Settings) -> None:
    """Previews first and measurements last: after a kill the next time finds what this one left."""
    from lora_builder import measure

    orphans = store.orphans()
    for sha256 in orphans:
        measure.preview_path(settings, sha256).unlink(missing_ok=True)
    store.forget_looks(orphans)
    store.compact()
