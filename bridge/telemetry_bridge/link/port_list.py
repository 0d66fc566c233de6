"""Which serial ports there are, and what they look like."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from serial.tools import list_ports as serial_list_ports
from serial.tools.list_ports_common import ListPortInfo

from telemetry_bridge.link.base import PortInfo

ST_VENDOR_ID = 0x0483
_ATTEMPTS = 3
_SETTLE_S = 0.05
_LOOKS = 3
"""So often a change is looked at: what sysfs tells of a port comes a little after its node."""
DEVICES = Path("/dev")
CONSOLES = Path("/sys/class/tty/console/active")
"""Terminals that the system itself talks to, e.g. ``tty0 ttyS0`` (Linux)."""


def list_ports() -> list[PortInfo]:
    """Serial ports of this machine: ST-LINKs first, then other USB ports, then those of the machine itself."""
    consoles = _consoles()
    ranked = []
    for port in _comports():
        on_usb = port.vid is not None
        rank = 0 if port.vid == ST_VENDOR_ID else 1 if on_usb else 2
        ranked.append((rank, port.device, _info(port, is_console=Path(port.device).name in consoles)))
    return [info for _, _, info in sorted(ranked, key=lambda entry: entry[:2])]


class PortWatch:
    """The list of ports again and again; on Linux not made anew while nothing has come to or gone from ``/dev``."""

    def __init__(self) -> None:
        self._ports: list[PortInfo] = []
        self._stamp = -1
        self._looks = 0

    def __call__(self) -> list[PortInfo]:
        """The ports there are now. May block for milliseconds."""
        stamp = _folder_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._looks = _LOOKS
        if self._looks or stamp == 0:
            self._ports = list_ports()
            self._looks = max(self._looks - 1, 0)
        return self._ports


def _folder_stamp() -> int:
    """Time of the last change in ``/dev``; 0 where that says nothing."""
    return DEVICES.stat().st_mtime_ns if sys.platform == "linux" else 0


def _comports() -> list[ListPortInfo]:
    """What pyserial finds; it stumbles over a port that is unplugged while it looks."""
    for _ in range(_ATTEMPTS):
        try:
            return list(serial_list_ports.comports())
        except (TypeError, OSError):
            time.sleep(_SETTLE_S)
    return []


def _info(port: ListPortInfo, *, is_console: bool) -> PortInfo:
    on_usb = port.vid is not None
    description = port.description if port.description and port.description != "n/a" else "serial port"
    return PortInfo(
        port.device,
        description,
        likely=on_usb,
        usb=f"{port.vid:04x}:{port.pid or 0:04x}" if on_usb else "",
        serial_number=port.serial_number or "",
        interface=(port.location or "").partition(":")[2],
        is_console=is_console,
        plugged=_inode(port.device),
    )


def ports_hint() -> str:
    """The ports that there are, in a few words."""
    ports = [port.device for port in list_ports()]
    if not ports:
        return "No serial port is there: plug the board in and check the cable"
    return f"Ports that are there: {', '.join(ports[:8])}{' …' if len(ports) > 8 else ''}"


def _consoles() -> frozenset[str]:
    try:
        return frozenset(CONSOLES.read_text().split())
    except OSError:
        return frozenset()


def _inode(device: str) -> int:
    """Differs from that of the same name before it was plugged in anew: Linux makes a new node each time."""
    try:
        return Path(device).stat().st_ino
    except OSError:
        return 0
