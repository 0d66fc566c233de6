"""Where to serve, and under which names: no page of another site, and nothing open to a network by mistake.

A browser sends requests to 127.0.0.1 for any page that asks. The Origin header says which page asked; the Host header
says which name the page used, so a name that an attacker makes resolve to this machine (DNS rebinding) is refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from telemetry_bridge.config import ServerConfig
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.private import is_local
from telemetry_bridge.server import tls, tokens

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_DNS_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def address_to_bind(config: ServerConfig, *, has_tokens: bool) -> str:
    """The address to bind.

    Raises:
        BridgeError: others could reach what nothing protects. One line that says what to do.
    """
    host = config.host.strip("[]")
    if is_local(host):
        return "127.0.0.1" if host.lower() == "localhost" else host
    missing = []
    if not has_tokens:
        missing.append(f"tokens (tokens_file = a file of mode 600 with [[token]] name, role, token; `{tokens.MAKE}`)")
    if config.tls_certificate is None:
        missing.append(f"TLS (tls_certificate and tls_key; {tls.MAKE})")
    where = config.host or "every address"
    if missing:
        raise BridgeError(
            f"cannot serve on {where}: others can reach it, so [server] needs {' and '.join(missing)}; "
            "or keep 127.0.0.1 and forward the port with ssh -L"
        )
    try:
        wildcard = ipaddress.ip_address(host or "::").is_unspecified
    except ValueError:
        wildcard = False
    if wildcard and not config.public_names:
        raise BridgeError(
            f'cannot serve on {where}: under which names? [server] public_names = ["bench.example.org", "192.168.1.10"]'
        )
    return host


def shown_name(config: ServerConfig, address: str) -> str:
    """The name under which people find the page."""
    if not is_local(address):
        return next(map(_host_header, config.public_names), address)
    return "localhost" if address == "127.0.0.1" else _host_header(address)


def _host_header(name: str) -> str:
    """A name or address as browsers write it in Host.

    Raises:
        BridgeError: it is neither.
    """
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        if not _DNS_NAME.fullmatch(name.lower()):
            raise BridgeError(f"public name {name!r} is not a host name or address (without scheme and port)") from None
        return name.lower()
    return f"[{address}]" if address.version == 6 else str(address)


class Gatekeeper:
    """Judges the Host and Origin headers of a request.

    Args:
        config: names and origins that may be used beside those of loopback and of the bound address. The host of an
            allowed origin is accepted in the Host header too, for a proxy that passes it on.
        address: bound address.
        port: bound port.
        has_tokens: whether clients have to show who they are.

    Raises:
        BridgeError: an origin or name is malformed, or would give a stranger's pages an operator's rights.
    """

    def __init__(self, config: ServerConfig, address: str, port: int, *, has_tokens: bool) -> None:
        scheme = "https" if config.tls_certificate is not None else "http"
        self.secure = scheme == "https"
        names = {*_LOCAL_NAMES, f"[{address}]" if ":" in address else address}
        names |= {_host_header(name) for name in config.public_names}
        self._hosts = {f"{name}:{port}" for name in names}
        if port == _DEFAULT_PORTS[scheme]:
            self._hosts |= names
        self._origins = {f"{scheme}://{host}" for host in self._hosts}
        for origin in config.allowed_origins:
            parts = urlsplit(origin.lower())
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"} or parts.query:
                raise BridgeError(f"allowed origin {origin!r} is not of the form http://host:port")
            if not has_tokens and not is_local(parts.hostname or ""):
                raise BridgeError(
                    f"allowed origin {origin!r} is another machine's, and without tokens its pages would be operators: "
                    f"set [server] tokens_file (`{tokens.MAKE}` makes a token)"
                )
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

    def pins(self, hosts: list[str]) -> bool:
        """Whether browsers are told to use nothing but TLS under this name: not for loopback, which others use too."""
        return self.secure and len(hosts) == 1 and not is_local(urlsplit(f"//{hosts[0]}").hostname or "")
