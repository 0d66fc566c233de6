"""The stage that adds derived streams to a line's events."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Final

import msgspec
import numpy as np

from telemetry_bridge.derived.base import DerivedStream
from telemetry_bridge.events import (
    Batch,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    Event,
    FieldInfo,
    Gap,
    StreamInfo,
)

GROUP: Final = "telemetry_bridge.derived"
_log = logging.getLogger(__name__)


def offered() -> set[str]:
    """Names of the derived streams that installed packages offer."""
    return {point.name for point in entry_points(group=GROUP)}


def installed(names: Iterable[str] | None = None) -> list[type[DerivedStream]]:
    """Derived streams that installed packages offer.

    Args:
        names: of the entry points that are wanted; None: all.
    """
    found: list[type[DerivedStream]] = []
    wanted = None if names is None else set(names)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if wanted is not None and point.name not in wanted:
            continue
        try:
            found.append(point.load())
        except Exception as error:  # noqa: BLE001 - a plug-in that cannot be imported must not keep the bridge from running
            _log.warning("the derived stream %s (%s) cannot be loaded: %s", point.name, point.value, error)
    if wanted is not None and (missing := wanted - offered()):
        _log.warning("there is no derived stream called %s", ", ".join(sorted(missing)))
    return found


class _Derivation:
    """One derived stream of one epoch of one source."""

    def __init__(self, kind: type[DerivedStream], name: str, fields: Sequence[FieldInfo]) -> None:
        self.name = name
        names = [field.name for field in fields]
        rows = [names.index(wanted) for wanted in kind.inputs]
        self._rows: slice | list[int] = rows
        if rows == list(range(rows[0], rows[0] + len(rows))):
            self._rows = slice(rows[0], rows[0] + len(rows))  # a view instead of a copy
        self._fields = len(kind.fields)
        self._full_scale = self._told = _ranges(fields)
        self._maker: DerivedStream | None = kind(self._full_scale)
        self._last_ns: int | None = None  # time of the newest sample

    def describe(self, fields: Sequence[FieldInfo]) -> None:
        """The source as the device describes it now: its ranges may have changed since the epoch began."""
        self._full_scale = _ranges(fields)

    def compute(self, batch: Batch) -> Batch | Gap:
        """The derived batch; a gap (``host``) once the class has failed, until the next epoch."""
        if self._maker is not None:
            period_ns, pause_ns = self._times(batch)
            try:
                if self._told != self._full_scale:
                    self._told = self._full_scale
                    self._maker.set_ranges(self._full_scale)
                values = self._maker.compute(batch.values[self._rows], period_ns / 1e9, pause_ns / 1e9)
                if values.shape != (self._fields, batch.samples):
                    raise ValueError(f"made {values.shape} instead of {(self._fields, batch.samples)}")
            except Exception:  # noqa: BLE001 - whatever a plug-in does, the board's own streams go on; logged, and a gap
                _log.exception("%s %s cannot be computed until the board restarts", batch.device, self.name)
                self._maker = None
            else:
                self._last_ns = batch.time_ns + (batch.samples - 1) * period_ns
                values = np.ascontiguousarray(values, np.float32)
                values.flags.writeable = False
                changed = {"stream": self.name, "values": values, "nominal": None, "raw": b"", "descriptor": None}
                return msgspec.structs.replace(batch, **changed)
        return Gap(batch.device, self.name, batch.epoch, batch.index, batch.samples, "host")

    def _times(self, batch: Batch) -> tuple[int, float]:
        """Period of the samples, and the time missing before the first of them, ns."""
        since_ns = None if self._last_ns is None else batch.time_ns - self._last_ns
        if batch.period_ns:
            missing_ns = 0 if since_ns is None else since_ns - batch.period_ns
            return batch.period_ns, missing_ns if missing_ns > batch.period_ns / 2 else 0
        if since_ns is None or since_ns <= 0:
            return 1_000_000_000, math.inf  # irregular, and nothing before it
        return since_ns, 0


class Deriver:
    """Adds, to the events of a line, the streams that the given classes make of them.

    A derived stream follows its source: it begins its epochs with it, has its gaps with their causes, its times and its
    uncertainty. Not thread-safe, one for each line.
    """

    def __init__(self, kinds: Sequence[type[DerivedStream]]) -> None:
        self._kinds = tuple(kinds)
        self._running: dict[tuple[str, str], list[_Derivation]] = {}

    def process(self, event: Event) -> Iterator[Event]:
        """The event itself, with what is derived from it behind it."""
        match event:
            case Batch():
                yield event
                for derivation in self._running.get((event.device, event.stream), ()):
                    yield derivation.compute(event)
            case DeviceChanged(device=device):
                for source in device.streams:
                    for derivation in self._running.get((device.id, source.name), ()):
                        derivation.describe(source.fields)
                yield DeviceChanged(self._with_derived(device)) if self._kinds else event
            case EpochStarted():
                yield event
                yield from self._start(event)
            case Gap():
                yield event
                for derivation in self._running.get((event.device, event.stream), ()):
                    yield dataclasses.replace(event, stream=derivation.name)
            case _:
                yield event

    def _start(self, event: EpochStarted) -> Iterator[EpochStarted]:
        running = []
        for kind in self._kinds_for(event.fields):
            derivation = _Derivation(kind, _name(event.stream, kind), event.fields)
            running.append(derivation)
            yield dataclasses.replace(event, stream=derivation.name, fields=kind.fields)
        self._running[event.device, event.stream] = running

    def _kinds_for(self, fields: Sequence[FieldInfo]) -> list[type[DerivedStream]]:
        names = {field.name for field in fields}
        return [kind for kind in self._kinds if names.issuperset(kind.inputs)]

    def _with_derived(self, device: DeviceInfo) -> DeviceInfo:
        streams: list[StreamInfo] = list(device.streams)
        for source in device.streams:
            streams += [
                dataclasses.replace(
                    source,
                    name=_name(source.name, kind),
                    sensor=kind.maker,
                    fields=kind.fields,
                    calibration=None,
                    derived_from=source.name,
                )
                for kind in self._kinds_for(source.fields)
            ]
        return dataclasses.replace(device, streams=tuple(streams))


def _ranges(fields: Sequence[FieldInfo]) -> dict[str, float]:
    return {field.name: field.full_scale for field in fields}


def _name(source: str, kind: type[DerivedStream]) -> str:
    return kind.name if source == "imu" else f"{source}.{kind.name}"
