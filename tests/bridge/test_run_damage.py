"""Runs that were cut: by a kill, by a full disk, by a slow one, at any byte."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from bridge.run_events import DEVICE, START_NS, HeldFile, batch, device, epoch, record
from telemetry_bridge.errors import RunError
from telemetry_bridge.events import Event, Gap, JsonMessage, Mark
from telemetry_bridge.hub import Hub
from telemetry_bridge.recording import Recorder, Run, RunInfo, read
from telemetry_bridge.recording.recorder import new_path
from telemetry_bridge.recording.run_file import RunFile
from telemetry_bridge.recording.writer import RunWriter

WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from bridge.run_events import batch, device, epoch
from telemetry_bridge.recording import Recorder, RunInfo
recorder = Recorder(Path(sys.argv[1]), RunInfo())
recorder.start()
recorder.handle(device())
recorder.handle(epoch())
print("records", flush=True)
for k in range(100_000):
    recorder.handle(batch(20 * k, 20))
    time.sleep(0.002)
"""


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; a minute at most."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def chunk_ends(path: Path) -> list[int]:
    """Where chunks and their index end; nothing of a chunk can be read of a file that is cut before."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return [index.chunk_start_offset + index.chunk_length for index in summary.chunk_indexes]


def check_is_beginning(run: Run, whole: Run) -> int:
    """Everything in `run` is what `whole` begins with; how many samples that is."""
    if (DEVICE, "imu") not in run.streams:
        return 0
    cut, full = run.samples(DEVICE, "imu"), whole.samples(DEVICE, "imu")
    assert cut.unaccounted == 0
    count = len(cut)
    for name in ("index", "time_ns", "uncertainty_ns", "epoch"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(full, name)[:count])
    assert cut.values.tobytes() == np.ascontiguousarray(full.values[:, :count]).tobytes()
    assert cut.nominal.tobytes() == np.ascontiguousarray(full.nominal[:, :count]).tobytes()
    return count


def test_a_run_cut_anywhere_gives_every_chunk_before_the_cut(tmp_path: Path) -> None:
    path, cut = tmp_path / "run.mcap", tmp_path / "cut.mcap"
    whole = record(path, [device(), epoch(), *(batch(40 * k, 40) for k in range(300))])
    content = path.read_bytes()
    ends = chunk_ends(path)
    assert len(ends) >= 3
    rng = np.random.default_rng(1)
    around = {end + offset for end in ends for offset in (-1, 0, 1)}
    lengths = sorted(
        {*range(0, 400, 7), *around, *rng.integers(0, len(content), 120), *range(len(content) - 300, len(content))}
    )
    read_back: list[int] = []
    begins = False  # once the run's metadata are in the file it is a run
    for length in lengths:
        cut.write_bytes(content[:length])
        try:
            run = read(cut)
        except RunError:
            assert not begins
            continue
        begins = True
        assert not run.is_whole
        assert not run.is_complete
        count = check_is_beginning(run, whole)
        chunks = sum(length >= end for end in ends)
        assert (count > 0) == (chunks > 0)
        assert count == len(whole.samples(DEVICE, "imu")) or chunks < len(ends)
        assert not read_back or count >= read_back[-1]
        read_back.append(count)
    assert begins
    assert len(set(read_back)) == len(ends) + 1


def test_damage_inside_ends_the_run_there_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    whole = record(path, [device(), epoch(), *(batch(40 * k, 40) for k in range(300))])
    content = bytearray(path.read_bytes())
    second = chunk_ends(path)[0] + 5000
    content[second] ^= 0x55
    path.write_bytes(content)
    run = read(path)
    assert "damaged before byte" in run.trouble
    count = check_is_beginning(run, whole)
    assert 0 < count < len(whole.samples(DEVICE, "imu"))


@pytest.mark.skipif(os.name != "posix", reason="there is no kill")
@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_a_killed_recorder_leaves_whole_chunks(tmp_path: Path, chunks: int) -> None:
    path = tmp_path / "run.mcap"
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), tests], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "records\n"
        wait_for(lambda: path.read_bytes().count(b"zstd") > chunks)
    finally:
        process.kill()
        process.communicate(timeout=60)
    run = read(path)
    assert run.trouble == "it is cut"
    samples = run.samples(DEVICE, "imu")
    assert len(samples) > 0
    assert samples.unaccounted == 0
    expected = np.concatenate([batch(k, 20).values for k in range(0, len(samples), 20)], axis=1)
    assert samples.values.tobytes() == expected.tobytes()


def test_a_chunk_is_closed_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("telemetry_bridge.recording.writer.time.monotonic", lambda: now_s)
    path = tmp_path / "run.mcap"
    file = RunFile(path)
    writer = RunWriter(file, RunInfo())
    for event in (device(), epoch(), batch(0)):
        writer.write(event)
    assert writer.closes_s is not None
    assert writer.closes_s - now_s < 0.25
    writer.tick()
    assert read(path).streams == []
    now_s = writer.closes_s
    writer.tick()
    assert writer.closes_s is None
    assert len(read(path).samples(DEVICE, "imu")) == 10
    file.close()


def test_a_slow_disk_costs_the_oldest_and_the_file_says_which(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    file = HeldFile(path)
    recorder = Recorder(path, RunInfo(), queue_bytes=100_000, file=file)
    recorder.start()
    events: list[Event] = [device(), epoch(), epoch(9, 0, "other"), batch(0, 100)]
    for event in events:
        recorder.handle(event)
    file.goes.clear()
    assert file.waits.wait(60)  # the chunk is closed by time; the disk takes nothing from here on
    index = 100
    for k in range(300):
        recorder.handle(batch(index, 100))
        recorder.handle(batch(10 * k, 10, epoch=9, stream="other"))
        index += 100
        if k == 150:
            recorder.handle(Gap(DEVICE, "imu", 7, index, 55, "wire"))
            recorder.handle(Mark("*", START_NS, "kept"))
            index += 55
    file.goes.set()
    assert recorder.close()
    run = read(path)
    assert run.is_whole
    assert not run.is_complete
    assert run.lost_by_recorder == recorder.dropped > 0
    imu, other = run.samples(DEVICE, "imu"), run.samples(DEVICE, "other")
    assert imu.unaccounted == other.unaccounted == 0
    assert len(imu) + sum(gap.count or 0 for gap in imu.gaps) == index
    assert len(other) + sum(gap.count or 0 for gap in other.gaps) == 3000
    own = [gap for gap in imu.gaps if gap.by_recorder]
    assert {gap.cause for gap in own} == {"host"}
    assert [(gap.count, gap.cause) for gap in imu.gaps if not gap.by_recorder] == [(55, "wire")]
    assert len(own) == 2  # before and behind the hole of the wire
    assert imu.index[-1] == index - 1  # the newest stay
    assert [mark.text for mark in run.marks] == ["kept"]
    assert recorder.samples == len(imu) + len(other)


@pytest.mark.skipif(os.name != "posix", reason="there is no limit of file sizes")
@pytest.mark.parametrize("limit", [30_000, 100_003, 200_000])
def test_a_full_disk_ends_the_run_whole_and_the_others_go_on(
    tmp_path: Path, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.mcap"
    hub = Hub()
    seen: list[Event] = []

    class Live:
        def handle(self, event: Event) -> None:
            seen.append(event)

    recorder = Recorder(path, RunInfo())
    hub.attach(recorder)
    hub.attach(Live())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        recorder.start()
        hub.publish(device())
        hub.publish(epoch())
        for k in range(1500):
            hub.publish(batch(40 * k, 40))
        assert recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(seen) == 1502
    assert hub.sink_errors == 0
    assert "the disk is full" in recorder.failure
    assert len([one for one in caplog.records if "recording has ended" in one.message]) == 1
    assert path.stat().st_size <= limit
    run = read(path)
    assert run.is_whole
    assert not run.is_complete
    assert run.ended == f"the disk is full: {os.strerror(errno.EFBIG)}"
    if limit > 100_000:
        samples = run.samples(DEVICE, "imu")
        assert samples.unaccounted == 0
        np.testing.assert_array_equal(samples.index, np.arange(len(samples)))
        assert len(samples) * 12 > limit / 4
        with path.open("rb") as file:  # for others too, though it has no index
            topics = [channel.topic for _, channel, _ in make_reader(file).iter_messages(log_time_order=False)]
        assert topics.count(f"/{DEVICE}/imu") == len(samples) / 40


def test_a_defect_of_the_recorder_ends_the_run_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "run.mcap"
    recorder = Recorder(path, RunInfo())
    recorder.start()
    for event in (device(), epoch(), batch(0), JsonMessage(DEVICE, "health", None, {"odd": object()}), batch(10)):
        recorder.handle(event)
    assert recorder.close()
    assert "object in an event" in recorder.failure
    assert "a defect of the recorder" in caplog.text
    assert read(path).is_whole


def test_a_run_without_room_for_its_beginning_is_refused(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(RunError, match="cannot be written: File too large"):
            Recorder(tmp_path / "run.mcap", RunInfo()).start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_never_takes_the_place_of_another(tmp_path: Path) -> None:
    paths = []
    for _ in range(3):
        paths.append(new_path(tmp_path, "Über 2 g!", START_NS))
        paths[-1].touch()
    assert [path.name for path in paths] == [f"run-20231114-221320-ber-2-g{number}.mcap" for number in ("", "-2", "-3")]
    with pytest.raises(RunError, match="File exists"):
        Recorder(paths[0], RunInfo()).start()
