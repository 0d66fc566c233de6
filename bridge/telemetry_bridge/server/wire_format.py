"""What subscribers get, as bytes: the binary batch, and the JSON messages of docs/websocket-api.md.

A message of a stream is a short prefix of the subscription's own (``sub``, ``seq``) and a tail that every subscriber
of the same format shares, so a batch is encoded once however many read it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from telemetry_bridge.events import Batch, DeviceInfo, FieldInfo, GapCause, JsonMessage

Format: TypeAlias = Literal["binary", "json"]

API_VERSION = 1
KIND_SAMPLES = 1
BATCH_VERSION = 1
PERIOD_NS_MAX = 2**32 - 1
SAMPLES_MAX = 2**16 - 1
SEQUENCE_MASK = 2**32 - 1

_PREFIX = struct.Struct("<BBHI")
_TAIL = struct.Struct("<QQIHH")
HEADER_BYTES = _PREFIX.size + _TAIL.size

encode_json: Callable[[object], bytes] = msgspec.json.Encoder().encode
"""Any JSON-ready value as UTF-8; NaN and infinities become null."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a stream, encoded but for its prefix.

    Attributes:
        epoch: epoch of ``index``; 0 for logs and faults, which have none.
        index: index of the first sample.
        samples: number of samples.
        tail: all bytes after ``sub`` and ``seq``.
    """

    epoch: int
    index: int
    samples: int
    tail: bytes


def binary_prefix(sub: int, seq: int) -> bytes:
    """``u8 kind, u8 version, u16 sub, u32 seq``: the part of a binary batch that differs between subscribers."""
    return _PREFIX.pack(KIND_SAMPLES, BATCH_VERSION, sub, seq)


def json_prefix(op: str, sub: int, seq: int) -> bytes:
    """The part of a JSON message of a stream that differs between subscribers."""
    return b'{"op":"%s","sub":%d,"seq":%d,' % (op.encode(), sub, seq)


def batch_parts(batch: Batch, form: Format) -> tuple[Part, ...]:
    """Encode a batch: one part, or several where one message cannot say it.

    ``period_ns`` has 32 bits, so samples more than 4.29 s apart go out one by one with ``period_ns`` 0, and so do
    irregular ones (period 0), whose one known time is the batch's.
    """
    encode = _binary_tail if form == "binary" else _json_tail
    return tuple(Part(batch.epoch, piece.index, piece.samples, encode(piece)) for piece in _pieces(batch))


@dataclass(frozen=True, slots=True)
class _Piece:
    index: int
    time_ns: int
    period_ns: int
    samples: int
    batch: Batch
    start: int


def _pieces(batch: Batch) -> Iterator[_Piece]:
    period, samples = batch.period_ns, batch.samples
    regular = 0 < period <= PERIOD_NS_MAX
    if regular or samples == 1:
        step, told = SAMPLES_MAX, period if regular else 0
    else:
        step, told = 1, 0
    for start in range(0, samples, step):
        yield _Piece(
            batch.index + start, batch.time_ns + start * period, told, min(step, samples - start), batch, start
        )


def _binary_tail(piece: _Piece) -> bytes:
    values = piece.batch.values[:, piece.start : piece.start + piece.samples].astype("<f4", copy=False)
    header = _TAIL.pack(piece.index, piece.time_ns, piece.period_ns, piece.samples, values.shape[0])
    return header + values.tobytes()


def _json_tail(piece: _Piece) -> bytes:
    values = piece.batch.values[:, piece.start : piece.start + piece.samples]
    body = {
        "index": piece.index,
        "time_ns": piece.time_ns,
        "period_ns": piece.period_ns,
        "values": values.tolist(),
    }
    return encode_json(body)[1:]


def json_message_tail(message: JsonMessage) -> bytes:
    """Tail of a ``health``, ``log`` or ``fault`` message."""
    return encode_json({"device": message.device, "time_ns": message.time_ns, "data": message.body})[1:]


def gap_message(sub: int, index: int, count: int | None, estimated: bool, cause: GapCause) -> bytes:
    """Samples that will not come; count None if nobody knows how many."""
    return encode_json(
        {"op": "gap", "sub": sub, "index": index, "count": count, "estimated": estimated, "cause": cause}
    )


def fields_json(fields: tuple[FieldInfo, ...]) -> list[dict[str, object]]:
    """Fields as the API lists them."""
    return [{"name": item.name, "unit": item.unit, "full_scale": item.full_scale} for item in fields]


def device_json(device: DeviceInfo) -> dict[str, object]:
    """A device as the API shows it. Keys beyond the contract's are additions that a client may ignore."""
    streams = [
        {
            "name": stream.name,
            "sensor": stream.sensor,
            "rate_hz": stream.rate_hz,
            "measured_rate_hz": stream.measured_rate_hz,
            "fields": fields_json(stream.fields),
            "calibration": None,
            "state": stream.state,
            "epoch": stream.epoch,
            "group_delay_us": stream.group_delay_us,
            "latency_ms": stream.latency_us / 1000,
            "enabled": stream.enabled,
            "derived_from": stream.derived_from,
        }
        for stream in device.streams
    ]
    return {
        "id": device.id,
        "state": device.state,
        "board": device.board,
        "firmware": device.firmware,
        "revision": device.revision,
        "uid": device.uid,
        "boot_id": device.boot_id,
        "reset_cause": device.reset_cause,
        "link": device.link,
        "baud": device.baud,
        "clock": msgspec.to_builtins(device.clock),
        "streams": streams,
        "line": msgspec.to_builtins(device.stats),
        "warning": device.warning,
    }


def device_message(device: DeviceInfo) -> bytes:
    """A device appeared, changed or went."""
    return encode_json({"op": "device", "device": device_json(device)})


def error_message(request: int | str | None, code: str, text: str) -> bytes:
    """Something a client sent was not carried out."""
    return encode_json({"op": "error", "id": request, "code": code, "message": text})


def answer(op: str, request: int | str, **rest: object) -> bytes:
    """The one good answer to a request."""
    return encode_json({"op": op, "id": request, **rest})


def result_message(request: int | str, data: Mapping[str, object], *, code: str = "", text: str = "") -> bytes:
    """How a board answered a command; with a code it refused."""
    body: dict[str, object] = {"op": "result", "id": request, "ok": not code}
    if code:
        body |= {"code": code, "message": text}
    return encode_json(body | {"data": data})
