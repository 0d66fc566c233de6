"""The first thing that comes in on a connection: is it one small, plain request, and nothing behind it?

The WebSocket library parses it afterwards. What is refused here are floods, and whatever two readers of the same bytes
(a proxy and this server) might understand differently.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from telemetry_bridge.config import Limits
from telemetry_bridge.server.admission import Refusal

_METHODS: Final = (b"GET ", b"HEAD ")
_END: Final = b"\r\n\r\n"
# RFC 9112, section 5: a name, and at once a colon; a value of printable characters; no folded lines, no bare CR or LF
_HEADER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_REQUEST_LINE: Final = re.compile(rb"(?:GET|HEAD) [\x21-\x7e]+ HTTP/1\.[01]")

_MALFORMED: Final = Refusal(HTTPStatus.BAD_REQUEST, "This is no HTTP request.")
_BODY: Final = Refusal(HTTPStatus.BAD_REQUEST, "No request here has a body, or anything behind it.")


class RequestHead:
    """Collects the bytes of one request's head."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._data = bytearray()

    def __bool__(self) -> bool:
        return bool(self._data)

    def feed(self, data: bytes) -> bytes | Refusal | None:
        """One more piece: the whole head once it is there and right, why it is refused, or None for more."""
        limits = self._limits
        searched = max(0, len(self._data) - len(_END))
        self._data += data[: limits.header_bytes + 1 - len(self._data)]
        if not any(method.startswith(self._data[: len(method)]) for method in _METHODS):
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are understood here.")
        end = self._data.find(_END, searched)
        if (end if end >= 0 else len(self._data)) + len(_END) > limits.header_bytes:
            too_large = f"The head of this request is too large: {limits.header_bytes} bytes are the limit."
            return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, too_large)
        if end < 0:
            return None
        return self._judge(bytes(self._data), end)

    def _judge(self, data: bytes, end: int) -> bytes | Refusal:
        request, *headers = data[:end].split(b"\r\n")
        if len(headers) > self._limits.headers:
            too_many = f"Too many headers: {self._limits.headers} are the limit."
            return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, too_many)
        if not _REQUEST_LINE.fullmatch(request) or not all(_HEADER.fullmatch(line) for line in headers):
            return _MALFORMED
        names = [line.partition(b":")[0].lower() for line in headers]
        lengths = [line.partition(b":")[2].strip() for line in headers if line.lower().startswith(b"content-length:")]
        if b"transfer-encoding" in names or lengths not in ([], [b"0"]) or len(data) > end + len(_END):
            return _BODY
        return data
