"""Links move bytes and note when they came; they know nothing else. One thin file a transport, chosen by URI.

=========================================  ====================================================================
``serial:/dev/ttyACM0?baud=921600``        a serial port; a bare path (``/dev/ttyACM0``) or name (``COM3``) will do;
                                           the rate is the one to open it at: the board's default. It is read by the
                                           event loop where it is a terminal, else (Windows) by a thread;
                                           ``reader=thread`` takes the thread everywhere
``serial:rfc2217://HOST:PORT``             a port of another machine that speaks RFC 2217 (ser2net, terminal servers),
                                           baud rate included; other parameters go to pyserial, e.g.
                                           ``ign_set_control=1``
``serial:loop://``                         what is written comes back: for tests
``tcp:HOST:PORT``                          a TCP socket, e.g. the virtual board or a serial-to-network adapter
``sim:?rate=1000&seed=1``                  bytes from a source that the caller hands in
=========================================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from telemetry_bridge.errors import LinkError
from telemetry_bridge.link.base import (
    ByteSource,
    Clock,
    Link,
    PortInfo,
    PortLister,
    RatedLink,
    SourceFactory,
    WarningLink,
    monotonic_ns,
)
from telemetry_bridge.link.holders import holders
from telemetry_bridge.link.uri import LinkUri, parse_uri

__all__ = [
    "ByteSource",
    "Clock",
    "Link",
    "LinkUri",
    "PortInfo",
    "PortLister",
    "RatedLink",
    "SourceFactory",
    "WarningLink",
    "create",
    "holders",
    "list_ports",
    "monotonic_ns",
    "open_link",
    "parse_uri",
    "port_watch",
]


def create(uri: str, *, sources: Mapping[str, SourceFactory] | None = None, clock: Clock = monotonic_ns) -> Link:
    """Make the link that ``uri`` names, not yet open.

    Args:
        sources: for each scheme that needs one (``sim``), what makes its byte source from the URI's parameters.
        clock: monotonic nanoseconds; stamps what is read.

    Raises:
        LinkError: the URI names no transport, or its parameters are wrong.
    """
    parsed = parse_uri(uri)
    sources = sources or {}
    if parsed.scheme == "serial":
        from telemetry_bridge.link.serial_port import SerialLink

        return SerialLink(parsed, clock=clock)
    if parsed.scheme == "tcp":
        from telemetry_bridge.link.tcp import TcpLink

        return TcpLink(parsed, clock=clock)
    if parsed.scheme in sources:
        from telemetry_bridge.link.source import SourceLink

        return SourceLink(parsed, sources[parsed.scheme](parsed.parameters), clock=clock)
    known = ", ".join(f"{scheme}:" for scheme in sorted({"serial", "tcp", *sources}))
    raise LinkError(
        f"{uri}: no such kind of link as {parsed.scheme!r}; there are {known} (or the path of a serial port)"
    )


async def open_link(
    uri: str, *, sources: Mapping[str, SourceFactory] | None = None, clock: Clock = monotonic_ns
) -> Link:
    """:func:`create` and open.

    Raises:
        LinkError: one line that says which port and what to do.
    """
    link = create(uri, sources=sources, clock=clock)
    await link.open()
    return link


def port_watch() -> PortLister:
    """What lists the ports again and again, at next to no cost while none comes or goes."""
    from telemetry_bridge.link.port_list import PortWatch

    return PortWatch()


def list_ports() -> list[PortInfo]:
    """Serial ports of this machine, the likeliest boards first."""
    from telemetry_bridge.link.port_list import list_ports as list_serial_ports

    return list_serial_ports()
