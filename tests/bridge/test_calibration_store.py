"""Calibrations are kept whole, the newest good one is in force, and a broken file is one warning."""

from __future__ import annotations

import logging
import math
import os
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.calibration_samples import ACCEL, CURVE, DATE, DEVICE, GYRO, THERMAL, calibration
from telemetry_bridge.calibration import Store, Triad, default_folder
from telemetry_bridge.calibration.model import Calibration, from_toml, to_toml
from telemetry_bridge.errors import CalibrationError


def test_what_is_saved_is_what_is_found(tmp_path: Path) -> None:
    saved, path = Store(tmp_path / "new").save(calibration(accel=ACCEL, gyro=GYRO, temperature=CURVE))
    found = Store(tmp_path / "new").find(DEVICE, "imu", "lsm6dso")
    assert found == saved
    assert found is not None
    assert found.accel == ACCEL
    assert found.temperature == CURVE
    assert path.name == f"{DEVICE}_imu_{saved.id}.toml"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_newest_for_the_very_part_is_in_force_and_the_old_ones_stay(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, _ = store.save(calibration(days=0))
    new, _ = store.save(calibration(days=2))
    other, _ = store.save(calibration(days=3, sensor="mpu6050"))
    assert store.find(DEVICE, "imu", "lsm6dso") == new
    assert store.find(DEVICE, "imu", "mpu6050") == other
    assert store.find(DEVICE, "imu", "lsm6dsox") is None
    assert store.find(DEVICE, "imu_temp", "lsm6dso") is None
    assert store.find("another", "imu", "lsm6dso") is None
    assert store.find(DEVICE, "imu", "lsm6dso", at=new.date.replace(day=2)) == old
    assert store.find(DEVICE, "imu", "lsm6dso", at=DATE.replace(year=2000)) is None
    assert store.get(old.id) == old
    assert store.get("nothing") is None


def test_another_calibration_has_another_id() -> None:
    ids = {
        one.sealed().id
        for one in (calibration(), calibration(days=1), calibration(accel=ACCEL), calibration(sensor="other"))
    }
    assert len(ids) == 4
    assert calibration().sealed().id == calibration().sealed().sealed().id


def test_a_whole_number_in_the_file_is_the_same_number() -> None:
    triad = msgspec.structs.replace(ACCEL, bias=(1, 0, 0), thermal=None)
    saved = calibration(accel=triad).sealed()
    assert from_toml(tomllib.loads(to_toml(saved))) == saved
    assert from_toml(tomllib.loads(to_toml(saved).replace("bias = [1.0, 0.0, 0.0]", "bias = [1, 0, 0]"))) == saved


BROKEN = {
    "no TOML": "id = ",
    "not UTF-8": "\udcff",
    "an unknown key": "format = 1\nnonsense = 1\n",
    "nothing in it": 'device = "a"\nstream = "b"\nsensor = "c"\ndate = 2026-01-01T00:00:00Z\n',
    "no time zone": 'device = "a"\nstream = "b"\nsensor = "c"\ndate = 2026-01-01T00:00:00\n',
    "another format": to_toml(calibration()).replace("format = 1", "format = 2"),
    "a number that is none": to_toml(calibration()).replace("0.99", "nan"),
    "an absurd matrix": to_toml(calibration()).replace("0.99", "0.0"),
    "a wrong unit": to_toml(calibration()).replace('unit = "rad/s"', 'unit = "deg/s"'),
    "edited by hand": to_toml(calibration().sealed()).replace("0.99", "0.98"),
    "a date before time": to_toml(calibration()).replace("2026-05-01T12:00:00Z", "0001-01-01T00:00:00+10:00", 1),
    "a number beyond all bounds": to_toml(calibration()).replace("0.99", "1" + "0" * 400),
    "a residual without bounds": to_toml(calibration()).replace("before = 0.3", "before = inf"),
    "lists in lists": "a = " + "[" * 20_000,
    "far too long": "# " + "x" * 70_000,
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_warning_and_the_others_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    store = Store(tmp_path)
    good, _ = store.save(calibration())
    bad = tmp_path / "bad.toml"
    bad.write_text(text, encoding="utf-8", errors="surrogateescape")
    with caplog.at_level(logging.WARNING):
        store.reload()
        store.reload()
    assert [record.getMessage().startswith(f"calibration not used: {bad}: ") for record in caplog.records] == [True]
    assert "\n" not in caplog.records[0].getMessage()
    assert store.all() == [good]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_a_file_does_more_than_take_it_out_of_force(tmp_path: Path, data: st.DataObject) -> None:
    """A byte replaced, a piece cut out or doubled: the store serves, and serves nothing that cannot be applied."""
    text = bytearray(to_toml(calibration()).encode())
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 40, len(text))))
    text[start:end] = data.draw(st.one_of(st.binary(max_size=4), st.just(bytes(text[start:end] * 2))))
    (tmp_path / "damaged.toml").write_bytes(bytes(text))
    for one in Store(tmp_path).all():
        one.check()
        for triad in one.triads().values():
            values = [*triad.bias, *(value for row in triad.matrix for value in row)]
            assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    "change",
    [
        {"thermal": msgspec.structs.replace(THERMAL, coefficients=())},
        {"thermal": msgspec.structs.replace(THERMAL, coefficients=THERMAL.coefficients * 2)},
        {"thermal": msgspec.structs.replace(THERMAL, range_c=(50.0, 10.0))},
        {"temperature_c": None},
        {"bias": (float("inf"), 0.0, 0.0)},
    ],
)
def test_what_cannot_be_applied_is_not_kept(tmp_path: Path, change: dict[str, object]) -> None:
    store = Store(tmp_path)
    triad: Triad = msgspec.structs.replace(ACCEL, **change)
    with pytest.raises((CalibrationError, ValueError)):
        store.save(calibration(accel=triad))
    assert list(tmp_path.iterdir()) == []


def test_without_the_line_of_its_id_an_edited_file_gets_a_new_one(tmp_path: Path) -> None:
    saved = calibration().sealed()
    lines = to_toml(saved).replace("0.99", "0.98").splitlines()
    (tmp_path / "mine.toml").write_text("\n".join(line for line in lines if not line.startswith("id")))
    found = Store(tmp_path).find(DEVICE, "imu", "lsm6dso")
    assert found is not None
    assert found.id not in {saved.id, ""}


def test_texts_of_any_kind_come_back_or_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    odd = msgspec.structs.replace(ACCEL, method='"quoted" \\ \t\n \u00e9 \U0001f600', counts={"odd key.": 1})
    saved, _ = store.save(calibration(accel=odd))
    assert Store(tmp_path).get(saved.id) == saved
    assert saved.accel == odd
    with pytest.raises(CalibrationError, match="characters"):
        store.save(calibration(days=1, accel=msgspec.structs.replace(ACCEL, method="\x7f")))
    assert store.all() == [saved]


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    old, _ = store.save(calibration())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CalibrationError, match="No space left"):
        store.save(calibration(days=1))
    monkeypatch.undo()
    store.reload()
    assert store.all() == [old]
    assert len(list(tmp_path.iterdir())) == 1


def test_ctrl_c_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).save(calibration())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_read_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    assert Store(tmp_path / "nothing").all() == []
    assert not caplog.records
    assert Store(tmp_path / "file").all() == []
    assert len(caplog.records) == 1


def test_the_folder_is_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "telemetry-bridge" / "calibrations"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # the specification says: ignore it
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local/share/telemetry-bridge/calibrations"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_others_may_read_it(tmp_path: Path) -> None:
    _, path = Store(tmp_path).save(calibration())
    assert path.stat().st_mode & 0o777 == 0o644


def test_odd_names_make_harmless_file_names(tmp_path: Path) -> None:
    odd: Calibration = msgspec.structs.replace(calibration(), device='../../"x\n', stream="a/b")
    saved, path = Store(tmp_path).save(odd)
    assert path.parent == tmp_path
    assert Store(tmp_path).find(odd.device, odd.stream, odd.sensor) == saved
