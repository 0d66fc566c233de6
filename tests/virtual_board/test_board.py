"""The board as a whole: determinism, resets, memory, wiring."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from virtual_board import BOARDS, Hand, Still, VirtualBoard
from virtual_board.sensors.mpu import Mpu
from virtual_board.testing import IDLE, Probe, Run, compile_program

# samples noise sources, memory and the line for a while
BUSY = """
#define UART 0x40004400u
void exception_15(void) { OUT[0]++; }
int main(void) {
    OUT[0] = 0;
    REG(0x40023830u) |= 1; REG(0x40023840u) |= 1u << 17; REG(0x40023844u) |= 1u << 8;
    REG(0x40020000u) |= 2u << 4; REG(0x40020020u) |= 7u << 8;
    REG(UART + 8) = 139; REG(UART + 12) = 1u << 13 | 1u << 3;
    REG(0x40012304u) = 1u << 23; REG(0x40012008u) = 1; REG(0x40012034u) = 18;
    REG(0xE000E014u) = 15999; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
    for (u32 i = 0;; i++) {
        REG(0x40012008u) |= 1u << 30;
        while (!(REG(0x40012000u) & 2)) {}
        REG(UART + 4) = REG(0x4001204Cu) + REG(0x20004000u + 4 * (i & 255));
        WFI();
    }
}"""


def test_the_same_seed_gives_the_same_bytes_and_instruction_count(run: Run) -> None:
    runs = [run(BUSY, 300_000, seed=7) for _ in range(2)]
    sent = [probe.board.uart.take() for probe in runs]
    assert len(sent[0]) > 250
    assert sent[0] == sent[1]
    assert runs[0].board.instructions == runs[1].board.instructions
    assert runs[0].board.counters == runs[1].board.counters


def test_how_time_is_cut_into_runs_makes_no_difference(run: Run) -> None:
    whole, pieces = run(BUSY, 100_000, seed=7), run(BUSY, 0, seed=7)
    for _ in range(333):
        pieces.pass_us(300.3)
    whole.pass_us(10)
    pieces.pass_us(whole.time.now_ps / 1e6 - pieces.time.now_ps / 1e6)
    assert pieces.board.uart.take() == whole.board.uart.take()


def test_another_seed_gives_other_bytes(run: Run) -> None:
    assert run(BUSY, 50_000, seed=1).board.uart.take() != run(BUSY, 50_000, seed=2).board.uart.take()


def test_sram_is_noise_at_power_on_and_survives_a_warm_reset(run: Run) -> None:
    probe: Probe = run(IDLE, 100, seed=1)
    memory = probe.machine.memory
    noise = memory.read(0x2000_4000, 4096)
    assert len(set(noise)) > 200
    memory.write(0x2000_4000, b"kept")
    probe.board.reset("pin")
    probe.pass_us(100)
    assert memory.read(0x2000_4000, 4) == b"kept"
    probe.board.reset("power")
    assert memory.read(0x2000_4000, 4096) != noise, "every power-on is another"
    assert run(IDLE, 100, seed=1).machine.memory.read(0x2000_4000, 4096) == noise
    assert run(IDLE, 100, seed=2).machine.memory.read(0x2000_4000, 4096) != noise


def test_a_program_can_reset_itself(run: Run) -> None:
    """PM0214 4.4.5, SYSRESETREQ: takes effect at once; RAM stays, peripherals do not."""
    source = """int main(void) {
        if (OUT[1] != 0x1234u) { OUT[1] = 0x1234u; OUT[0] = 0; OUT[2] = 0; }
        OUT[0]++;
        if (OUT[0] < 4) { REG(0x40023830u) = 1; REG(0xE000ED0Cu) = 0x05FA0004u; OUT[2]++; }
        OUT[3] = REG(0x40023830u) & 1; OUT[4] = REG(0x40023874u) >> 28 & 1;
        return 0; }"""
    probe: Probe = run(source)
    assert [probe.out(index) for index in range(5)] == [4, 0x1234, 0, 0, 1]
    assert probe.board.counters.resets == 4


def test_without_the_key_there_is_no_reset(run: Run) -> None:
    probe: Probe = run("int main(void) { OUT[0] = 1; REG(0xE000ED0Cu) = 4; OUT[0] = 2; return 0; }")
    assert probe.out(0) == 2
    assert probe.board.counters.resets == 1


def test_the_sensor_keeps_its_registers_over_a_reset_of_the_microcontroller(run: Run) -> None:
    probe: Probe = run(IDLE, 30_000)
    imu: Mpu = probe.board.imu
    for values in ((0x6B, 1), (0x1B, 0x18)):
        assert imu.start(read=False)
        for byte in values:
            imu.write(byte)
    probe.board.reset("pin")
    assert imu._registers[0x1B] == 0x18
    probe.board.reset("power")
    assert imu._registers[0x1B] == 0


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_data_ready_reaches_the_interrupt_of_its_pin(run: Run, board: str) -> None:
    probe: Probe = run(IDLE, 30_000, board=board, motion=Hand(seed=1))
    spec = BOARDS[board]
    port = ord(spec.data_ready[1]) - ord("A")
    probe.set(0x4002_3830, 1 << port | 2)
    if spec.sensor_power is not None:
        assert not probe.board.imu.present, "no power before the switch"
        probe.write(0x4002_0418, 1 << 2)
        probe.set(0x4002_0400, 1 << 4)
        probe.pass_us(25_000)
    probe.set(0x4002_3844, 1 << 14)
    probe.write(0x4001_3808, port)
    probe.write(0x4001_3C08, 1)
    probe.write(0x4001_3C00, 1)
    for values in ((0x6B, 1), (0x1A, 1), (0x38, 1)):
        assert probe.board.imu.start(read=False)
        for byte in values:
            probe.board.imu.write(byte)
    probe.pass_us(1100)
    assert probe.line(6)
    assert probe.read(0x4001_3C14) == 1


def test_taking_the_imu_off_and_putting_it_back_is_a_power_on(run: Run) -> None:
    board = run(IDLE, 30_000).board
    assert board.imu.start(read=False)
    board.connect_imu(connected=False)
    assert not board.imu.start(read=False)
    board.connect_imu(connected=True)
    assert not board.imu.start(read=False), "starting up"
    board.run(0.025)
    assert board.imu.start(read=False)


def test_several_parts_share_the_i2c_bus(programs: Path) -> None:
    elf = compile_program(IDLE, programs)
    board = VirtualBoard(
        elf, parts=("tmp117@0x49", "lm75", "mpu6500@0x69", "mpu6050"), motion=Still(temperature_c=19.5)
    )
    board.run(1.5)
    bus, answers = board.i2c_bus, {}
    for address, register in ((0x49, 0x0F), (0x48, 3), (0x69, 0x75), (0x68, 0x75), (0x49, 0), (0x48, 0)):
        assert bus.start(address, read=False)
        bus.write(register)
        assert bus.start(address, read=True)
        answers[address, register] = bus.read_block(2)
        bus.stop()
    assert answers[0x49, 0x0F] == b"\x01\x17"
    assert answers[0x48, 3] == b"\x50\x00"
    assert answers[0x69, 0x75][0] == 0x70
    assert answers[0x68, 0x75][0] == 0x68
    assert int.from_bytes(answers[0x49, 0], "big") / 128 == pytest.approx(19.5, abs=0.05)
    assert answers[0x48, 0] == b"\x13\x80"
    assert board.imu is board.parts["mpu6500@0x69"], "the first IMU has the data-ready line"


def test_a_part_is_taken_off_by_its_name(programs: Path) -> None:
    board = VirtualBoard(compile_program(IDLE, programs), parts=("lm75",))
    with pytest.raises(LookupError, match="no MPU"):
        _ = board.imu
    board.connect("lm75", connected=False)
    assert not board.i2c_bus.start(0x48, read=False)
    board.connect("lm75", connected=True)
    assert board.i2c_bus.start(0x48, read=False)
    with pytest.raises(KeyError):
        board.connect("tmp117", connected=False)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("bmp280",), "no I2C part 'bmp280'; there are mpu6050"),
        (("mpu6050@0x48",), "mpu6050 has the addresses 0x68, 0x69"),
        (("tmp117@x",), "tmp117 has the addresses"),
        (("tmp117", "lm75"), "'lm75': address 0x48 is taken"),
    ],
)
def test_parts_that_cannot_be_are_refused(programs: Path, parts: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        VirtualBoard(compile_program(IDLE, programs), parts=parts)


def test_run_until(run: Run) -> None:
    board = run(BUSY, 10).board
    assert board.run_until(lambda: board.uart.sent >= 5, limit_s=1)
    assert board.now_us < 10_000
    assert not board.run_until(lambda: False, limit_s=0.01)


def test_a_clean_program_leaves_no_notes(run: Run) -> None:
    board = run(BUSY, 50_000).board
    assert board.unmodelled == {}
    assert board.unclocked == {}
    assert board.violations == {}
