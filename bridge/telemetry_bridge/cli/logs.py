"""What is said on standard error. Only the command line configures logging."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from telemetry_bridge.config import LogConfig


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: the live display puts itself there, to keep its lines whole."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def set_up(config: LogConfig, verbose: int = 0) -> None:
    """Say what the configuration asks for; each ``-v`` more than that."""
    least = [logging.CRITICAL, logging.INFO, logging.DEBUG][min(verbose, 2)]
    level = min(least, logging.getLevelNamesMapping()[config.level.upper()])
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", handlers=[_StderrHandler()], force=True
    )
