"""The clock of one boot of a device.

An exchange (``ping``) bounds the offset between the two clocks from both sides, whatever the delays were: the command
cannot have been received before it was sent and serialised, nor the answer sent after it had arrived less its
serialisation (D. L. Mills, RFC 5905, section 8, with the serialisation of a UART taken out). An exchange that was
stalled bounds badly, and that is all: it need not be told from others.

    host send ──ser──> delimiter received ··· first byte of answer ──ser──> host read
       sent_ns             received_us             sent_us                  arrived_ns

All exchanges together leave a band of possible offsets and drifts (:mod:`.band`). It is asked twice. Once with a change
of the drift that a crystal hardly exceeds: the width of that band is the uncertainty. And once with as little change as
the exchanges admit: its middle is the estimate. The first forgets within a minute, the second looks back as long as the
drift is steady. See docs/decisions/0007-time.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from telemetry_bridge.clock.axis import Axis
from telemetry_bridge.clock.band import Band, Bounds
from telemetry_bridge.events import ClockInfo, ClockState

DRIFT_PRIOR: Final = 0.01
"""Largest drift assumed until exchanges say more: what an STM32F4 without a crystal may have (HSI, 1 % at 25 degC)."""
DRIFT_MOST: Final = 0.6
"""Largest drift believed at all: an emulator that does not keep up."""
BEND: Final = 50.0
"""How fast the drift may change, ns/s^2 (3 ppm a minute): a crystal far from 25 degC moves by about 1 ppm a degree."""
BEND_MOST: Final = 1e5
"""The same for what has no crystal, once its exchanges have shown it: 100 ppm a second."""
BEND_LEAST: Final = 1.0
"""The least that the estimate reckons with, ns/s^2: 0.06 ppm a minute, a crystal at rest."""
MARGIN: Final = 16.0
"""The bounds reckon with a drift that changes so much faster than the exchanges have contradicted. They contradict a
change only once it is most of the band, and a band that is just not empty is narrow, and in the wrong place."""
BEND_HALF_S: Final = 1200.0
"""After so long a drift that was seen to change faster than BEND is taken to change half as fast."""
STEADY_HALF_S: Final = 300.0
"""The same for the estimate."""
READY_NS: Final = 2_000_000
"""A clock known as well as this is worth no more waiting."""
LOCK_POINTS: Final = 5
LOCK_SPAN_NS: Final = 3_000_000_000
"""Exchanges, and the time that they must span, before the drift counts as known."""
BACK_NS: Final = 2_000_000_000
"""An exchange older than another by less than this came late, else the device's time has gone back."""
STALE_NS: Final = 10_000_000_000
"""Without an exchange for this long the clock is no longer locked."""
QUANTUM_NS: Final = 1_000
"""Device time stamps are whole microseconds, rounded down."""
ASSUMED_DELAY_NS: Final = 500_000_000
"""Age that a sample is assumed not to exceed when it arrives, where the board answers no ping."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One ping and its answer.

    Attributes:
        sent_ns: host's monotonic time at which the command was handed to the link, or earlier.
        received_us: device time at the command's delimiter.
        sent_us: device time at the answer's first byte.
        arrived_ns: host's monotonic time at which the answer's delimiter was read.
        command_bytes: encoded size of the command, delimiter included.
        answer_bytes: likewise of the answer.
    """

    sent_ns: int
    received_us: int
    sent_us: int
    arrived_ns: int
    command_bytes: int
    answer_bytes: int


def _ns_per_byte(baud: int) -> float:
    """8N1: ten bits a byte."""
    return 10e9 / baud if baud > 0 else 0.0


class DeviceClock:
    """Maps the time of one run of a device to the host's monotonic axis; the result never goes back and never jumps.

    Offsets (host minus device) and device times are kept relative to the first exchange, in ns and s.
    """

    def __init__(self, baud: int) -> None:
        self._baud = baud
        self._ns_per_byte = _ns_per_byte(baud)
        self._band = Band(BEND)
        self._axis = Axis()
        self._bend = BEND
        self._steady_bend = BEND_LEAST
        self._prior = DRIFT_PRIOR * 1e9
        self._exchanges = 0  # that agree with each other
        self._first_ns = 0  # device time of the first of them
        self._received_ns = 0  # and at which the newest came
        self._newest_host_ns = 0
        self._base_ns: int | None = None  # device time that everything is relative to
        self._base_offset_ns = 0
        self._at_ns = 0  # device time that the following hold for
        self._offset = 0.0
        self._slope = 0.0  # ns/s
        self._above = self._below = float(ASSUMED_DELAY_NS)  # from the estimate to the bounds
        self._slope_error = DRIFT_PRIOR * 1e9
        self._waited = False
        self.rejected = 0
        """Exchanges that contradicted themselves."""

    def line_changed(self, baud: int) -> None:
        """From now on the line has another rate, if it is one."""
        if baud != self._baud:
            self._baud = baud
            self._ns_per_byte = _ns_per_byte(baud) if self._ns_per_byte else 0.0

    @property
    def known(self) -> bool:
        """Whether there is anything to read times from."""
        return self._base_ns is not None

    @property
    def ready(self) -> bool:
        """Whether times are good enough to be given out, or have been given out already."""
        return self.known and (self._waited or self._axis.was_read or max(self._above, self._below) <= READY_NS)

    def wait_no_longer(self) -> None:
        """Be ready with whatever is known."""
        self._waited = True

    # ------------------------------------------------------------ exchanges come

    def add(self, exchange: Exchange) -> bool:
        """Learn from an exchange; False if it contradicts itself."""
        received_ns, sent_ns = exchange.received_us * 1000, exchange.sent_us * 1000
        if sent_ns < received_ns or exchange.arrived_ns < exchange.sent_ns:
            self.rejected += 1
            return False
        if self._ns_per_byte and self._room(exchange, self._prior * 1e-9) < 0:
            # Quicker than the line could be: there is no UART in between (an emulator). Again, without serialisation.
            self._ns_per_byte = 0.0
            self._exchanges = 0
        if self._room(exchange, DRIFT_MOST) < 0:
            self.rejected += 1
            return False
        if self._exchanges and sent_ns <= self._at_ns - BACK_NS:
            self._exchanges = 0  # device time went back: what was before does not count
        if self._exchanges and (sent_ns <= self._at_ns or received_ns <= self._received_ns):
            self.rejected += 1  # overtaken by another
            return False
        self._enter(exchange)
        self._learn(exchange)
        self._retarget()
        return True

    def assume(self, device_ns: int, arrived_ns: int) -> None:
        """Without any exchange: take what was at ``device_ns`` to have arrived at once, give or take half a second."""
        if self.known:
            return
        self._base_ns = self._at_ns = device_ns
        self._base_offset_ns = arrived_ns - device_ns
        self._retarget()

    def _limits(self, exchange: Exchange) -> tuple[int, int]:
        """Least offset when the command was received, greatest when the answer was sent."""
        sent = exchange.sent_ns + int(exchange.command_bytes * self._ns_per_byte)
        arrived = exchange.arrived_ns - int(exchange.answer_bytes * self._ns_per_byte)
        return sent - exchange.received_us * 1000 - QUANTUM_NS, arrived - exchange.sent_us * 1000

    def _room(self, exchange: Exchange, drift: float) -> float:
        """Time that the exchange took beyond serialisation and turn-round, for a drift of up to ``drift``."""
        low, high = self._limits(exchange)
        return high - low + (exchange.sent_us - exchange.received_us) * 1000 * drift

    def _enter(self, exchange: Exchange) -> None:
        """Put an exchange into the band; the first one begins it."""
        low, high = self._limits(exchange)
        self._received_ns, sent_ns = exchange.received_us * 1000, exchange.sent_us * 1000
        if not self._exchanges or self._base_ns is None:
            self._band.clear()
            self._base_ns, self._base_offset_ns = sent_ns, high
            self._first_ns = self._at_ns = sent_ns
        self._exchanges += 1
        self._newest_host_ns = exchange.arrived_ns
        self._band.at_least((self._received_ns - self._base_ns) * 1e-9, low - self._base_offset_ns)
        self._band.at_most((sent_ns - self._base_ns) * 1e-9, high - self._base_offset_ns)

    def _learn(self, exchange: Exchange) -> None:
        """Bounds and estimate at the newest exchange, which the band has."""
        now_ns = exchange.sent_us * 1000
        elapsed_s = (now_ns - self._at_ns) * 1e-9
        self._steady_bend = max(self._steady_bend * 0.5 ** (elapsed_s / STEADY_HALF_S), BEND_LEAST)
        self._bend = max(self._bend * 0.5 ** (elapsed_s / BEND_HALF_S), BEND)
        if self._band.bend > 4 * self._bend:
            self._band.allow(self._bend)
        bounds = self._bounds(exchange)
        assert self._base_ns is not None
        t = (now_ns - self._base_ns) * 1e-9
        steady = self._band.solve(t, self._steady_bend, -self._prior, self._prior)
        if steady is None:  # the drift has changed: believe less of what is old
            self._reckon_with(MARGIN * self._steady_bend)
            self._steady_bend = min(self._steady_bend * 16, self._bend)
            steady = self._band.solve(t, self._steady_bend, -self._prior, self._prior) or bounds
        self._at_ns = now_ns
        self._offset = (steady.low + steady.high) / 2
        if self._spans:
            self._slope = (steady.slope_low + steady.slope_high) / 2
        else:  # too early to tell: the smallest that is possible, so that times do not bend with each exchange
            self._slope = min(max(0.0, steady.slope_low), steady.slope_high)
        self._above = max(bounds.high - self._offset, 0.0)
        self._below = max(self._offset - bounds.low, 0.0)
        self._slope_error = max(bounds.slope_high - self._slope, self._slope - bounds.slope_low, 0.0)

    def _bounds(self, exchange: Exchange) -> Bounds:
        """Widest band that the newest exchanges admit; what contradicts them is forgotten."""
        assert self._base_ns is not None
        t = (exchange.sent_us * 1000 - self._base_ns) * 1e-9
        bounds = self._band.solve(t, self._bend, -self._prior, self._prior)
        if bounds is None:
            self._reckon_with(MARGIN * self._bend)
            bounds = self._band.solve(t, self._bend, -self._prior, self._prior)
        while bounds is None:
            self._exchanges, self._first_ns = 1, exchange.sent_us * 1000
            if not self._band.forget_oldest():
                if self._prior >= DRIFT_MOST * 1e9:
                    return self._alone(exchange)
                self._prior = min(self._prior * 8, DRIFT_MOST * 1e9)
            bounds = self._band.solve(t, self._bend, -self._prior, self._prior)
        return bounds

    def _reckon_with(self, bend: float) -> None:
        """The drift may change as fast as that, and has not shown it yet."""
        if bend > self._bend:
            self._bend = min(bend, BEND_MOST)
            self._band.allow(self._bend)

    def _alone(self, exchange: Exchange) -> Bounds:
        """Begin again with one exchange, which contradicts all that was before."""
        self._exchanges = 0
        self._enter(exchange)
        low, high = self._limits(exchange)
        turn_round = (exchange.sent_us - exchange.received_us) * 1e-6
        return Bounds(min(low - high - self._prior * turn_round, 0.0), 0.0, -self._prior, self._prior)

    def _retarget(self) -> None:
        host_ns = self._at_ns + self._base_offset_ns + round(self._offset)
        self._axis.retarget(self._at_ns, host_ns, 1.0 + self._slope * 1e-9)

    # ------------------------------------------------------------ times are asked for

    def stamp(self, device_ns: int) -> tuple[int, float, int]:
        """Host's monotonic ns of a device time, host time per device time there, and the bound on the error in ns.

        Only while :attr:`known`. What was read is fixed: the axis only bends behind it.
        """
        host_ns, slope = self._axis.read(device_ns)
        return host_ns, slope, self._uncertainty_ns(device_ns, host_ns)

    def peek_host_ns(self, device_ns: int) -> int:
        """Host's monotonic ns of something that is no sample: it need not keep its place if the clock is corrected."""
        return self._axis.peek(device_ns)[0]

    def _uncertainty_ns(self, device_ns: int, host_ns: int) -> int:
        """Half the residual round trip, drift times age, its change, slew left, rounding."""
        if self._base_ns is None:
            return ASSUMED_DELAY_NS
        after_ns = device_ns - self._at_ns
        age_s = abs(after_ns) * 1e-9
        slewing = host_ns - device_ns - self._base_offset_ns - self._offset - self._slope * after_ns * 1e-9
        spread = age_s * (self._slope_error + self._bend / 2 * age_s)
        return int(max(self._above - slewing, self._below + slewing) + spread) + QUANTUM_NS + 1

    def state(self, now_ns: int) -> ClockState:
        """How far the clock is known at host's monotonic time ``now_ns``."""
        if not self._exchanges:
            return "unsynced"
        fresh = now_ns - self._newest_host_ns < STALE_NS
        return "locked" if self._spans and fresh else "converging"

    @property
    def _spans(self) -> bool:
        """Whether there are enough exchanges, over time enough, to tell the drift."""
        return self._exchanges >= LOCK_POINTS and self._at_ns - self._first_ns >= LOCK_SPAN_NS

    def info(self, unix_minus_monotonic_ns: int, now_ns: int) -> ClockInfo:
        """What subscribers are told, at host's monotonic time ``now_ns``."""
        if not self._exchanges:
            return ClockInfo()
        device_ns = self._at_ns + now_ns - self._newest_host_ns  # the error of this step is drift x age: no matter
        host_ns = self.peek_host_ns(device_ns)
        drift = self._slope * 1e-9
        return ClockInfo(
            state=self.state(now_ns),
            offset_ns=host_ns + unix_minus_monotonic_ns - device_ns,
            drift_ppm=round(-drift / (1.0 + drift) * 1e6, 3) if self._spans else None,
            uncertainty_ns=self._uncertainty_ns(device_ns, host_ns),
        )
