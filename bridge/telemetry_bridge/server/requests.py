"""What a client may send: decoding with types, keys that are not known ignored."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from telemetry_bridge.events import JsonStream
from telemetry_bridge.server.channels import RATE_HZ_MAX, RATE_HZ_MIN
from telemetry_bridge.server.wire_format import Format, RequestId

JSON_STREAMS: Final = frozenset(get_args(JsonStream))
MARK_CHARACTERS_MAX: Final = 1000
NOT_YET: Final = frozenset({"start_recording", "stop_recording", "seek", "pause"})
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


Index: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Since(msgspec.Struct):
    """Where a subscriber wants to go on: the epoch that it was in, and the index that it would have had next."""

    epoch: Index
    index: Index


class Subscribe(msgspec.Struct):
    """Ask for a stream of one device, or of every device (``*``)."""

    id: RequestId
    device: str
    stream: str
    mode: Literal["every", "latest", "envelope"] = "every"
    format: Format = "binary"
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


class Mark(msgspec.Struct):
    """Put a note on the time axis of one device, or of all (``*``)."""

    id: RequestId
    text: str
    device: str = "*"


class History(msgspec.Struct):
    """Ask what is kept of the last ``seconds`` of a stream."""

    id: RequestId
    device: str
    stream: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 1e9


Request: TypeAlias = Subscribe | Unsubscribe | Command | Release | Resume | Mark | History

_DECODERS: Final[dict[str, msgspec.json.Decoder[Request]]] = {
    "subscribe": msgspec.json.Decoder(Subscribe),
    "unsubscribe": msgspec.json.Decoder(Unsubscribe),
    "command": msgspec.json.Decoder(Command),
    "release": msgspec.json.Decoder(Release),
    "resume": msgspec.json.Decoder(Resume),
    "mark": msgspec.json.Decoder(Mark),
    "history": msgspec.json.Decoder(History),
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
    request = head.id if isinstance(head.id, int | float | str) and not isinstance(head.id, bool) else None
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
        decoded = decoder.decode(text)
    except msgspec.ValidationError as error:
        raise RequestError("bad_request", f"{head.op}: {error}", request) from None
    wrong = _wrong(decoded)
    if wrong:
        raise RequestError("bad_request", f"{head.op}: {wrong}", request)
    return decoded


def _wrong(request: Request) -> str:
    """What types cannot say; empty if it makes sense."""
    match request:
        case Subscribe(mode="latest" | "envelope" as mode, stream=stream) if stream not in JSON_STREAMS:
            if request.since is not None:
                return f"since resumes each sample, so it needs the mode every, not {mode}"
            if request.rate_hz is None:
                return f"the mode {mode} needs a rate_hz"
            if not RATE_HZ_MIN <= request.rate_hz <= RATE_HZ_MAX:
                return f"rate_hz {request.rate_hz:g} is out of range: {RATE_HZ_MIN:g} to {RATE_HZ_MAX:g}"
        case Subscribe(since=Since(), device="*"):
            return 'since needs one device, not "*"'
        case Mark(text=text) if not 0 < len(text) <= MARK_CHARACTERS_MAX:
            return f"the text has {len(text)} characters: 1 to {MARK_CHARACTERS_MAX} are possible"
        case _:
            pass
    return ""
