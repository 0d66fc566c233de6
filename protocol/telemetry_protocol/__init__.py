"""The wire format of the telemetry bridge: frames, messages, samples."""
