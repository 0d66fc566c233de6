"""Every inertial sensor on every bus: the real firmware on the virtual board, through the session to the hub."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from elves import BOARDS
from system.desk import WALL_NS, Desk, assert_accounted_for, batches, gaps, health, logs
from virtual_board.motion import STANDARD_GRAVITY, Rotation

TURN = 0.8  # rad/s


@dataclass(frozen=True)
class Place:
    """A part, where it is, and what is known of it.

    Attributes:
        rate_hz: next to the 1 kHz that is wanted by default.
        accel_lsb, gyro_lsb: at +-4 g and +-500 deg/s, SI.
        apart_s: half of what the delays of accelerometer and gyroscope differ by; the descriptor has the mean.
    """

    part: str
    parts: tuple[str, ...] = ()
    spi: tuple[str, ...] = ()
    rate_hz: float = 1000.0
    accel_lsb: float = STANDARD_GRAVITY / 8192
    gyro_lsb: float = np.pi / 180 / 65.5
    apart_s: float = 0.0

    def desk(self, **options: object) -> Desk:
        """A board with it, streaming."""
        desk = Desk.with_board(parts=self.parts, spi=self.spi, **options)  # type: ignore[arg-type]
        desk.run_until(lambda seen: bool(batches(seen)))
        return desk


ST = {"rate_hz": 833.375, "accel_lsb": 0.122e-3 * STANDARD_GRAVITY, "gyro_lsb": 17.5e-3 * np.pi / 180}
PLACES = {
    "mpu6050": Place("mpu6050", ("mpu6050",), apart_s=0.05e-3),
    "mpu6050 at 0x69": Place("mpu6050", ("mpu6050@0x69",), apart_s=0.05e-3),
    "mpu6500": Place("mpu6500", ("mpu6500",), apart_s=1.45e-3),
    "lsm6dso on I2C": Place("lsm6dso", ("lsm6dso",), apart_s=0.12e-3, **ST),  # type: ignore[arg-type]
    "lsm6dso at 0x6B": Place("lsm6dso", ("lsm6dso@0x6B",), apart_s=0.12e-3, **ST),  # type: ignore[arg-type]
    "lsm6dso on SPI": Place("lsm6dso", (), ("lsm6dso",), apart_s=0.12e-3, **ST),
}
everywhere = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@everywhere
def test_it_streams_the_motion_it_feels_and_loses_nothing(place: Place) -> None:
    motion = Rotation(axis=(0.3, 0.2, 1.0), rate=TURN)
    desk = place.desk(motion=motion)
    (imu,) = [stream for stream in desk.device.streams if stream.name == "imu"]
    assert imu.sensor == place.part
    desk.run(2.0)  # the clock settles
    seen = desk.run(2.0)
    found = batches(seen)
    times = np.concatenate([b.time_ns + b.period_ns * np.arange(b.samples) for b in found]) - WALL_NS
    values = np.concatenate([b.values for b in found], axis=1)
    assert values.shape[1] == pytest.approx(2 * place.rate_hz, abs=50)
    felt = [motion.at(t / 1e9) for t in times]
    accel = np.array([one.acceleration for one in felt]).T
    gyro = np.array([one.rate for one in felt]).T
    off_s = max(b.uncertainty_ns for b in found) / 1e9 + place.apart_s
    assert off_s < 0.003
    assert np.abs(values[:3] - accel).max() <= place.accel_lsb + STANDARD_GRAVITY * TURN * off_s
    assert np.abs(values[3:] - gyro).max() <= place.gyro_lsb
    assert gaps(desk.events) == []
    assert assert_accounted_for(desk.events) == 0
    assert not desk.board.unmodelled
    assert not desk.board.violations
    assert not desk.board.unclocked


@pytest.mark.parametrize("ppm", [50_000, -50_000])
@everywhere
def test_its_clock_may_be_off_by_five_percent(place: Place, ppm: int) -> None:
    desk = place.desk(odr_error_ppm=ppm)
    desk.run(1.0)
    seen = batches(desk.run(1.5))
    true_ns = 1e9 / (place.rate_hz * (1 + ppm / 1e6))
    for first, second in itertools.pairwise(seen):
        late_ns = second.time_ns - first.time_ns - (second.index - first.index) * true_ns
        assert abs(late_ns) < 10_000
    assert gaps(desk.events) == []
    assert assert_accounted_for(desk.events) == 0


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("ppm", [0, 50_000])
def test_the_lsm6dso_streams_at_its_highest_rate_over_spi(board: str, ppm: int) -> None:
    desk = Desk.with_board(board, parts=(), spi=("lsm6dso",), odr_error_ppm=ppm)
    desk.run_until(lambda seen: bool(batches(seen)))
    done = desk.command("set_rate", stream=0, rate_mhz=6_667_000)
    assert done.ok, done
    desk.run(0.5)
    seen = desk.run(1.0)
    assert sum(b.samples for b in batches(seen)) == pytest.approx(6667 * (1 + ppm / 1e6), abs=100)
    assert assert_accounted_for(desk.events) == 0
    assert gaps(seen) == []


def test_over_i2c_the_budget_of_the_bus_is_stated() -> None:
    desk = PLACES["lsm6dso on I2C"].desk()
    done = desk.command("set_rate", stream=0, rate_mhz=3_333_500)
    assert done.status == "over_bus_budget"
    assert done.data["needed"] > done.data["available"] == 400_000
    assert desk.command("set_rate", stream=0, rate_mhz=1_666_750).ok
    desk.run(1.0)
    assert assert_accounted_for(desk.events) == 0


@pytest.mark.parametrize("name", ["mpu6050", "mpu6500", "lsm6dso on I2C"])
def test_unplugged_it_is_missing_and_plugged_it_streams_again(name: str) -> None:
    place = PLACES[name]
    desk = place.desk()
    desk.run(0.5)
    desk.board.connect(place.parts[0], connected=False)
    seen = desk.run(3.0)
    assert {stream.name: stream.state for stream in desk.device.streams}["imu"] == "missing"
    assert any("no answer" in text for text in logs(seen))
    desk.board.connect(place.parts[0], connected=True)
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(1.1)
    assert {stream.name: stream.state for stream in desk.device.streams}["imu"] == "streaming"
    assert_accounted_for(desk.events)


def test_a_sensor_of_another_kind_takes_the_place_of_one_that_goes() -> None:
    desk = Desk.with_board(parts=("mpu6050",), spi=("lsm6dso",))
    desk.run_until(lambda seen: bool(batches(seen)))
    (imu,) = [stream for stream in desk.device.streams if stream.name == "imu"]
    assert imu.sensor == "lsm6dso"  # the preferred one
    assert desk.board.lsm6dso is not None
    desk.board.lsm6dso.set_present(present=False)
    desk.run(2.5)
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(1.0)
    (imu,) = [stream for stream in desk.device.streams if stream.name == "imu"]
    assert (imu.sensor, imu.state) == ("mpu6050", "streaming")


def test_a_part_that_comes_to_a_slower_bus_gets_a_rate_that_fits() -> None:
    desk = Desk.with_board(parts=("lsm6dso",), spi=("lsm6dso",))
    desk.run_until(lambda seen: bool(batches(seen)))
    assert desk.command("set_rate", stream=0, rate_mhz=6_667_000).ok
    assert desk.board.lsm6dso is not None
    desk.board.lsm6dso.set_present(present=False)
    seen = desk.run(3.0)
    assert any("the sensor bus has 400000 bit/s" in text and "a lower rate" in text for text in logs(seen))
    assert desk.command("get_rate", stream=0).data["rate_mhz"] == 1_666_750
    desk.run(0.5)
    assert sum(b.samples for b in batches(desk.run(1.0))) == pytest.approx(1667, abs=60)


def test_a_bus_that_is_held_again_and_again_is_freed_and_accounted_for() -> None:
    desk = PLACES["mpu6050"].desk()
    desk.run(0.3)
    for _ in range(30):  # a device that holds the bus again and again
        desk.board.i2c_bus.stick_sda(9)
        desk.run(0.012)
    desk.run(1.5)
    lost = health(desk.events)[-1].body["streams"]["imu"]  # type: ignore[index]
    assert assert_accounted_for(desk.events) == lost["lost_fifo"] + lost["lost_bus"]
