"""Plain HTTP on the same port: answers with their headers, the page and its assets."""

from __future__ import annotations

import http
from email.utils import formatdate
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from telemetry_bridge.server.admission import Refusal
from telemetry_bridge.server.static_files import NOT_BUILT, StaticFiles

# Scripts and styles from this server only, none inline; uPlot sets its styles through the DOM (CSSOM), which a policy
# does not touch. 'self' covers the WebSocket of the same host and port (CSP level 3).
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: Final = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_HEADERS_OF: Final = {
    http.HTTPStatus.UNAUTHORIZED: {"WWW_Authenticate": 'Bearer realm="telemetry-bridge"'},
    http.HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "GET, HEAD"},
    http.HTTPStatus.TOO_MANY_REQUESTS: {"Retry_After": "5"},
    http.HTTPStatus.SERVICE_UNAVAILABLE: {"Retry_After": "5"},
}


def respond(
    status: http.HTTPStatus,
    body: bytes | str,
    content_type: str = "text/plain; charset=utf-8",
    cache_control: str = "no-store",
    **more: str,
) -> Response:
    """A complete answer; further headers by keyword, ``Retry_After="1"``."""
    data = body.encode() if isinstance(body, str) else body
    headers = Headers(
        [
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Length", str(len(data))),
            ("Content-Type", content_type),
            ("Cache-Control", cache_control),
            *_SECURITY,
            *((name.replace("_", "-"), value) for name, value in more.items()),
        ]
    )
    return Response(status.value, status.phrase, headers, data)


def refuse(refusal: Refusal, **more: str) -> Response:
    """The answer to somebody who does not get in, with the headers that belong to its status."""
    for name, value in _HEADERS_OF.get(refusal.status, {}).items():
        more.setdefault(name, value)
    return respond(refusal.status, f"{refusal.text}\n", **more)


def serve_file(files: StaticFiles, request: Request) -> Response:
    """The page or one of its assets; 404 otherwise, 503 with instructions for ``/`` while there is no page."""
    file = files.find(request.path)
    if file is not None:
        return respond(http.HTTPStatus.OK, file.body, file.content_type, file.cache_control)
    path = request.path.partition("?")[0]
    if path in {"/", "/index.html"} and not files.built:
        return respond(http.HTTPStatus.SERVICE_UNAVAILABLE, NOT_BUILT)
    return respond(
        http.HTTPStatus.NOT_FOUND, "Not found. Here are: / (the page), /ws (WebSocket), /healthz (JSON), /metrics.\n"
    )
