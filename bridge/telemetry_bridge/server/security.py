"""Who may talk to the server: loopback only, and no page of another site.

A browser sends requests to 127.0.0.1 for any page that asks. The Origin header says which page asked; the Host header
says which name the page used, so a name that an attacker makes resolve to 127.0.0.1 (DNS rebinding) is refused as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from telemetry_bridge.errors import BridgeError

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


def loopback_address(host: str) -> str:
    """The address to bind for ``host``.

    Raises:
        BridgeError: if it is not loopback.
    """
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        if ipaddress.ip_address(host.strip("[]")).is_loopback:
            return host.strip("[]")
    except ValueError:
        pass
    raise BridgeError(
        f"cannot serve on {host}: only 127.0.0.1, ::1 and localhost, because there are no tokens and no TLS yet; "
        "to read from another machine, forward the port with ssh -L"
    )


class Gatekeeper:
    """Judges the Host and Origin headers of a request.

    Args:
        host: bound address.
        port: bound port.
        allowed_origins: further origins that may read, e.g. ``http://localhost:5173`` of a development server. Their
            host is accepted in the Host header too, for a proxy that passes it on.

    Raises:
        BridgeError: if an allowed origin is not ``scheme://host[:port]``.
    """

    def __init__(self, host: str, port: int, allowed_origins: Iterable[str] = ()) -> None:
        bound = f"[{host}]" if ":" in host else host
        self._hosts = {f"{name}:{port}" for name in (*_LOCAL_NAMES, bound)}
        if port == 80:
            self._hosts |= {*_LOCAL_NAMES, bound}
        self._origins = {f"http://{host}" for host in self._hosts}
        for origin in allowed_origins:
            parts = urlsplit(origin.lower())
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"} or parts.query:
                raise BridgeError(f"allowed origin {origin!r} is not of the form http://host:port")
            self._origins.add(f"{parts.scheme}://{parts.netloc}")
            self._hosts.add(parts.netloc)

    def refusal(self, hosts: list[str], origins: list[str]) -> str | None:
        """Why a request with these Host and Origin headers is refused; None if it may pass.

        A request without Origin passes: it does not come from a page, but from a script or the address bar.
        """
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            said = ", ".join(hosts)[:100] or "none"
            return f"Host not allowed: {said}. Use {' or '.join(sorted(self._hosts))}."
        if len(origins) > 1 or (origins and origins[0].lower() not in self._origins):
            return f"Origin not allowed: {', '.join(origins)[:100]}. Pages of other sites may not read the sensors."
        return None
