"""What goes on inside an LSM6DSO between accesses: supply, sampling, batching, INT1.

Sources: DS = DS12140 (datasheet), AN = AN5192 (application note). Nothing runs sample by sample: everything is brought
up to date when it is looked at, and only the moment at which INT1 will rise is an event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..motion import Motion
from ..net import Net
from ..timebase import PS_PER_S, PS_PER_US, Event, Timebase
from . import lsm6dso_fifo as fifo
from . import lsm6dso_registers as reg
from .lsm6dso_fifo import DEPTH, Fifo, Source
from .lsm6dso_signal import SampleClock, Signal, Ticks, Words, every

_PP_OD, _H_LACTIVE = 0x10, 0x20
_DRDY_XL, _DRDY_G, _FIFO_TH, _FIFO_OVR, _FIFO_FULL = 0x01, 0x02, 0x08, 0x10, 0x20
BOOT_PS = 10 * PS_PER_S // 1000
"""Supply to register access (AN, power-up sequence)."""
RESET_PS = 50 * PS_PER_US
"""SW_RESET until it is done (AN, reboot and software reset)."""
PULSE_PS = 75 * PS_PER_US
"""Data-ready pulse with dataready_pulsed (DS 9.8)."""


class Lsm6dsoCore:
    """Registers and what they make the device do; `lsm6dso.Lsm6dso` is how a host gets at them."""

    def __init__(
        self,
        time: Timebase,
        motion: Motion,
        *,
        seed: int = 0,
        address: int = 0x6A,
        odr_error_ppm: float = 0.0,
        noise: bool = True,
    ) -> None:
        self.address = address
        self.nack = False
        """Answers nothing while set."""
        self.present = True
        """Unplugged while False."""
        self.who_am_i = 0x6C
        self.interrupt = Net("LSM6DSO_INT1", pull=False)
        self.synchronise: Callable[[], None] = lambda: None
        """Called when a time slot ends while the FIFO is read: the controller delivers what has passed by then."""
        self.notes: Counter[str] = Counter()
        """What was asked for and is left out."""
        self.signal = Signal(motion, seed=seed, noise=noise)
        self.fifo = Fifo()
        self._time = time
        self._clock = SampleClock()
        self._odr_error_ppm = odr_error_ppm
        self._int1_connected = True
        self._event: Event | None = None
        self._ready_at = self._resetting_until = 0
        self._samples = 0
        self._reading_fifo = False
        """While a burst takes words out, each slot's end is an event."""
        self.power_on()

    # ------------------------------------------------------------------------- power

    def power_on(self) -> None:
        """Supply comes up: registers at their reset values, deaf while it boots."""
        self._ready_at = self._time.now_ps + BOOT_PS
        self._reset_registers()

    def power_off(self) -> None:
        """Supply is gone."""
        self._reset_registers()
        self.interrupt.drive("lsm6dso", None)

    def set_present(self, *, present: bool) -> None:
        """Take it off the board, or put it back: it then powers up."""
        if present and not self.present:
            self.present = True
            self.power_on()
        elif self.present and not present:
            self.power_off()
            self.present = False

    def _reset_registers(self) -> None:
        self._registers = bytearray(128)
        for register, value in reg.RESET_VALUES.items():
            self._registers[register] = value
        self.fifo.clear()
        self._tick = 0
        """Up to where samples have been accounted for; the clock stands while everything is in power-down."""
        self._accel_every: int | None = None
        self._gyro_every: int | None = None
        self._seen = {reg.OUT_TEMP_L: 0, reg.OUTX_L_G: 0, reg.OUTX_L_A: 0}
        """Tick of the sample that was read last, by its register."""
        self._timestamp_from: int | None = None
        self._update()

    @property
    def motion(self) -> Motion:
        """What it feels."""
        return self.signal.motion

    @motion.setter
    def motion(self, motion: Motion) -> None:
        self._fill()
        self.signal.motion = motion

    @property
    def int1_connected(self) -> bool:
        """Whether the wire from INT1 is there."""
        return self._int1_connected

    @int1_connected.setter
    def int1_connected(self, connected: bool) -> None:
        self._int1_connected = connected
        self._update()

    @property
    def _answers(self) -> bool:
        now = self._time.now_ps
        return self.present and not self.nack and now >= self._ready_at

    # ---------------------------------------------------------------------- sampling

    @property
    def odr_error_ppm(self) -> float:
        """Deviation of the sample clock, which INTERNAL_FREQ_FINE tells in steps of 0.15 %."""
        return self._odr_error_ppm

    @odr_error_ppm.setter
    def odr_error_ppm(self, ppm: float) -> None:
        self._fill()
        self._odr_error_ppm = ppm
        self._clock.set_error(ppm, self._tick)
        self._update()

    @property
    def samples(self) -> int:
        """Samples of the faster sensor since power-on."""
        self._fill()
        return self._samples

    @property
    def period_ps(self) -> int:
        """True sample period of the faster sensor, its error included; 0 in power-down."""
        fastest = self._fastest()
        return self._clock.ps_of(self._tick + fastest) - self._clock.ps_of(self._tick) if fastest else 0

    @property
    def overruns(self) -> int:
        """FIFO words lost because it was full."""
        self._fill()
        return self.fifo.lost

    def _fastest(self) -> int | None:
        return min((n for n in (self._accel_every, self._gyro_every) if n is not None), default=None)

    def _sources(self) -> tuple[Source, ...]:
        """What is batched, in the order of a slot. A word is written at BDR or ODR, whichever is slower (DS 9.6)."""
        registers, rates = self._registers, self._registers[reg.FIFO_CTRL3]
        found = []
        for sensor, period, code, slow, measure in (
            (fifo.GYRO, self._gyro_every, rates >> 4, 1024, self._measure_gyro),
            (fifo.ACCEL, self._accel_every, rates & 15, 4096, self._measure_accel),
        ):
            batch = slow if code == 11 else every(code << 4)
            if period is not None and batch is not None:
                found.append(Source(sensor, max(period, batch), measure))
        batch = (None, 4096, 512, 128)[registers[reg.FIFO_CTRL4] >> 4 & 3]  # ODR_T_BATCH: 1.6, 12.5, 52 Hz (DS 9.7)
        if batch is not None and self._fastest() is not None:
            found.append(Source(fifo.TEMPERATURE, batch, self._measure_temperature))
        return tuple(found)

    def _measure_gyro(self, ticks: Ticks) -> Words:
        return self.signal.gyro(
            self._clock.seconds(ticks), self._registers[reg.CTRL2_G], self._registers[reg.CTRL5_C] >> 2 & 3
        )

    def _measure_accel(self, ticks: Ticks) -> Words:
        return self.signal.accel(
            self._clock.seconds(ticks), self._registers[reg.CTRL1_XL], self._registers[reg.CTRL5_C] & 3
        )

    def _measure_temperature(self, ticks: Ticks) -> Words:
        return self.signal.temperature(self._clock.seconds(ticks))

    @property
    def _watermark(self) -> int:
        return self._registers[reg.FIFO_CTRL1] | (self._registers[reg.FIFO_CTRL2] & 1) << 8

    @property
    def _depth(self) -> int:
        """STOP_ON_WTM limits the FIFO to the watermark (DS 9.5)."""
        return self._watermark if self._registers[reg.FIFO_CTRL2] & 0x80 and self._watermark else DEPTH

    @property
    def _fifo_mode(self) -> int:
        return self._registers[reg.FIFO_CTRL4] & 7

    def _fill(self) -> None:
        """Bring everything up to the present."""
        fastest = self._fastest()
        if fastest is None:
            return
        now = self._clock.tick_at(self._time.now_ps)
        if now > self._tick:
            self.fifo.fill(self._sources(), self._tick, now, mode=self._fifo_mode, depth=self._depth)
            self._samples += now // fastest - self._tick // fastest
            self._tick = now

    def _set_rates(self) -> None:
        """Sensors go on or off, or change their rate. The first to wake up starts the clock."""
        accel, gyro = every(self._registers[reg.CTRL1_XL]), every(self._registers[reg.CTRL2_G])
        if self._fastest() is None and (accel or gyro):
            self._clock = SampleClock()
            self._clock.start(self._time.now_ps)
            self._clock.set_error(self._odr_error_ppm, 0)
            self._tick = 0
            self._seen = dict.fromkeys(self._seen, 0)
        if gyro is not None and self._gyro_every is None:
            self.signal.gyro_on_ps = self._time.now_ps
        self._accel_every, self._gyro_every = accel, gyro

    # --------------------------------------------------------------------- interrupt

    def _latest(self, register: int) -> int:
        """Tick of the latest sample behind an output register; 0: none yet."""
        period = {reg.OUTX_L_A: self._accel_every, reg.OUTX_L_G: self._gyro_every}.get(
            register, 128 if self._fastest() else None
        )
        return self._tick // period * period if period else 0

    def _full_soon(self) -> bool:
        """FIFO_FULL_IA: the next slot will fill it (DS 9.39)."""
        sources = self._sources()
        if not sources or self._fifo_mode == fifo.BYPASS:
            return False
        slot = Fifo.slot(sources)
        return self.fifo.level + Fifo.words_between(sources, self._tick, (self._tick // slot + 1) * slot) >= self._depth

    def _conditions(self) -> int:
        """What would drive INT1, in INT1_CTRL's bits, enabled or not."""
        level, active = self.fifo.level, 0
        if self._watermark and level >= self._watermark:
            active |= _FIFO_TH
        if level >= self._depth:
            active |= _FIFO_OVR
        if self._registers[reg.INT1_CTRL] & _FIFO_FULL and self._full_soon():
            active |= _FIFO_FULL
        pulsed = bool(self._registers[reg.COUNTER_BDR_REG1] & 0x80)
        for bit, register in ((_DRDY_XL, reg.OUTX_L_A), (_DRDY_G, reg.OUTX_L_G)):
            latest = self._latest(register)
            fresh = latest and self._time.now_ps - self._clock.ps_of(latest) < PULSE_PS
            if fresh if pulsed else latest > self._seen[register]:
                active |= bit
        return active

    def _update(self) -> None:
        """Up to date, INT1 at its level, and the moment of its next rise scheduled."""
        self._fill()
        active = bool(self._conditions() & self._registers[reg.INT1_CTRL])
        if self.present:
            level: bool | None = active != bool(self._registers[reg.CTRL3_C] & _H_LACTIVE)
            if level and self._registers[reg.CTRL3_C] & _PP_OD:
                level = None
            self.interrupt.drive("lsm6dso", level if self._int1_connected else None)
        if self._event is not None:
            self._event.cancel()
            self._event = None
        tick = self._next_tick(active)
        if tick is not None:
            self._event = self._time.at(self._clock.ps_of(tick), self._on_event)
        elif active and self._registers[reg.COUNTER_BDR_REG1] & 0x80:
            self._event = self._time.after(PULSE_PS, self._on_event)

    def _next_tick(self, active: bool) -> int | None:
        """When INT1 may change by itself, or a slot ends while a burst reads the FIFO."""
        if self._fastest() is None or not self.present:
            return None
        sources = self._sources() if self._fifo_mode != fifo.BYPASS else ()
        if self._reading_fifo and sources:
            slot = Fifo.slot(sources)
            return (self._tick // slot + 1) * slot
        if active:
            return None
        enabled, level, found = self._registers[reg.INT1_CTRL], self.fifo.level, []
        goals = ((_FIFO_TH, self._watermark), (_FIFO_OVR, self._depth), (_FIFO_FULL, self._depth - len(sources)))
        for bit, goal in goals:
            if enabled & bit and goal and sources:
                found.append(self.fifo.tick_of_word(sources, self._tick, max(1, goal - level)))
        for bit, period in ((_DRDY_XL, self._accel_every), (_DRDY_G, self._gyro_every)):
            if enabled & bit and period is not None:
                found.append((self._tick // period + 1) * period)
        return min(found, default=None)

    def _on_event(self) -> None:
        self._event = None
        if self._reading_fifo:
            self.synchronise()
        self._update()
