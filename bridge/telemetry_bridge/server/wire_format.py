"""What subscribers get, as bytes: the binary batch, and the JSON messages of docs/websocket-api.md.

A message of a stream is a short prefix of the subscription's own (``sub``, ``seq``) and a tail that every subscriber
of the same format shares, so a batch is encoded once however many read it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry_bridge.events import Batch, DeviceInfo, FieldInfo, GapCause, JsonMessage

RequestId: TypeAlias = int | float | str
"""What a client calls a request: a number or a string."""
Format: TypeAlias = Literal["binary", "json"]
Values: TypeAlias = npt.NDArray[np.float32]

API_VERSION = 1
KIND_SAMPLES = 1
KIND_ENVELOPE = 2
BATCH_VERSION = 1
PERIOD_NS_MAX = 2**32 - 1
SAMPLES_MAX = 2**16 - 1
SEQUENCE_MASK = 2**32 - 1

_PREFIX = struct.Struct("<BBHI")
_TAIL = struct.Struct("<QQIHH")
_HEAD_16 = struct.Struct("!BBH")
_HEAD_64 = struct.Struct("!BBQ")
HEADER_BYTES = _PREFIX.size + _TAIL.size

encode_json: Callable[[object], bytes] = msgspec.json.Encoder().encode
"""Any JSON-ready value as UTF-8; NaN and infinities become null."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a stream, encoded but for its prefix.

    Attributes:
        epoch: epoch of ``index``; 0 for logs and faults, which have none.
        index: index of the first sample.
        samples: number of the sensor's samples that it stands for; in an envelope more than the message has rows, or
            none where all its intervals are empty.
        tail: all bytes after ``sub`` and ``seq``.
    """

    epoch: int
    index: int
    samples: int
    tail: bytes


def binary_prefix(sub: int, seq: int, *, kind: int = KIND_SAMPLES) -> bytes:
    """``u8 kind, u8 version, u16 sub, u32 seq``: the part of a binary batch that differs between subscribers."""
    return _PREFIX.pack(kind, BATCH_VERSION, sub, seq)


def frame_head(size: int, *, text: bool) -> bytes:
    """What precedes a whole message of ``size`` bytes from a server: RFC 6455 section 5.2, FIN and no mask."""
    opcode = 0x81 if text else 0x82
    if size < 126:
        return bytes((opcode, size))
    if size < 1 << 16:
        return _HEAD_16.pack(opcode, 126, size)
    return _HEAD_64.pack(opcode, 127, size)


def json_prefix(op: str, sub: int, seq: int) -> bytes:
    """The part of a JSON message of a stream that differs between subscribers."""
    return b'{"op":"%s","sub":%d,"seq":%d,' % (op.encode(), sub, seq)


def batch_parts(batch: Batch, form: Format, *, calibrated: bool = True) -> tuple[Part, ...]:
    """Encode a batch: one part, or several where one message cannot say it.

    ``period_ns`` has 32 bits, so samples more than 4.29 s apart go out one by one with ``period_ns`` 0, and so do
    irregular ones (period 0), whose one known time is the batch's.
    """
    values = batch.values if calibrated or batch.nominal is None else batch.nominal
    period, samples = batch.period_ns, batch.samples
    regular = 0 < period <= PERIOD_NS_MAX
    told = period if regular else 0
    step = SAMPLES_MAX if regular or samples == 1 else 1
    encode = block_encoder(form)
    parts = []
    for start in range(0, samples, step):
        index, time_ns = batch.index + start, batch.time_ns + start * period
        block = values[:, start : start + step]
        tail = encode(index, time_ns, told, block, block.shape[0])
        parts.append(Part(batch.epoch, index, block.shape[1], tail))
    return tuple(parts)


def block_encoder(form: Format) -> Callable[[int, int, int, Values, int], bytes]:
    """What makes the tail of a data message of index, time_ns, period_ns, ``float32[columns, samples]`` and fields."""
    return _binary_tail if form == "binary" else _json_tail


def _binary_tail(index: int, time_ns: int, period_ns: int, block: Values, fields: int) -> bytes:
    header = _TAIL.pack(index, time_ns, period_ns, block.shape[1], fields)
    return header + block.astype("<f4", copy=False).tobytes()


def _json_tail(index: int, time_ns: int, period_ns: int, block: Values, fields: int) -> bytes:
    del fields  # the columns can be counted
    body = {"index": index, "time_ns": time_ns, "period_ns": period_ns, "values": block.tolist()}
    return encode_json(body)[1:]


def json_message_tail(message: JsonMessage) -> bytes:
    """Tail of a ``health``, ``log``, ``fault`` or ``mark`` message."""
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
            "calibration": None if stream.calibration is None else {"id": stream.calibration},
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


def error_message(request: RequestId | None, code: str, text: str) -> bytes:
    """Something a client sent was not carried out."""
    return encode_json({"op": "error", "id": request, "code": code, "message": text})


def answer(op: str, request: RequestId, **rest: object) -> bytes:
    """The one good answer to a request."""
    return encode_json({"op": op, "id": request, **rest})


def result_message(request: RequestId, data: Mapping[str, object], *, code: str = "", text: str = "") -> bytes:
    """How a board answered a command; with a code it refused."""
    body: dict[str, object] = {"op": "result", "id": request, "ok": not code}
    if code:
        body |= {"code": code, "message": text}
    return encode_json(body | {"data": data})
