"""A simulated board that speaks the real protocol: for a demo without hardware and for tests of the bridge.

It is no stand-in for the firmware: nothing of the C runs here. For that there is the virtual board.
"""

from telemetry_bridge.sim.device import SimulatedDevice

__all__ = ["SimulatedDevice"]
