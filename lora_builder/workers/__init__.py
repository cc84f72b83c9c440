"""Where work runs: this process, processes of this machine, or a Dask cluster; one interface.

A stage hands over a function and records, and takes results as they come. It never learns where they
were made. `open_workers` is the only place that chooses.
"""

from __future__ import annotations

from collections.abc import Callable

from lora_builder.resources import plan
from lora_builder.settings import Settings
from lora_builder.workers.here import Here as Here
from lora_builder.workers.interface import Workers as Workers
from lora_builder.workers.interface import check as check
from lora_builder.workers.processes import Processes as Processes


def open_workers(
    settings: Settings, cancelled: Callable[[], bool] = lambda: False, keys: frozenset[str] = frozenset()
) -> Workers:
    """The workers that the settings ask for; nothing starts before it is needed.

    `keys`: names of environment variables that the workers keep although they look like secrets, for
    the store that the photos lie in. Raises BadSettings, ClusterUnavailable.
    """
    if settings.cluster:
        from lora_builder.workers.cluster import Cluster  # Dask is an extra

        return Cluster(settings, cancelled, keys)
    allowed = plan(settings)
    if not allowed.workers:
        return Here(cancelled)
    return Processes(allowed.workers, settings.photo_timeout_s, cancelled, allowed.photo_mb, keys)
