"""`telemetry-bridge calibrate` from recorded samples: report, calibration, plot; and what it refuses."""

from __future__ import annotations

import dataclasses
import os
import time
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from bridge.calibration_samples import ACCEL, DATE, DEVICE, GYRO, calibration
from bridge.imu_synthesis import DEG, DIRECTIONS, GRAVITY, MG, ORIGIN, Imperfect, recording, sweep, write_csv
from telemetry_bridge import cli
from telemetry_bridge.calibrate.poses import RestGuide
from telemetry_bridge.calibrate.session import Task, calibrate
from telemetry_bridge.calibration import Calibration, Store
from telemetry_bridge.calibration.recording import Chunk, Recording
from telemetry_bridge.cli.calibrate import enter_key

SENSOR = Imperfect.draw(7)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "data" / "telemetry-bridge" / "calibrations"


def in_force(folder: Path) -> Calibration:
    found = Store(folder).find(ORIGIN.device, "imu", "lsm6dso")
    assert found is not None
    return found


def test_a_walk_calibrates_both_and_leaves_a_report_and_a_plot(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    assert cli.main(["calibrate", "gyro", "--csv", str(walk)]) == 0
    made = in_force(folder)
    assert made.accel is not None
    assert made.gyro is not None
    assert np.abs(np.array(made.accel.matrix) - SENSOR.accel_matrix).max() < 0.0005
    assert np.abs(np.array(made.accel.bias) - SENSOR.accel_bias).max() < 1 * MG
    assert np.abs(np.array(made.gyro.matrix) - SENSOR.gyro_matrix).max() < 0.0008
    assert np.abs(np.array(made.gyro.bias) - SENSOR.gyro_bias).max() < 0.02 * DEG
    assert made.accel.residuals.held_out
    assert made.accel.residuals.after < 5 * MG < made.accel.residuals.before
    assert made.accel.temperature_c == pytest.approx(25.0, abs=0.1)
    assert made.accel.full_scale == pytest.approx(4 * GRAVITY)
    assert made.accel.counts["poses"] == len(DIRECTIONS)
    said = capsys.readouterr().out
    for words in ("Residuals", "before", "held out", "scale correction x", "misalignment zx", "deg/s", made.id):
        assert words in said
    files = sorted(path.suffix for path in folder.iterdir())
    assert files == [".svg", ".toml"]
    (plot,) = folder.glob("*.svg")
    tree = ElementTree.parse(plot)
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}circle")) > 2 * (len(DIRECTIONS) - 1)


def test_units_of_other_tools_are_understood(tmp_path: Path, folder: Path) -> None:
    other = {"accel": ("mg", MG), "gyro": ("dps", DEG)}
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7), units=other)
    assert cli.main(["calibrate", "accel", "--csv", str(walk), "--latitude", "45", "--height", "0"]) == 0
    made = in_force(folder)
    assert made.gyro is None
    assert made.accel is not None
    assert np.abs(np.array(made.accel.bias) - SENSOR.accel_bias).max() < 1 * MG
    # WGS 84's normal gravity at 45 deg is 9.80620 m/s^2 (NIMA TR8350.2)
    expected = SENSOR.accel_matrix * 9.80620 / GRAVITY
    np.testing.assert_allclose(made.accel.matrix, expected, atol=3e-4)


def test_parts_are_put_together_and_the_drift_is_carried_over(tmp_path: Path, folder: Path) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    warm = write_csv(tmp_path / "sweep.csv", sweep(SENSOR, 15.0, 45.0, seed=7))
    rest = write_csv(tmp_path / "rest.csv", recording(SENSOR, DIRECTIONS[:1], seed=8, still_s=4.0, temperature_c=30.0))
    assert cli.main(["calibrate", "accel", "--csv", str(walk)]) == 0
    first = in_force(folder)
    assert cli.main(["calibrate", "gyro", "--csv", str(walk)]) == 0
    assert in_force(folder).accel == first.accel
    assert cli.main(["calibrate", "temperature", "--csv", str(warm)]) == 0
    swept = in_force(folder)
    assert swept.accel is not None
    assert swept.accel.thermal is not None
    assert swept.gyro is not None
    assert swept.gyro.thermal is not None
    assert first.accel is not None
    assert swept.accel.matrix == first.accel.matrix
    assert cli.main(["calibrate", "gyro", "--bias", "--csv", str(rest)]) == 0
    last = in_force(folder)
    assert last.gyro is not None
    assert last.gyro.matrix == swept.gyro.matrix
    rise = np.array([[5.0], [25.0], [125.0]])
    assert (
        np.abs(np.array(last.gyro.bias) - SENSOR.gyro_bias - np.sum(SENSOR.gyro_thermal * rise, 0)).max() < 0.02 * DEG
    )
    assert last.accel == swept.accel
    assert len(Store(folder).all()) == 4


def test_the_accelerometers_drift_is_taken_off_when_the_gyroscope_is_calibrated_at_another_temperature(
    tmp_path: Path, folder: Path
) -> None:
    sensor = dataclasses.replace(SENSOR, accel_thermal=np.array([[0.5, -0.4, 0.5], [0, 0, 0], [0, 0, 0]]) * MG)
    cool = write_csv(tmp_path / "cool.csv", recording(sensor, seed=7))
    warm = write_csv(tmp_path / "sweep.csv", sweep(sensor, 15.0, 45.0, seed=7))
    hot = write_csv(tmp_path / "hot.csv", recording(sensor, seed=8, temperature_c=43.0))
    assert cli.main(["calibrate", "accel", "--csv", str(cool)]) == 0
    assert cli.main(["calibrate", "temperature", "--csv", str(warm)]) == 0
    assert cli.main(["calibrate", "gyro", "--csv", str(hot)]) == 0
    made = in_force(folder)
    assert made.gyro is not None
    assert np.abs(np.array(made.gyro.matrix) - SENSOR.gyro_matrix).max() < 0.0008
    assert made.gyro.residuals.after < 0.1 * DEG


def test_a_dry_run_keeps_nothing_but_the_plot_that_was_asked_for(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    assert cli.main(["calibrate", "accel", "--csv", str(walk), "--dry-run", "--plot", "here.svg"]) == 0
    assert not folder.exists()
    assert (tmp_path / "here.svg").exists()
    assert "not kept" in capsys.readouterr().out


def test_noise_is_reported_and_drawn(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rest = write_csv(tmp_path / "rest.csv", recording(SENSOR, DIRECTIONS[:1], seed=7, still_s=120.0, rate_hz=104.0))
    assert cli.main(["calibrate", "noise", "--csv", str(rest)]) == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.strip().startswith("gyro_z"))
    density = float(line.split()[1])
    # the datasheet's noise and that of a least count of 17.5 mdps: q^2 / 12 in half the sample rate
    assert density == pytest.approx(np.hypot(3.8, 17.5 * np.sqrt(2 / 12 / 104)), rel=0.05)
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 80
    assert (tmp_path / "allan-deviation.svg").exists()
    assert not folder.exists()


@pytest.mark.parametrize("columns", ["80", "40"])
def test_a_narrow_terminal_cuts_off_no_number(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = write_csv(tmp_path / "rest.csv", recording(SENSOR, DIRECTIONS[:1], seed=7, still_s=30.0, rate_hz=104.0))
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.main(["calibrate", "noise", "--csv", str(rest)]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert len([line for line in said.splitlines() if "gyro_z" in line]) == 2


def spoiled(given: Recording, **changes: object) -> Recording:
    return dataclasses.replace(given, samples=dataclasses.replace(given.samples, **changes))  # type: ignore[arg-type]


def test_a_board_that_is_never_still_is_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = recording(SENSOR, seed=7)
    shaken = given.samples.values + np.random.default_rng(1).normal(size=given.samples.values.shape)
    walk = write_csv(tmp_path / "walk.csv", spoiled(given, values=shaken))
    for what in ("accel", "gyro", "temperature", "noise"):
        assert cli.main(["calibrate", what, "--csv", str(walk)]) == 1
        error = capsys.readouterr().err
        assert error.strip().splitlines()[-1].startswith("telemetry-bridge: ")
    assert not folder.exists()


def test_turns_that_saturate_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = recording(SENSOR, seed=7)
    values = given.samples.values.copy()
    middle = int((3.0 + 0.75) * 416)
    values[4, middle : middle + 20] = 500 * DEG
    walk = write_csv(tmp_path / "walk.csv", spoiled(given, values=values))
    assert cli.main(["calibrate", "gyro", "--csv", str(walk)]) == 0
    said = capsys.readouterr()
    assert "full scale" in said.err
    assert "1 of 17 turns could not be used" in said.out


def test_turns_with_missing_samples_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = recording(SENSOR, seed=7)
    kept = np.ones(given.samples.time_s.size, bool)
    kept[int((3.0 + 0.75) * 416)] = False
    samples = given.samples
    walk = write_csv(
        tmp_path / "walk.csv",
        Recording(ORIGIN, Chunk(samples.time_s[kept], samples.values[:, kept], samples.temperature_c[kept])),
    )
    assert cli.main(["calibrate", "gyro", "--csv", str(walk)]) == 0
    said = capsys.readouterr()
    assert "samples are missing" in said.err
    assert "1 of 17 turns could not be used" in said.out


def test_the_turns_to_and_from_a_pose_that_was_pushed_are_left_out_with_it(tmp_path: Path, folder: Path) -> None:
    given = recording(SENSOR, seed=7)
    values, time_s = given.samples.values.copy(), given.samples.time_s
    for number in (4, 11):
        pushed = (time_s >= number * 4.5) & (time_s < number * 4.5 + 3.0)
        values[:3, pushed] *= 1.05
        values[:3, pushed] += np.array([[40.0], [-40.0], [40.0]]) * MG
    walk = write_csv(tmp_path / "walk.csv", spoiled(given, values=values))
    assert cli.main(["calibrate", "gyro", "--csv", str(walk)]) == 0
    made = in_force(folder)
    assert made.accel is not None
    assert made.gyro is not None
    assert made.accel.counts["poses_used"] == len(DIRECTIONS) - 2
    assert np.abs(np.array(made.gyro.matrix) - SENSOR.gyro_matrix).max() < 0.0008


HEADER = "# device: a\n# sensor: b\ntime [s]," + ",".join(f"accel_{a} [m/s^2]" for a in "xyz")
RATES = "," + ",".join(f"gyro_{a} [rad/s]" for a in "xyz") + "\n"
BAD = {
    "no such file": (None, "No such file"),
    "empty": ("", "rows|header|time"),
    "no unit": (HEADER.replace(" [s]", "") + RATES + "0,1,2,3,4,5,6\n1,1,2,3,4,5,6\n", "needs a unit"),
    "a wrong unit": (HEADER.replace("[s]", "[degC]") + RATES + "0,1,2,3,4,5,6\n1,1,2,3,4,5,6\n", "is no unit of that"),
    "no gyroscope": (HEADER + "\n" + "0,1,2,3\n1,1,2,3\n", "there is no gyro_x"),
    "text in a cell": (HEADER + RATES + "0,1,2,3,4,5,6\n1,x,2,3,4,5,6\n", "could not convert"),
    "time that stands": (HEADER + RATES + "0,1,2,3,4,5,6\n0,1,2,3,4,5,6\n", "does not go forward"),
    "nan": (HEADER + RATES + "0,1,2,3,4,5,6\n1,nan,2,3,4,5,6\n", "not finite"),
    "rows of different length": (HEADER + RATES + "0,1,2,3,4,5,6\n1,1,2,3,4,5\n", "columns|number"),
    "of nobody": (HEADER.replace("# device: a\n", "") + RATES + "0,1,2,3,4,5,6\n1,1,2,3,4,5,6\n", "which device"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_file_that_is_not_as_described_is_refused_in_one_line(
    tmp_path: Path, text: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.csv"
    if text is not None:
        file.write_text(text)
    assert cli.main(["calibrate", "accel", "--csv", str(file)]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("telemetry-bridge: ")
    assert len(error.splitlines()) == 1
    assert any(part in error for part in message.split("|"))


def test_an_accelerometer_that_was_only_swept_is_no_reference(tmp_path: Path, folder: Path) -> None:
    warm = write_csv(tmp_path / "sweep.csv", sweep(SENSOR, 15.0, 45.0, seed=7))
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    assert cli.main(["calibrate", "temperature", "--csv", str(warm)]) == 0
    assert cli.main(["calibrate", "gyro", "--csv", str(walk)]) == 0
    made = in_force(folder)
    assert made.accel is not None
    assert made.accel.thermal is not None
    assert np.abs(np.array(made.accel.matrix) - SENSOR.accel_matrix).max() < 0.0005


def test_when_it_cannot_be_kept_no_plot_is_left(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "save", stopped)
    assert cli.main(["calibrate", "accel", "--csv", str(walk)]) == 1
    assert "nothing was kept" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_noticed_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, DIRECTIONS[:1], seed=7, still_s=4.0))
    (tmp_path / "file").write_text("")
    assert cli.main(["calibrate", "gyro", "--bias", "--csv", str(walk), "--plot", "file/plot.svg"]) == 1
    assert "file cannot be written" in capsys.readouterr().err
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    assert cli.main(["calibrate", "gyro", "--bias", "--csv", str(walk)]) == 1
    said = capsys.readouterr()
    assert "cannot be written" in said.err
    assert said.out == ""  # not even a report
    assert cli.main(["calibrate", "gyro", "--bias", "--csv", str(walk), "--dry-run"]) == 0


def test_a_disk_that_is_full_at_the_end_loses_no_calibration(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, DIRECTIONS[:1], seed=7, still_s=4.0))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert cli.main(["calibrate", "gyro", "--bias", "--csv", str(walk)]) == 1
    said = capsys.readouterr()
    assert "No space left on device" in said.err
    assert list(folder.iterdir()) == []
    text = said.out[said.out.index('id = "') :].partition("\n- no plot")[0]
    (folder / "by-hand.toml").write_text(text)
    made = in_force(folder)
    assert made.gyro is not None
    assert np.abs(np.array(made.gyro.bias) - SENSOR.gyro_bias).max() < 0.02 * DEG


def test_what_another_session_measured_meanwhile_is_not_lost(tmp_path: Path) -> None:
    given, store = recording(SENSOR, DIRECTIONS[:1], seed=7, still_s=4.0), Store(tmp_path)

    def begin(base: Calibration | None) -> RestGuide:
        assert base is None
        Store(tmp_path).save(Calibration(device=ORIGIN.device, stream="imu", sensor="lsm6dso", date=DATE, accel=ACCEL))
        return RestGuide(ORIGIN, base, 3.0)

    made = calibrate(Task(begin), given, store, Console(quiet=True), Console(quiet=True))
    assert made is not None
    assert made.gyro is not None
    assert made.accel == ACCEL


def test_what_is_kept_can_be_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", "--list"]) == 0
    assert capsys.readouterr().out == f"no calibration is kept in {folder}\n"
    store = Store(folder)
    old, _ = store.save(calibration(accel=ACCEL))
    new, _ = store.save(calibration(days=1, accel=ACCEL, gyro=GYRO))
    other, _ = store.save(calibration(sensor="mpu6050", gyro=GYRO))
    assert cli.main(["calibrate", "--list"]) == 0
    accel = "accel of 2026-05-01 at 25.0 degC with drift 10 to 50 degC"
    assert capsys.readouterr().out.splitlines() == [
        f"{DEVICE} imu lsm6dso",
        f"  * {new.id}  {accel}, gyro of 2026-05-01",
        f"    {old.id}  {accel}",
        f"{DEVICE} imu mpu6050",
        f"  * {other.id}  gyro of 2026-05-01",
    ]


def test_enter_is_noticed_at_a_terminal_only() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as keys, Path(os.devnull).open() as nobody:
        is_ended = enter_key(keys)
        assert not is_ended()
        os.write(ours, b"\n")
        end_s = time.monotonic() + 60
        while not is_ended():
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert not is_ended()
        assert not enter_key(nobody)()
        assert not enter_key(None)()
    os.close(ours)


def test_a_board_on_a_turntable_does_not_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = recording(SENSOR, DIRECTIONS[:1], seed=7, still_s=6.0)
    values = given.samples.values.copy()
    values[5] += 200 * DEG  # 33 1/3 a minute
    walk = write_csv(tmp_path / "turntable.csv", spoiled(given, values=values))
    assert cli.main(["calibrate", "gyro", "--bias", "--csv", str(walk)]) == 1
    assert "did not rest" in capsys.readouterr().err


def test_a_part_that_was_not_told_can_be_named(tmp_path: Path, folder: Path) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    lines = walk.read_text().splitlines(keepends=True)
    walk.write_text("".join(line for line in lines if not line.startswith(("# device", "# sensor"))))
    assert cli.main(["calibrate", "accel", "--csv", str(walk), "--device", "d1", "--sensor", "p1"]) == 0
    assert Store(folder).find("d1", "imu", "p1") is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ["magnetometer"],
        ["accel", "--csv", "a.csv", "--port", "sim:"],
        ["accel", "--poses", "3"],
        ["accel", "--latitude", "91"],
        ["noise", "--minutes", "-1"],
        ["accel", "--bias"],
        ["gyro", "--reference", "tmp117"],
        ["temperature", "--latitude", "47"],
        [],
        ["temperature", "--span", "nan"],
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["calibrate", *arguments])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_what_is_kept_is_readable_toml(tmp_path: Path, folder: Path) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    assert cli.main(["calibrate", "accel", "--csv", str(walk)]) == 0
    (file,) = folder.glob("*.toml")
    table = tomllib.loads(file.read_text())
    assert table["accel"]["method"].startswith("multi-position (Tedaldi")
    assert table["sensor"] == "lsm6dso"


def test_the_fit_without_scipy_names_the_extra(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = write_csv(tmp_path / "walk.csv", recording(SENSOR, seed=7))
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    assert cli.main(["calibrate", "accel", "--csv", str(walk)]) == 1
    assert "stm32-telemetry-bridge[calibration]" in capsys.readouterr().err
    assert not folder.exists()
