"""What is said on standard error. Only the command line configures logging."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from telemetry_bridge.config import LogConfig

_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_USUAL: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SECRET: Final = re.compile(r"(Bearer\s+|ticket\.)[\w.~+/=-]+", re.IGNORECASE)


def _without_secrets(text: str) -> str:
    """Nothing should log a token or ticket; should anything ever do, it does not get far."""
    return _SECRET.sub(r"\1***", text)


class TextFormatter(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return _without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """For programs: one object a line, with time (ISO 8601, UTC), level, logger and event, and then the fields that
    the event came with (``device``, ``stream``, ``link`` …), and ``exception`` where there was one."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _USUAL and key not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _without_secrets(json.dumps(line, default=str))


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: the live display puts itself there, to keep its lines whole."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def say_last(text: str) -> None:
    """Say why it ends: a line of the log where a program reads that, else one for people."""
    if any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers):
        logging.getLogger("telemetry_bridge").critical("%s", text)
    else:
        print(f"telemetry-bridge: {text}", file=sys.stderr)


def set_up(config: LogConfig, verbose: int = 0) -> None:
    """Say what the configuration asks for; each ``-v`` more than that."""
    least = [logging.CRITICAL, logging.INFO, logging.DEBUG][min(verbose, 2)]
    level = min(least, logging.getLevelNamesMapping()[config.level.upper()])
    handler = _StderrHandler()
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
