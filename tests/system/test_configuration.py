"""Stored settings and the stall of writing them: the real firmware on a virtual board whose power fails at will."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from elves import elf_path
from store_image import CELLS, SLOTS, record, slots, stream
from telemetry_protocol import Decoder, Frame, Message, encode_frame, messages
from virtual_board import VirtualBoard

OLD_MHZ, NEW_MHZ = 250_000, 500_000
STORED, DEFAULTS = 0, 1
OK, UNSUPPORTED = 0, 7


@dataclass
class Bench:
    """A virtual board and the messages that it has sent."""

    board: VirtualBoard
    received: list[Message] = field(default_factory=list)
    decoder: Decoder = field(default_factory=Decoder)
    requests: int = 0

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.board.run(seconds)
        for item in self.decoder.feed(self.board.uart.take()):
            if isinstance(item, Frame):
                message = messages.unpack(item.type, item.payload)
                assert isinstance(message, Message), message
                self.received.append(message)

    def command(self, name: str, **args: int) -> None:
        """Send a command."""
        self.requests += 1
        spec = messages.COMMANDS[name]
        payload = messages.Command(request=self.requests, command=spec.id, args=spec.pack_args(**args)).pack()
        self.board.uart.send(b"\0" + encode_frame(messages.Command.TYPE, self.requests & 0xFF, payload))

    def call(self, name: str, limit_s: float = 1.5, **args: int) -> messages.Response:
        """Send a command and wait for its one answer."""
        self.command(name, **args)
        end_us = self.board.now_us + limit_s * 1e6
        while self.board.now_us < end_us:
            self.run(0.002)
            found = [m for m in self.received if isinstance(m, messages.Response) and m.request == self.requests]
            if found:
                assert len(found) == 1
                return found[0]
        raise AssertionError(f"no answer to {name}")

    def rate(self) -> int:
        """Rate of the IMU in force."""
        result = messages.COMMANDS["get_rate"].unpack_result(self.call("get_rate", stream=0).data)
        assert isinstance(result, dict)
        return int(result["rate_mhz"])

    def samples(self, number: int) -> list[messages.Samples]:
        """Those of a stream."""
        return [m for m in self.received if isinstance(m, messages.Samples) and m.stream_gen & 31 == number]

    def clock_offset_us(self) -> int:
        """Device time at the end of a ping, against virtual time at its start: the same each time."""
        begin_us = self.board.now_us
        result = messages.COMMANDS["ping"].unpack_result(self.call("ping", host_ns=0).data)
        assert isinstance(result, dict)
        return int(result["received_us"]) - begin_us

    def health(self) -> messages.Health:
        """A HEALTH of now."""
        self.call("get_health")
        self.run(0.02)
        return [m for m in self.received if isinstance(m, messages.Health)][-1]

    def logs(self) -> list[str]:
        """About the configuration."""
        return [m.text for m in self.received if isinstance(m, messages.Log) and "configuration" in m.text]


def start(name: str = "nucleo_f411re", flash: bytes | None = None, seed: int = 1) -> Bench:
    """A board that streams."""
    bench = Bench(VirtualBoard(elf_path(name), board=name, seed=seed, noise=False, flash=flash))
    bench.run(0.4)
    return bench


def clean(board: VirtualBoard) -> bool:
    """It did nothing that the manuals forbid."""
    return not (board.violations or board.unmodelled or board.unclocked)


def counted_holes(seen: list[messages.Samples]) -> int:
    """Samples that are missing between these batches, by their index."""
    size = 2 if len(seen[0].data) % 12 else 12
    return sum(two.index - one.index - len(one.data) // size for one, two in pairwise(seen))


def with_full_slot(board: str = "nucleo_f411re") -> bytes:
    """Flash whose first slot is full of saved settings, the second of older ones: the next save erases that."""
    size = (1024 if board == "netduinoplus2" else 512) << 10

    def cells(first: int, rate_mhz: int) -> list[bytes]:
        words = stream(rate_mhz) + stream(10_000) + stream(10_000)
        return [record(number, words) for number in range(first, first + CELLS)]

    flash = bytearray(b"\xff" * size)
    flash[SLOTS] = slots(cells(1 + CELLS, OLD_MHZ), cells(1, 125_000))
    return bytes(flash)


@pytest.mark.parametrize("name", ["nucleo_f411re", "netduinoplus2"])
def test_settings_survive_every_reset_and_a_power_cycle(name: str) -> None:
    bench = start(name)
    (hello, *_) = [m for m in bench.received if isinstance(m, messages.Hello)]
    assert hello.capabilities & 1 << 5
    assert bench.call("set_rate", stream=0, rate_mhz=OLD_MHZ).status == OK
    assert bench.call("save_configuration").status == OK
    operations = bench.board.machine.flash_controller.operations
    assert bench.call("save_configuration").status == OK
    assert bench.board.machine.flash_controller.operations == operations > 0
    for cause in ("pin", "power"):
        bench.board.reset(cause)
        bench.run(0.4)
        assert bench.rate() == OLD_MHZ
    assert bench.call("restore_configuration", source=DEFAULTS).status == OK
    assert bench.rate() == 1_000_000
    bench.board.reset("power")
    bench.run(0.4)
    assert bench.rate() == 1_000_000
    assert bench.logs() == []
    assert clean(bench.board)


def test_appending_a_record_costs_no_sample() -> None:
    bench = start()
    before = bench.health()
    assert bench.call("save_configuration").status == OK
    bench.run(0.2)
    after = bench.health()
    assert sum(s.lost_fifo + s.lost_bus + s.lost_ring for s in after.streams) == 0
    assert before.flash_stall_us == 0
    assert 16 <= after.flash_stall_us <= 20  # DS10314: 16 us a word
    assert bench.board.machine.flash_controller.erases == [0] * 8


def stalled(*, slowest: bool) -> tuple[Bench, messages.Health, messages.Health]:
    """A board that streams at 1 kHz, then erases a slot; its HEALTH before and after, and what it sent meanwhile."""
    bench = start(flash=with_full_slot())
    bench.board.machine.flash_controller.slowest = slowest
    assert bench.call("set_rate", stream=0, rate_mhz=1_000_000).status == OK
    bench.run(0.5)
    before = bench.health()
    assert sum(s.lost_fifo + s.lost_bus + s.lost_ring for s in before.streams) == 0
    bench.received.clear()
    bench.run(0.15)
    assert bench.call("save_configuration").status == OK
    bench.run(0.5)
    return bench, before, bench.health()


@pytest.mark.parametrize("slowest", [False, True])
def test_an_erase_stalls_the_core_and_neither_the_clock_nor_the_watchdog_minds(slowest: bool) -> None:
    bench = start(flash=with_full_slot())
    bench.board.machine.flash_controller.slowest = slowest
    resets = bench.board.counters.resets
    off_us = bench.clock_offset_us()
    assert bench.health().flash_stall_us == 0
    for rate_mhz in (500_000, 250_000, 100_000):
        assert bench.call("set_rate", stream=0, rate_mhz=rate_mhz).status == OK
        assert bench.call("save_configuration").status == OK
        assert bench.clock_offset_us() == pytest.approx(off_us, abs=3)
    assert bench.board.machine.flash_controller.erases[:4] == [0, 0, 1, 0]
    stall_us = 500_000 if slowest else 250_000  # DS10314
    assert stall_us <= bench.health().flash_stall_us <= stall_us + 100
    assert bench.call("clear_counters").status == OK
    assert bench.health().flash_stall_us == 0
    assert bench.call("set_rate", stream=0, rate_mhz=500_000).status == OK
    assert bench.call("save_configuration").status == OK
    assert 16 <= bench.health().flash_stall_us <= 101  # of a word: the longest since then
    assert bench.board.counters.resets == resets
    assert clean(bench.board)


def test_bytes_that_an_erase_costs_are_counted() -> None:
    bench = start(flash=with_full_slot())
    assert bench.call("set_rate", stream=0, rate_mhz=500_000).status == OK
    bench.command("save_configuration")
    bench.board.uart.send(bytes(10_000))  # empty frames; the ring holds 512
    bench.run(0.8)
    assert bench.board.machine.flash_controller.erases[2] == 1
    assert 0 < bench.health().rx_dropped <= 10_000, "a lower bound"
    assert clean(bench.board)


def test_an_error_of_the_flash_fails_the_save_whatever_is_read_back() -> None:
    bench = start()
    flash = bench.board.machine.flash_controller
    store = flash.store

    def store_and_complain(offset: int, size: int, value: int) -> None:
        store(offset, size, value)
        flash.registers[0x0C] |= 1 << 6  # SR.PGPERR

    flash.store = store_and_complain  # type: ignore[method-assign]
    assert bench.call("save_configuration").status not in {OK, UNSUPPORTED}
    flash.store = store  # type: ignore[method-assign]
    assert bench.call("save_configuration").status == OK


def test_readings_of_the_die_temperature_that_a_stall_costs_are_counted() -> None:
    bench, before, after = stalled(slowest=True)
    seen = bench.samples(2)
    assert counted_holes(seen) == after.streams[2].lost_fifo - before.streams[2].lost_fifo
    assert 4 <= counted_holes(seen) <= 6  # 500 ms of 10 Hz
    off_us = {one.time_us - 100_000 * one.index for one in seen}
    assert max(off_us) - min(off_us) <= 10


@pytest.mark.parametrize("slowest", [False, True])
def test_samples_of_the_imu_that_a_stall_costs_are_counted(slowest: bool) -> None:
    bench, before, after = stalled(slowest=slowest)
    seen = bench.samples(0)
    lost = after.streams[0].lost_fifo - before.streams[0].lost_fifo
    assert (after.streams[0].lost_bus, after.streams[0].lost_ring) == (0, 0)
    assert counted_holes(seen) == lost
    assert 0 < lost <= (500 if slowest else 250) + 20  # and what it takes to be in step again
    # the sensor's clock is exact: index and time go together, behind the stall as before it
    off_us = {one.time_us - 1000 * one.index for one in seen}
    assert max(off_us) - min(off_us) <= 4


@pytest.mark.parametrize("name", ["nucleo_f411re", "netduinoplus2"])
def test_a_power_cut_at_any_operation_of_a_save_leaves_the_old_settings_or_the_new(name: str) -> None:
    flash = with_full_slot(name)
    bench = start(name, flash)
    assert bench.rate() == OLD_MHZ
    bench.call("set_rate", stream=0, rate_mhz=NEW_MHZ)
    begun = bench.board.machine.flash_controller.operations
    assert bench.call("save_configuration").status == OK
    operations = bench.board.machine.flash_controller.operations - begun
    streams = next(m.streams for m in bench.received if isinstance(m, messages.Hello))
    assert operations == 1 + 3 + 4 * streams + 1  # the erase, head, settings, CRC
    outcomes = []
    for cut in range(1, operations + 1):
        bench = start(name, flash, seed=cut)
        bench.call("set_rate", stream=0, rate_mhz=NEW_MHZ)
        resets = bench.board.counters.resets
        bench.board.cut_power_at_flash_operation(cut)
        bench.command("save_configuration")
        bench.run(0.8)
        assert bench.board.counters.resets == resets + 1
        assert bench.logs() == []
        outcomes.append(bench.rate())
        assert bench.call("save_configuration").status == OK
    assert set(outcomes) <= {OLD_MHZ, NEW_MHZ}
    assert outcomes[0] == OLD_MHZ


def test_a_corrupted_store_is_told_and_cleared() -> None:
    flash = bytearray(with_full_slot())
    flash[SLOTS] = bytes(byte ^ 0x5A for byte in flash[SLOTS])
    bench = start(flash=bytes(flash))
    assert bench.logs() == ["configuration: what is stored cannot be read: defaults"]
    assert bench.rate() == 1_000_000
    assert bench.call("restore_configuration", source=DEFAULTS).status == OK
    bench.board.reset()
    bench.received.clear()
    bench.run(0.4)
    assert bench.logs() == []
    assert bench.call("restore_configuration", source=STORED).status == OK
