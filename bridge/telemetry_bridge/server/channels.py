"""What becomes of a stream's batches before they are queued: one channel for all subscriptions that want the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, NamedTuple

from telemetry_bridge.events import Batch
from telemetry_bridge.server.envelope import Envelope, Rows
from telemetry_bridge.server.wire_format import PERIOD_NS_MAX, Format, Part, batch_parts, block_encoder

if TYPE_CHECKING:
    from telemetry_bridge.server.subscriptions import Subscription

RATE_HZ_MIN: Final = 0.001
RATE_HZ_MAX: Final = 10_000.0
"""Rates of ``latest`` and ``envelope``. No sensor needs more, and each empty interval of an envelope is sent."""


class Shape(NamedTuple):
    """What a subscription wants: those with the same shape get the same bytes.

    Attributes:
        rate_hz: None in mode ``every``.
    """

    mode: str
    rate_hz: float | None
    form: Format
    calibrated: bool


class Output(NamedTuple):
    """What a channel gives out: to be sent, and how many samples it leaves out on purpose."""

    parts: tuple[Part, ...] = ()
    skipped: int = 0


NOTHING: Final = Output()

SILENCE_S: Final = 2.0
"""What belongs into an interval is here so long after its end: a batch waits a second at most on the board, and half a
second for the clock."""


class Channel(ABC):
    """Everyone who gets one stream in one shape; a batch is worked on and encoded once for all of them.

    Attributes:
        silent_s: time since a batch came, as far as :meth:`pass_time` was told.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.silent_s = 0.0
        self.subscriptions: list[Subscription] = []

    @property
    def held(self) -> int:
        """Samples that were taken in and neither given out nor skipped."""
        return 0

    @property
    def held_index(self) -> int | None:
        """Index of the first of them; None if there is none."""
        return None

    @abstractmethod
    def take(self, batch: Batch) -> Output:
        """A batch of the stream."""

    def cut(self) -> Output:
        """Samples are missing from here on."""
        return NOTHING

    def restart(self) -> Output:
        """A new epoch begins."""
        return NOTHING

    def rest(self) -> Output:
        """The stream pauses: nothing may come for long."""
        return NOTHING

    def pass_time(self, seconds: float) -> Output:
        """So much time has passed. What is held and cannot be added to any more goes out, though no sample follows."""
        self.silent_s += seconds
        if self.shape.rate_hz is None or self.silent_s < 1 / self.shape.rate_hz + SILENCE_S:
            return NOTHING
        return self.rest()


class Every(Channel):
    """Each sample once."""

    def take(self, batch: Batch) -> Output:
        """All of it."""
        return Output(batch_parts(batch, self.shape.form, calibrated=self.shape.calibrated))


class Latest(Channel):
    """The newest sample of a batch, at most one in each interval of the rate.

    The newest one of all is held until a newer one takes its place, and goes out late rather than never: when the
    stream pauses.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._interval_ns = _interval_ns(shape)
        self._said: int | None = None  # the interval of the last one that went out
        self._held: Batch | None = None

    @property
    def held(self) -> int:
        """One sample or none."""
        return int(self._held is not None)

    @property
    def held_index(self) -> int | None:
        """Its index."""
        return None if self._held is None else self._held.index

    def take(self, batch: Batch) -> Output:
        """Its last sample, if one is due."""
        skipped = self.held + batch.samples - 1
        newest = batch.part(batch.samples - 1, batch.samples)
        interval = newest.time_ns // self._interval_ns
        if self._said is not None and interval <= self._said:
            self._held = newest
            return Output((), skipped)
        self._said, self._held = interval, None
        return Output(self._parts(newest), skipped)

    def cut(self) -> Output:
        """What is held lies before the gap that is said now, so it is left out."""
        skipped, self._held = self.held, None
        return Output((), skipped)

    def restart(self) -> Output:
        """As a gap; time may begin anew."""
        self._said = None
        return self.cut()

    def rest(self) -> Output:
        """The newest there is."""
        held, self._held = self._held, None
        return NOTHING if held is None else Output(self._parts(held))

    def _parts(self, sample: Batch) -> tuple[Part, ...]:
        return batch_parts(sample, self.shape.form, calibrated=self.shape.calibrated)


class Envelopes(Channel):
    """Minimum, maximum and mean of each interval of the rate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._interval_ns = _interval_ns(shape)
        self._envelope = Envelope(self._interval_ns)
        self._encode = block_encoder(shape.form)
        self._epoch = self._generation = 0

    @property
    def held(self) -> int:
        """The samples of the open interval."""
        return self._envelope.samples

    @property
    def held_index(self) -> int | None:
        """Index of the first of them."""
        return self._envelope.index

    def take(self, batch: Batch) -> Output:
        """The intervals that are over by this."""
        changed = batch.generation != self._generation  # another rate or range
        rows = self._envelope.cut() if changed else []
        before = self._parts(rows)
        self._epoch, self._generation = batch.epoch, batch.generation
        values = batch.values if self.shape.calibrated or batch.nominal is None else batch.nominal
        return Output(before + self._parts(self._envelope.add(batch.index, batch.time_ns, batch.period_ns, values)))

    def cut(self) -> Output:
        """The open interval as far as it has come."""
        return Output(self._parts(self._envelope.cut()))

    def restart(self) -> Output:
        """The open interval as far as it has come."""
        return Output(self._parts(self._envelope.restart()))

    def rest(self) -> Output:
        """The open interval as far as it has come."""
        return self.cut()

    def _parts(self, rows: list[Rows]) -> tuple[Part, ...]:
        return tuple(self._part(item) for item in rows)

    def _part(self, rows: Rows) -> Part:
        period_ns = self._interval_ns if self._interval_ns <= PERIOD_NS_MAX else 0
        tail = self._encode(rows.index, rows.time_ns, period_ns, rows.values, rows.values.shape[0] // 3)
        return Part(self._epoch, rows.index, rows.samples, tail)


def make_channel(shape: Shape) -> Channel:
    """The channel of a shape."""
    match shape.mode:
        case "latest":
            return Latest(shape)
        case "envelope":
            return Envelopes(shape)
        case _:
            return Every(shape)


def _interval_ns(shape: Shape) -> int:
    assert shape.rate_hz is not None  # requests.py has seen to it
    return round(1e9 / shape.rate_hz)
