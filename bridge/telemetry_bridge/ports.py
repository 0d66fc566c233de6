"""Who holds which port, and how it is let go of: so that another program can have it for a while."""

from __future__ import annotations

import os
from typing import Protocol

from telemetry_bridge.errors import CommandError
from telemetry_bridge.events import LinkStats


class Holder(Protocol):
    """A line of the bridge."""

    @property
    def uri(self) -> str:
        """URI of its link."""

    @property
    def device(self) -> str | None:
        """Id of its device, None until it is known."""

    @property
    def stats(self) -> LinkStats | None:
        """What it has counted since it was opened, as of now; None: it is no single line."""

    async def release(self) -> None:
        """Close the port and leave it closed; returns when it is."""

    def resume(self) -> None:
        """Open it again and go on."""


class Ports:
    """The lines of a bridge."""

    def __init__(self) -> None:
        self._holders: list[Holder] = []
        self._expected: list[Holder] = []

    def add(self, holder: Holder, *, expected: bool = True) -> None:
        """One more line; ``expected`` unless its board may come and go as it likes."""
        self._holders.append(holder)
        if expected:
            self._expected.append(holder)

    @property
    def expected(self) -> tuple[Holder, ...]:
        """Those whose boards are to be there."""
        return tuple(self._expected)

    def stats(self, device: str) -> LinkStats | None:
        """What the line of a device has counted by now; None: no line has that device."""
        return next((holder.stats for holder in self._holders if holder.device == device), None)

    @property
    def nameless(self) -> dict[str, LinkStats]:
        """What lines without a device have counted, by their URI: it tells why nobody has answered there."""
        return {holder.uri: holder.stats for holder in self._holders if holder.device is None and holder.stats}

    def find(self, target: str | None) -> list[Holder]:
        """The lines that a port (URI or path) or the id of a device names; None: all.

        Raises:
            CommandError: ``unknown_device``: there is none.
        """
        found = [holder for holder in self._holders if target is None or _names(target, holder)]
        if not found:
            known = ", ".join(holder.uri for holder in self._holders) or "none"
            raise CommandError("unknown_device", f"this bridge has no port or device {target!r}; it has: {known}")
        return found


def _names(target: str, holder: Holder) -> bool:
    return target in {holder.uri, holder.device} or path_of(target) == path_of(holder.uri)


def path_of(text: str) -> str:
    """What tells the port of a URI or path from others: the same for all of its names, whatever follows ``?``."""
    path = text.removeprefix("serial:").partition("?")[0]
    return os.path.realpath(path) if path.startswith("/") else path
