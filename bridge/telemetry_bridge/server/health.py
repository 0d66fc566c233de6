"""/healthz: whether the bridge does what it was asked to, and if not, what is in the way."""

from __future__ import annotations

import http
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import msgspec
from websockets.http11 import Response

from telemetry_bridge.events import DeviceChanged, DeviceInfo, Event
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.http import respond
from telemetry_bridge.server.process import LoopLag
from telemetry_bridge.server.wire_format import device_json, encode_json

UNSYNCED_S: Final = 30.0
"""A clock that is not known after this time will not be: no ping comes back."""
STALLED_S: Final = 1.0
"""An event loop that is so late keeps everybody waiting."""
STALLED_WITHIN_S: Final = 10.0
_PRESENT: Final = frozenset({"online", "replay"})


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is in the way.

    Attributes:
        reason: ``no_device``, ``no_answer``, ``offline``, ``released``, ``clock_unsynced``, ``stream_failing``,
            ``event_loop_stalled``; a program may rely on these.
        message: for people.
    """

    reason: str
    message: str
    device: str | None = None
    link: str | None = None
    stream: str | None = None


class Watch:
    """A sink that notes since when a device's clock is unsynced, and how late the event loop is."""

    def __init__(self, hub: Hub, now: Callable[[], float] = time.monotonic) -> None:
        self.lag = LoopLag()
        self._hub = hub
        self._now = now
        self._unsynced: dict[str, float] = {}

    def handle(self, event: Event) -> None:
        """Take one event of the hub."""
        if isinstance(event, DeviceChanged):
            device = event.device
            if device.state == "online" and device.clock.state == "unsynced":
                self._unsynced.setdefault(device.id, self._now())
            else:
                self._unsynced.pop(device.id, None)

    def problems(self) -> list[Problem]:
        """What is in the way now; nothing where all is well."""
        return [*self._of_lines(), *self._of_devices(), *self._of_loop()]

    def _of_lines(self) -> Iterator[Problem]:
        devices = self._hub.devices
        anybody = any(device.state in _PRESENT for device in devices.values())
        lines = self._hub.ports.expected
        if not anybody and not lines:
            yield Problem("no_device", "no board is online")
        for line in lines:
            device = devices.get(line.device or "")
            if device is None:
                counted = line.stats
                why = f": {counted.bytes:,} bytes came, {counted.frames:,} whole frames" if counted else ""
                yield Problem("no_answer", f"no board has answered at {line.uri}{why}", link=line.uri)
            elif device.state not in _PRESENT:
                text = f"{device.board} at {line.uri} is {device.state}"
                yield Problem(device.state, text, device=device.id, link=line.uri)

    def _of_devices(self) -> Iterator[Problem]:
        for device in self._hub.devices.values():
            if device.state != "online":
                continue
            since = self._unsynced.get(device.id)
            if since is not None and self._now() - since > UNSYNCED_S:
                text = "its clock is not known: no ping is answered"
                yield Problem("clock_unsynced", text, device=device.id, link=device.link)
            for stream in device.streams:
                if stream.enabled and stream.state in {"missing", "failing"}:
                    text = f"{stream.sensor} is {stream.state}"
                    yield Problem("stream_failing", text, device=device.id, link=device.link, stream=stream.name)

    def _of_loop(self) -> Iterator[Problem]:
        worst_s = self.lag.worst_s(STALLED_WITHIN_S)
        if worst_s > STALLED_S:
            yield Problem("event_loop_stalled", f"the bridge was {worst_s:.1f} s late in the last seconds")


def response(hub: Hub, problems: list[Problem], server: dict[str, object] | None) -> Response:
    """200 if nothing is in the way, else 503; the body says what.

    Args:
        server: what there is to say of the server; None: nothing but the status, to somebody who is not known.
    """
    online = any(device.state in _PRESENT for device in hub.devices.values())
    status = "no_device" if not online else "impaired" if problems else "ok"
    body: dict[str, object] = {"status": status}
    if server is not None:
        body["problems"] = [msgspec.to_builtins(problem) for problem in problems]
        body["devices"] = [_device(hub, device) for device in hub.devices.values()]
        body["sink_errors"] = hub.sink_errors
        body |= server
    code = http.HTTPStatus.SERVICE_UNAVAILABLE if problems else http.HTTPStatus.OK
    return respond(code, encode_json(body), "application/json")


def _device(hub: Hub, device: DeviceInfo) -> dict[str, object]:
    body = device_json(replace(device, stats=hub.ports.stats(device.id) or device.stats))
    streams = [
        {**known, "counters": _counters(hub, device.id, info.name)}
        for known, info in zip(_list(body["streams"]), device.streams, strict=True)
    ]
    return {**body, "streams": streams}


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def _counters(hub: Hub, device: str, stream: str) -> dict[str, object]:
    state = hub.stream(device, stream)
    if state is None:
        return {}
    counters = state.counters
    return {
        "next_index": state.next_index,
        "produced": counters.produced,
        "batches": counters.batches,
        "samples": counters.samples,
        "lost": counters.lost,
        "unaccounted": counters.unaccounted,
        "gaps": counters.gaps,
        "uncounted_gaps": counters.uncounted_gaps,
        "out_of_order": hub.out_of_order(device, stream),
    }
