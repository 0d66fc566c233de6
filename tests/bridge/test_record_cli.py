"""`telemetry-bridge record`, `runs info`, and calibrating from what was recorded."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bridge.imu_synthesis import COUNTS, DEG, MG, ORIGIN, Imperfect, recording
from bridge.run_events import DEVICE, START_NS, HeldFile, batch, device, epoch, record
from telemetry_bridge import cli
from telemetry_bridge.calibrate.recorded import read_run
from telemetry_bridge.calibration import Store
from telemetry_bridge.calibration.recording import Array, Recording
from telemetry_bridge.errors import CalibrationError
from telemetry_bridge.events import Batch, DeviceChanged, EpochStarted, Event, FieldInfo, Gap
from telemetry_bridge.recording import Recorder, RunInfo, read
from telemetry_protocol import SampleLayout, messages, stream_gen

COMMAND = Path(sys.executable).with_name("telemetry-bridge")
SENSOR = Imperfect.draw(7)
LIMIT_S = 60


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


# ------------------------------------------------------------------ record


def test_what_a_board_sends_is_recorded_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--port", "sim:?rate=500", "-o", "runs", "--duration", "1"]
    about = ["--title", "Shaker 2 g", "--tag", "x", "--stream", "imu", "--stream", "imu_temp"]
    done = subprocess.run(
        [COMMAND, "record", *where, *about], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "runs").iterdir()
    assert re.fullmatch(r"run-\d{8}-\d{6}-shaker-2-g\.mcap", path.name)
    assert str(path.relative_to(folder)) in done.stdout
    run = read(path)
    assert run.is_complete
    assert (run.info.title, run.info.tags) == ("Shaker 2 g", ("x",))
    assert {stream for _, stream in run.streams} == {"imu", "imu_temp"}
    (board,) = run.devices
    samples = run.samples(board, "imu")
    assert samples.unaccounted == 0
    first_ns, last_ns = samples.span_ns or (0, 0)
    assert last_ns - first_ns > 0.5e9
    assert np.abs(samples.values[:3]).max() > 1
    assert [one.name for one in samples.descriptors] == ["imu"]
    assert samples.nominal.tobytes() == samples.values.tobytes()  # the one from raw samples, the other as delivered
    assert cli.main(["runs", "info", str(path)]) == 0
    said = capsys.readouterr().out
    for words in ("title: Shaker 2 g", "tags: x", "ended: ", "stopped", f"device {board}", f"{len(samples):,}"):
        assert words in said


@pytest.mark.skipif(os.name != "posix", reason="there are no signals")
def test_ctrl_c_ends_a_run_whole(folder: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "record", "--port", "sim:"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()  # the status line: the recorder is there
        assert "recording run-" in line
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    (path,) = folder.glob("*.mcap")
    assert path.name in said
    assert read(path).is_complete


@pytest.mark.skipif(os.name != "posix", reason="there is no limit of file sizes")
def test_a_full_disk_is_said_and_the_live_view_goes_on(folder: Path) -> None:
    line = 'ulimit -f 100; exec "$0" record --port "sim:?rate=6667" --duration 3'  # 50 or 100 KiB, by the shell
    done = subprocess.run(
        ["/bin/sh", "-c", line, COMMAND], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("recording has ended") == 1
    assert "the disk is full" in done.stderr.splitlines()[-2]
    assert "online" in done.stderr.splitlines()[-1]
    assert "runs info" in done.stdout
    (path,) = folder.glob("*.mcap")
    run = read(path)
    assert run.is_whole
    assert "the disk is full" in run.ended
    assert cli.main(["runs", "info", str(path)]) == 3


def test_a_folder_that_cannot_be_made_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").touch()
    assert cli.main(["record", "--port", "sim:", "-o", "file/runs"]) == 1
    assert "file/runs cannot be made" in capsys.readouterr().err


def test_exit_codes_of_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "run.mcap"
    events: list[Event] = [device(), epoch(), *(batch(40 * k, 40) for k in range(200))]
    events.insert(100, Gap(DEVICE, "other", 7, 0, None, "wire"))
    events.insert(100, epoch(7, 0, "other"))
    record(path, events)
    assert cli.main(["runs", "info", str(path)]) == 0
    assert "gaps of unknown length: 1" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-1000])
    assert cli.main(["runs", "info", str(path)]) == 3
    assert "not whole: it is cut" in capsys.readouterr().out
    path.write_text("this is a text")
    assert cli.main(["runs", "info", str(path)]) == 1
    assert "no MCAP file" in capsys.readouterr().err


def test_losses_of_the_recorder_are_told_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "run.mcap"
    file = HeldFile(path)
    recorder = Recorder(path, RunInfo(), queue_bytes=20_000, file=file)
    recorder.start()
    file.goes.clear()
    for event in (device(), epoch(), batch(0, 100)):
        recorder.handle(event)
    assert file.waits.wait(LIMIT_S)
    for k in range(1, 200):
        recorder.handle(batch(100 * k, 100))
    file.goes.set()
    assert recorder.close()
    assert recorder.dropped
    assert cli.main(["runs", "info", str(path)]) == 3
    said = capsys.readouterr().out
    assert f"the recorder has lost {recorder.dropped:,} samples" in said
    assert f"recorder {recorder.dropped:,}" in said


# --------------------------------------------------------------- calibrate


def events_of(given: Recording, descriptor: messages.Stream, values: Array, gain: float) -> list[Event]:
    """The batches of a stream, 50 samples each, as a calibration of that gain leaves them."""
    times = START_NS + np.round(given.samples.time_s * 1e9).astype(np.int64)
    period_ns = round(float(np.median(np.diff(times))))
    layout = SampleLayout(descriptor)
    counts = np.array([row / field.scale for row, field in zip(values, descriptor.fields, strict=True)])
    raw = np.zeros(times.size, layout.dtype)
    for name, row in zip(layout.dtype.names or (), counts, strict=True):
        raw[name] = np.round(row)
    fields = tuple(FieldInfo(one.name, one.unit, one.full_scale) for one in descriptor.fields)
    events: list[Event] = [EpochStarted(given.origin.device, descriptor.name, 7, "1", fields, 0)]
    for first in range(0, times.size, 50):
        data = raw[first : first + 50].tobytes()
        nominal = layout.si(data)
        made = (given.origin.device, descriptor.name, 7, first, int(times[first]), period_ns, 0)
        events.append(Batch(*made, nominal * np.float32(gain), 1, data, 0, nominal=nominal, descriptor=descriptor))
    return events


def run_of(given: Recording, path: Path) -> Path:
    """A run that holds these samples, raw, and values that somebody's calibration has spoilt."""
    scales = (*COUNTS[:, 0], 0.01)
    infos = (*given.origin.fields, FieldInfo("temperature", "degC"))
    fields = tuple(
        messages.FieldDescriptor(messages.FieldType.I16, scale, 0.0, info.full_scale, info.name, info.unit)
        for info, scale in zip(infos, scales, strict=True)
    )
    imu = messages.Stream(stream_gen(0, 1), 416_000, 0, 0, "imu", "lsm6dso", fields[:6], 10_000, 1)
    thermometer = messages.Stream(stream_gen(1, 1), 416_000, 0, 0, "imu_temp", "lsm6dso", fields[6:], 10_000, 1)
    board = device("20260101-000000-12345678").device
    events = [
        DeviceChanged(dataclasses.replace(board, id=given.origin.device)),
        *events_of(given, thermometer, given.samples.temperature_c[None, :], 1.0),
        *events_of(given, imu, given.samples.values, 1.5),
    ]
    record(path, events)
    return path


def test_a_run_gives_the_nominal_samples_that_were_recorded(folder: Path) -> None:
    given = recording(SENSOR, seed=7, still_s=1.0)
    path = run_of(given, folder / "run.mcap")
    found = read_run(path, "3a00", "imu", "imu_temp")
    assert found.origin == dataclasses.replace(given.origin, fields=found.origin.fields)
    assert [field.name for field in found.origin.fields] == [field.name for field in given.origin.fields]
    assert found.origin.full_scale("accel_x") == pytest.approx(given.origin.full_scale("accel_x"))
    np.testing.assert_allclose(found.samples.time_s, given.samples.time_s - given.samples.time_s[0], atol=1e-6)
    np.testing.assert_allclose(found.samples.values, given.samples.values, atol=1e-4)
    np.testing.assert_allclose(found.samples.temperature_c, 25.0, atol=0.01)
    with pytest.raises(CalibrationError, match=r"no board ffff with a stream imu; it has: 3a00.* imu"):
        read_run(path, "ffff", "imu", "imu_temp")
    with pytest.raises(CalibrationError, match=r"no board  *with a stream gps"):
        read_run(path, "", "gps", "")


def test_a_run_calibrates_as_well_as_a_board(folder: Path) -> None:
    path = run_of(recording(SENSOR, seed=7), folder / "walk.mcap")
    assert cli.main(["calibrate", "gyro", "--run", str(path)]) == 0
    made = Store().find(ORIGIN.device, "imu", "lsm6dso")
    assert made is not None
    assert made.accel is not None
    assert made.gyro is not None
    assert np.abs(np.array(made.accel.matrix) - SENSOR.accel_matrix).max() < 0.0005
    assert np.abs(np.array(made.accel.bias) - SENSOR.accel_bias).max() < 1 * MG
    assert np.abs(np.array(made.gyro.bias) - SENSOR.gyro_bias).max() < 0.02 * DEG
    assert made.accel.temperature_c == pytest.approx(25.0, abs=0.1)
