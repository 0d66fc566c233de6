"""Plain HTTP: the page, its assets and /healthz."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.server_helpers import RawClient, batch, device_info, epoch_started, http_get, in_loop, join
from telemetry_bridge.config import ServerConfig
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.events import DeviceChanged, Gap
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server


@pytest.fixture
def page(tmp_path: Path) -> Path:
    root = tmp_path / "static"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>page</title>")
    (root / "assets" / "index-abc123.js").write_text("export {}")
    (root / "assets" / "index-abc123.css").write_text("body{}")
    (root / "favicon.svg").write_text("<svg/>")
    (root / ".hidden").write_text("hidden")
    (root / "two words.txt").write_text("spaces")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    return root


@pytest.mark.parametrize(
    ("path", "content_type", "cache"),
    [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/?theme=dark", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/favicon.svg", "image/svg+xml", "no-cache"),
        ("/two%20words.txt", "text/plain; charset=utf-8", "no-cache"),
        ("/assets/index-abc123.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/assets/index-abc123.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
    ],
)
def test_files_have_their_type_their_caching_and_the_security_headers(
    page: Path, path: str, content_type: str, cache: str
) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0), static_dir=page) as server:
            status, headers, body = await http_get(server, path)
        assert status == 200
        assert headers["content-type"] == content_type
        assert headers["cache-control"] == cache
        assert len(body) == int(headers["content-length"]) > 0
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"

    run()


@pytest.mark.parametrize(
    "path",
    [
        "/nope", "/assets", "/assets/", "//", "/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt",
        "/..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/..\\secret.txt", "/link.txt", "/.hidden", "/%00",
        "/%ff", "//etc/passwd", "/C:/secret.txt", "http://[bad/",
    ],
)  # fmt: skip
def test_nothing_outside_the_folder_is_served(page: Path, path: str) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0), static_dir=page) as server:
            status, _, body = await http_get(server, path)
        assert status == 404
        assert b"secret" not in body
        assert b"/healthz" in body

    run()


@in_loop
async def test_head_has_the_headers_and_no_body() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        status, headers, body = await http_get(server, "/healthz", method="HEAD")
    assert status == 503
    assert int(headers["content-length"]) > 0
    assert body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW", "G"])
def test_other_methods_are_told_so_even_with_a_body(method: str) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0)) as server:
            more = "Content-Length: 2\r\n" if method in {"POST", "PUT"} else ""
            status, headers, _ = await http_get(server, "/", method=method, more=more)
        assert status == 405
        assert headers["allow"] == "GET, HEAD"

    run()


@in_loop
async def test_a_request_that_comes_byte_by_byte_is_served() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server, await RawClient().connect(server) as raw:
        for byte in f"HEAD /healthz HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode():
            await raw.send(bytes([byte]))
        assert (await raw.head()).startswith("HTTP/1.1 503 ")


def test_without_a_built_page_the_root_says_how_to_build_it(tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        server = Server(Hub(), ServerConfig(port=0), static_dir=tmp_path / "static")
        async with server:
            assert not server.page_built
            status, headers, body = await http_get(server, "/")
        assert status == 503
        assert headers["content-type"].startswith("text/plain")
        assert b"make setup" in body

    run()


@in_loop
async def test_healthz_is_503_until_a_device_is_online_and_says_what_passed() -> None:
    hub = Hub()
    async with Server(hub, ServerConfig(port=0)) as server:
        status, headers, body = await http_get(server, "/healthz")
        assert (status, json.loads(body)["status"], json.loads(body)["devices"]) == (503, "no_device", [])
        assert headers["content-type"] == "application/json"
        hub.publish(DeviceChanged(device_info()))
        hub.publish(epoch_started())
        async with await join(server) as client:
            await client.ask(op="subscribe", id=1, device="*", stream="imu")
            hub.publish(batch(0))
            hub.publish(Gap("dev-a", "imu", 7, 20, 5, "wire"))
            hub.publish(batch(25))
            status, _, body = await http_get(server, "/healthz")
        state = json.loads(body)
        assert (status, state["status"]) == (200, "ok")
        (device,) = state["devices"]
        assert (device["id"], device["state"]) == ("dev-a", "online")
        assert device["streams"][0]["counters"] == {
            "next_index": 45, "produced": 45, "batches": 2, "samples": 40, "lost": {"wire": 5}, "unaccounted": 0,
            "gaps": 1, "uncounted_gaps": 0, "out_of_order": 0,
        }  # fmt: skip
        assert state["clients"][0]["subscriptions"] == [
            {"sub": 1, "device": "dev-a", "stream": "imu", "sent_samples": 40, "dropped_samples": 0}
        ]
        hub.publish(DeviceChanged(device_info(state="offline")))
        status, _, body = await http_get(server, "/healthz")
        assert (status, json.loads(body)["devices"][0]["state"]) == (503, "offline")


@in_loop
async def test_a_port_that_is_taken_is_one_clear_line() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        with pytest.raises(BridgeError, match=rf"port {server.port} on 127\.0\.0\.1 is already in use") as caught:
            await Server(Hub(), ServerConfig(port=server.port)).start()
        assert "\n" not in str(caught.value)


@in_loop
async def test_a_server_can_be_closed_before_it_was_started_and_its_port_used_again() -> None:
    server = Server(Hub(), ServerConfig(port=0))
    await server.close()
    await server.start()
    port = server.port
    await server.close()
    async with Server(Hub(), ServerConfig(port=port)) as again:
        assert again.port == port
