"""Runs: what passed through the hub, recorded in an MCAP file. Why so: docs/decisions/0010-runs.md."""

from telemetry_bridge.recording.format import RunInfo
from telemetry_bridge.recording.reader import Run, read
from telemetry_bridge.recording.recorder import QUEUE_BYTES, Recorder, new_path
from telemetry_bridge.recording.samples import Samples

__all__ = ["QUEUE_BYTES", "Recorder", "Run", "RunInfo", "Samples", "new_path", "read"]
