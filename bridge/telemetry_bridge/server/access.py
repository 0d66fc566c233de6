"""Who is it? A bearer token, or a ticket that was got for one; and how often somebody may be wrong."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers

from telemetry_bridge.config import Limits
from telemetry_bridge.server.admission import Refusal, neighbourhood
from telemetry_bridge.server.roles import LOCAL, Identity
from telemetry_bridge.server.tokens import Tokens

TICKET_PREFIX: Final = "ticket."
TICKET_S: Final = 30.0

_GUESS_WINDOW_S: Final = 60.0
_ADDRESSES_REMEMBERED: Final = 1024
_log = logging.getLogger(__name__)


UNAUTHORIZED: Final = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "This bridge wants a token: send it as `Authorization: Bearer TOKEN`. (A page gets itself a ticket from /ticket.)",
)
_WRONG: Final = Refusal(HTTPStatus.UNAUTHORIZED, "This token is not valid (any more).")
_WRONG_TICKET: Final = Refusal(
    HTTPStatus.UNAUTHORIZED, f"This ticket is not valid: each is for one connection within {TICKET_S:g} s. Get another."
)
_GUESSING: Final = Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong tokens from your address: wait a minute.")


class Guesses:
    """Counts wrong tokens by address, so that guessing fills no log. Bounded in memory.

    A right token is let in whatever else came from its address: guesses from behind the same router or proxy lock
    nobody out. What makes guessing hopeless is the length of the tokens.

    Args:
        allowed: wrong ones from one address within a minute.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wrong(self, address: str, now: float) -> bool:
        """Note one more, at ``now`` (seconds); False if that is too many."""
        key = neighbourhood(address)
        times = self._times.setdefault(key, deque(maxlen=self._allowed + 1))
        self._times.move_to_end(key)
        while len(self._times) > _ADDRESSES_REMEMBERED:
            self._times.popitem(last=False)
        times.append(now)
        while times[0] <= now - _GUESS_WINDOW_S:
            times.popleft()
        return len(times) <= self._allowed


@dataclass(frozen=True, slots=True)
class _Ticket:
    identity: Identity
    until: float


class Tickets:
    """Tickets that have been given out and not used: each is good once, for half a minute.

    Args:
        limit: how many one token may have at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tickets: dict[bytes, _Ticket] = {}

    def issue(self, identity: Identity, now: float) -> str | None:
        """A ticket, as the subprotocol that a browser offers; None if that token has too many."""
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if now < ticket.until}
        if sum(ticket.identity == identity for ticket in self._tickets.values()) >= self._limit:
            return None
        text = TICKET_PREFIX + secrets.token_urlsafe(32)
        self._tickets[_key(text)] = _Ticket(identity, now + TICKET_S)
        return text

    def redeem(self, text: str, now: float) -> Identity | None:
        """Whose ticket it was, if it was one until now."""
        # found by its hash: how long that takes says nothing about the tickets there are
        ticket = self._tickets.pop(_key(text), None)
        return ticket.identity if ticket is not None and now < ticket.until else None


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Access:
    """Judges what a request shows. Time is handed in, in seconds.

    Args:
        tokens: those in force; while there are none, everybody (then on loopback) is an operator.
        limits: how many tickets, how many wrong tokens.
    """

    def __init__(self, tokens: Tokens, limits: Limits) -> None:
        self.tokens = tokens
        self._tickets = Tickets(limits.tickets)
        self._guesses = Guesses(limits.guesses)

    def still_valid(self, identity: Identity) -> bool:
        """Whether somebody who got in may stay."""
        return identity in self.tokens or (identity == LOCAL and not self.tokens)

    def bearer(self, headers: Headers, address: str, now: float) -> Identity | Refusal:
        """Who a request with a token is from."""
        self.tokens.refresh()
        if not self.tokens:
            return LOCAL
        shown = headers.get_all("Authorization")
        if not shown:
            return UNAUTHORIZED
        scheme, _, secret = shown[0].partition(" ")
        identity = self.tokens.identify(secret.strip()) if len(shown) == 1 and scheme.lower() == "bearer" else None
        return identity or self._wrong(_WRONG, address, now)

    def subscriber(self, headers: Headers, offered: list[str], address: str, now: float) -> Identity | Refusal:
        """Who a WebSocket is from: a ticket among the subprotocols that it offers, else a token."""
        tickets = [name for name in offered if name.startswith(TICKET_PREFIX)]
        if not tickets or not self.tokens:
            return self.bearer(headers, address, now)
        self.tokens.refresh()
        identity = self._tickets.redeem(tickets[0], now) if len(tickets) == 1 else None
        # a ticket is worth no more than its token is now
        if identity is not None and identity in self.tokens:
            return identity
        return self._wrong(_WRONG_TICKET, address, now)

    def ticket(self, headers: Headers, address: str, now: float) -> dict[str, object] | Refusal:
        """What ``/ticket`` answers; the ticket is null while none is needed."""
        identity = self.bearer(headers, address, now)
        if isinstance(identity, Refusal):
            return identity
        ticket = None
        if self.tokens:
            ticket = self._tickets.issue(identity, now)
            if ticket is None:
                return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many tickets wait to be used: use them first.")
        return {"ticket": ticket, "role": identity.role, "expires_s": TICKET_S}

    def _wrong(self, refusal: Refusal, address: str, now: float) -> Refusal:
        if not self._guesses.wrong(address, now):
            return _GUESSING
        _log.warning("a token or ticket from %s is not valid", address)
        return refusal
