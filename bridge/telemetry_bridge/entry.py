"""Where the command starts: small, so that Ctrl-C finds somebody at home from the first moment."""

from __future__ import annotations


def main() -> int:
    """Import and run the command line; returns the exit code."""
    try:
        from telemetry_bridge import cli

        return cli.main()
    except KeyboardInterrupt:
        return 0
