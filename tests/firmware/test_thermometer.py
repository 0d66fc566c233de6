"""The thermometer driver against the register models of the virtual board, which know nothing of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from firmware.host_build import Harness
from sensor_host import Clock
from virtual_board.sensors.i2c_bus import I2cBus
from virtual_board.sensors.lm75 import LM75, LM75B, Kind, Lm75
from virtual_board.sensors.tmp117 import Tmp117

OK, NACK = 0, 1
STREAMING, MISSING, ABSENT = 1, 2, 4
DONE, PENDING, BUSY = 0, 1, 2
LOST_FIFO, LOST_BUS = 0, 1
TICK_MS = 10


@dataclass
class Bench:
    """A driver, a bus and what is on it."""

    present: bool = True
    told: list[str] = field(default_factory=list)
    transfers: list[str] = field(default_factory=list)
    celsius: float = 25.0

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.bus = I2cBus("bus")
        self.harness = Harness("thermometer")
        self.blocked = False
        self.ask(f"init {int(self.present)}")

    def ambient(self, t: float) -> float:
        return self.celsius + 0.0 * t

    def tmp117(self, address: int = 0x48) -> Tmp117:
        device = Tmp117(self.clock, self.ambient, address=address, noise=False)
        self.bus.attach(device)
        return device

    def lm75(self, address: int = 0x48, kind: Kind = LM75) -> Lm75:
        device = Lm75(self.clock, self.ambient, address=address, kind=kind)
        self.bus.attach(device)
        return device

    def ask(self, line: str) -> None:
        answer = self.harness.ask(line).split()
        self.transfer = answer[0]
        self.state, self.rate_mhz, self.delay_us = map(int, answer[1:4])
        self.part = answer[4]
        self.change, self.lowest, self.highest, self.measured_mhz, self.cdegc = map(int, answer[5:10])
        self.told += answer[10:]

    def carry_out(self) -> None:
        """The transfer under way, on the bus."""
        assert not (self.transfer.endswith("!") and self.state == STREAMING)
        kind, address_, register, rest = self.transfer.rstrip("!").split(":")
        address = int(address_)
        self.transfers.append(self.transfer)
        if not self.bus.start(address, read=False):
            self.ask(f"finish {NACK}")
            return
        self.bus.write(int(register))
        data = b""
        if kind == "w":
            for byte in bytes.fromhex(rest):
                self.bus.write(byte)
        else:
            assert self.bus.start(address, read=True)
            data = self.bus.read_block(int(rest))
        self.bus.stop()
        self.ask(f"finish {OK} {data.hex()}")

    def run(self, seconds: float) -> list[str]:
        """Let time pass; returns what the sink was told."""
        before = len(self.told)
        for _ in range(round(seconds * 1000 / TICK_MS)):
            self.clock.pass_ms(TICK_MS)
            self.ask(f"poll {self.clock.now_ps // 10**6}")
            if self.transfer != "-" and not self.blocked:
                self.carry_out()
        return self.told[before:]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.harness.close()


def samples(told: list[str]) -> list[tuple[int, int]]:
    return [(int(item.split(":")[1]), int(item.split(":")[2])) for item in told if item.startswith("s:")]


def test_without_a_thermometer_it_is_absent_and_silent_and_looks_once_a_second(bench: Bench) -> None:
    assert bench.run(5) == []
    assert bench.state == ABSENT
    assert len(bench.transfers) == 4 * 5
    assert {transfer.split(":")[1] for transfer in bench.transfers} == {"72", "73", "74", "75"}
    assert all(transfer.endswith("!") for transfer in bench.transfers)


@pytest.mark.parametrize("address", range(0x48, 0x4C))
def test_a_tmp117_is_found_at_each_of_its_addresses(bench: Bench, address: int) -> None:
    bench.tmp117(address)
    bench.celsius = -12.3
    told = bench.run(4)
    assert bench.state == STREAMING
    assert bench.part == "tmp117"
    assert told.count("ext_temp:_TMP117_is_streaming") == 1
    values = [raw * 0.0078125 for _, raw in samples(told)]
    assert values == pytest.approx([-12.3] * len(values), abs=0.004)
    assert bench.cdegc == pytest.approx(-1230, abs=1)


@pytest.mark.parametrize(("wanted", "got"), [(8000, 8000), (5000, 4000), (7000, 8000), (1400, 1000), (250, 250)])
def test_the_rate_of_a_tmp117(bench: Bench, wanted: int, got: int) -> None:
    device = bench.tmp117()
    bench.run(2)
    assert (bench.lowest, bench.highest) == (250, 8000)
    bench.ask(f"rate {wanted} {bench.clock.now_ps // 10**6}")
    assert bench.change == PENDING
    bench.ask(f"rate {wanted} {bench.clock.now_ps // 10**6}")
    assert bench.change == BUSY
    told = bench.run(0.1)
    assert bench.change == DONE
    assert bench.rate_mhz == got
    assert ("c" in told) == (got != 1000)
    told = bench.run(20_000 / got)
    times = [time for time, _ in samples(told)]
    intervals = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert intervals == pytest.approx([1e9 / got] * len(intervals), abs=10_000)
    assert len(times) in (19, 20)
    assert abs(times[-1] - device.conversion_ps / 1e6) <= 10_000 + 1e9 / got / 8
    assert bench.measured_mhz == pytest.approx(got, rel=0.01)
    assert not any(item.startswith("l:") for item in told)


def test_a_sample_is_the_end_of_its_conversion_and_its_delay_the_middle(bench: Bench) -> None:
    """SNOSD82D 6.5: 8 averages take 124 ms. The temperature rises by 10 degC a second."""
    device = bench.tmp117()
    device._ambient_c = lambda t: 10 * t
    told = bench.run(5)
    for time_us, raw in samples(told):
        felt_us = raw * 0.0078125 / 10 * 1e6
        assert time_us - bench.delay_us == pytest.approx(felt_us, abs=6_000)


def test_a_result_from_before_the_settings_is_not_taken_for_a_new_one(bench: Bench) -> None:
    """The board has restarted, the thermometer has not: its flag of a new result is set."""
    device = bench.tmp117()
    device._ambient_c = lambda t: 10 * t
    bench.clock.pass_ms(1900)
    told = bench.run(1)
    time_us, raw = samples(told)[0]
    assert time_us - bench.delay_us == pytest.approx(raw * 0.0078125 / 10 * 1e6, abs=6_000)


@pytest.mark.parametrize("error", [-0.125, 0.125])
def test_the_clock_of_a_tmp117_may_be_off(bench: Bench, error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """SNOSD82D 6.5: a conversion takes 13 to 17.5 ms."""
    device = bench.tmp117()
    schedule = device.schedule

    def slower(period_ps: int, lag_ps: int, *, first_ps: int | None = None, repeat: bool = True) -> None:
        first = None if first_ps is None else round(first_ps * (1 + error))
        schedule(round(period_ps * (1 + error)), lag_ps, first_ps=first, repeat=repeat)

    monkeypatch.setattr(device, "schedule", slower)
    bench.ask("rate 8000 0")
    bench.run(1)
    before, conversions = len(samples(bench.told)), device.conversions
    told = bench.run(20)
    assert len(samples(bench.told)) - before == pytest.approx(device.conversions - conversions, abs=1)
    assert not any(item.startswith("l:") for item in told)


def test_a_result_that_was_overwritten_is_a_hole_in_the_index(bench: Bench) -> None:
    bench.tmp117()
    bench.ask("rate 8000 0")
    bench.run(2)
    bench.blocked = True
    bench.run(0.5)
    bench.blocked = False
    told = bench.run(1)
    lost = [item for item in told if item.startswith("l:")]
    assert len(lost) == 1
    assert lost[0].startswith(f"l:{LOST_FIFO}:")
    assert 3 <= int(lost[0].split(":")[2]) <= 4


def test_a_read_that_fails_is_tried_again_at_once(bench: Bench) -> None:
    device = bench.tmp117()
    bench.ask("rate 8000 0")
    bench.run(2)
    device.nack = True
    bench.run(0.03)
    device.nack = False
    told = bench.run(1)
    assert bench.state == STREAMING
    assert not any(item.startswith("l:") for item in told), "nothing was overwritten in 30 ms"
    assert len(samples(told)) in (7, 8, 9)


def disconnect(device: Tmp117 | Lm75, *, away: bool) -> None:
    if away:
        device.power_off()
    device.present = not away
    if not away:
        device.power_on()


@pytest.mark.parametrize("make", [Bench.tmp117, Bench.lm75])
def test_a_thermometer_that_is_pulled_is_missing_until_it_is_back(
    bench: Bench, make: Callable[[Bench], Tmp117 | Lm75]
) -> None:
    device = make(bench)
    bench.run(3)
    disconnect(device, away=True)
    told = bench.run(3)
    assert bench.state == MISSING
    assert [item for item in told if item == "i"] == ["i"]
    assert len([item for item in told if "does_not_answer" in item]) == 1
    assert samples(told) == []
    bench.celsius = 31.0
    disconnect(device, away=False)
    told = bench.run(3)
    assert bench.state == STREAMING
    assert not any(item.startswith(("l:", "c")) for item in told)
    scale = 0.0078125 if isinstance(device, Tmp117) else 1 / 256
    assert [raw * scale for _, raw in samples(told)] == [31.0] * len(samples(told))
    assert len(samples(told)) >= 1


def test_a_dip_of_the_supply_is_noticed_by_the_settings_it_takes(bench: Bench) -> None:
    device = bench.tmp117()
    bench.ask("rate 4000 0")
    bench.run(2)
    device.power_on()
    told = bench.run(4)
    assert "i" in told
    assert bench.state == STREAMING
    assert bench.rate_mhz == 4000
    before = device.conversions
    bench.run(2)
    assert device.conversions - before == 8
    assert all(raw == 25 * 128 for _, raw in samples(told)), "never -256 degC"


@pytest.mark.parametrize(("kind", "celsius"), [(LM75, 23.5), (LM75B, 23.625), (LM75, -17.0), (LM75B, -0.125)])
def test_an_lm75_of_either_resolution_is_read(bench: Bench, kind: Kind, celsius: float) -> None:
    bench.celsius = celsius
    bench.lm75(0x4A, kind)
    told = bench.run(4)
    assert bench.part == "lm75"
    assert [raw / 256 for _, raw in samples(told)] == [celsius] * len(samples(told))
    assert len(samples(told)) in (3, 4)
    assert all(transfer[0] == "r" for transfer in bench.transfers), "nothing is ever written to it"


def test_the_rate_of_an_lm75_is_that_of_its_reading(bench: Bench) -> None:
    bench.lm75()
    bench.run(2)
    assert (bench.lowest, bench.highest) == (250, 10_000)
    bench.ask(f"rate 10000 {bench.clock.now_ps // 10**6}")
    assert bench.change == DONE
    assert len(samples(bench.run(2))) in (19, 20)


@pytest.mark.parametrize(("register", "value"), [(2, 0x4800), (3, 0x5080), (1, 0xE0)])
def test_what_does_not_look_like_an_lm75_is_left_alone(bench: Bench, register: int, value: int) -> None:
    device = bench.lm75()
    device._registers[register] = value
    assert bench.run(3) == []
    assert bench.state == ABSENT


def test_a_tmp117_of_another_identity_is_not_taken_for_an_lm75(bench: Bench) -> None:
    bench.tmp117().device_id = 0x0116
    assert bench.run(3) == []
    assert bench.state == ABSENT


def test_a_later_revision_of_the_tmp117_is_one(bench: Bench) -> None:
    """SNOSD82D 7.6.11: bits 15 to 12 are the revision."""
    bench.tmp117().device_id = 0x2117
    bench.run(2)
    assert bench.state == STREAMING


def test_a_rate_that_was_set_before_counts_when_one_is_found(bench: Bench) -> None:
    bench.ask("rate 2000 0")
    assert bench.change == DONE
    assert bench.rate_mhz == 2000
    bench.run(1)
    device = bench.tmp117()
    told = bench.run(6)
    assert device._registers[1] & 0x0FFC == 3 << 7 | 1 << 5
    assert len(samples(told)) >= 8


def test_a_change_of_rate_that_meets_an_unplugged_part_ends(bench: Bench) -> None:
    device = bench.tmp117()
    bench.run(2)
    disconnect(device, away=True)
    bench.ask(f"rate 8000 {bench.clock.now_ps // 10**6}")
    assert bench.change == PENDING
    bench.run(0.2)
    assert bench.change == DONE
    assert bench.rate_mhz == 8000
    disconnect(device, away=False)
    bench.run(3)
    assert device._registers[1] & 0x0FFC == 1 << 7 | 1 << 5


def test_one_part_may_take_the_place_of_another(bench: Bench) -> None:
    device = bench.tmp117()
    bench.run(2)
    disconnect(device, away=True)
    bench.lm75(0x49)
    told = bench.run(3)
    assert "c" in told
    assert bench.part == "lm75"
    assert bench.state == STREAMING
    assert samples(told)[-1][1] == 25 * 256


def test_without_a_bus_it_stays_absent() -> None:
    bench = Bench(present=False)
    assert bench.run(3) == []
    assert bench.state == ABSENT
    bench.harness.close()
