"""The errors of the bridge. Each message is one line for a human: what is wrong, with what, and what to do."""

from collections.abc import Sequence


class BridgeError(Exception):
    """Base of every error that the bridge raises on purpose."""


class LinkError(BridgeError):
    """A link could not be opened: no such port, busy, not permitted, refused."""


class PortBusy(LinkError):
    """A port is held by another program.

    Attributes:
        programs: which, as far as this user may see them, e.g. ``minicom (pid 4711)``.
    """

    def __init__(self, port: str, programs: Sequence[str]) -> None:
        who = ", ".join(programs) if programs else "another program"
        super().__init__(f"{port}: the port is busy: held by {who}; close that and try again")
        self.programs = tuple(programs)


class NoBoard(LinkError):
    """A link is open, but what is at its other end has not said HELLO."""


class LinkLost(BridgeError):
    """A link that was open hung up: unplugged, closed by the other end."""


class CommandError(BridgeError):
    """A command could not be carried out.

    Attributes:
        code: short machine-readable reason as in the WebSocket API: ``bad_request``, ``unknown_device``,
            ``unknown_stream``, ``too_many``, ``refused``, ``timeout``, ``offline``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FlashError(BridgeError):
    """An image could not be flashed, or was refused."""


class ConfigError(BridgeError):
    """The configuration file cannot be read, or holds what nobody understands."""


class CalibrationError(BridgeError):
    """A calibration cannot be computed, read or kept: too few poses, moving data, a broken file."""


class RunError(BridgeError):
    """A run cannot be recorded, or a file read as one."""
