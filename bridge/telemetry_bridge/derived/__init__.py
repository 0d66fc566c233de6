"""Streams that the bridge computes from those of a board: the orientation of an IMU, and whatever a plug-in adds.

A derived stream is one small class (:class:`~telemetry_bridge.derived.base.DerivedStream`), found through the entry
point ``telemetry_bridge.derived``. It has one sample for each sample of its source, with the same index and time.
"""

from telemetry_bridge.derived.base import DerivedStream
from telemetry_bridge.derived.deriver import Deriver, installed, offered

__all__ = ["DerivedStream", "Deriver", "installed", "offered"]
