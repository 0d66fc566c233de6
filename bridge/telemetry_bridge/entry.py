"""Where the command starts: small, so that Ctrl-C finds somebody at home from the first moment."""

from __future__ import annotations

import signal


def main() -> int:
    """Import and run the command line; returns the exit code."""
    try:
        before = signal.getsignal(signal.SIGINT)
        if before is signal.default_int_handler:
            # an exception in the middle of importing a C extension may end in a crash: there is nothing to wind up yet
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        from telemetry_bridge import cli

        signal.signal(signal.SIGINT, before)
        return cli.main()
    except KeyboardInterrupt:
        return 0
