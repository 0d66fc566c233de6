"""What holds for every test."""

from __future__ import annotations

import os
import signal
import tempfile

# A shell without job control starts what it puts into the background with SIGINT ignored, and children inherit that:
# Ctrl-C, which some tests send, would not reach them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What somebody has calibrated on this machine is no part of a test; one that keeps calibrations says where.
_empty = tempfile.TemporaryDirectory(prefix="telemetry-bridge-tests-")
os.environ["XDG_DATA_HOME"] = _empty.name
