"""A guided session from start to end in virtual time: board, wire, session, guide, fit, store, stage."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from rich.console import Console

from bridge.imu_synthesis import DIRECTIONS, Imperfect, recording
from telemetry_bridge.calibrate import live
from telemetry_bridge.calibrate.live import Pieces
from telemetry_bridge.calibrate.noise import NoiseGuide
from telemetry_bridge.calibrate.outcome import Guide
from telemetry_bridge.calibrate.poses import PoseGuide
from telemetry_bridge.calibrate.session import Task, calibrate
from telemetry_bridge.calibration import Calibrator, Store
from telemetry_bridge.calibration.recording import GRAVITY, IMU_FIELDS, Chunk, Origin
from telemetry_bridge.client import RunningBridge, Samples
from telemetry_bridge.errors import CalibrationError
from telemetry_bridge.events import Batch, DeviceChanged, Event
from telemetry_bridge.session import Session
from telemetry_bridge.sim import SimulatedDevice
from telemetry_bridge.sim.poses import REST_S, TURN_S, Errors, Poses

STEP_NS = 10_000_000
ERRORS = 5
QUIET = Console(quiet=True)


class VirtualSource:
    """A simulated board behind a session, with as much time as is asked for."""

    is_live = True

    def __init__(self, motion: str, seconds: float) -> None:
        self._board = SimulatedDevice(seed=3, rate_hz=200.0, motion=motion, errors=ERRORS, odr_ppm=8000, drift_ppm=40)
        self._session = Session("sim:", wall_ns=1_700_000_000_000_000_000, monotonic_ns=0)
        self._now_ns = 10**9
        self._end_ns = self._now_ns + round(seconds * 1e9)
        self.events: list[Event] = []
        while not any(isinstance(event, Batch) and event.stream == "imu" for event in self.events):
            self.step()

    def step(self) -> list[Event]:
        self._now_ns += STEP_NS
        events = self._session.receive(self._board.advance(self._now_ns), self._now_ns)
        events += self._session.poll(self._now_ns)
        self._board.receive(self._session.take_output(), self._now_ns)
        self.events += events
        return events

    @property
    def origin(self) -> Origin:
        device = next(event.device for event in reversed(self.events) if isinstance(event, DeviceChanged))
        stream = next(stream for stream in device.streams if stream.name == "imu")
        return Origin(device.id, "imu", stream.sensor, stream.fields)

    def chunks(self) -> Iterator[Chunk]:
        pieces = Pieces()
        while self._now_ns < self._end_ns:
            for event in self.step():
                if isinstance(event, Batch) and event.stream == "imu":
                    yield pieces.chunk(event.index, event.period_ns, event.values)
                elif isinstance(event, Batch) and event.stream == "imu_temp":
                    pieces.warm(float(event.values[0, -1]))


def test_a_guided_walk_finds_the_errors_of_the_board_and_takes_them_away(tmp_path: Path) -> None:
    source, store = VirtualSource("poses", 300.0), Store(tmp_path)
    prompts: list[str] = []

    class Watched(PoseGuide):
        def prompt(self) -> str:
            prompts.append(super().prompt())
            return prompts[-1]

    def begin(_: object) -> Guide:
        return Watched(source.origin, None, GRAVITY, gyro=True)

    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    made = calibrate(Task(begin), source, store, terminal, QUIET)
    assert isinstance(terminal.file, io.StringIO)
    assert "tilted between x and z" in terminal.file.getvalue()
    assert made is not None
    truth = Errors.draw(ERRORS)
    assert made.accel is not None
    assert made.gyro is not None
    assert np.abs(np.array(made.accel.matrix) - truth.matrices[0]).max() < 5e-4
    assert np.abs(np.array(made.accel.bias) - truth.biases[0]).max() < 1e-3 * GRAVITY
    assert np.abs(np.array(made.gyro.matrix) - truth.matrices[1]).max() < 8e-4
    assert np.abs(np.array(made.gyro.bias) - truth.biases[1]).max() < np.radians(0.02)
    assert made.accel.temperature_c == pytest.approx(27, abs=4)  # the die warms from 24 degC
    # it stopped when it had enough, and asked for what was missing until then
    assert made.accel.counts["poses"] < 30
    assert any("put the board down with" in prompt for prompt in prompts)
    assert any(prompt == "hold still …" for prompt in prompts)

    # and the values that the bridge makes of another walk of the same board are right
    stage = Calibrator(Store(tmp_path))
    again = VirtualSource("poses", 30.0)
    for _ in range(2000):
        again.step()
    calibrated = [made for event in again.events for made in stage.process(event)]
    told = next(event for event in reversed(calibrated) if isinstance(event, DeviceChanged))
    assert [stream.calibration for stream in told.device.streams if stream.name == "imu"] == [made.id]
    values = np.concatenate(
        [event.values for event in calibrated if isinstance(event, Batch) and event.stream == "imu"], axis=1
    )
    at_rest = np.abs(values[3:]).max(axis=0) < 0.006
    lengths = np.linalg.norm(values[:3, at_rest], axis=0)
    assert np.sqrt(np.mean((lengths - GRAVITY) ** 2)) < 5e-3 * GRAVITY
    assert np.abs(values[3:, at_rest].mean(axis=1)).max() < np.radians(0.02)


def test_a_board_in_a_hand_ends_with_nothing(tmp_path: Path) -> None:
    source = VirtualSource("hand", 20.0)
    with pytest.raises(CalibrationError, match="ended before"):
        calibrate(
            Task(lambda _: PoseGuide(source.origin, None, GRAVITY, gyro=True)), source, Store(tmp_path), QUIET, QUIET
        )
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_is_ended_early_gives_what_there_is_once_that_is_enough(tmp_path: Path) -> None:
    source, store = VirtualSource("poses", 200.0), Store(tmp_path)
    guides: list[PoseGuide] = []

    def begin(_: object) -> Guide:
        guides.append(PoseGuide(source.origin, None, GRAVITY, gyro=False, poses=60))
        return guides[0]

    asked_at = iter((3, 16))  # poses when Enter is pressed
    asking = [next(asked_at)]

    def is_ended() -> bool:
        if int(guides[0].steps()[-1].state.split()[0]) < asking[0]:
            return False
        asking[0] = next(asked_at, 1000)
        return True

    made = calibrate(Task(begin, is_ended=is_ended), source, store, QUIET, QUIET)
    assert made is not None
    assert made.accel is not None
    assert made.accel.counts["poses"] == 16
    assert [complaint for complaint in guides[0].complaints if "not yet: 3 poses are too few" in complaint]
    assert np.abs(np.array(made.accel.matrix) - Errors.draw(ERRORS).matrices[0]).max() < 5e-4


def test_the_simulated_poses_fit_their_turns() -> None:
    """Gravity turns exactly as the rates say."""
    motion = Poses(2)
    time_s = np.arange(0, 18 * (REST_S + TURN_S), 1e-3)
    felt = motion.at(time_s)
    np.testing.assert_allclose(np.linalg.norm(felt[:3], axis=0), GRAVITY, rtol=1e-9)
    change = np.gradient(felt[:3], time_s, axis=1)
    expected = -np.cross(felt[3:].T, felt[:3].T).T
    assert np.abs(change - expected)[:, 1:-1].max() < 0.01
    resting = np.all(felt[3:] == 0, axis=0)
    assert len(np.unique(np.round(felt[:3, resting].T, 3), axis=0)) == 18


def test_time_runs_by_the_index_and_shows_what_is_missing() -> None:
    pieces = Pieces()
    values = np.zeros((1, 4), np.float32)
    pieces.warm(21.5)
    times = [pieces.chunk(index, 1_000_000, values).time_s for index in (100, 104, 110, 0)]
    np.testing.assert_allclose(np.concatenate(times[:2]), np.arange(8) / 1000)
    np.testing.assert_allclose(times[2], (np.arange(4) + 10) / 1000)
    assert times[3][0] == pytest.approx(0.013 + 0.010)
    np.testing.assert_array_equal(pieces.chunk(4, 1_000_000, values).temperature_c, 21.5)


def test_a_noise_record_begins_anew_when_the_board_is_moved() -> None:
    given = recording(Imperfect.draw(1), DIRECTIONS[:2], seed=1, still_s=40.0, rate_hz=104.0)
    guide = NoiseGuide(given.origin, minutes=0.6)
    seen = []
    for chunk in given.chunks():
        guide.feed(chunk)
        seen.append(guide.is_done)
    assert [complaint.split(":")[0] for complaint in guide.complaints] == ["after 39 s of rest"]
    assert True in seen[:200]  # the first rest was long enough, had it been live
    assert seen[205] is False
    outcome = guide.finish()
    assert "0.7 min at 104.0 Hz" in outcome.tables[0].title


class Talkative:
    """A running bridge whose IMU is silent while its thermometer goes on."""

    def online(self) -> list[dict[str, object]]:
        fields = [{"name": field, "unit": "", "full_scale": 0.0} for field in IMU_FIELDS]
        streams = [{"name": "imu", "sensor": "p", "fields": fields}, {"name": "imu_temp", "sensor": "p", "fields": []}]
        return [{"id": "d", "streams": streams}]

    def samples(self, device: str, streams: list[str], *, calibrated: bool) -> Iterator[Samples]:
        assert (device, streams, calibrated) == ("d", ["imu", "imu_temp"], False)
        for index in range(10):
            yield Samples("imu_temp", index, 0, 10**8, np.ones((1, 1), np.float32))


def test_a_silent_stream_is_noticed_though_others_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    source = live.BridgeSource(cast("RunningBridge", Talkative()), "", "imu", "imu_temp")
    assert list(source.chunks()) == []
    monkeypatch.setattr(live, "SILENCE_S", -1.0)
    with pytest.raises(CalibrationError, match="no samples of imu"):
        list(source.chunks())
