"""How much of a shared server one visitor, one address and everybody together may use.

A visitor is a cookie, and cookies cost nothing: so whatever is allowed to one visitor is allowed to
one address a few times (`address_visitors`), and to all together some times more (`all_visitors`).
Uploads and megapixels count over the last hour, jobs while they wait or run.
"""

from __future__ import annotations

import functools
import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from starlette.types import Scope

HOUR_S = 3600.0

GRAIN_S = 10.0
"""What is used within this long is one entry, seconds."""

REMEMBERED = 200_000
"""Visitors and addresses whose use is kept in memory; the longest unseen are forgotten first."""

IPV6_HOME = 64
"""Bits of an IPv6 address that one household shares (RFC 6177)."""

EVERYBODY = ""
"""The name of all visitors together."""


def address_of(scope: Scope, trusted: Sequence[str]) -> str:
    """The address that a request comes from, or the network of a household; empty: it cannot be told.

    X-Forwarded-For counts only where the other end is one of the `trusted` proxies, and of it the
    last entry that is none of them: what comes before it, anybody may have written.
    """
    client = scope.get("client")
    found = _address(client[0] if client else "")
    if found is None or not trusted:
        return _home(found)
    entries = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    chain = [part.strip() for part in b",".join(entries).decode("latin-1").split(",") if part.strip()]
    proxies = _networks(tuple(trusted))
    while found is not None and any(found in network for network in proxies):
        if not chain:
            return ""
        found = _address(chain.pop())
    return _home(found)


@dataclass
class Quotas:
    """What was used lately, by visitor and by address; every method may be called from any thread.

    `address_visitors`, `all_visitors`: the settings of that name.
    """

    address_visitors: int = 0
    all_visitors: int = 0
    clock: Callable[[], float] = time.monotonic
    _used: OrderedDict[tuple[str, str], deque[tuple[float, float]]] = field(default_factory=OrderedDict)
    _addresses: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, visitor: str, address: str) -> None:
        """Notes from where a visitor came last."""
        with self._lock:
            self._addresses[visitor] = address
            self._addresses.move_to_end(visitor)
            while len(self._addresses) > REMEMBERED:
                self._addresses.popitem(last=False)

    def neighbours(self, visitor: str) -> set[str]:
        """The visitors of the same address, the visitor included."""
        with self._lock:
            here = self._addresses.get(visitor, "")
            return {visitor} | {other for other, place in self._addresses.items() if here and place == here}

    def take(self, kind: str, limit: float, visitor: str, amount: float) -> bool:
        """Counts `amount` of a kind for a visitor, unless it would pass a limit: then nothing is counted.

        `limit`: what one visitor may use in an hour; 0: no limit at all.
        """
        return self._count(kind, limit, visitor, amount, force=False)

    def spend(self, kind: str, limit: float, visitor: str, amount: float) -> bool:
        """Counts what was used already, and says whether the limits still hold."""
        return self._count(kind, limit, visitor, amount, force=True)

    def _count(self, kind: str, limit: float, visitor: str, amount: float, *, force: bool) -> bool:
        if not limit:
            return True
        now = self.clock()
        with self._lock:
            fits = True
            places = [(name, most) for name, most in self._places(visitor, limit) if most]
            for name, most in places:
                fits &= self._sum(kind, name, now) + amount <= most
            if fits or force:
                for name, _ in places:
                    self._note(kind, name, now, amount)
            while len(self._used) > REMEMBERED:
                self._used.popitem(last=False)
        return fits

    def _places(self, visitor: str, limit: float) -> Iterator[tuple[str, float]]:
        """Whose use counts, and the most of each."""
        yield f"visitor {visitor}", limit
        address = self._addresses.get(visitor, "")
        if address:
            yield f"address {address}", limit * self.address_visitors
        yield EVERYBODY, limit * self.all_visitors

    def _note(self, kind: str, name: str, now: float, amount: float) -> None:
        entries = self._used.setdefault((kind, name), deque())
        if entries and now - entries[-1][0] < GRAIN_S:
            now, before = entries.pop()
            amount += before
        entries.append((now, amount))
        self._used.move_to_end((kind, name))

    def _sum(self, kind: str, name: str, now: float) -> float:
        entries = self._used.get((kind, name), deque())
        while entries and now - entries[0][0] > HOUR_S:
            entries.popleft()
        return sum(amount for _, amount in entries)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _home(address: Address | None) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_HOME), strict=False))
    return "" if address is None else str(address)


@functools.lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
