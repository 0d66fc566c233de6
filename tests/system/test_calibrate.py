"""`telemetry-bridge calibrate` at a port and through a running bridge, which takes the result without a restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from system.processes import COMMAND, bridge, end
from telemetry_bridge.calibration import Store
from telemetry_bridge.client import RunningBridge, Where
from telemetry_bridge.sim.poses import Errors

PORT = "sim:?motion=rest&errors=9&rate=200"
BIAS = Errors.draw(9).biases[1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "telemetry-bridge" / "calibrations"


def rates(served: RunningBridge, device: str, *, calibrated: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean of the gyroscope over the next 100 samples or more."""
    parts: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]] = []
    for samples in served.samples(device, ["imu"], calibrated=calibrated):
        parts.append(samples.values[3:])
        if sum(part.shape[1] for part in parts) >= 100:
            break
    return np.asarray(np.concatenate(parts, axis=1).mean(axis=1, dtype=np.float64))


def test_a_running_bridge_gives_the_samples_and_takes_the_result(folder: Path) -> None:
    with bridge("run", "--port", PORT) as served:
        command: list[str | Path] = [COMMAND, "calibrate", "gyro", "--bias", "--http-port", str(served.http)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        (made,) = Store(folder).all()
        assert made.gyro is not None
        assert np.abs(np.array(made.gyro.bias) - BIAS).max() < np.radians(0.02)
        assert made.id in done.stdout
        for _ in range(60):  # half a second of samples each; the bridge looks at the folder every 2 s
            client = RunningBridge.find(Where(served.http))
            assert client is not None
            with client:
                (device,) = client.online()
                stream = next(stream for stream in device["streams"] if stream["name"] == "imu")
                if stream["calibration"] is not None:
                    break
                rates(client, device["id"], calibrated=True)
        assert stream["calibration"] == {"id": made.id}
        for calibrated, expected in ((True, np.zeros(3)), (False, BIAS)):
            client = RunningBridge.find(Where(served.http))
            assert client is not None
            with client:
                found = rates(client, device["id"], calibrated=calibrated)
            assert np.abs(found - expected).max() < np.radians(0.03)
        # what is in force does not change what a calibration is made from
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    assert len(Store(folder).all()) == 2
    for made in Store(folder).all():
        assert made.gyro is not None
        assert np.abs(np.array(made.gyro.bias) - BIAS).max() < np.radians(0.02)


def test_a_port_that_nobody_holds_is_opened_for_it(folder: Path) -> None:
    command: list[str | Path] = [COMMAND, "calibrate", "gyro", "--bias", "--port", PORT]
    for _ in range(2):  # the second time with the first result in force
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "do not touch it" in done.stderr
    assert len(Store(folder).all()) == 2
    for made in Store(folder).all():
        assert made.gyro is not None
        assert np.abs(np.array(made.gyro.bias) - BIAS).max() < np.radians(0.02)


def test_ctrl_c_leaves_nothing(folder: Path) -> None:
    command: list[str | Path] = [COMMAND, "calibrate", "accel", "--port", "sim:"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert "put the board down" in line
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(30) == 1
        finally:
            if process.poll() is None:
                end(process)
    assert rest.strip() == "telemetry-bridge: stopped: nothing was kept"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--http-port", "1"], "no bridge serves"),
        (["--port", "/dev/nothing"], "/dev/nothing"),
        (["--port", "sim:", "--device", "ffff"], "no board ffff"),
        (["--port", "sim:", "--stream", "magnetometer"], "magnetometer"),
        (["--port", "sim:", "--stream", "imu_temp"], "there is no accel_x"),
    ],
)
def test_where_there_is_nothing_to_calibrate_one_line_says_so(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [COMMAND, "calibrate", "gyro", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_enter_ends_a_session_once_there_is_enough(folder: Path) -> None:
    ours, theirs = os.openpty()
    command: list[str | Path] = [COMMAND, "calibrate", "accel", "--port", "sim:?motion=rest"]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stderr is not None
        try:
            assert "put the board down" in process.stderr.readline()
            os.write(ours, b"\n")
            said = iter(process.stderr.readline, "")
            assert any("not yet: " in line for line in said)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 1
        finally:
            if process.poll() is None:
                end(process)
            os.close(theirs)
            os.close(ours)
    assert not folder.exists()
