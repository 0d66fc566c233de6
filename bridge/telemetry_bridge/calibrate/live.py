"""Samples of a board that is there: through a bridge in this process, or through one that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry_bridge.app import Bridge
from telemetry_bridge.calibration.recording import Chunk, Origin
from telemetry_bridge.client import RunningBridge
from telemetry_bridge.config import Config, DerivedConfig
from telemetry_bridge.errors import BridgeError, CalibrationError
from telemetry_bridge.events import Batch, DeviceChanged, DeviceInfo, Event, FieldInfo

APPEARS_S: Final = 15.0
"""How long a board may take to be found and to describe itself."""
SETTLE_S: Final = 2.0
"""Once a board is there: further streams and boards show within this time."""
SILENCE_S: Final = 10.0
SLOW_NS: Final = 5_000_000_000
"""Period of a stream that is too slow to have one stated; a thermometer, whose times do not matter much."""
_WAITING: Final = 4096
"""Batches that may wait for the session; it takes microseconds for each, the fits come after the last."""

_Item: TypeAlias = Event | BaseException


class Pieces:
    """Makes chunks of a stream's batches, with the temperature of the sensor's own thermometer beside them.

    Time runs by the index and the sensor's measured period, so that what is missing shows as a hole and a correction
    of the clock between two batches does not.
    """

    def __init__(self) -> None:
        self._next_index: int | None = None
        self._last_ns = 0
        self._temperature_c = float("nan")

    def warm(self, temperature_c: float) -> None:
        """The sensor has this temperature from now on."""
        self._temperature_c = temperature_c

    def chunk(self, index: int, period_ns: int, values: npt.NDArray[np.float32]) -> Chunk:
        """A batch: index of its first sample, shape of ``values`` ``(fields, n)``; the period is not 0."""
        count = values.shape[1]
        if self._next_index is None:
            first_ns = 0
        elif index < self._next_index:  # a new epoch: how long ago the last one ended does not matter
            first_ns = self._last_ns + 10 * period_ns
        else:
            first_ns = self._last_ns + (index - self._next_index + 1) * period_ns
        self._next_index = index + count
        self._last_ns = first_ns + (count - 1) * period_ns
        time_s = (first_ns + period_ns * np.arange(count)) / 1e9
        return Chunk(time_s, values.astype(np.float64), np.full(count, self._temperature_c))


def _refuse_silence(stream: str, since_s: float) -> None:
    if time.monotonic() - since_s > SILENCE_S:
        raise CalibrationError(f"no samples of {stream} for {SILENCE_S:.0f} s: is the stream enabled?")


# ---------------------------------------------------------- in this process


class PortSource:
    """A board at a port that this program opens; a context manager.

    The bridge runs in a thread of its own, so that Ctrl-C finds the session in the main one.
    """

    is_live = True

    def __init__(self, config: Config, device: str, stream: str, thermometer: str) -> None:
        """Prepare.

        Args:
            config: with the lines to open.
            device: id, or the start of one; empty: the only one that is there.
            thermometer: stream of the temperature that goes with the samples, if there is one.
        """
        self._thermometer = thermometer
        self._config = msgspec.structs.replace(config, derived=DerivedConfig(streams=()))
        self._device, self._stream = device, stream
        self._items: queue.Queue[_Item] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="bridge", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._info: DeviceInfo | None = None

    def __enter__(self) -> PortSource:
        """Open the port and wait for the board.

        Raises:
            BridgeError: it cannot be opened, or no board or more than one is there.
        """
        self._thread.start()
        try:
            self._info = self._find()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def origin(self) -> Origin:
        """What the samples are of."""
        assert self._info is not None
        stream = next(stream for stream in self._info.streams if stream.name == self._stream)
        return Origin(self._info.id, stream.name, stream.sensor, stream.fields)

    def chunks(self) -> Iterator[Chunk]:
        """The samples as they come.

        Raises:
            BridgeError: the board went away.
        """
        device = self.origin.device
        pieces = Pieces()
        last_s = time.monotonic()
        while True:
            try:
                item = self._items.get(timeout=0.5)
            except queue.Empty:
                item = None
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, Batch) and item.device == device:
                nominal = item.values if item.nominal is None else item.nominal
                if item.stream == self._stream:
                    last_s = time.monotonic()
                    yield pieces.chunk(item.index, item.period_ns or SLOW_NS, nominal)
                elif item.stream == self._thermometer:
                    pieces.warm(float(nominal[0, -1]))
            _refuse_silence(self._stream, last_s)

    # ---------------------------------------------------------------- thread

    def handle(self, event: Event) -> None:
        """Take an event of the hub."""
        if isinstance(event, Batch | DeviceChanged):
            self._items.put_nowait(event)  # when full the hub counts it; what is missing shows as a hole in time

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BridgeError as error:
            self._items.put(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Bridge(self._config, serve=False) as bridge:
            bridge.hub.attach(self)
            failed = asyncio.create_task(bridge.wait_failed())
            stopped = asyncio.create_task(self._stop.wait())
            try:
                done, _ = await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                failed.cancel()
                stopped.cancel()

    def _end(self) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5.0)

    def _find(self) -> DeviceInfo:
        """The device, once it is online and has the stream."""
        known: dict[str, DeviceInfo] = {}
        end_s, settled_s = time.monotonic() + APPEARS_S, 0.0
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                item = self._items.get(timeout=min(left_s, 0.5))
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, DeviceChanged):
                device = item.device
                if device.state != "online":
                    continue
                named = device.id.startswith(self._device)
                if named and self._stream in {stream.name for stream in device.streams}:
                    known[device.id] = device
                if known or not self._config.auto:
                    end_s = min(end_s, settled_s := settled_s or time.monotonic() + SETTLE_S)
        if len(known) > 1:
            raise CalibrationError(f"there is more than one board, say which (--device): {', '.join(known)}")
        if not known:
            wanted = f" {self._device}" if self._device else ""
            raise CalibrationError(f"no board{wanted} with a stream {self._stream} is there")
        return next(iter(known.values()))


# --------------------------------------------------------- a running bridge


class BridgeSource:
    """A board of a bridge that runs already."""

    is_live = True

    def __init__(self, bridge: RunningBridge, device: str, stream: str, thermometer: str) -> None:
        """Find the board.

        Raises:
            BridgeError: there is none, or more than one.
        """
        self._bridge, self._stream, self._thermometer = bridge, stream, thermometer
        online = [info for info in bridge.online() if info["id"].startswith(device)]
        fitting = [info for info in online if stream in {one["name"] for one in info["streams"]}]
        if len(fitting) != 1:
            names = ", ".join(info["id"] for info in fitting or online) or "none"
            wanted = f"one board with a stream {stream}" if not fitting else "one board; say which (--device)"
            raise CalibrationError(f"the bridge has to have {wanted}; it has: {names}")
        self._info: Mapping[str, Any] = fitting[0]

    @property
    def origin(self) -> Origin:
        """What the samples are of."""
        stream = next(one for one in self._info["streams"] if one["name"] == self._stream)
        fields = tuple(FieldInfo(field["name"], field["unit"], field["full_scale"]) for field in stream["fields"])
        return Origin(self._info["id"], self._stream, stream["sensor"], fields)

    def chunks(self) -> Iterator[Chunk]:
        """The samples as they come.

        Raises:
            BridgeError: the bridge went away, or no samples come.
        """
        pieces = Pieces()
        known = {one["name"] for one in self._info["streams"]}
        wanted = [self._stream, *([self._thermometer] if self._thermometer in known else [])]
        last_s = time.monotonic()
        for samples in self._bridge.samples(self._info["id"], wanted, calibrated=False):
            if samples.stream == self._thermometer:
                pieces.warm(float(samples.values[0, -1]))
            else:
                last_s = time.monotonic()
                yield pieces.chunk(samples.index, samples.period_ns or SLOW_NS, samples.values)
            _refuse_silence(self._stream, last_s)
