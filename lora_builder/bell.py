"""Rings when a job waits: between processes through Redis or RabbitMQ, by Kombu.

A ring is empty. The queue, its order and who has which job are in the database; whoever hears a ring
looks there. So nothing of anybody's lies in the broker, a lost ring costs a few seconds, and one too
many costs a look. Kombu is optional: `pip install 'lora-dataset-builder[queue]'`.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from lora_builder.errors import BadSettings

log = logging.getLogger(__name__)

QUEUE = "lora-jobs"
"""Name of the broker's queue of rings."""

SCHEMES = ("redis", "rediss", "sentinel", "amqp", "amqps")

CONNECT_S = 2.0
"""How long a broker may take to answer; the database is looked at anyhow."""


class Bell(Protocol):
    """What tells runners that a job waits."""

    def ring(self) -> None:
        """Somebody should look at the queue. Never waits, never fails."""


class BrokerBell:
    """Rings through the broker at `url`: redis://, rediss:// (TLS), amqp://, amqps:// (TLS).

    Raises BadSettings for another address, or where Kombu is not installed.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition(":")[0]
        if scheme not in SCHEMES:
            raise BadSettings("REDIS_URL is no address of a broker.", f"It begins with {', '.join(SCHEMES)}.")
        try:
            self._kombu: Any = importlib.import_module("kombu")
            importlib.import_module("redis" if "redis" in scheme or scheme == "sentinel" else "amqp")
        except ImportError as error:
            raise BadSettings(
                "REDIS_URL is set, and Kombu is not installed.", "pip install 'lora-dataset-builder[queue]'"
            ) from error
        self._url, self._tls = _proven(url)
        self._lock = threading.Lock()
        self._deaf = False
        self._rings: Any = None
        """The open queue of this process's listener; None: there is no connection."""

    def ring(self) -> None:
        """Somebody should look at the queue. Never waits, never fails."""
        threading.Thread(target=self._ring, name="lora-bell", daemon=True).start()

    def _ring(self) -> None:
        try:
            with self._open() as rings:
                rings.put("", retry=False)
        except self._failures() as error:
            log.warning("The broker of jobs cannot be reached; workers look by themselves: %s", error)

    def wait(self, timeout_s: float) -> bool:
        """Waits for a ring, and says whether there was one, or may have been while nobody could hear."""
        try:
            with self._lock:
                if self._rings is None:
                    self._rings = self._connection().SimpleQueue(QUEUE, serializer="json", accept=["json"])
                    self._deaf = False
                try:
                    self._rings.get(timeout=timeout_s).ack()
                except self._rings.Empty:
                    return False
                return True
        except self._failures() as error:
            if not self._deaf:
                log.warning("The broker of jobs does not answer; looking without it: %s", error)
            self._deaf = True
            self.close()
            time.sleep(timeout_s)
            return True  # somebody may have rung

    def answers(self) -> bool:
        """Whether the broker can be reached now."""
        try:
            with self._open():
                return True
        except self._failures():
            return False

    def close(self) -> None:
        """Lets go of the listener's connection."""
        rings, self._rings = self._rings, None
        if rings is not None:
            with contextlib.suppress(*self._failures()):
                rings.channel.connection.client.release()

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with self._connection() as connection:
            yield connection.SimpleQueue(QUEUE, serializer="json", accept=["json"])

    def _connection(self) -> Any:
        options = {"socket_connect_timeout": CONNECT_S, "socket_keepalive": True, "max_retries": 0}
        more: dict[str, Any] = {"ssl": self._tls} if self._tls else {}
        if not self._url.startswith("amqp"):
            more["transport_options"] = options
        return self._kombu.Connection(self._url, connect_timeout=CONNECT_S, **more)

    def _failures(self) -> tuple[type[BaseException], ...]:
        connection = self._kombu.Connection(self._url)
        errors = (*connection.connection_errors, *connection.channel_errors)
        return (OSError, self._kombu.exceptions.OperationalError, *errors)


def _proven(url: str) -> tuple[str, dict[str, Any]]:
    """The address and Kombu's TLS options, so that a broker must prove who it is unless the URL says else.

    Kombu by itself would take any certificate.
    """
    parts = urlsplit(url)
    if parts.scheme == "amqps":
        return url, {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
    if parts.scheme == "rediss" and "ssl_cert_reqs=" not in parts.query:
        url += ("&" if parts.query else "?") + "ssl_cert_reqs=CERT_REQUIRED"
    return url, {}
