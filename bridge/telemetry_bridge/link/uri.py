"""Link URIs: ``scheme:target?name=value&name=value``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qsl

from telemetry_bridge.errors import LinkError

_SCHEME = re.compile(r"[a-z][a-z0-9+]+:", re.ASCII)  # two letters at least: C:\ is no scheme
_BARE_PORT = re.compile(r"(/|\\\\\.\\|COM\d)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkUri:
    """A parsed URI.

    Attributes:
        text: full form, scheme included.
        target: what stands between the scheme and ``?``.
    """

    text: str
    scheme: str
    target: str
    parameters: Mapping[str, str]

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """An integer parameter.

        Raises:
            LinkError: not an integer within ``low`` … ``high``.
        """
        value = self.parameters.get(name)
        if value is None:
            return default
        if not value.isascii() or not value.isdigit() or len(value) > 12 or not low <= int(value) <= high:
            raise LinkError(f"{self.text}: {name}={value} is not an integer from {low} to {high}")
        return int(value)

    def only(self, *names: str) -> None:
        """Refuse parameters that nobody reads.

        Raises:
            LinkError: there is one that is not among ``names``.
        """
        for name in self.parameters:
            if name not in names:
                known = ", ".join(names) if names else "none"
                raise LinkError(f"{self.text}: unknown parameter {name!r}; known: {known}")


def parse_uri(text: str) -> LinkUri:
    """Split a URI; a bare path or Windows port name is a serial port.

    Raises:
        LinkError: no scheme and no port name.
    """
    text = text.strip()
    if _BARE_PORT.match(text):
        text = f"serial:{text}"
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise LinkError(f"{text!r} is not a link; examples: serial:/dev/ttyACM0?baud=921600, tcp:localhost:5000, sim:")
    target, _, query = text[scheme.end() :].partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=32)
    except ValueError as error:
        raise LinkError(f"{text}: what follows '?' is not name=value&name=value") from error
    return LinkUri(text, scheme.group()[:-1], target, MappingProxyType(dict(pairs)))
