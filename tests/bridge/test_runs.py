"""What goes into a run comes out of it, in our reader, in mcap's own and in protobuf's."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, unknown_fields
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from bridge.run_events import DESCRIPTOR, DEVICE, START_NS, WIDER, batch, device, epoch, record
from telemetry_bridge.calibration import Calibration, Residuals, Triad
from telemetry_bridge.calibration.model import IDENTITY
from telemetry_bridge.errors import RunError
from telemetry_bridge.events import Batch, EpochStarted, Event, FieldInfo, Gap, GapCause, JsonMessage, Mark
from telemetry_bridge.recording import Recorder, RunInfo, read
from telemetry_bridge.recording.format import BatchFormat


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Batches, holes, epochs, ranges, calibrations, marks and health in any order that a hub lets pass."""
    events: list[Event] = [device(), epoch(7, draw(st.integers(0, 2**40)))]
    start = events[1]
    assert isinstance(start, EpochStarted)
    number, index, descriptor, gain = 7, start.next_index, DESCRIPTOR, None
    for step in draw(st.lists(st.sampled_from("bbbbbgeucrmh"), max_size=40)):
        if step == "b":
            made = batch(index, draw(st.integers(1, 60)), epoch=number, descriptor=descriptor, gain=gain)
            index += made.samples
            events.append(made)
        elif step == "g":
            count = draw(st.integers(1, 1000))
            cause: GapCause = draw(st.sampled_from(("device", "wire", "host")))
            events.append(Gap(DEVICE, "imu", number, index, count, cause, draw(st.booleans())))
            index += count
        elif step == "e":
            number, index = number + 1, draw(st.integers(0, 5))
            events.append(epoch(number, index))
        elif step == "u":
            events.append(Gap(DEVICE, "imu", number, index, None, "wire"))
        elif step == "c":
            gain = None if gain else 1.25
            events.append(device("20260101-000000-12345678" if gain else None))
        elif step == "r":
            descriptor = WIDER if descriptor is DESCRIPTOR else DESCRIPTOR
        elif step == "m":
            events.append(Mark("*", START_NS + index, "Ω now"))
        else:
            events.append(JsonMessage(DEVICE, "health", None, {"cpu": 0.5, "streams": {"imu": {"lost": index}}}))
    return events


@settings(max_examples=60, deadline=None)
@given(histories())
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> None:
    run = record(tmp_path_factory.mktemp("run") / "run.mcap", events)
    assert run.is_complete
    assert [piece.start for piece in run.pieces] == [event for event in events if isinstance(event, EpochStarted)]
    assert run.marks == [event for event in events if isinstance(event, Mark)]
    assert run.messages == [event for event in events if isinstance(event, JsonMessage)]
    batches = [event for event in events if isinstance(event, Batch)]
    samples = run.samples(DEVICE, "imu")
    assert samples.unaccounted == 0
    gaps = [event for event in events if isinstance(event, Gap)]
    fields = ("epoch", "index", "count", "cause", "estimated")
    assert [[getattr(gap, name) for name in fields] for gap in samples.gaps] == [
        [getattr(gap, name) for name in fields] for gap in gaps
    ]
    assert len(samples) == sum(one.samples for one in batches)
    if not batches:
        return
    values = np.concatenate([one.values for one in batches], axis=1)
    nominal = np.concatenate([one.values if one.nominal is None else one.nominal for one in batches], axis=1)
    assert samples.values.tobytes() == values.tobytes()
    assert samples.nominal.tobytes() == nominal.tobytes()
    for name, step in (("index", 1), ("time_ns", batches[0].period_ns)):
        expected = np.concatenate([getattr(one, name) + step * np.arange(one.samples) for one in batches])
        np.testing.assert_array_equal(getattr(samples, name), expected)
    for name in ("epoch", "uncertainty_ns"):
        expected = np.concatenate([np.full(one.samples, getattr(one, name)) for one in batches])
        np.testing.assert_array_equal(getattr(samples, name), expected)
    assert [one.raw for piece in run.pieces for one in piece.batches] == [one.raw for one in batches]
    was_calibrated = [one is not None for piece in run.pieces for one in piece.calibrations]
    assert was_calibrated == [one.nominal is not None for one in batches]


def test_values_that_are_no_numbers_keep_every_bit(tmp_path: Path) -> None:
    odd = np.array([[0x7F800001, 0x7FC00000], [0xFFFFFFFF, 0x80000000]], "<u4").view(np.float32)
    made = Batch(DEVICE, "orientation", 7, 0, START_NS, 0, 0, odd, 1, b"", 0)
    samples = record(tmp_path / "run.mcap", [epoch(stream="orientation"), made]).samples(DEVICE, "orientation")
    assert samples.values.tobytes() == odd.tobytes() == samples.nominal.tobytes()


def test_a_run_tells_what_it_is_about(tmp_path: Path) -> None:
    info = RunInfo(title="Shaker, 2 g", notes="Ω, line\nbreak", tags=("a", "b c"), started_ns=START_NS)
    run = record(tmp_path / "run.mcap", [device()], info)
    assert run.info == info
    assert run.ended == "stopped"
    assert run.ended_ns is not None
    assert run.devices[DEVICE] == device().device
    with pytest.raises(RunError, match=r"no stream imu of 0001.*there are: none"):
        run.samples(DEVICE, "imu")


def test_the_calibrations_that_were_in_force_are_in_the_file(tmp_path: Path) -> None:
    date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    residuals = Residuals(0.3, 0.002, "m/s^2", "magnitude", held_out=True)
    triad = Triad("m/s^2", IDENTITY, (0.1, 0.2, 0.3), date, "multi-position", residuals, {"poses": 15}, 25.0)
    known = Calibration(device=DEVICE, stream="imu", sensor="lsm6dso", date=date, accel=triad).sealed()
    recorder = Recorder(tmp_path / "run.mcap", RunInfo())
    recorder.find_calibration = {known.id: known}.get
    recorder.start()
    events: list[Event] = [
        device(),
        epoch(),
        batch(0),
        device(known.id),
        batch(10, gain=1.5),
        device(known.id),
        device(),
        batch(20),
    ]
    for event in events:
        recorder.handle(event)
    assert recorder.close()
    run = read(tmp_path / "run.mcap")
    assert run.calibrations == {known.id: known}
    assert run.samples(DEVICE, "imu").calibrations == (known.id,)
    assert run.pieces[0].calibrations == [None, known.id, None]


def test_mcap_and_protobuf_read_it_without_us(tmp_path: Path) -> None:
    events: list[Event] = [device(), epoch(), *(batch(10 * k) for k in range(500)), Mark("*", START_NS, "here")]
    record(tmp_path / "run.mcap", events)
    with (tmp_path / "run.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        found = list(reader.iter_messages(log_time_order=False))
        summary = reader.get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == len(found)
    assert summary.statistics.chunk_count > 1
    (batches,) = (channel for channel in summary.channels.values() if channel.message_encoding == "protobuf")
    assert batches.topic == f"/{DEVICE}/imu"
    assert batches.metadata["unit.accel_x"] == "m/s^2"
    schema = summary.schemas[batches.schema_id]
    assert schema.name == "telemetry_bridge.imu"
    files = descriptor_pb2.FileDescriptorSet.FromString(schema.data)
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))
    own = [message for _, channel, message in found if channel.id == batches.id]
    for message, expected in zip(own, (one for one in events if isinstance(one, Batch)), strict=True):
        parsed: Any = kind.FromString(message.data)
        assert len(unknown_fields.UnknownFieldSet(parsed)) == 0
        for name in ("index", "time_ns", "epoch", "period_ns", "uncertainty_ns", "samples", "generation", "raw"):
            assert getattr(parsed, name) == getattr(expected, name)
        assert message.log_time == expected.time_ns
        assert np.array(parsed.accel_x, np.float32).tobytes() == expected.values[0].tobytes()
        assert np.array(parsed.gyro_x, np.float32).tobytes() == expected.values[1].tobytes()
    others = [(schema, message) for schema, channel, message in found if channel.message_encoding == "json"]
    assert len(others) == 4  # device, epoch, descriptor, mark
    for described_by, message in others:
        assert described_by is not None
        described = json.loads(described_by.data)
        assert described["type"] == "object"
        told = {key for key, value in json.loads(message.data).items() if value is not None}
        assert told == set(described["properties"])


def test_names_that_protobuf_does_not_take_are_changed_for_it_only() -> None:
    form = BatchFormat("imu.x-y", tuple(FieldInfo(name, "V") for name in ("index", "1st", "a b", "a_b", "raw")))
    files = descriptor_pb2.FileDescriptorSet.FromString(form.schema())
    descriptor_pool.DescriptorPool().Add(files.file[0])
    names = [field.name for field in files.file[0].message_type[0].field]
    assert names[-5:] == ["index2", "f1st", "a_b", "a_b2", "raw2"]


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    with pytest.raises(RunError, match="No such file"):
        read(path)
    for content in (b"", b"time,accel\n0,1\n", b"\x89MCAP0\r\n"):
        path.write_bytes(content)
        with pytest.raises(RunError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_run_of_a_later_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="format 2, this version reads 1"):
        record(tmp_path / "run.mcap", [device()], RunInfo(format=2))
