"""What holds for every test."""

from __future__ import annotations

import signal

# A shell without job control starts what it puts into the background with SIGINT ignored, and children inherit that:
# Ctrl-C, which some tests send, would not reach them.
signal.signal(signal.SIGINT, signal.default_int_handler)
