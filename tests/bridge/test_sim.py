"""The simulated board: its rate, its clock, its line, its motion, its commands and its faults."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import numpy as np
import pytest

from telemetry_bridge import link
from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.sim import SimulatedDevice
from telemetry_bridge.sim.motion import GRAVITY, HandMotion
from telemetry_protocol import Damage, Decoder, Frame, Message, SampleLayout, encode_frame, messages

MS = 1_000_000
SECOND = 1_000_000_000


class Host:
    """Listens to a simulated board in virtual time."""

    def __init__(self, device: SimulatedDevice, *, step_ms: int = 10, now_ns: int = 7 * SECOND) -> None:
        self.device = device
        self.now_ns = now_ns
        self.step_ns = step_ms * MS
        self.data = b""
        self.items: list[Frame | Damage] = []
        self._decoder = Decoder()
        self._decoder.feed(b"\0")

    def run(self, seconds: float) -> None:
        end = self.now_ns + round(seconds * SECOND)
        self._take()
        while self.now_ns < end:
            self.now_ns = min(self.now_ns + self.step_ns, end)
            self._take()

    def _take(self) -> None:
        data = self.device.advance(self.now_ns)
        self.data += data
        self.items += self._decoder.feed(data)

    @property
    def heard(self) -> list[Message]:
        unpacked = [messages.unpack(item.type, item.payload) for item in self.items if isinstance(item, Frame)]
        return [message for message in unpacked if isinstance(message, Message)]

    def samples(self, number: int = 0) -> list[messages.Samples]:
        return [m for m in self.heard if isinstance(m, messages.Samples) and m.stream == number]

    def ask(self, name: str, **args: float) -> messages.Response:
        """Send a command and wait for its answer."""
        spec = messages.COMMANDS[name]
        payload = messages.Command(99, spec.id, spec.pack_args(**args)).pack()
        before = len(self.responses)
        self.device.receive(encode_frame(messages.Command.TYPE, 0, payload), self.now_ns)
        self.run(0.05)
        (response,) = self.responses[before:]
        return response

    def stream(self, number: int = 0) -> messages.Stream:
        """The newest descriptor of a stream."""
        return [m for m in self.heard if isinstance(m, messages.Stream) and m.stream == number][-1]

    def health(self) -> messages.Health:
        """HEALTH as of now."""
        self.ask("get_health")
        return [m for m in self.heard if isinstance(m, messages.Health)][-1]

    @property
    def responses(self) -> list[messages.Response]:
        return [m for m in self.heard if isinstance(m, messages.Response)]


def said(host: Host, name: str, **args: float) -> tuple[str, dict[str, Any]]:
    """Status of a command, and the fields of its result or refusal."""
    response = host.ask(name, **args)
    spec, ok = messages.COMMANDS[name], response.status == messages.Status.OK
    fields = spec.unpack_result(response.data) if ok else spec.unpack_refusal(response.data)
    assert isinstance(fields, dict)
    return messages.Status(response.status).name, fields


def test_the_same_seed_gives_the_same_bytes_however_time_is_cut() -> None:
    coarse, fine = Host(SimulatedDevice(seed=5), step_ms=100), Host(SimulatedDevice(seed=5), step_ms=1)
    other = Host(SimulatedDevice(seed=6))
    for host in (coarse, fine, other):
        host.run(2.5)
    assert coarse.data == fine.data
    assert coarse.data != other.data


def test_at_power_on_it_says_who_it_is_and_what_it_streams() -> None:
    host = Host(SimulatedDevice(seed=3))
    host.run(0.015)
    hello, *streams = host.heard
    assert isinstance(hello, messages.Hello)
    assert hello.uid == SimulatedDevice(seed=3).uid != SimulatedDevice(seed=4).uid
    assert hello.streams == len(streams) == 3
    assert [stream.name for stream in streams if isinstance(stream, messages.Stream)] == ["imu", "imu_temp", "mcu_temp"]
    imu = streams[0]
    assert isinstance(imu, messages.Stream)
    assert imu.generation == hello.boot_id & 7
    assert [(s.latency_us, s.enabled) for s in streams if isinstance(s, messages.Stream)] == [
        (25_000, 1), (50_000, 1), (50_000, 1),
    ]  # fmt: skip
    assert [field.name for field in imu.fields] == [
        "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z",
    ]  # fmt: skip


def test_the_rate_holds_over_time_to_the_sample() -> None:
    host = Host(SimulatedDevice(), step_ms=250)
    host.run(120)
    batches = host.samples()
    indexes = [batch.index for batch in batches]
    assert indexes == list(range(0, 25 * len(batches), 25))
    assert 120_000 - 25 - indexes[-1] in range(0, 41)
    assert batches[-1].time_us - batches[0].time_us == 1000 * indexes[-1]


def test_a_frame_at_1_khz_costs_13_bytes_a_sample() -> None:
    host = Host(SimulatedDevice())
    host.run(10)
    frames = [item for item in host.items if isinstance(item, Frame) and item.type == messages.Samples.TYPE]
    big = [frame for frame in frames if len(frame.payload) == 11 + 25 * 12]
    assert sum(len(frame.raw) + 1 for frame in big) / (25 * len(big)) <= 13.05


def test_the_boards_clock_drifts_and_its_sensor_runs_at_a_rate_of_its_own() -> None:
    host = Host(SimulatedDevice(drift_ppm=200, odr_ppm=3000), step_ms=250)
    host.run(50)
    first, *_, last = host.samples()
    period = (last.time_us - first.time_us) / (last.index - first.index)
    assert period == pytest.approx(1000 / 1.003, rel=1e-6)
    healths = [m for m in host.heard if isinstance(m, messages.Health)]
    assert [m.time_us for m in healths] == [1_000_000 * (k + 1) for k in range(50)]
    assert host.ask("get_health").status == 0
    newest = [m for m in host.heard if isinstance(m, messages.Health)][-1]
    assert newest.time_us == pytest.approx(50_000_000 * 1.0002, abs=1000)


def test_bytes_leave_at_the_pace_of_the_line() -> None:
    host = Host(SimulatedDevice(baud=115_200), step_ms=1)
    host.run(2)
    for k in range(1, 20):
        part = Host(SimulatedDevice(baud=115_200), step_ms=k)
        part.run(k / 100)
        assert len(part.data) <= part.now_ns  # something came
        assert len(part.data) <= 115_200 / 10 * k / 100 + 1
    assert len(host.data) <= 2 * 11_520 + 1


def test_a_line_that_is_too_slow_loses_in_the_ring_and_says_so() -> None:
    host = Host(SimulatedDevice(rate_hz=1000, baud=57_600))
    host.run(10)
    received = sum(len(batch.data) // 12 for batch in host.samples())
    health = [m for m in host.heard if isinstance(m, messages.Health)][-1].streams[0]
    assert health.lost_ring > 1000
    assert received + health.lost_ring == pytest.approx(health.next_index, abs=800)  # the rest waits or is newer


def test_the_motion_is_that_of_a_hand_and_its_rates_are_the_derivatives_of_its_attitude() -> None:
    motion = HandMotion(seed=1)
    time_s = np.arange(0, 20, 0.001)
    accel, gyro = np.split(motion.at(time_s), 2)
    force = np.linalg.norm(accel, axis=0)
    assert force.mean() == pytest.approx(GRAVITY, abs=0.5)
    assert force.min() > 5
    assert force.max() < 20
    assert 0.3 < np.abs(gyro).max() < 8.7
    # Integrate the rates: the attitude they give must carry gravity along with the accelerometer.
    still = HandMotion(seed=1)
    still._sway = [np.zeros((1, 3))] * 3
    up = still.at(time_s)[:3] / GRAVITY
    turned = up[:, 0]
    for k in range(len(time_s) - 1):
        turned = turned + 0.001 * np.cross(turned, (gyro[:, k] + gyro[:, k + 1]) / 2)
        turned /= np.linalg.norm(turned)
    np.testing.assert_allclose(turned, up[:, -1], atol=2e-3)


def test_samples_are_the_motion_at_their_own_time_within_noise_and_resolution() -> None:
    host = Host(SimulatedDevice(seed=2))
    host.run(3)
    layout = SampleLayout(next(m for m in host.heard if isinstance(m, messages.Stream)))
    motion = HandMotion(seed=2)
    for batch in host.samples():
        values = layout.si(batch.data)
        expected = motion.at(batch.time_us / 1e6 + np.arange(values.shape[1]) / 1000)
        np.testing.assert_allclose(values[:3], expected[:3], atol=0.12)
        np.testing.assert_allclose(values[3:], expected[3:], atol=0.007)


def test_temperatures_are_plausible_and_rise() -> None:
    host = Host(SimulatedDevice(), step_ms=500)
    host.run(60)
    streams = [m for m in host.heard if isinstance(m, messages.Stream)]
    for number, rate in ((1, 10), (2, 1)):
        layout = SampleLayout(streams[number])
        values = np.concatenate([layout.si(batch.data)[0] for batch in host.samples(number)])
        assert len(values) == pytest.approx(60 * rate, abs=2)
        assert 20 < values[0] < 27
        assert 3 < values[-1] - values[0] < 10


# -------------------------------------------------------------------- commands


def test_ping_is_answered_with_the_boards_time() -> None:
    host = Host(SimulatedDevice(drift_ppm=100))
    host.run(1)
    response = host.ask("ping", host_ns=123_456_789_012)
    result = messages.COMMANDS["ping"].unpack_result(response.data)
    assert isinstance(result, dict)
    assert result["host_ns"] == 123_456_789_012
    assert 0 <= result["sent_us"] - result["received_us"] < 5000
    assert result["received_us"] == pytest.approx(1_000_100 + 19 * 10 / 0.9216, abs=3)


def test_set_rate_gives_a_new_generation_and_the_index_goes_on() -> None:
    host = Host(SimulatedDevice())
    host.run(1)
    response = host.ask("set_rate", stream=0, rate_mhz=250_000)
    result = messages.COMMANDS["set_rate"].unpack_result(response.data)
    assert isinstance(result, dict)
    old = host.samples()[0].generation
    assert result == {"rate_mhz": 250_000, "generation": (old + 1) & 7}
    host.run(2)
    batches = host.samples()
    for before, after in itertools.pairwise(batches):
        assert after.index == before.index + len(before.data) // 12
        assert after.time_us > before.time_us
    slow = [batch for batch in batches if batch.generation == result["generation"]]
    assert slow[5].time_us - slow[4].time_us == 4000 * (slow[5].index - slow[4].index)
    assert host.ask("get_rate", stream=0).data == struct.pack("<I", 250_000)


@pytest.mark.parametrize(
    ("args", "status", "numbers"),
    [
        ({"stream": 9, "rate_mhz": 1000}, "UNKNOWN_STREAM", {}),
        ({"stream": 0, "rate_mhz": 0}, "BAD_ARGUMENT", {"needed": 1000, "available": 8_000_000}),
    ],
)
def test_a_rate_that_cannot_be_is_refused_with_the_numbers(
    args: dict[str, int], status: str, numbers: dict[str, int]
) -> None:
    host = Host(SimulatedDevice())
    host.run(0.1)
    assert said(host, "set_rate", **args) == (status, {name: pytest.approx(value) for name, value in numbers.items()})


def test_a_rate_that_the_line_cannot_carry_is_refused_with_what_its_frames_would_take() -> None:
    host = Host(SimulatedDevice())
    host.run(0.1)
    status, refusal = said(host, "set_rate", stream=0, rate_mhz=8_000_000)
    frame_bytes = len(encode_frame(messages.Samples.TYPE, 0, messages.Samples(0, 0, 0, bytes(480)).pack()))
    assert status == "OVER_LINE_BUDGET"
    assert refusal["needed"] == pytest.approx(10 * frame_bytes * 8000 / 40, rel=0.01)  # and two slow streams
    assert refusal["available"] == pytest.approx(0.92 * 921_600, rel=0.001)


def test_what_it_does_not_understand_gets_an_answer_too() -> None:
    host = Host(SimulatedDevice())
    host.run(0.1)
    for command, args, status in ((200, b"", 1), (1, b"short", 2), (3, b"", 2), (4, b"\0", 2), (3, b"\x1f", 4)):
        before = len(host.responses)
        host.device.receive(encode_frame(0x40, 0, messages.Command(7, command, args).pack()), host.now_ns)
        host.run(0.05)
        (response,) = host.responses[before:]
        assert (response.request, response.command, response.status) == (7, command, status)


def test_noise_from_the_host_is_counted_in_health() -> None:
    host = Host(SimulatedDevice())
    host.run(0.1)
    host.device.receive(b"\0\x05\x01\x00" + b"\x09broken!!\x00", host.now_ns)
    host.ask("get_health")
    health = [m for m in host.heard if isinstance(m, messages.Health)][-1]
    assert health.refused_cobs + health.refused_length + health.refused_crc == 2


def test_reset_is_answered_and_starts_a_new_boot() -> None:
    host = Host(SimulatedDevice())
    host.run(1)
    assert host.ask("reset").status == 0
    host.run(0.1)
    first, second = (m for m in host.heard if isinstance(m, messages.Hello))
    assert second.boot_id == first.boot_id + 1
    assert second.reset_cause == messages.ResetCause.SOFTWARE
    assert host.samples()[-1].index < 100


def test_answers_go_ahead_of_waiting_samples() -> None:
    host = Host(SimulatedDevice(baud=57_600))
    host.run(5)  # the ring is full: 4 KiB are 0.7 s
    assert host.ask("get_rate", stream=0).status == 0


# ---------------------------------------------------------------------- faults


@pytest.mark.parametrize("cause", ["fifo", "ring", "bus"])
def test_samples_lost_in_the_board_leave_a_hole_and_are_counted(cause: str) -> None:
    host = Host(SimulatedDevice())
    host.run(1)
    host.device.lose("imu", 33, cause)
    host.run(1.5)
    batches = host.samples()
    holes = [b.index - a.index - len(a.data) // 12 for a, b in itertools.pairwise(batches)]
    assert sum(holes) == 33
    health = [m for m in host.heard if isinstance(m, messages.Health)][-1].streams[0]
    assert getattr(health, f"lost_{cause}") == 33


def test_the_wire_can_swallow_and_damage_frames() -> None:
    host = Host(SimulatedDevice())
    host.run(1)
    host.device.cut_frames(2)
    host.device.flip_bits(3)
    host.run(1)
    assert sum(isinstance(item, Damage) for item in host.items) == 3
    sequences = [item.sequence for item in host.items if isinstance(item, Frame)]
    assert sum((b - a - 1) % 256 for a, b in itertools.pairwise(sequences)) == 5


def test_a_sensor_can_go_and_come_back() -> None:
    host = Host(SimulatedDevice())
    host.run(1)
    host.device.unplug_sensor("imu")
    host.run(2)
    seen = len(host.samples())
    assert host.samples()[-1].index < 1010
    health = [m for m in host.heard if isinstance(m, messages.Health)][-1]
    states = [messages.StreamState.label(entry.state) for entry in health.streams]
    assert states == ["missing", "streaming", "streaming"]
    assert [entry.stream for entry in health.sensors] == [1, 2]
    assert health.sensors[1].temperature_cdegc == health.mcu_cdegc
    host.device.plug_sensor("imu")
    host.run(1)
    assert len(host.samples()) > seen + 35


def test_noise_mute_log_and_hang_up() -> None:
    device = SimulatedDevice()
    host = Host(device)
    host.run(1)
    device.noise(b"\x11\x22\0")
    device.mute_answers = 1
    device.log(messages.LogLevel.ERROR, "spilt coffee")
    device.receive(encode_frame(0x40, 0, messages.Command(1, 5, b"").pack()))
    host.run(0.2)
    assert any(isinstance(item, Damage) for item in host.items)
    assert [m.text for m in host.heard if isinstance(m, messages.Log)] == ["spilt coffee"]
    assert host.responses == []
    device.hung_up = True
    with pytest.raises(LinkLost):
        device.advance(host.now_ns)


def test_it_says_when_it_will_have_something_to_say() -> None:
    device = SimulatedDevice()
    now = 7 * SECOND
    device.advance(now)
    data, calls = b"", 0
    while now < 9 * SECOND:
        assert device.next_ns() > now or device.advance(now) == b""
        now = max(device.next_ns(), now + 1)
        data += device.advance(now)
        calls += 1
    assert calls < 400  # about 130 frames, each started and ended
    assert len(data) > 20_000


# ------------------------------------------------------------------------- URI


def test_the_uri_chooses_the_board() -> None:
    made = link.create("sim:?rate=500&seed=9&drift=-20", sources={"sim": SimulatedDevice.from_parameters})
    assert made.uri == "sim:?rate=500&seed=9&drift=-20"
    device = SimulatedDevice.from_parameters({"rate": "500", "seed": "9"})
    assert device.uid == SimulatedDevice(seed=9).uid
    host = Host(device)
    host.run(0.02)
    imu = next(m for m in host.heard if isinstance(m, messages.Stream))
    assert imu.rate_mhz == 500_000


@pytest.mark.parametrize(
    "parameters", [{"rate": "0"}, {"rate": "fast"}, {"seed": "-1"}, {"colour": "red"}, {"rate": "nan"}]
)
def test_a_bad_parameter_is_one_line(parameters: dict[str, str]) -> None:
    with pytest.raises(LinkError, match="sim: ") as refusal:
        SimulatedDevice.from_parameters(parameters)
    assert "\n" not in str(refusal.value)


def at_rate(host: Host, baud: int) -> None:
    """Change the rate and prove it."""
    assert host.ask("set_baud", baud=baud).status == messages.Status.OK
    assert host.device.line.baud == baud
    assert host.ask("ping", host_ns=1).status == messages.Status.OK


def test_the_rate_changes_when_the_answer_has_left_and_stays_when_a_ping_proves_it() -> None:
    host = Host(SimulatedDevice())
    host.run(0.5)
    assert host.ask("set_baud", baud=2_000_000).status == messages.Status.OK
    held = len(host.heard)
    host.run(0.3)
    assert len(host.heard) == held, "silent until the proof"
    assert host.ask("ping", host_ns=1).status == messages.Status.OK
    host.run(1.0)
    assert len(host.samples()) > 20
    assert host.device.line.baud == 2_000_000
    assert host.ask("set_baud", baud=2_000_000).status == messages.Status.OK


@pytest.mark.parametrize(("proven", "silent_s"), [(False, 1.1), (True, 5.1)])
def test_without_a_host_the_rate_goes_back_and_that_is_counted(proven: bool, silent_s: float) -> None:
    host = Host(SimulatedDevice())
    host.run(0.5)
    assert host.ask("set_baud", baud=2_000_000).status == messages.Status.OK
    if proven:
        at_rate(host, 2_000_000)
    host.run(silent_s - 0.3)
    assert host.device.line.baud == 2_000_000
    host.run(1.5)
    assert host.device.line.baud == 921_600
    assert [m.baud_fallbacks for m in host.heard if isinstance(m, messages.Health)][-1] == 1


@pytest.mark.parametrize(
    ("baud", "status"),
    [(115_199, "BAD_ARGUMENT"), (3_000_001, "BAD_ARGUMENT"), (115_200, "OVER_LINE_BUDGET")],
)
def test_a_rate_that_does_not_do_is_refused_with_numbers(baud: int, status: str) -> None:
    host = Host(SimulatedDevice())
    host.run(0.5)
    answer = host.ask("set_baud", baud=baud)
    assert answer.status == messages.Status[status]
    assert len(answer.data) == 8
    assert host.device.line.baud == 921_600
