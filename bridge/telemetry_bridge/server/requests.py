"""What a client may send: decoding with types, keys that are not known ignored."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

RequestId: TypeAlias = int | str

NOT_YET: Final = frozenset({"start_recording", "stop_recording", "mark", "history", "seek", "pause"})
"""Operations of the contract that this version does not have."""


class RequestError(Exception):
    """A request that is answered with ``error``.

    Attributes:
        code: of the API: ``bad_request``, ``unknown_stream``, …
        request: id of the request, None where it has none that can be told.
    """

    def __init__(self, code: str, message: str, request: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request = request


class Since(msgspec.Struct):
    """Where a subscriber wants to go on."""

    epoch: int
    index: int


class Subscribe(msgspec.Struct):
    """Ask for a stream of one device, or of every device (``*``)."""

    id: RequestId
    device: str
    stream: str
    mode: Literal["every", "latest", "envelope"] = "every"
    format: Literal["binary", "json"] = "binary"
    rate_hz: float | None = None
    calibrated: bool = True
    since: Since | None = None


class Unsubscribe(msgspec.Struct):
    """End one subscription (``sub``), or all that a subscribe request made and would still make (``request``)."""

    id: RequestId
    sub: int | None = None
    request: RequestId | None = None


class Command(msgspec.Struct):
    """Something for a board to do."""

    id: RequestId
    device: str
    name: str
    args: dict[str, object] = {}


class Release(msgspec.Struct):
    """Let go of ports: of all, or of the one that a port or the id of a device names.

    ``lease``: take them back when this connection ends.
    """

    id: RequestId
    target: str | None = None
    lease: bool = False


class Resume(msgspec.Struct):
    """Take released ports back."""

    id: RequestId
    target: str | None = None


Request: TypeAlias = Subscribe | Unsubscribe | Command | Release | Resume

_DECODERS: Final[dict[str, msgspec.json.Decoder[Request]]] = {
    "subscribe": msgspec.json.Decoder(Subscribe),
    "unsubscribe": msgspec.json.Decoder(Unsubscribe),
    "command": msgspec.json.Decoder(Command),
    "release": msgspec.json.Decoder(Release),
    "resume": msgspec.json.Decoder(Resume),
}


class _Head(msgspec.Struct):
    op: object = None
    id: object = None


_HEAD: Final = msgspec.json.Decoder(_Head)


def parse_request(text: str) -> Request:
    """Decode one text message.

    Raises:
        RequestError: ``bad_request`` for what is not JSON or has wrong types, ``unknown_op``, ``unsupported``.
    """
    try:
        head = _HEAD.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise RequestError("bad_request", f"not a JSON object: {error}") from None
    request = head.id if isinstance(head.id, int | str) and not isinstance(head.id, bool) else None
    if request is None:
        raise RequestError("bad_request", "a request needs an id: a number or a string")
    if not isinstance(head.op, str):
        raise RequestError("bad_request", "a request needs an op: a string", request)
    if head.op in NOT_YET:
        raise RequestError("unsupported", f"this version of the bridge has no {head.op}", request)
    decoder = _DECODERS.get(head.op)
    if decoder is None:
        known = ", ".join(_DECODERS)
        raise RequestError("unknown_op", f"there is no op {head.op[:40]!r}; known: {known}", request)
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise RequestError("bad_request", f"{head.op}: {error}", request) from None
