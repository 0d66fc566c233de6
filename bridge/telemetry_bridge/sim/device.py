"""The simulated board: an event at a time, in the order of time, however its owner cuts time up.

It reads no clock. :meth:`SimulatedDevice.advance` is told what time it is; the first call is the power-on. Device time
is the board's own: it starts at zero with each boot and drifts.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Self

import numpy as np

from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.sim.commands import BAUD_MAX, Commands
from telemetry_bridge.sim.line import Line
from telemetry_bridge.sim.sensors import MOTIONS, NEVER_NS, Settings, Stream, sensors
from telemetry_protocol import FINGERPRINT, PROTOCOL, Counters, Decoder, Frame, Message, messages

BAUD: Final = 921_600
FIRST_TICK_NS: Final = 20_000_000
"""Device time at which the sensors start."""
HEALTH_NS: Final = 1_000_000_000
_U48: Final = (1 << 48) - 1
_U32: Final = (1 << 32) - 1


class SimulatedDevice:
    """A byte source for a link (:class:`telemetry_bridge.link.ByteSource`). Deterministic: same seed, same bytes."""

    def __init__(
        self,
        *,
        seed: int = 1,
        rate_hz: float = 1000.0,
        drift_ppm: float = 0.0,
        odr_ppm: float = 0.0,
        baud: int = BAUD,
        motion: str = "hand",
        errors: int = 0,
    ) -> None:
        """A board that has not been powered yet.

        Args:
            rate_hz: nominal rate of the IMU.
            drift_ppm: how much faster the board's clock runs than the host's.
            odr_ppm: how much faster the sensors run than they say, by the board's clock.
            motion: how it moves: ``hand``, ``poses`` (as for a calibration), ``rest``.
            errors: which imperfect specimen of an IMU it has; 0: a perfect one.
        """
        self.seed = seed
        self._sensors = sensors(seed, rate_hz, motion, errors)
        self._speed = 1.0 + drift_ppm * 1e-6
        self._odr_ppm = odr_ppm
        self.line = Line(baud)
        self.boots = 0
        self.hung_up = False
        """The cable is out: :meth:`advance` reports it."""
        self.mute_answers = 0
        """How many answers will not be sent, though the commands are carried out."""
        self._noise = b""
        self._booted_ns: int | None = None
        self._now_ns = 0
        self._reset_at_ns = NEVER_NS
        self._cause = messages.ResetCause.POWER_ON
        self._decoder = Decoder()
        self._commands = Commands(self)
        self._inbox: list[tuple[int, int, bytes]] = []  # host ns of the last byte, order, bytes
        self._received = 0
        self._input_free_ns = 0

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """A board as ``sim:?rate=1000&seed=1&drift=20&odr=0&baud=921600&motion=hand&errors=0`` describes it.

        Raises:
            LinkError: a parameter is unknown or out of range. One line.
        """
        values = {"rate": 1000.0, "seed": 1.0, "drift": 0.0, "odr": 0.0, "baud": float(BAUD), "errors": 0.0}
        limits = {
            "rate": (1.0, 8000.0),
            "seed": (0.0, float(_U32)),
            "drift": (-10_000.0, 10_000.0),
            "odr": (-50_000.0, 50_000.0),
            "baud": (9600.0, float(BAUD_MAX)),
            "errors": (0.0, float(_U32)),
        }
        motion = parameters.get("motion", "hand")
        if motion not in MOTIONS:
            raise LinkError(f"sim: motion={motion}: there are {', '.join(MOTIONS)}")
        for name, text in parameters.items():
            if name == "motion":
                continue
            if name not in values:
                raise LinkError(f"sim: unknown parameter {name!r}; known: {', '.join(values)}, motion")
            low, high = limits[name]
            try:
                values[name] = float(text)
            except ValueError:
                values[name] = float("nan")
            if not low <= values[name] <= high:
                raise LinkError(f"sim: {name}={text} is not a number from {low:g} to {high:g}")
        return cls(
            seed=int(values["seed"]),
            rate_hz=values["rate"],
            drift_ppm=values["drift"],
            odr_ppm=values["odr"],
            baud=int(values["baud"]),
            motion=motion,
            errors=int(values["errors"]),
        )

    # ----------------------------------------------------------- byte source

    def advance(self, now_ns: int) -> bytes:
        """Bytes that have left the board by ``now_ns``.

        Raises:
            LinkLost: the cable was pulled (:attr:`hung_up`).
        """
        if self._booted_ns is None:
            self._boot(now_ns)
        out = bytearray(self._noise)
        self._noise = b""
        while (event_ns := self._next_event_ns()) <= now_ns:
            out += self.line.advance(event_ns)
            self._happen(event_ns)
        out += self.line.advance(now_ns)
        self._now_ns = max(self._now_ns, now_ns)
        if self.hung_up:
            raise LinkLost("sim: the simulated cable was pulled")
        return bytes(out)

    def receive(self, data: bytes, now_ns: int | None = None) -> None:
        """Bytes from the host, which start to arrive at ``now_ns`` (else at the last :meth:`advance`)."""
        self._input_free_ns = max(self._input_free_ns, self._now_ns if now_ns is None else now_ns)
        for piece in data.split(b"\0"):
            frame = piece + b"\0"
            self._input_free_ns += len(frame) * 10_000_000_000 // self.line.baud
            self._received += 1
            heapq.heappush(self._inbox, (self._input_free_ns, self._received, frame))

    def next_ns(self) -> int:
        """When :meth:`advance` has something to give."""
        moving_ns = self.line.next_ns()
        event_ns = self._next_event_ns() if self._booted_ns is not None else 0
        return event_ns if moving_ns is None else min(moving_ns, event_ns)

    # ---------------------------------------------------------------- faults

    def reboot(self, cause: messages.ResetCause = messages.ResetCause.PIN, *, silent: bool = False) -> None:
        """Reset now; ``silent`` boots without HELLO and STREAM, as if the wire had swallowed them."""
        self._cause = cause
        self._boot(self._now_ns, silent=silent)

    def lose(self, stream: str, samples: int, cause: str = "fifo") -> None:
        """Lose the next samples of a stream inside the board: ``fifo``, ``ring`` or ``bus``."""
        self.stream(stream).lose(samples, cause)

    def cut_frames(self, frames: int) -> None:
        """Let the wire swallow the next frames."""
        self.line.cut_frames += frames

    def flip_bits(self, frames: int) -> None:
        """Let the wire flip a bit in each of the next frames."""
        self.line.flip_frames += frames

    def noise(self, data: bytes) -> None:
        """Let these bytes come out of the line."""
        self._noise += data

    def log(self, level: messages.LogLevel, text: str) -> None:
        """Send a line of text."""
        self._send(messages.Log(self.device_us(self._now_ns) & _U48, level, text), self._now_ns)

    def unplug_sensor(self, stream: str) -> None:
        """The sensor behind a stream stops answering."""
        self._send_samples(self.stream(stream), self.stream(stream).go_missing(self._device_ns(self._now_ns)))

    def plug_sensor(self, stream: str) -> None:
        """The sensor behind a stream answers again."""
        self.stream(stream).come_back(self._device_ns(self._now_ns))

    def stream(self, name: str) -> Stream:
        """A stream by its name.

        Raises:
            KeyError: there is none.
        """
        return {stream.sensor.name: stream for stream in self.streams}[name]

    # ------------------------------------------------------------ inner life

    @property
    def uid(self) -> bytes:
        """Unique id, from the seed."""
        return hashlib.blake2s(f"simulated board {self.seed}".encode(), digest_size=12).digest()

    @property
    def boot_id(self) -> int:
        """Counts up with each boot, from a number of the seed's."""
        return (int.from_bytes(self.uid[:4], "little") + self.boots) & _U32

    def _boot(self, now_ns: int, *, silent: bool = False) -> None:
        self.boots += 1
        self._booted_ns = self._now_ns = now_ns
        self._reset_at_ns = NEVER_NS
        self._decoder = Decoder()
        self._inbox.clear()
        self.line.clear()
        self._health_ns = HEALTH_NS
        self._dropped_messages = 0
        stored = self._commands.stored
        self.streams = [
            Stream(
                number,
                sensor,
                settings=None if stored is None else stored[number],
                generation=self.boot_id & 7,
                start_ns=FIRST_TICK_NS,
                odr_ppm=self._odr_ppm,
                rng=np.random.default_rng((self.seed, self.boots, number)),
            )
            for number, sensor in enumerate(self._sensors)
        ]
        if not silent:
            self.describe(now_ns)

    def _device_ns(self, host_ns: int) -> int:
        assert self._booted_ns is not None
        return int((host_ns - self._booted_ns) * self._speed)

    def device_us(self, host_ns: int) -> int:
        """Device time."""
        return self._device_ns(host_ns) // 1000

    def _host_ns(self, device_ns: int) -> int:
        """The first host's ns at which the device's clock shows ``device_ns``."""
        assert self._booted_ns is not None
        host_ns = self._booted_ns + int(device_ns / self._speed)
        while self._device_ns(host_ns) < device_ns:
            host_ns += 1
        return host_ns

    def _next_event_ns(self) -> int:
        device_ns = min(self._health_ns, *(stream.due_ns for stream in self.streams))
        input_ns = self._inbox[0][0] if self._inbox else NEVER_NS
        return min(self._host_ns(device_ns), input_ns, self._reset_at_ns, self.line.rate.due_ns)

    def _happen(self, now_ns: int) -> None:
        """Do what is due at ``now_ns``."""
        self._now_ns = now_ns
        if now_ns >= self._reset_at_ns:
            self._cause = messages.ResetCause.SOFTWARE
            self._boot(now_ns)
            return
        self.line.rate.poll(now_ns)
        device_ns = self._device_ns(now_ns)
        while self._inbox and self._inbox[0][0] <= now_ns:
            for item in self._decoder.feed(heapq.heappop(self._inbox)[2]):
                if isinstance(item, Frame):
                    self.line.rate.heard(now_ns, ping=False)
                if isinstance(item, Frame) and item.type == messages.Command.TYPE:
                    self._commands.carry_out(item.payload, now_ns)
        for stream in self.streams:
            while stream.due_ns <= device_ns:
                self._send_samples(stream, stream.flush(device_ns))
        if self._health_ns <= device_ns:
            self._health_ns += HEALTH_NS
            self.send_health(now_ns)

    def _send(self, message: Message, now_ns: int) -> None:
        if not self.line.send(message, now_ns):
            self._dropped_messages += 1

    def _send_samples(self, stream: Stream, batch: messages.Samples | None) -> None:
        if batch is not None and not self.line.send(batch, self._now_ns):
            stream.lost["ring"] += len(batch.data) // (2 * len(stream.sensor.fields))

    # ------------------------------------------------- what commands make it do

    def answer(self, make: Callable[[int], Message], now_ns: int) -> None:
        """Queue the answer to a command; ``make`` is called with the host's time of its first byte."""
        if self.mute_answers:
            self.mute_answers -= 1
        else:
            self.line.answer(make, now_ns)

    def change(self, stream: Stream, settings: Settings, now_ns: int) -> None:
        """Take settings of a stream into force, if they are not."""
        if settings != stream.settings:
            before, generation = stream.descriptor(), stream.generation
            self._send_samples(stream, stream.change(settings, self._device_ns(now_ns)))
            if before == replace(stream.descriptor(), stream_gen=before.stream_gen):
                stream.generation = generation  # only what was wanted has another name
            else:
                self._send(stream.descriptor(), now_ns)

    def reset_at(self, host_ns: int) -> None:
        """Reset then."""
        self._reset_at_ns = host_ns

    def clear_counters(self) -> None:
        """Set the counters of HEALTH to zero, but for those of the streams."""
        self._decoder.counters = Counters()
        self._dropped_messages = self.line.rate.fallbacks = 0

    def send_health(self, now_ns: int) -> None:
        """Send HEALTH."""
        self._send(self._health(self._device_ns(now_ns)), now_ns)

    def describe(self, now_ns: int) -> None:
        """Send HELLO and every STREAM."""
        self._send(self._hello(now_ns), now_ns)
        for stream in self.streams:
            self._send(stream.descriptor(), now_ns)

    def _hello(self, now_ns: int) -> messages.Hello:
        return messages.Hello(
            protocol=PROTOCOL,
            fingerprint=FINGERPRINT,
            boot_id=self.boot_id,
            uid=self.uid,
            reset_cause=self._cause,
            capabilities=messages.Capabilities.BAUD_CHANGE | messages.Capabilities.STORED_CONFIGURATION,
            clock_hz=100_000_000,
            baud=self.line.baud,
            baud_max=BAUD_MAX,
            retransmit=0,
            time_us=self.device_us(now_ns) & _U48,
            streams=len(self.streams),
            firmware="simulated",
            revision="none",
            board="simulated",
        )

    def _health(self, device_ns: int) -> messages.Health:
        seen = self._decoder.counters
        imu_cdegc, mcu_cdegc = (
            round(100 * float(stream.sensor.measure(np.array([device_ns / 1e9]))[0, 0])) for stream in self.streams[1:]
        )
        dies = (imu_cdegc, imu_cdegc, mcu_cdegc)  # imu and imu_temp are one sensor
        return messages.Health(
            time_us=device_ns // 1000 & _U48,
            uptime_s=device_ns // 1_000_000_000,
            cpu_permille=42,
            stack_free=2048,
            supply_mv=3300,
            mcu_cdegc=mcu_cdegc,
            rx_overrun=0,
            rx_framing=0,
            rx_noise=0,
            refused_cobs=seen.cobs,
            refused_crc=seen.crc,
            refused_length=seen.short + seen.long,
            refused_type=0,
            dropped_messages=self._dropped_messages,
            bus_nack=0,
            bus_error=0,
            bus_timeout=0,
            streams=tuple(stream.health(device_ns) for stream in self.streams),
            sensors=tuple(
                stream.sensor_health(die)
                for stream, die in zip(self.streams, dies, strict=True)
                if not stream.is_missing
            ),
            bus_recoveries=0,
            rx_dropped=0,
            baud_fallbacks=self.line.rate.fallbacks,
            flash_stall_us=0,
            dma_error=0,
        )
