"""How many may be here at a time: in all and from one address, before they have said what they want and after."""

from __future__ import annotations

import asyncio
import ipaddress
from http import HTTPStatus
from typing import NamedTuple, Protocol

from telemetry_bridge.config import Limits


class Refusal(NamedTuple):
    """Why somebody does not get in; ``text`` is one line."""

    status: HTTPStatus
    text: str


class Guest(Protocol):
    """A TCP connection. ``admitted``: whether it counts as a WebSocket."""

    admitted: bool

    @property
    def address(self) -> str:
        """IP address of the other end."""

    def abort(self) -> None:
        """Cut the connection."""


def peer_of(transport: asyncio.BaseTransport) -> str:
    """IP address of the other end."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else "unknown"


def neighbourhood(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one user of IPv6 has for himself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        if not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Admission:
    """Every TCP connection there is, and whether one more may be.

    Attributes:
        open: whether any more may be at all.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._guests: dict[Guest, str] = {}
        self.open = True

    @property
    def guests(self) -> tuple[Guest, ...]:
        """Every TCP connection there is now."""
        return tuple(self._guests)

    def opened(self, guest: Guest) -> bool:
        """A TCP connection came; False if too many, in all or from there, have not finished their request."""
        here = self._guests[guest] = neighbourhood(guest.address)
        pending = [where for other, where in self._guests.items() if not other.admitted]
        return (
            self.open
            and len(pending) <= self._limits.pending
            and pending.count(here) <= self._limits.pending_per_address
        )

    def lost(self, guest: Guest) -> None:
        """A TCP connection is gone."""
        self._guests.pop(guest, None)

    def admit(self, guest: Guest) -> Refusal | None:
        """It wants to be a WebSocket, and is one from here on unless there are too many."""
        limits = self._limits
        admitted = [where for other, where in self._guests.items() if other.admitted]
        if len(admitted) >= limits.connections:
            return Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"Too many connections: {limits.connections} are open, which is the limit.",
            )
        if admitted.count(neighbourhood(guest.address)) >= limits.connections_per_address:
            return Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many connections from {guest.address}: the limit is {limits.connections_per_address}.",
            )
        guest.admitted = True
        return None
