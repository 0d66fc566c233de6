"""The bytes of the push API, against the words of the contract."""

from __future__ import annotations

import json

import numpy as np
import pytest
from websockets.frames import Frame, Opcode

from bridge.server_helpers import TIME_NS, batch, decode, device_info, json_message
from telemetry_bridge.server.wire_format import (
    HEADER_BYTES,
    Format,
    batch_parts,
    binary_prefix,
    device_message,
    frame_head,
    gap_message,
    json_message_tail,
    json_prefix,
)


def test_a_binary_batch_is_the_header_of_the_contract_and_then_column_by_column() -> None:
    values = np.array([[1.0, 2.0, 3.0], [-4.0, 5.5, np.nan]], np.float32)
    (part,) = batch_parts(batch(2**40, values=values), "binary")
    message = binary_prefix(3, 9) + part.tail
    time_ns = TIME_NS + 2**40 * 1_000_000
    expected = (
        bytes([1, 1, 3, 0]) + (9).to_bytes(4, "little") + (2**40).to_bytes(8, "little")
        + time_ns.to_bytes(8, "little") + (1_000_000).to_bytes(4, "little") + bytes([3, 0, 2, 0])
    )  # fmt: skip
    assert message[:32] == expected
    assert len(expected) == HEADER_BYTES == 32
    assert message[32:] == values.astype("<f4").tobytes()


def test_json_data_says_the_same_as_the_binary_batch_and_nan_is_null() -> None:
    values = np.array([[9.80665, np.nan], [np.inf, -0.1]], np.float32)
    event = batch(5, values=values)
    (binary,), (text,) = batch_parts(event, "binary"), batch_parts(event, "json")
    one = decode(binary_prefix(1, 0) + binary.tail)
    other = json.loads(json_prefix("data", 1, 0) + text.tail)
    assert other.pop("values") == [[float(np.float32(9.80665)), None], [None, float(np.float32(-0.1))]]
    assert other == {
        "op": "data", "sub": 1, "seq": 0, "index": one.index, "time_ns": one.time_ns, "period_ns": one.period_ns
    }  # fmt: skip


@pytest.mark.parametrize("form", ["binary", "json"])
def test_a_batch_slower_than_the_period_field_can_say_goes_out_sample_by_sample(form: Format) -> None:
    period = 2**32
    parts = batch_parts(batch(10, 3, stream="imu_temp", period_ns=period), form)
    assert [(part.index, part.samples) for part in parts] == [(10, 1), (11, 1), (12, 1)]
    if form == "binary":
        decoded = [decode(binary_prefix(1, 0) + part.tail) for part in parts]
        assert [item.time_ns for item in decoded] == [TIME_NS + index * period for index in (10, 11, 12)]
        assert {item.period_ns for item in decoded} == {0}
        assert [float(item.values[0, 0]) for item in decoded] == [10.0, 11.0, 12.0]


def test_the_longest_period_that_fits_stays_one_message() -> None:
    (part,) = batch_parts(batch(0, 3, period_ns=2**32 - 1), "binary")
    assert decode(binary_prefix(1, 0) + part.tail).period_ns == 2**32 - 1


def test_an_irregular_batch_goes_out_sample_by_sample() -> None:
    parts = batch_parts(batch(0, 2, period_ns=0), "binary")
    decoded = [decode(binary_prefix(1, 0) + part.tail) for part in parts]
    assert [(item.index, item.samples, item.period_ns) for item in decoded] == [(0, 1, 0), (1, 1, 0)]


def test_a_single_sample_of_a_regular_stream_keeps_its_period() -> None:
    (part,) = batch_parts(batch(4, 1, period_ns=100_000_000), "binary")
    assert decode(binary_prefix(1, 0) + part.tail).period_ns == 100_000_000


def test_a_gap_without_a_count_has_null() -> None:
    assert json.loads(gap_message(3, 40, None, True, "wire")) == {
        "op": "gap", "sub": 3, "index": 40, "count": None, "estimated": True, "cause": "wire"
    }  # fmt: skip


def test_a_device_has_every_key_of_the_contract() -> None:
    device = json.loads(device_message(device_info()))["device"]
    assert {"id", "state", "board", "firmware", "uid", "boot_id", "link", "clock", "streams"} <= device.keys()
    assert device["clock"].keys() == {"state", "offset_ns", "drift_ppm", "uncertainty_ns"}
    (stream,) = device["streams"]
    assert {"name", "sensor", "rate_hz", "measured_rate_hz", "fields", "calibration"} <= stream.keys()
    assert [field["name"] for field in stream["fields"]] == [
        "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"
    ]  # fmt: skip


def test_a_json_stream_message_carries_its_body_under_data() -> None:
    tail = json_message_tail(json_message("health", body={"cpu": 0.25, "mcu_degc": float("nan")}))
    assert json.loads(json_prefix("health", 2, 5) + tail) == {
        "op": "health", "sub": 2, "seq": 5, "device": "dev-a", "time_ns": TIME_NS,
        "data": {"cpu": 0.25, "mcu_degc": None},
    }  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
@pytest.mark.parametrize("text", [False, True])
def test_the_head_of_a_message_is_that_of_the_websocket_library(size: int, text: bool) -> None:
    data = b"a" * size
    frame = Frame(Opcode.TEXT if text else Opcode.BINARY, data)
    assert frame_head(size, text=text) + data == frame.serialize(mask=False)
