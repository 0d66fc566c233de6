"""Who a client is, and what it may do: `viewer` reads, `operator` also commands."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from telemetry_bridge.server.requests import RequestError
from telemetry_bridge.server.wire_format import RequestId

_log = logging.getLogger(__name__)

Role: TypeAlias = Literal["viewer", "operator"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose token a client has shown.

    Attributes:
        name: for the log.
        key: SHA-256 of the token, so that a new token of the same name is somebody else.
    """

    name: str
    role: Role
    key: bytes = field(default=b"", repr=False)


LOCAL: Final = Identity("local", "operator")
"""Everybody on loopback while no tokens are configured."""


class Asking(Protocol):
    """A client with an identity."""

    @property
    def identity(self) -> Identity:
        """Who it is."""


class Asked(Protocol):
    """A request that is answered."""

    @property
    def id(self) -> RequestId:
        """Its id."""


def require_operator(client: Asking, request: Asked) -> None:
    """Whatever changes something passes here first, and is in the log with the name of who asked.

    Raises:
        RequestError: ``forbidden`` unless the client is an operator.
    """
    if client.identity.role != "operator":
        what = type(request).__name__.lower()
        _log.warning("%s (%s) was refused: %.200r", client.identity.name, client.identity.role, request)
        raise RequestError("forbidden", f"{what} needs the role operator; your token is a viewer's", request.id)
    _log.info("%s: %.200r", client.identity.name, request)
