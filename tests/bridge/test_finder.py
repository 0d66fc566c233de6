"""``auto``: boards found by their HELLO, lost, and found again, over real pseudo-terminals."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from bridge.port_helpers import Machine, Watcher, a_board, a_machine, until
from bridge.server_helpers import in_loop
from telemetry_bridge import finder, line
from telemetry_bridge.app import Bridge
from telemetry_bridge.config import Config, LineConfig
from telemetry_bridge.errors import LinkError
from telemetry_bridge.events import Batch, DeviceChanged, DeviceInfo, EpochStarted, Gap
from telemetry_bridge.finder import find_board
from telemetry_bridge.line import Line, cancelled
from telemetry_bridge.link import Link, PortInfo, latency_timer
from telemetry_bridge.link.serial_port import SerialLink
from telemetry_bridge.session import session

NMEA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n\0"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "POLL_S", 0.05)
    monkeypatch.setattr(finder, "CANNOT_OPEN_S", (0.05, 0.2))
    monkeypatch.setattr(finder, "BUSY_S", (0.2, 0.2))


@contextlib.asynccontextmanager
async def auto(machine: Machine, *uris: str) -> AsyncIterator[tuple[Bridge, Watcher]]:
    config = Config(auto=True, lines=tuple(LineConfig(uri=uri) for uri in uris))
    watcher = Watcher()
    bridge = Bridge(config, serve=False, ports=machine.ports)
    bridge.hub.attach(watcher)
    async with bridge:
        yield bridge, watcher


def at(path: str) -> str:
    return f"serial:{path}"


# --------------------------------------------------------------------- found


@in_loop
async def test_every_board_is_found_among_ports_that_are_something_else() -> None:
    async with a_machine() as machine:
        machine.plug()
        machine.plug(chatter=NMEA)
        first, second = machine.plug(a_board(1)), machine.plug(a_board(2))
        async with auto(machine) as (bridge, watcher):
            for socket in (first, second):
                await watcher.until(DeviceChanged, link=at(socket.path), state="online")
            assert len(bridge.hub.devices) == 2
            for device in bridge.hub.devices:
                await watcher.until(Batch, device=device, stream="imu")


@in_loop
async def test_without_a_board_it_says_so_and_waits_for_one(caplog: pytest.LogCaptureFixture) -> None:
    async with a_machine() as machine, auto(machine) as (bridge, watcher):
        await until(lambda: "auto: no board yet (no serial port is there)" in caplog.text)
        socket = machine.plug(a_board())
        await watcher.until(DeviceChanged, link=at(socket.path), state="online")
        assert len(bridge.hub.devices) == 1
        assert caplog.text.count("no board yet") == 1


@in_loop
async def test_the_console_of_the_machine_is_never_asked() -> None:
    async with a_machine() as machine:
        console = machine.plug(a_board(1), is_console=True)
        socket = machine.plug(a_board(2))
        async with auto(machine) as (bridge, watcher):
            await watcher.until(DeviceChanged, link=at(socket.path), state="online")
            await watcher.until(Batch, stream="imu")
            assert len(bridge.hub.devices) == 1
            assert not console.heard


@in_loop
async def test_a_named_port_and_auto_together_take_each_board_once() -> None:
    async with a_machine() as machine:
        named, other = machine.plug(a_board(1)), machine.plug(a_board(2))
        async with auto(machine, at(named.path)) as (bridge, watcher):
            await watcher.until(DeviceChanged, link=at(other.path), state="online")
            assert {device.link for device in bridge.hub.devices.values()} == {at(named.path), at(other.path)}


@in_loop
async def test_a_named_port_without_a_board_does_not_end_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "RETRY_LONGEST_S", 0.1)
    async with a_machine() as machine:
        socket = machine.plug(a_board())
        async with auto(machine, "/dev/tty-nowhere") as (_, watcher):
            await watcher.until(DeviceChanged, link=at(socket.path), state="online")


# ------------------------------------------------------------------ defects


@in_loop
async def test_ports_that_cannot_be_listed_are_listed_again(caplog: pytest.LogCaptureFixture) -> None:
    async with a_machine() as machine:
        failures = iter([OSError("too many open files")] * 3)

        def ports() -> Sequence[PortInfo]:
            for failure in failures:
                raise failure
            return machine.ports()

        machine.plug(a_board())
        watcher = Watcher()
        bridge = Bridge(Config(auto=True), serve=False, ports=ports)
        bridge.hub.attach(watcher)
        async with bridge:
            looking = asyncio.create_task(bridge.wait_failed())
            online = asyncio.create_task(watcher.until(DeviceChanged, state="online"))
            await asyncio.wait({looking, online}, return_when=asyncio.FIRST_COMPLETED)
            await cancelled([looking])
            await online
        said = [record for record in caplog.records if "cannot be listed" in record.message]
        assert [record.levelname for record in said] == ["WARNING"]
        assert "too many open files" in said[0].message


@in_loop
async def test_a_port_whose_asking_fails_in_an_unknown_way_is_named_once_and_left_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really_ask, failures = finder.ask, iter([ValueError("a defect")] * 3)

    async def ask(link: Link) -> DeviceInfo:
        for failure in failures:
            raise failure
        return await really_ask(link)

    monkeypatch.setattr(finder, "ask", ask)
    async with a_machine() as machine:
        socket = machine.plug(a_board())
        async with auto(machine) as (_, watcher):
            await watcher.until(DeviceChanged, link=at(socket.path), state="online")
        said = [record for record in caplog.records if "a defect" in record.message]
        assert [record.levelname for record in said] == ["ERROR"]
        assert socket.path in said[0].message
        assert said[0].exc_info


# ------------------------------------------------------------------- let go of


@in_loop
async def test_a_port_without_a_board_is_asked_again_when_it_was_plugged_in_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.1)
    async with a_machine() as machine:
        socket = machine.plug()
        async with auto(machine):
            await until(lambda: "no answer within" in caplog.text)
            asked = len(socket.heard)
            assert asked
            fcntl.flock(socket.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is let go of
            fcntl.flock(socket.slave, fcntl.LOCK_UN)
            socket.info = dataclasses.replace(socket.info, plugged=99)
            await until(lambda: len(socket.heard) > asked)


@in_loop
async def test_a_port_that_is_plugged_in_anew_while_it_is_asked_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.5)
    async with a_machine() as machine:
        socket = machine.plug()
        async with auto(machine) as (_, watcher):
            await until(lambda: socket.heard)
            monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 10.0)  # of the next asking
            socket.info = dataclasses.replace(socket.info, plugged=99)
            await until(lambda: "no answer within" in caplog.text)
            socket.device = a_board()
            await watcher.until(DeviceChanged, link=at(socket.path), state="online")


@in_loop
async def test_a_port_without_a_board_is_left_alone_for_long_and_then_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.1)
    monkeypatch.setattr(finder, "NO_BOARD_S", (0.3, 0.3))
    async with a_machine() as machine:
        socket = machine.plug()
        async with auto(machine) as (_, watcher):
            await until(lambda: socket.heard)
            socket.device = a_board()  # flashed meanwhile
            await watcher.until(DeviceChanged, link=at(socket.path), state="online")


@in_loop
async def test_resume_asks_again_at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.1)
    async with a_machine() as machine:
        socket = machine.plug()
        async with auto(machine) as (bridge, watcher):
            await until(lambda: "no answer within" in caplog.text)
            socket.device = a_board()
            monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 10.0)
            (everywhere,) = bridge.hub.ports.find("auto")
            everywhere.resume()
            await watcher.until(DeviceChanged, link=at(socket.path), state="online")


@in_loop
async def test_a_port_that_is_locked_is_left_in_peace_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with a_machine() as machine:
        socket = machine.plug(a_board())
        fcntl.flock(socket.slave, fcntl.LOCK_EX)
        async with auto(machine) as (_, watcher):
            await until(lambda: "left in peace" in caplog.text)
            await asyncio.sleep(3 * finder.BUSY_S[0])  # asked some times more
            assert caplog.text.count("left in peace") == 1
            assert not socket.heard
            fcntl.flock(socket.slave, fcntl.LOCK_UN)
            await watcher.until(DeviceChanged, state="online")


@contextlib.contextmanager
def held_by_another(path: str) -> Iterator[int]:
    """A program that has the port open, without any lock; yields its pid."""
    code = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid  # its end of input ends it


@in_loop
async def test_a_port_that_a_program_has_open_without_a_lock_is_left_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    async with a_machine() as machine:
        socket = machine.plug(a_board())
        with held_by_another(socket.path) as pid:
            async with auto(machine):
                await until(lambda: "left in peace" in caplog.text)
                assert f"(pid {pid})" in caplog.text
                assert not socket.heard


# ------------------------------------------------------------- gone, and back


@in_loop
async def test_a_board_comes_back_at_another_port_as_the_same_device_and_its_run_goes_on() -> None:
    async with a_machine() as machine:
        device = a_board()
        socket = machine.plug(device)
        async with auto(machine) as (bridge, watcher):
            await watcher.until(Batch, stream="imu")
            (uid,) = bridge.hub.devices
            await machine.unplug(socket)  # the adapter: the board keeps its power
            lost = await watcher.until(DeviceChanged, state="offline")
            await asyncio.sleep(0.1)
            assert device.advance(time.monotonic_ns())  # what it sends meanwhile, nobody hears
            other = machine.plug(device)
            back = await watcher.until(DeviceChanged, lost, link=at(other.path), state="online")
            await watcher.until(Batch, back, stream="imu")
            assert list(bridge.hub.devices) == [uid]
            events = watcher.events[lost:]
            assert not [event for event in events if isinstance(event, EpochStarted)]
            assert next(event.count for event in events if isinstance(event, Gap) and event.stream == "imu")


@in_loop
async def test_a_board_that_has_rebooted_begins_an_epoch_that_was_never_used() -> None:
    async with a_machine() as machine:
        device = a_board()
        socket = machine.plug(device)
        async with auto(machine) as (_, watcher):
            await watcher.until(Batch, stream="imu")
            for _ in range(2):
                await machine.unplug(socket)
                device.reboot()
                lost = await watcher.until(DeviceChanged, len(watcher.events) - 1, state="offline")
                socket = machine.plug(device)
                back = await watcher.until(DeviceChanged, lost, state="online")
                await watcher.until(Batch, back, stream="imu")
            epochs = [
                event.epoch for event in watcher.events if isinstance(event, EpochStarted) and event.stream == "imu"
            ]
            assert epochs == sorted(set(epochs))
            assert len(epochs) >= 3


@in_loop
async def test_a_board_that_falls_silent_at_one_port_and_is_heard_at_another_has_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "SILENCE_NS", 1_500_000_000)
    async with a_machine() as machine:
        device = a_board()
        socket = machine.plug(device)
        async with auto(machine) as (bridge, watcher):
            await watcher.until(Batch, stream="imu")
            socket.device = None
            other = machine.plug(device)
            await watcher.until(DeviceChanged, link=at(other.path), state="online")
            assert len(bridge.hub.devices) == 1
            (_, holder) = bridge.hub.ports.find(None)
            assert holder.uri == at(other.path)


@in_loop
async def test_two_boards_of_one_id_are_two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "TWIN_S", 0.1)
    async with a_machine() as machine:
        for _ in range(2):
            machine.plug(a_board(1))
        async with auto(machine) as (bridge, watcher):
            for socket in machine.sockets:
                await watcher.until(DeviceChanged, link=at(socket.path), state="online")
            assert len(bridge.hub.devices) == 2


@in_loop
async def test_a_port_that_is_lost_again_and_again_is_not_asked_without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    found: set[str] = set()
    really_ask, really_serve = finder.ask, Line._serve_until_lost

    async def ask(link: Link) -> DeviceInfo:
        asked.append(asyncio.get_running_loop().time())
        device = await really_ask(link)
        found.add(device.id)
        return device

    async def serve(self: Line) -> None:
        if not found:
            return await really_serve(self)
        found.clear()
        await self._link.close()
        raise LinkError(f"{self.uri}: gone")

    monkeypatch.setattr(finder, "ask", ask)
    monkeypatch.setattr(Line, "_serve_until_lost", serve)
    async with a_machine() as machine:
        machine.plug(a_board())
        async with auto(machine) as (bridge, _):
            await until(lambda: len(asked) >= 4)
            assert len(bridge.hub.ports.find(None)) == 2  # auto, and one line for the one board
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) >= finder.POLL_S


@in_loop
async def test_a_board_that_comes_back_at_its_default_rate_is_not_looked_for_at_the_one_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[tuple[str, int]] = []
    really_set = SerialLink.set_baud

    async def set_baud(self: SerialLink, baud: int) -> None:
        rates.append((self.uri, baud))
        await really_set(self, baud)

    monkeypatch.setattr(SerialLink, "set_baud", set_baud)
    async with a_machine() as machine:
        device = a_board()
        socket = machine.plug(device)
        watcher = Watcher()
        bridge = Bridge(Config(auto=True, baud=2_000_000), serve=False, ports=machine.ports)
        bridge.hub.attach(watcher)
        async with bridge:
            await watcher.until(DeviceChanged, baud=2_000_000)
            await machine.unplug(socket)
            lost = await watcher.until(DeviceChanged, state="offline")
            device.reboot()
            other = machine.plug(device)
            await watcher.until(DeviceChanged, lost, link=at(other.path), state="online", baud=2_000_000)
    assert [baud for uri, baud in rates if uri == at(other.path)] == [2_000_000]


@in_loop
async def test_a_warning_about_the_port_is_one_of_the_device_whatever_boot_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(latency_timer, "SYSFS", tmp_path)
    async with a_machine() as machine:
        device = a_board()
        socket = machine.plug(device)
        timer = tmp_path / Path(socket.path).name / "latency_timer"
        timer.mkdir(parents=True)  # nobody can write that
        monkeypatch.setattr(latency_timer, "_read_ms", lambda asked: 16 if asked == timer else 0)
        async with auto(machine) as (_, watcher):
            for _ in range(2):
                place = await watcher.until(DeviceChanged, len(watcher.events), state="online")
                assert isinstance(told := watcher.events[place], DeviceChanged)
                assert latency_timer.UDEV_RULE in told.device.warning
                device.reboot()
        assert caplog.text.count(latency_timer.UDEV_RULE) == 1


# ------------------------------------------------------------------- released


@in_loop
async def test_a_released_board_that_is_plugged_in_elsewhere_stays_released_and_is_resumed_there() -> None:
    async with a_machine() as machine:
        device = a_board()
        socket = machine.plug(device)
        async with auto(machine) as (bridge, watcher):
            await watcher.until(Batch, stream="imu")
            (uid,) = bridge.hub.devices
            (holder,) = bridge.hub.ports.find(uid)
            await holder.release()
            assert bridge.hub.devices[uid].state == "released"
            await machine.unplug(socket)
            other = machine.plug(device)
            moved = await watcher.until(DeviceChanged, link=at(other.path), state="released")
            await asyncio.sleep(4 * finder.POLL_S)
            fcntl.flock(other.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it
            fcntl.flock(other.slave, fcntl.LOCK_UN)
            holder.resume()
            back = await watcher.until(DeviceChanged, moved, link=at(other.path), state="online")
            await watcher.until(Batch, back, stream="imu")
            assert list(bridge.hub.devices) == [uid]


@in_loop
async def test_a_released_board_that_its_adapter_tells_is_not_even_asked() -> None:
    async with a_machine() as machine:
        socket = machine.plug(a_board(), usb="0483:374b", serial_number="066CFF")
        async with auto(machine) as (bridge, watcher):
            await watcher.until(Batch, stream="imu")
            (uid,) = bridge.hub.devices
            (holder,) = bridge.hub.ports.find(uid)
            await holder.release()
            await machine.unplug(socket)
            other = machine.plug(usb="0483:374b", serial_number="066CFF")
            await watcher.until(DeviceChanged, link=at(other.path), state="released")
            assert not other.heard
            other.device = a_board()
            holder.resume()
            await watcher.until(DeviceChanged, link=at(other.path), state="online")


@in_loop
async def test_a_released_board_is_taken_back_at_its_own_port() -> None:
    async with a_machine() as machine:
        socket = machine.plug(a_board())
        async with auto(machine) as (bridge, watcher):
            await watcher.until(Batch, stream="imu")
            (uid,) = bridge.hub.devices
            (holder,) = bridge.hub.ports.find(socket.path)
            await holder.release()
            released = await watcher.until(DeviceChanged, state="released")
            heard = len(socket.heard)
            await asyncio.sleep(4 * finder.POLL_S)
            assert len(socket.heard) == heard
            holder.resume()
            await watcher.until(DeviceChanged, released, state="online", id=uid)


@in_loop
async def test_released_as_a_whole_it_opens_no_port_until_it_is_resumed() -> None:
    async with a_machine() as machine, auto(machine) as (bridge, watcher):
        for holder in bridge.hub.ports.find(None):
            await holder.release()
        socket = machine.plug(a_board())
        await asyncio.sleep(4 * finder.POLL_S)
        assert not socket.heard
        for holder in bridge.hub.ports.find(None):
            holder.resume()
        await watcher.until(DeviceChanged, link=at(socket.path), state="online")


# --------------------------------------------------- the first one, for `flash`


@in_loop
async def test_the_first_board_is_that_of_the_port_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 2.0)
    async with a_machine() as machine:
        machine.plug()
        alive = machine.plug(a_board())
        assert await find_board(machine.ports()) == at(alive.path)


@in_loop
async def test_without_a_board_every_port_is_named_and_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.1)
    async with a_machine() as machine:
        machine.plug()
        machine.plug()
        with pytest.raises(LinkError) as failed:
            await find_board(machine.ports())
        assert all(socket.path in str(failed.value) for socket in machine.sockets)


@in_loop
async def test_without_ports_one_is_to_be_plugged_in() -> None:
    with pytest.raises(LinkError, match="plugged in"):
        await find_board([])
