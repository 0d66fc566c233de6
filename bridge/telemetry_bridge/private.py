"""What only this machine and this user can reach: loopback, and files that hold secrets."""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path

from telemetry_bridge.errors import BridgeError


def is_local(name: str) -> bool:
    """Whether a host name or address, in brackets or not, can only be this machine."""
    bare = name.strip("[]")
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare.lower() == "localhost"


def open_private(path: Path) -> int:
    """Open a file that only its user may read.

    Returns:
        File descriptor.

    Raises:
        BridgeError: it cannot be opened, or others can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise BridgeError(f"{path}: {error.strerror or error}") from None
    if os.name == "posix":
        status = os.fstat(descriptor)
        # A file of our own is for nobody else. One that root has given to our group, as services have it, is as good.
        allowed = stat.S_IRWXU if status.st_uid == os.geteuid() else stat.S_IRWXU | stat.S_IRGRP
        if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & ~allowed:
            os.close(descriptor)
            raise BridgeError(f"{path}: others can read it, and it holds a secret: chmod 600 {path}")
    return descriptor
