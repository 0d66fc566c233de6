"""Plays the host of a sensor model: register access over the model's bus interface, and time."""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

from virtual_board.motion import Motion, Still
from virtual_board.sensors.i2c_bus import I2cTarget
from virtual_board.sensors.mpu import Mpu
from virtual_board.timebase import PS_PER_US, Timebase

_PWR_MGMT_1, _DATA = 0x6B, 0x3B
T = TypeVar("T", bound=I2cTarget)


class Clock(Timebase):
    """A board's clock that nothing but `pass_ms` moves."""

    def __init__(self) -> None:
        super().__init__(100_000_000)

    def pass_ms(self, ms: float) -> None:
        """Let time pass, and what is due in it happen."""
        end = self.now_ps + round(ms * 1e9)
        while self.due_cycle <= self.cycle_at(end):
            self.cycle = self.due_cycle
            self.run_due()
        self.cycle = self.cycle_at(end)


class SensorHost(Generic[T]):
    """Reads and writes registers of a device."""

    def __init__(self, time: Clock, device: T) -> None:
        self.time, self.device = time, device

    def pass_ms(self, ms: float) -> None:
        """Let time pass."""
        self.time.pass_ms(ms)

    def write(self, register: int, *values: int) -> bool:
        """A write transfer; whether all of it was acknowledged."""
        if not self.device.start(read=False):
            return False
        acknowledged = all(self.device.write(byte) for byte in (register, *values))
        self.device.stop()
        return acknowledged

    def read(self, register: int, count: int = 1) -> bytes:
        """A read transfer; the device must answer."""
        assert self.device.start(read=False)
        self.device.write(register)
        assert self.device.start(read=True)
        data = bytes(self.device.read() for _ in range(count))
        self.device.stop()
        return data


M = TypeVar("M", bound=Mpu)


class MpuHost(SensorHost[M]):
    """One of InvenSense's IMUs, awake 30 ms after power-on unless told otherwise, with the edges of its pin."""

    def __init__(
        self,
        kind: type[M],
        *,
        awake: bool = True,
        motion: Motion | None = None,
        noise: bool = False,
        seed: int = 0,
        odr_error_ppm: float = 0,
    ) -> None:
        time = Clock()
        super().__init__(time, kind(time, motion or Still(), noise=noise, seed=seed, odr_error_ppm=odr_error_ppm))
        self.imu = self.device
        self.edges: list[tuple[int, bool]] = []
        self.imu.interrupt.watchers.append(lambda level: self.edges.append((time.now_ps // PS_PER_US, level)))
        if awake:
            self.pass_ms(30)
            self.write(_PWR_MGMT_1, 1)

    def sample(self) -> tuple[int, ...]:
        """accel x y z, temperature, gyro x y z."""
        return struct.unpack(">7h", self.read(_DATA, 14))
