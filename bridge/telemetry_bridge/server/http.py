"""Plain HTTP on the same port: the page, its assets, and /healthz."""

from __future__ import annotations

import http
from email.utils import formatdate
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from telemetry_bridge.hub import Hub
from telemetry_bridge.server.admission import Refusal
from telemetry_bridge.server.static_files import NOT_BUILT, StaticFiles
from telemetry_bridge.server.wire_format import device_json, encode_json

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
        http.HTTPStatus.NOT_FOUND, "Not found. Here are: / (the page), /ws (WebSocket), /healthz (state as JSON).\n"
    )


def health_response(hub: Hub, server: dict[str, object] | None) -> Response:
    """``/healthz``: 200 while at least one device is online, 503 while none is; the body says what there is.

    Args:
        server: what there is to say of the server; None: nothing but the status, to somebody who is not known.
    """
    online = any(device.state in {"online", "replay"} for device in hub.devices.values())
    body: dict[str, object] = {"status": "ok" if online else "no_device"}
    if server is not None:
        body |= _details(hub, server)
    status = http.HTTPStatus.OK if online else http.HTTPStatus.SERVICE_UNAVAILABLE
    return respond(status, encode_json(body), "application/json")


def _details(hub: Hub, server: dict[str, object]) -> dict[str, object]:
    return {
        "devices": [
            device_json(device) | {"streams": _streams(hub, device.id, device_json(device)["streams"])}
            for device in hub.devices.values()
        ],
        "sink_errors": hub.sink_errors,
        **server,
    }


def _streams(hub: Hub, device: str, streams: object) -> list[dict[str, object]]:
    assert isinstance(streams, list)
    return [stream | {"counters": _counters(hub, device, stream["name"])} for stream in streams]


def _counters(hub: Hub, device: str, stream: str) -> dict[str, object]:
    state = hub.stream(device, stream)
    if state is None:
        return {}
    counters = state.counters
    return {
        "next_index": state.next_index,
        "batches": counters.batches,
        "samples": counters.samples,
        "lost": counters.lost,
        "gaps": counters.gaps,
        "uncounted_gaps": counters.uncounted_gaps,
        "out_of_order": hub.out_of_order(device, stream),
    }
