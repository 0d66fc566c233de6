"""HTTP and WebSocket on one loopback port: the page, /healthz, and the push API of docs/websocket-api.md."""

from telemetry_bridge.server.server import STATIC_DIR, Server

__all__ = ["STATIC_DIR", "Server"]
