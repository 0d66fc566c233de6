"""Device time on the host's time axis, with a bound on the error. Sans-I/O: every time is handed in.

==========  =========================================================================
``device``  the clock of one boot: exchanges in, times and their uncertainty out
``band``    what the exchanges bound: every offset and drift that contradicts none
``axis``    the line that times are read from: continuous, rising, slewed
``anchor``  Unix time of the process: monotonic, with one anchor
==========  =========================================================================
"""

from telemetry_bridge.clock.anchor import UnixClock, anchor_ns
from telemetry_bridge.clock.device import ASSUMED_DELAY_NS, STALE_NS, DeviceClock, Exchange

__all__ = ["ASSUMED_DELAY_NS", "STALE_NS", "DeviceClock", "Exchange", "UnixClock", "anchor_ns"]
