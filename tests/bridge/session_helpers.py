"""A board made by hand, frame by frame, and a session that listens to it in virtual time."""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections.abc import Callable
from typing import TypeVar

from telemetry_bridge.events import Batch, CommandDone, DeviceChanged, EpochStarted, Event, Gap, JsonMessage
from telemetry_bridge.session import Session
from telemetry_protocol import FINGERPRINT, Decoder, Frame, Message, encode_frame, messages, stream_gen

MS = 1_000_000
SECOND = 1_000_000_000
WALL_NS = 1_700_000_000 * SECOND
"""Unix time at monotonic zero."""
URI = "serial:/dev/ttyTEST"
UID = bytes(range(12))
E = TypeVar("E", bound=Event)

ACCEL = messages.FieldDescriptor(messages.FieldType.I16, 0.5, 0.0, 100.0, "accel_x", "m/s^2")
GYRO = messages.FieldDescriptor(messages.FieldType.I16, 0.25, 1.0, 50.0, "gyro_x", "rad/s")
TEMPERATURE = messages.FieldDescriptor(messages.FieldType.I16, 0.01, 20.0, 0.0, "temperature", "degC")

HELLO = messages.Hello(
    protocol=1,
    fingerprint=FINGERPRINT,
    boot_id=0x1001,
    uid=UID,
    reset_cause=messages.ResetCause.PIN,
    capabilities=0,
    clock_hz=100_000_000,
    baud=921_600,
    baud_max=3_000_000,
    retransmit=0,
    time_us=0,
    streams=1,
    firmware="0.1.0",
    revision="abc1234",
    board="nucleo_f411re",
)


def stream(
    number: int = 0,
    generation: int = 1,
    *,
    rate_hz: float = 1000.0,
    name: str = "imu",
    group_delay_us: int = 0,
    fields: tuple[messages.FieldDescriptor, ...] = (ACCEL, GYRO),
) -> messages.Stream:
    return messages.Stream(
        stream_gen(number, generation),
        round(rate_hz * 1000),
        group_delay_us,
        0,
        name,
        "mpu6050",
        fields,
        latency_us=20_000,
        enabled=1,
    )


def health(
    time_us: int, *streams: messages.StreamHealth, uptime_s: int = 0, supply_mv: int = 0, mcu_cdegc: int = -32768
) -> messages.Health:
    counters = dict.fromkeys(
        (
            field.name
            for field in dataclasses.fields(messages.Health)
            if field.type == "int" and field.name != "time_us"
        ),
        0,
    )
    counters |= {"uptime_s": uptime_s, "supply_mv": supply_mv, "mcu_cdegc": mcu_cdegc, "cpu_permille": 31}
    sensors = tuple(messages.SensorHealth(entry.stream, 1_000_000, 2_500) for entry in streams)
    return messages.Health(time_us=time_us, streams=streams, sensors=sensors, **counters)


def stream_health(
    next_index: int, *, fifo: int = 0, ring: int = 0, bus: int = 0, number: int = 0
) -> messages.StreamHealth:
    return messages.StreamHealth(number, messages.StreamState.STREAMING, next_index, fifo, ring, bus)


class Harness:
    """A session and the board at its other end. Time stands still unless told; the board's clock is ``now - boot``.

    Samples of stream ``n`` at index ``k`` have the raw values ``k % 1000`` in every field and the time of their tick.
    """

    def __init__(
        self, *, ping: bool = True, now_ns: int = 5 * SECOND, configure: Callable[[Session], None] | None = None
    ) -> None:
        self.now_ns = now_ns
        self.boot_ns = now_ns
        self.session = Session(URI, wall_ns=WALL_NS + now_ns, monotonic_ns=now_ns)
        self.sequence = 0
        self.events: list[Event] = []
        self.commands: list[messages.Command] = []
        self.answer_pings = ping
        self._decoder = Decoder()
        if configure is not None:
            configure(self.session)

    # --------------------------------------------------------------- board

    @property
    def device_us(self) -> int:
        return (self.now_ns - self.boot_ns) // 1000

    def frame(self, message: Message) -> bytes:
        """The next frame of the board, encoded."""
        encoded = encode_frame(message.TYPE, self.sequence, message.pack())
        self.sequence = (self.sequence + 1) & 0xFF
        return encoded

    def say(self, *said: Message) -> list[Event]:
        """The board sends; what the session tells."""
        return self.hear(b"".join(self.frame(message) for message in said))

    def hear(self, data: bytes) -> list[Event]:
        events = self.session.receive(data, self.now_ns)
        self.events += events
        return events

    def lose(self, frames: int = 1) -> None:
        """The wire swallows frames."""
        self.sequence = (self.sequence + frames) & 0xFF

    def hello(self, **changes: object) -> list[Event]:
        return self.say(dataclasses.replace(HELLO, **{"time_us": self.device_us, **changes}))  # type: ignore[arg-type]

    def samples(
        self,
        index: int,
        count: int = 20,
        *,
        number: int = 0,
        generation: int = 1,
        fields: int = 2,
        time_us: int | None = None,
    ) -> messages.Samples:
        """A batch; unless told otherwise its first tick was ``count`` ms ago."""
        data = b"".join(struct.pack("<h", k % 1000) * fields for k in range(index, index + count))
        time_us = self.device_us - 1000 * count if time_us is None else time_us
        return messages.Samples(stream_gen(number, generation), index & 0xFFFF_FFFF, time_us % (1 << 48), data)

    def send_samples(self, index: int, count: int = 20, **options: int) -> list[Event]:
        """Let ``count`` ms pass and send the batch that they filled."""
        self.pass_ms(count)
        return self.say(self.samples(index, count, **options))

    def reboot(self, boot_id: int = 0x1002) -> None:
        self.boot_ns = self.now_ns
        self.sequence = 0
        self.boot_id = boot_id

    # ----------------------------------------------------------------- time

    def pass_ms(self, milliseconds: float) -> list[Event]:
        """Let time pass, with polls where the session wants them; the board answers pings at once."""
        end = self.now_ns + round(milliseconds * MS)
        seen = len(self.events)
        self.exchange()
        while (due := self.session.next_poll_ns) <= end:
            self.now_ns = max(self.now_ns, due)
            self.exchange()
        self.now_ns = end
        return self.events[seen:]

    def exchange(self) -> None:
        """Poll once and let the board hear what the session sends."""
        self.events += self.session.poll(self.now_ns)
        while True:
            heard = [item for item in self._decoder.feed(self.session.take_output()) if isinstance(item, Frame)]
            if not heard:
                return
            for item in heard:
                command = messages.unpack(item.type, item.payload)
                assert isinstance(command, messages.Command)
                self.commands.append(command)
                if command.command == messages.COMMANDS["ping"].id and self.answer_pings:
                    # on a line without serialisation: the stamps are those of now
                    stamp = self.device_us.to_bytes(6, "little")
                    self.now_ns += 100_000
                    self.say(messages.Response(command.request, 1, 0, command.args + stamp + stamp))

    # --------------------------------------------------------------- looking

    def of(self, kind: type[E], events: list[Event] | None = None) -> list[E]:
        return [event for event in (self.events if events is None else events) if isinstance(event, kind)]

    @property
    def handshake(self) -> str:
        return str(self.session.handshake.value)

    @property
    def state(self) -> str:
        """State of the device as told last."""
        return str(self.devices[-1].device.state)

    @property
    def batches(self) -> list[Batch]:
        return self.of(Batch)

    @property
    def gaps(self) -> list[Gap]:
        return self.of(Gap)

    @property
    def epochs(self) -> list[EpochStarted]:
        return self.of(EpochStarted)

    @property
    def devices(self) -> list[DeviceChanged]:
        return self.of(DeviceChanged)

    @property
    def reports(self) -> list[JsonMessage]:
        return self.of(JsonMessage)

    @property
    def ends(self) -> list[CommandDone]:
        return self.of(CommandDone)

    def sent(self, name: str) -> list[messages.Command]:
        """Commands of that name which the session has sent."""
        return [command for command in self.commands if command.command == messages.COMMANDS[name].id]


def online(*, ping: bool = True, streams: tuple[messages.Stream, ...] = ()) -> Harness:
    """A session whose board, booted 10 s ago, has said who it is."""
    harness = Harness(ping=ping)
    harness.boot_ns -= 10 * SECOND
    harness.exchange()
    harness.hello()
    harness.say(*(streams or (stream(),)))
    harness.exchange()
    return harness


def accounted(events: list[Event], name: str = "imu") -> dict[int, list[range]]:
    """For each epoch of a stream the indexes of its batches and gaps, in order of arrival.

    A gap of unknown length, which only the end of an epoch may have, adds none.
    """
    ranges: dict[int, list[range]] = {}
    ended: set[int] = set()
    for event in events:
        if isinstance(event, Batch | Gap) and event.stream == name:
            assert event.epoch not in ended
        if isinstance(event, Batch) and event.stream == name:
            ranges.setdefault(event.epoch, []).append(range(event.index, event.index + event.samples))
        elif isinstance(event, Gap) and event.stream == name:
            if event.count is None:
                ended.add(event.epoch)
                continue
            ranges.setdefault(event.epoch, []).append(range(event.index, event.index + event.count))
    return ranges


def assert_complete(events: list[Event], name: str = "imu") -> None:
    """Every index of every epoch is there once, as a sample or in a gap."""
    for epoch, ranges in accounted(events, name).items():
        for before, after in itertools.pairwise(ranges):
            assert before.stop == after.start, f"epoch {epoch}: {before} then {after}"
