"""Decode rate: wire bytes to SI arrays, beside pymavlink and beside plain interpreted construct, in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cobs.cobs
import construct
import crcmod.predefined
import numpy as np
from pymavlink.dialects.v20 import common as mavlink

from bench.report import Row
from telemetry_bridge.events import Batch
from telemetry_bridge.session import Session
from telemetry_bridge.sim import SimulatedDevice
from telemetry_protocol import Decoder, Frame, SampleLayout, encode_frame, messages

SAMPLES = 20_000
PER_FRAME = 20
ROUNDS = 7
READ = 4096  # bytes a read returns from a busy serial port

IMU = messages.Stream(
    stream_gen=0,
    rate_mhz=1_000_000,
    group_delay_us=0,
    fifo_depth=0,
    name="imu",
    sensor="mpu6050",
    fields=tuple(
        messages.FieldDescriptor(
            type=messages.FieldType.I16, scale=scale, offset=0.0, full_scale=0.0, name=name, unit=unit
        )
        for scale, unit, names in (
            (9.80665 / 8192, "m/s^2", ("accel_x", "accel_y", "accel_z")),
            (np.pi / 180 / 65.5, "rad/s", ("gyro_x", "gyro_y", "gyro_z")),
        )
        for name in names
    ),
    latency_us=20_000,
    enabled=1,
)


def ours(raw: np.ndarray) -> bytes:
    """The samples as our frames."""
    out = bytearray()
    for number, first in enumerate(range(0, len(raw), PER_FRAME)):
        data = raw[first : first + PER_FRAME].astype("<i2").tobytes()
        payload = messages.Samples(stream_gen=0, index=first, time_us=first * 1000, data=data).pack()
        out += encode_frame(messages.Samples.TYPE, number & 0xFF, payload)
    return bytes(out)


def mavlink_frames(raw: np.ndarray) -> bytes:
    """The samples as one SCALED_IMU2 message each."""
    link = mavlink.MAVLink(None)
    out = bytearray()
    for number, sample in enumerate(raw):
        message = mavlink.MAVLink_scaled_imu2_message(number, *(int(value) for value in sample), 0, 0, 0)
        out += message.pack(link)
    return bytes(out)


def chunks(data: bytes) -> list[bytes]:
    """What successive reads return."""
    return [data[at : at + READ] for at in range(0, len(data), READ)]


def decode_ours(reads: list[bytes]) -> int:
    """Decoder, messages, SI arrays; returns samples."""
    decoder, layout, count = Decoder(), SampleLayout(IMU), 0
    for data in reads:
        for frame in decoder.feed(data):
            assert isinstance(frame, Frame)
            message = messages.unpack(frame.type, frame.payload)
            assert isinstance(message, messages.Samples)
            count += layout.si(message.data).shape[1]
    return count


def decode_mavlink(reads: list[bytes]) -> int:
    """What a pymavlink user gets: message objects with integer attributes; returns messages."""
    link, count = mavlink.MAVLink(None), 0
    for data in reads:
        count += len(link.parse_buffer(data) or [])
    return count


_PLAIN = construct.Struct(
    "type" / construct.Int8ul,
    "sequence" / construct.Int8ul,
    "stream_gen" / construct.Int8ul,
    "index" / construct.Int32ul,
    "time_us" / construct.BytesInteger(6, swapped=True),
    "samples" / construct.GreedyRange(construct.Array(6, construct.Int16sl)),
)
_SCALE = np.array([[field.scale] for field in IMU.fields], np.float32)


def decode_construct(reads: list[bytes]) -> int:
    """The same frames through one declared construct.Struct, not compiled; returns samples."""
    crc, count = crcmod.predefined.mkCrcFun("crc-32c"), 0
    rest = b""
    for data in reads:
        *whole, rest = (rest + data).split(b"\0")
        for encoded in whole:
            body = cobs.cobs.decode(encoded)
            assert crc(body[:-4]) == int.from_bytes(body[-4:], "little")
            values = np.array(_PLAIN.parse(body[:-4]).samples, np.float32).T * _SCALE
            count += values.shape[1]
    return count


def session_rate(samples: int) -> float:
    """Samples a second through the whole session: descriptors, loss, time axis, events; the time in `receive` only."""
    board = SimulatedDevice.from_parameters({"rate": "1000", "seed": "1"})
    session = Session("sim:", wall_ns=0, monotonic_ns=0)
    now_ns = took_ns = count = 0
    while count < samples:
        now_ns += 20_000_000
        data = board.advance(now_ns)
        begin_ns = time.perf_counter_ns()
        events = session.receive(data, now_ns)
        took_ns += time.perf_counter_ns() - begin_ns
        count += sum(event.samples for event in events if isinstance(event, Batch) and event.stream == "imu")
        session.poll(now_ns)
        board.receive(session.take_output(), now_ns)
    return count / took_ns * 1e9


def seconds(work: Callable[[list[bytes]], int], reads: list[bytes], samples: int) -> float:
    """Processor time of one run, checked for completeness."""
    begin = time.process_time()
    decoded = work(reads)
    took = time.process_time() - begin
    assert decoded == samples, f"{work.__name__} gave {decoded} of {samples}"
    return took


def run() -> tuple[str, str, list[Row]]:
    """Measure in turn, so that a machine that changes its speed changes all of them."""
    raw = np.random.default_rng(1).integers(-4000, 4000, (SAMPLES, 6), np.int16)
    contenders = {
        "ours": (decode_ours, chunks(ours(raw)), SAMPLES),
        "pymavlink": (decode_mavlink, chunks(mavlink_frames(raw)), SAMPLES),
        "construct": (decode_construct, chunks(ours(raw[: SAMPLES // 10])), SAMPLES // 10),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, (work, reads, samples) in contenders.items():
            rates[name].append(samples / seconds(work, reads, samples))
    sessions = [session_rate(SAMPLES) for _ in range(ROUNDS)]
    middle = {name: statistics.median(values) for name, values in rates.items()}
    ratio = {
        name: statistics.median(a / b for a, b in zip(rates["ours"], rates[name], strict=True)) for name in contenders
    }
    about = (
        f"{SAMPLES:,} six-axis samples, {PER_FRAME} a frame, read {READ} bytes at a time and turned into float32 "
        "arrays in SI units, frame by frame; beside it pymavlink parsing as many SCALED_IMU2 messages (it stops at "
        "integers) and the same frames through an interpreted construct.Struct. "
        f"Processor time of one core, median of {ROUNDS} rounds taken in turn."
    )
    return (
        "Decoding",
        about,
        [
            Row("this bridge's codec", middle["ours"], "samples/s"),
            Row(
                "the same and the session: descriptors, loss, time, events",
                statistics.median(sessions),
                "samples/s",
                note="as at 1 kHz, one frame a read, temperatures and pings between",
            ),
            Row("pymavlink 2", middle["pymavlink"], "samples/s"),
            Row("interpreted construct", middle["construct"], "samples/s"),
            Row("codec against pymavlink", ratio["pymavlink"], "x", ">= 20"),
            Row("codec against interpreted construct", ratio["construct"], "x"),
        ],
    )
