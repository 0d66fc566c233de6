"""Nothing that a line can deliver makes the session raise, grow without bound, deliver twice or skip in silence.

Documented exceptions: none. A ``ValueError`` of :meth:`Session.command` is for its caller's arguments, not for bytes.
"""

from __future__ import annotations

import itertools
import struct
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.session_helpers import HELLO, MS, SECOND, URI
from telemetry_bridge.events import Batch, EpochStarted, Event, Gap
from telemetry_bridge.session import Session
from telemetry_bridge.session.board import UNCLAIMED_MAX
from telemetry_bridge.session.streams import HELD_MAX
from telemetry_protocol import FINGERPRINT, encode_frame, messages, stream_gen

u8 = st.integers(0, 255)
u16 = st.integers(0, 0xFFFF)
u32 = st.one_of(
    st.integers(0, 300), st.integers(0, 0xFFFF_FFFF), st.sampled_from([0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
)
u48 = st.one_of(st.integers(0, 20_000_000), st.integers(0, (1 << 48) - 1))
f32 = st.one_of(
    st.sampled_from([0.0, 1.0, -0.5, float("nan"), float("inf"), -float("inf"), 3.4e38, 1e-45]),
    st.floats(width=32),
)
text = st.text(max_size=8)
few_streams = st.builds(stream_gen, st.integers(0, 2), st.integers(0, 3))
any_stream = st.one_of(few_streams, u8)

fields = st.lists(
    st.builds(messages.FieldDescriptor, st.one_of(st.integers(0, 6), u8), f32, f32, f32, text, text), max_size=4
).map(tuple)
plain_fields = st.sampled_from(
    [
        (messages.FieldDescriptor(messages.FieldType.I16, 0.5, 0.0, 1.0, "x", "m"),),
        (messages.FieldDescriptor(messages.FieldType.F32, 1e38, 1.0, 1.0, "y", "V"),),
        (
            messages.FieldDescriptor(messages.FieldType.U8, 0.5, 0.0, 1.0, "a", "m"),
            messages.FieldDescriptor(messages.FieldType.I32, 2.0, 0.0, 1.0, "b", "m"),
        ),
    ]
)
hello = st.builds(
    messages.Hello,
    protocol=st.sampled_from([1, 1, 1, 2]),
    fingerprint=st.sampled_from([FINGERPRINT, 0]),
    boot_id=st.sampled_from([1, 1, 1, 2, 3]),
    uid=st.sampled_from([HELLO.uid, HELLO.uid, bytes(12), bytes(12 * [7])]),
    reset_cause=u8,
    capabilities=u32,
    clock_hz=u32,
    baud=st.one_of(st.sampled_from([921_600, 0, 1]), u32),
    baud_max=u32,
    retransmit=u32,
    time_us=u48,
    streams=u8,
    firmware=text,
    revision=text,
    board=text,
)
stream = st.builds(
    messages.Stream, any_stream, u32, u32, u16, text, text, st.one_of(plain_fields, plain_fields, fields), u32, u8
)
samples = st.builds(messages.Samples, any_stream, u32, u48, st.binary(max_size=48))
stream_health = st.builds(messages.StreamHealth, st.integers(0, 3), u8, u32, u32, u32, u32)
sensor_health = st.builds(messages.SensorHealth, st.integers(0, 3), u32, st.integers(-32768, 32767))
health = st.builds(
    messages.Health,
    time_us=u48,
    **{
        name: st.integers(-32768, 32767) if name == "mcu_cdegc" else u16
        for name in messages.Health.__match_args__
        if name not in {"time_us", "streams", "sensors"}
    },
    streams=st.lists(stream_health, max_size=4).map(tuple),
    sensors=st.lists(sensor_health, max_size=4).map(tuple),
)
response = st.builds(
    messages.Response, st.integers(0, 12), st.integers(0, 8), st.integers(0, 12), st.binary(max_size=24)
)
log = st.builds(messages.Log, u48, u8, text)
fault = st.builds(messages.Fault, u32, u48, u8, *[u32] * 8)
message = st.one_of(hello, stream, samples, samples, samples, health, response, log, fault)
frame = st.builds(lambda m, s: encode_frame(m.TYPE, s, m.pack()), message, u8)
nonsense = st.builds(encode_frame, u8, u8, st.binary(max_size=80))
known_nonsense = st.builds(encode_frame, st.integers(1, 7), u8, st.binary(max_size=80))
truncated = st.builds(lambda m, s, cut: encode_frame(m.TYPE, s, m.pack()[:cut]), message, u8, st.integers(0, 60))
noise = st.binary(max_size=60)
piece = st.one_of(frame, frame, frame, nonsense, known_nonsense, truncated, noise)
pause = st.one_of(st.integers(0, 30 * MS), st.sampled_from([0, SECOND, 5 * SECOND]))

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Checker:
    """Holds the events against what the API promises."""

    def __init__(self) -> None:
        self.next_index: dict[tuple[str, int], int] = {}
        self.last_ns: dict[tuple[str, str, int], int] = {}
        self.fields: dict[int, int] = {}

    def check(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case EpochStarted():
                    assert event.epoch not in self.fields
                    self.fields[event.epoch] = len(event.fields)
                    self.next_index["", event.epoch] = event.next_index
                case Gap():
                    assert event.index == self.next_index["", event.epoch]
                    assert event.count is None or event.count > 0
                    self.next_index["", event.epoch] += event.count or 0
                case Batch():
                    self.batch(event)
                case _:
                    pass

    def batch(self, batch: Batch) -> None:
        assert batch.index == self.next_index["", batch.epoch]
        self.next_index["", batch.epoch] += batch.samples
        assert batch.values.dtype == np.float32
        assert batch.values.shape[0] == self.fields[batch.epoch]
        assert batch.values.shape[1] > 0
        assert 0 <= batch.period_ns < 1 << 32
        assert batch.uncertainty_ns >= 0
        key = (batch.device, batch.stream, batch.epoch)
        assert batch.time_ns > self.last_ns.get(key, -(1 << 63))
        self.last_ns[key] = batch.time_ns + (batch.samples - 1) * batch.period_ns


def drive(pieces: list[tuple[bytes, int]], *, prelude: bool) -> Session:
    session = Session(URI, wall_ns=10**18, monotonic_ns=0)
    checker = Checker()
    now = 0
    if prelude:  # a board that is known, so that more of the session is reached
        field = messages.FieldDescriptor(messages.FieldType.I16, 0.5, 0.0, 1.0, "x", "m")
        known = messages.Stream(stream_gen(0, 1), 1_000_000, 0, 0, "imu", "mpu6050", (field,), 20_000, 1)
        for sequence, message in enumerate((HELLO, known)):
            checker.check(session.receive(encode_frame(message.TYPE, sequence, message.pack()), now))
    for data, wait_ns in pieces:
        now += wait_ns
        checker.check(session.receive(data, now))
        checker.check(session.poll(now))
        session.take_output()
        assert session.next_poll_ns > now - 1
    checker.check(session.closed(now))
    checker.check(session.opened(now))
    assert session.stats.bytes == 0
    return session


@QUICK
@given(st.lists(st.tuples(piece, pause), max_size=25))
def test_any_bytes_from_the_first(pieces: list[tuple[bytes, int]]) -> None:
    drive(pieces, prelude=False)


@QUICK
@given(st.lists(st.tuples(piece, pause), max_size=25))
def test_any_bytes_from_a_known_board(pieces: list[tuple[bytes, int]]) -> None:
    drive(pieces, prelude=True)


@QUICK
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(1, 5), st.integers(0, 255), st.integers(0, 2_000_000), pause),
        max_size=30,
    )
)
def test_samples_of_any_index_sequence_and_time(frames: list[tuple[int, int, int, int, int]]) -> None:
    pieces = []
    for index, count, sequence, time_us, wait_ns in frames:
        block = messages.Samples(stream_gen(0, 1), index, time_us, struct.pack(f"<{count}h", *range(count)))
        pieces.append((encode_frame(messages.Samples.TYPE, sequence, block.pack()), wait_ns))
    drive(pieces, prelude=True)


@QUICK
@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8))
def test_pure_noise_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(data)]
    drive([(data[a:b], MS) for a, b in itertools.pairwise(edges)], prelude=True)


@QUICK
@given(st.lists(message, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_flipped_byte_anywhere_is_survived(said: list[Any], random: Any) -> None:
    data = bytearray(b"".join(encode_frame(m.TYPE, k, m.pack()) for k, m in enumerate(said)))
    for _ in range(3):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    drive([(bytes(data), MS)], prelude=True)


def test_a_board_that_never_describes_itself_costs_bounded_memory() -> None:
    for prelude in (False, True):
        session = Session(URI, wall_ns=0, monotonic_ns=0)
        if prelude:
            session.receive(encode_frame(messages.Hello.TYPE, 0, HELLO.pack()), 0)
        now = 0
        for k in range(3 * HELD_MAX):
            for number in (0, 31):
                block = messages.Samples(stream_gen(number, 5), k * 100, k * 1000, bytes(400))
                session.receive(encode_frame(messages.Samples.TYPE, (2 * k + number) & 0xFF, block.pack()), now)
            now += MS
            session.poll(now)
            session.take_output()
        tracks = session._board._tracks.values()
        held = sum(len(track.held) for track in tracks) + len(session._board._unclaimed)
        assert held == (2 * HELD_MAX if prelude else UNCLAIMED_MAX)
        assert session.stats.held_dropped == 6 * HELD_MAX - held


def test_frames_that_a_repeated_hello_disowns_leave_nothing_to_wait_for() -> None:
    hello = encode_frame(messages.Hello.TYPE, 0, HELLO.pack())
    block = messages.Samples(stream_gen(0, 1), 0, 0, bytes(2))
    samples = encode_frame(messages.Samples.TYPE, 1, block.pack())
    drive([(hello, 0), (samples, 0), (hello, 5 * SECOND)], prelude=False)  # HELLO says that no time has passed


def test_the_checker_can_fail() -> None:
    values = np.zeros((1, 2), np.float32)
    good: list[Event] = [
        EpochStarted("d", "imu", 1, "0", (), 5),
        Batch("d", "imu", 1, 5, 100, 10, 0, values, 0, b"", 0),
    ]
    for wrong in (
        Batch("d", "imu", 1, 8, 200, 10, 0, values, 0, b"", 0),  # a hole in silence
        Batch("d", "imu", 1, 6, 200, 10, 0, values, 0, b"", 0),  # delivered twice
        Batch("d", "imu", 1, 7, 110, 10, 0, values, 0, b"", 0),  # overlaps in time
        Batch("d", "imu", 1, 7, 200, 10, 0, np.zeros((3, 2), np.float32), 0, b"", 0),
        Gap("d", "imu", 1, 9, 3, "wire"),
    ):
        checker = Checker()
        checker.check(good[:1])
        checker.fields[1] = 1
        checker.check(good[1:])
        try:
            checker.check([wrong])
        except AssertionError:
            continue
        raise AssertionError(f"not caught: {wrong}")
