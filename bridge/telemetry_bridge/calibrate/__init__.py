"""`telemetry-bridge calibrate`: guided sessions, from a port, a running bridge or a file."""
