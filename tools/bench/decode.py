"""Decode rate: wire bytes to SI arrays, beside pymavlink and beside plain interpreted construct, in the same run."""

from __future__ import annotations

import datetime
import functools
import statistics
import time
from collections.abc import Callable

import cobs.cobs
import construct
import crcmod.predefined
import numpy as np
from pymavlink.dialects.v20 import common as mavlink

from bench.report import Row
from telemetry_bridge.calibration.model import Calibration, Residuals, Triad
from telemetry_bridge.calibration.stage import Calibrator, Correction
from telemetry_bridge.events import Batch
from telemetry_bridge.session import Session
from telemetry_bridge.sim import SimulatedDevice
from telemetry_protocol import Decoder, Frame, SampleLayout, encode_frame, messages
from telemetry_protocol.block import decode_block

SAMPLES = 100_000
ROUNDS = 7
READ = 4096  # bytes a read returns from a busy serial port
PIECE = 128 * 1024  # bytes of a recording that are decoded together

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


def calibration(device: str = "d", stream: str = "imu", sensor: str = "mpu6050") -> Calibration:
    """Some per mille of scale and misalignment, and a bias."""
    date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    parts = {
        name: Triad(
            unit=unit,
            matrix=((1.002, 0.003, -0.001), (0.001, 0.997, 0.002), (-0.002, 0.001, 1.004)),
            bias=(0.01, -0.02, 0.03),
            date=date,
            method="made up for the benchmark",
            residuals=Residuals(before=1.0, after=0.1, unit=unit, of="nothing"),
            counts={},
        )
        for name, unit in (("accel", "m/s^2"), ("gyro", "rad/s"))
    }
    return Calibration(
        device=device, stream=stream, sensor=sensor, date=date, accel=parts["accel"], gyro=parts["gyro"]
    ).sealed()


LAYOUT = SampleLayout(IMU)
CORRECTION = Correction(calibration(), [field.name for field in IMU.fields])


def ours(raw: np.ndarray, per_frame: int = 20) -> bytes:
    """The samples as our frames."""
    out = bytearray()
    for number, first in enumerate(range(0, len(raw), per_frame)):
        data = raw[first : first + per_frame].astype("<i2").tobytes()
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


def chunks(data: bytes, size: int = READ) -> list[bytes]:
    """What successive reads return."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def decode_ours(reads: list[bytes]) -> int:
    """Frame by frame: decoder, messages, SI arrays, calibration; returns samples."""
    decoder, count = Decoder(), 0
    for data in reads:
        for frame in decoder.feed(data):
            assert isinstance(frame, Frame)
            message = messages.unpack(frame.type, frame.payload)
            assert isinstance(message, messages.Samples)
            count += CORRECTION.apply(LAYOUT.si(message.data)).shape[1]
    return count


def decode_block_of_ours(pieces: list[bytes]) -> int:
    """The same from recorded bytes, many frames at once; returns samples."""
    rest, count = b"", 0
    for data in pieces:
        block = decode_block(rest + data, synchronised=True)
        rest = block.rest
        counts, values = block.samples[0].si(LAYOUT)
        assert counts.sum() == values.shape[1]
        count += CORRECTION.apply(values).shape[1]
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


class OneCalibration:
    """A store that has a calibration for every IMU: every element of the matrix and of the bias counts."""

    def __init__(self) -> None:
        self._made = functools.cache(calibration)  # a store reads a file once

    def find(self, device: str, stream: str, sensor: str) -> Calibration | None:
        """The calibration of a stream."""
        return self._made(device, stream, sensor) if stream == "imu" else None


def line_rate(samples: int, rate_hz: int) -> tuple[float, float]:
    """Samples a second through a whole line: session (descriptors, loss, time, events) and calibration.

    Returns:
        Samples a second of the time spent there, and samples in a frame.
    """
    board = SimulatedDevice.from_parameters({"rate": str(rate_hz), "seed": "1"})
    session, calibrator = Session("sim:", wall_ns=0, monotonic_ns=0), Calibrator(OneCalibration())  # type: ignore[arg-type]
    now_ns = took_ns = count = frames = 0
    while count < samples:
        now_ns += 5_000_000
        data = board.advance(now_ns)
        begin_ns = time.process_time_ns()
        events = [made for event in session.receive(data, now_ns) for made in calibrator.process(event)]
        took_ns += time.process_time_ns() - begin_ns
        for event in events:
            if isinstance(event, Batch) and event.stream == "imu":
                assert event.nominal is not None
                count += event.samples
                frames += 1
        session.poll(now_ns)
        board.receive(session.take_output(), now_ns)
    return count / took_ns * 1e9, count / frames


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
        "pymavlink": (decode_mavlink, chunks(mavlink_frames(raw)), SAMPLES),
        "construct": (decode_construct, chunks(ours(raw[: SAMPLES // 20])), SAMPLES // 20),
        "frames 40": (decode_ours, chunks(ours(raw, 40)), SAMPLES),
        "frames 20": (decode_ours, chunks(ours(raw, 20)), SAMPLES),
        "block 40": (decode_block_of_ours, chunks(ours(raw, 40), PIECE), SAMPLES),
        "block 20": (decode_block_of_ours, chunks(ours(raw, 20), PIECE), SAMPLES),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, (work, reads, samples) in contenders.items():
            rates[name].append(samples / seconds(work, reads, samples))
    middle = {name: statistics.median(values) for name, values in rates.items()}

    def against(name: str, other: str = "pymavlink") -> float:
        return statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))

    full = [line_rate(SAMPLES, 7000) for _ in range(ROUNDS)]
    usual = [line_rate(SAMPLES, 1000) for _ in range(ROUNDS)]
    about = (
        f"{SAMPLES:,} six-axis samples to calibrated float32 arrays in SI units: frame by frame, read {READ} bytes at "
        "a time; and as a recording, 128 KiB at a time (with the extra `fast`). Beside it pymavlink parsing as many "
        "SCALED_IMU2 messages (it stops at integers), and frames of 20 through an interpreted construct.Struct. "
        "The whole line is session and calibration: descriptors, loss, time, events, with pings, temperatures and "
        f"health between. Processor time of one core, medians of {ROUNDS} rounds taken in turn."
    )
    return (
        "Decoding",
        about,
        [
            Row("whole line, live", statistics.median(one for one, _ in full), "samples/s", ">= 1000000", _per(full)),
            Row("whole line, live", statistics.median(one for one, _ in usual), "samples/s", note=_per(usual)),
            Row("codec and calibration, 40 a frame", middle["frames 40"], "samples/s"),
            Row("codec and calibration, 20 a frame", middle["frames 20"], "samples/s"),
            Row("recorded bytes, 40 a frame", middle["block 40"], "samples/s"),
            Row("recorded bytes, 20 a frame", middle["block 20"], "samples/s"),
            Row("pymavlink 2", middle["pymavlink"], "samples/s"),
            Row("interpreted construct", middle["construct"], "samples/s"),
            Row("codec and calibration against pymavlink, 40 a frame", against("frames 40"), "x", ">= 20"),
            Row("codec and calibration against pymavlink, 20 a frame", against("frames 20"), "x"),
            Row("recorded bytes against pymavlink, 40 a frame", against("block 40"), "x", ">= 100"),
            Row("recorded bytes against pymavlink, 20 a frame", against("block 20"), "x"),
            Row("codec and calibration against construct, 20 a frame", against("frames 20", "construct"), "x"),
        ],
    )


def _per(rounds: list[tuple[float, float]]) -> str:
    return f"{rounds[0][1]:.0f} a frame"
