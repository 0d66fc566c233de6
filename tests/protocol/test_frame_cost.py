"""What a frame costs the board, in retired Cortex-M4 instructions: deterministic, so a limit is no flaky test."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.frame_cost import FrameCost, imu_payload
from telemetry_protocol import Decoder, Frame, encode_frame


@pytest.mark.parametrize(("level", "encode_limit", "decode_limit"), [("-O2", 14.0, 40.0), ("-Os", 15.0, 45.0)])
def test_a_frame_of_samples_stays_within_its_instructions(
    tmp_path: Path, level: str, encode_limit: float, decode_limit: float
) -> None:
    payload = imu_payload()
    cost = FrameCost(tmp_path, level).measure(payload)
    assert cost.encoded == encode_frame(3, 7, payload), "the Cortex-M4 writes what Python writes"
    assert 6.0 < cost.encode_per_byte <= encode_limit
    assert cost.decode_per_byte <= decode_limit


def test_the_cross_compiled_codec_agrees_at_every_edge(tmp_path: Path) -> None:
    codec = FrameCost(tmp_path)
    for payload in (b"", bytes(50), b"\xa5" * 247, b"\xa5" * 248, b"\xa5" * 252, b"\xa5" * 253, b"\xa5" * 506):
        cost = codec.measure(payload)
        assert Decoder().feed(cost.encoded) == [Frame(3, 7, payload, cost.encoded[:-1])]
        assert cost.encoded == encode_frame(3, 7, payload)
