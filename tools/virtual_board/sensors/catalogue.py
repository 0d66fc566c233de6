"""The parts that a virtual board can have on its I2C bus, by the names of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..motion import Motion
from ..timebase import Timebase
from .i2c_bus import I2cTarget
from .lm75 import LM75, LM75B, Kind, Lm75
from .lsm6dso import Lsm6dso
from .mpu6050 import Mpu6050
from .mpu6500 import Mpu6500
from .tmp117 import Tmp117


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a part gets from its board."""

    time: Timebase
    motion: Motion
    seed: int
    odr_error_ppm: float
    noise: bool
    ambient_c: Callable[[float], float]
    """Temperature of the air at a time in seconds."""


class Part(I2cTarget, Protocol):
    """A part as the board handles it."""

    name: str
    nack: bool
    """Fault: acknowledges nothing."""
    present: bool

    def power_on(self) -> None:
        """Its supply comes up."""

    def power_off(self) -> None:
        """Its supply goes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A part that can be had."""

    make: Callable[[Surroundings, int], Part]
    addresses: tuple[int, ...]
    """The first is the default."""
    description: str


def _imu(kind: type[Mpu6050 | Mpu6500 | Lsm6dso]) -> Callable[[Surroundings, int], Part]:
    def make(around: Surroundings, address: int) -> Part:
        return kind(
            around.time,
            around.motion,
            seed=around.seed,
            address=address,
            odr_error_ppm=around.odr_error_ppm,
            noise=around.noise,
        )

    return make


def _tmp117(around: Surroundings, address: int) -> Part:
    return Tmp117(around.time, around.ambient_c, address=address, seed=around.seed, noise=around.noise)


def _lm75(kind: Kind) -> Callable[[Surroundings, int], Part]:
    return lambda around, address: Lm75(around.time, around.ambient_c, address=address, kind=kind)


I2C_PARTS: Mapping[str, Entry] = {
    "mpu6050": Entry(_imu(Mpu6050), (0x68, 0x69), "accelerometer and gyroscope"),
    "mpu6500": Entry(_imu(Mpu6500), (0x68, 0x69), "accelerometer and gyroscope"),
    "lsm6dso": Entry(_imu(Lsm6dso), (0x6A, 0x6B), "accelerometer and gyroscope"),
    "tmp117": Entry(_tmp117, tuple(range(0x48, 0x4C)), "thermometer"),
    "lm75": Entry(_lm75(LM75), tuple(range(0x48, 0x50)), "thermometer, 0.5 degC"),
    "lm75b": Entry(_lm75(LM75B), tuple(range(0x48, 0x50)), "thermometer, 0.125 degC"),
}


def parse(text: str) -> tuple[Entry, int]:
    """`NAME` or `NAME@0xADDRESS`.

    Raises:
        ValueError: there is no such part, or it cannot have that address; the message says what there is.
    """
    name, _, address = text.partition("@")
    if name not in I2C_PARTS:
        raise ValueError(f"no I2C part {name!r}; there are {', '.join(I2C_PARTS)}")
    entry = I2C_PARTS[name]
    try:
        number = int(address, 0) if address else entry.addresses[0]
    except ValueError:
        number = -1
    if number not in entry.addresses:
        raise ValueError(f"{text!r}: {name} has the addresses {', '.join(map(hex, entry.addresses))}")
    return entry, number
