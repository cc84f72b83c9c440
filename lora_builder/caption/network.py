"""The way out: one HTTP client that cannot be led astray.

- No redirects, no proxies or credentials from the environment.
- A host is resolved once a client; every address is checked before it is connected to, and
  connections go to the addresses that were checked (no second look-up that could answer otherwise).
- A call has a deadline for all of it, however slowly the bytes drip, and can be cancelled between
  them. An answer has a size limit and may not be compressed.

Imported only when an endpoint is in use.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

MAX_BODY = 1 << 20
"""Bytes of an answer; captions take a few hundred."""

POLL_S = 0.2
"""Seconds between looks at deadline and cancel while bytes are awaited."""

CONNECT_S = 10.0
"""Seconds that a connection may take."""

METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)
"""Where clouds tell a machine its own credentials: AWS, GCP, Azure; Alibaba; Oracle; AWS by IPv6."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class CallStopped(Exception):
    """We ended a call ourselves; not one of httpx2's errors, so nothing on the way mistakes it for one."""


class AddressRefused(CallStopped):
    """The host's address is one that may not be called from here."""


class AnswerTooLarge(CallStopped):
    """The answer passed its size limit."""


class AnswerCompressed(CallStopped):
    """The answer is compressed although we asked for plain bytes."""


class CallCancelled(CallStopped):
    """The user stopped the run."""


class _Call(threading.local):
    """The deadline (monotonic seconds) and the cancel switch of this thread's call."""

    deadline: float = float("inf")
    cancelled: Callable[[], bool] = staticmethod(lambda: False)


_call = _Call()


@contextmanager
def calling(deadline_s: float, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Everything that this thread does inside ends within `deadline_s` seconds, or soon after a cancel."""
    _call.deadline, _call.cancelled = time.monotonic() + deadline_s, cancelled
    try:
        yield
    finally:
        _call.deadline, _call.cancelled = float("inf"), lambda: False


def http_client(private_ok: bool) -> httpx2.Client:
    """A client for one endpoint. `private_ok`: addresses of this machine and network may be called."""
    return httpx2.Client(
        transport=_Transport(private_ok),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        headers={"Accept-Encoding": "identity"},
    )


def refused(address: str, private_ok: bool) -> bool:
    """Whether an IP address may not be called. Link-local and metadata addresses never may."""
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _embedded(ip)
        if inner is not None:
            ip = inner
    if ip in METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return True
    return not private_ok and not ip.is_global


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, NAT64."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


class _Backend(httpcore2.NetworkBackend):
    """Connects to checked addresses only, and remembers them."""

    def __init__(self, private_ok: bool) -> None:
        self._private_ok = private_ok
        self._plain = httpcore2.SyncBackend()
        self._addresses: dict[tuple[str, int], list[str]] = {}
        self._lock = threading.Lock()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        last: Exception | None = None
        for address in self._resolved(host, port):
            try:
                stream = self._plain.connect_tcp(
                    address, port, min(CONNECT_S, _left()), local_address, socket_options
                )
                return _Stream(stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or httpcore2.ConnectError(f"{host} has no address.")

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        raise AddressRefused("Sockets in the file system are not called.")

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, _left()))

    def _resolved(self, host: str, port: int) -> list[str]:
        with self._lock:
            known = self._addresses.get((host, port))
        if known is None:
            known = _look_up(host, port)
            # Each of them, not only the first: a host with one good and one bad address is no mistake.
            if any(refused(address, self._private_ok) for address in known):
                raise AddressRefused(
                    f"{host} is an address of this machine or network, which may not be called."
                )
            with self._lock:
                known = self._addresses.setdefault((host, port), known)
        return known


class _Stream(httpcore2.NetworkStream):
    """Reads and writes in short waits, so that deadline and cancel are seen."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            _check(httpcore2.ReadTimeout)
            try:
                return self._inner.read(max_bytes, min(POLL_S, _left()))
            except httpcore2.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A part may be sent when a wait ends, so small parts are written and none is repeated.
        view = memoryview(buffer)
        while view:
            _check(httpcore2.WriteTimeout)
            part = view[: 1 << 16]
            self._inner.write(bytes(part), min(CONNECT_S, _left()))
            view = view[len(part) :]

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, min(CONNECT_S, _left())))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Capped(httpx2.SyncByteStream):
    """A body that ends in an error when it grows past `MAX_BODY`."""

    def __init__(self, inner: httpx2.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for part in self._inner:
            seen += len(part)
            if seen > MAX_BODY:
                raise AnswerTooLarge(f"The answer is larger than {MAX_BODY >> 20} MiB.")
            yield part

    def close(self) -> None:
        self._inner.close()


class _Transport(httpx2.HTTPTransport):
    """The usual transport over a pool with our way to connect."""

    def __init__(self, private_ok: bool) -> None:
        context = httpx2.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool.close()
        # httpx2 takes no network backend; its pool is where one goes in. tests/caption/test_network.py
        # fails where a new version keeps it elsewhere.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=128,
            max_keepalive_connections=32,
            keepalive_expiry=15.0,
            network_backend=_Backend(private_ok),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            response.close()
            raise AnswerCompressed("The answer is compressed although we asked for plain bytes.")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Capped(response.stream)
        return response


def _left() -> float:
    """Seconds until the deadline, at least a little: the check that raises comes first."""
    return max(0.01, min(1e6, _call.deadline - time.monotonic()))


def _check(late: type[Exception]) -> None:
    if _call.cancelled():
        raise CallCancelled("Stopped.")
    if time.monotonic() >= _call.deadline:
        raise late("The time for the whole call is over.")


def _look_up(host: str, port: int) -> list[str]:
    """The host's addresses; given up at the deadline, for a resolver cannot be interrupted."""
    found: list[str] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except (OSError, UnicodeError) as error:
            failed.append(OSError(str(error)))

    thread = threading.Thread(target=resolve, name="resolve", daemon=True)
    thread.start()
    end = time.monotonic() + min(CONNECT_S, _left())
    while thread.is_alive() and time.monotonic() < end:
        _check(httpcore2.ConnectTimeout)
        thread.join(POLL_S)
    if failed or not found:
        reason = str(failed[0]) if failed else "no answer"
        raise httpcore2.ConnectError(f"The address of {host} cannot be found: {reason}.")
    return found
