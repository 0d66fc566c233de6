"""The server as an attacker sees it: one test, one attack. Somebody else is always there, and must not notice.

Here: who it is, and what he may do. Floods and odd bytes are in test_server_floods.py, pages of other sites, Hosts,
paths and broken frames in test_server_security.py and test_server_http.py, tokens and tickets without a socket in
test_server_tokens.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from bridge.server_helpers import (
    HANDSHAKE,
    Client,
    RawClient,
    batch,
    device_info,
    epoch_started,
    http_get,
    in_loop,
    join,
)
from bridge.test_server_tokens import DRIVER, ENTRIES, WATCHER, written
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import CommandDone, DeviceChanged, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server

V1 = Subprotocol("telemetry-bridge.v1")


class Site:
    """A server with a board, tokens, and somebody who reads."""

    def __init__(self, hub: Hub, server: Server, reader: Client) -> None:
        self.hub, self.server, self.reader = hub, server, reader
        self.commands: list[str] = []
        self._index = 0

    async def command(self, name: str, _: WireArgs) -> CommandDone:
        """What the board is told."""
        self.commands.append(name)
        return CommandDone("dev-a", 1, name, "ok", {}, "")

    async def reader_still_reads(self) -> None:
        """A batch that is published now reaches the reader."""
        self.hub.publish(batch(self._index))
        while (message := await self.reader.next()).__class__ is dict:
            assert message["op"] == "device"
        assert message.index == self._index
        self._index += 20


@asynccontextmanager
async def site(folder: Path, limits: Limits | None = None) -> AsyncIterator[Site]:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    config = ServerConfig(port=0, tokens_file=str(written(folder)))
    async with Server(hub, config, limits) as server, await join(server, additional_headers=bearer(WATCHER)) as reader:
        assert (await reader.until("welcome"))["role"] == "viewer"
        await reader.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        made = Site(hub, server, reader)
        hub.register_device("dev-a", made.command)
        yield made
        await made.reader_still_reads()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def ticket_for(server: Server, token: str) -> Subprotocol:
    status, headers, body = await http_get(server, "/ticket", more=f"Authorization: Bearer {token}\r\n")
    assert (status, headers["cache-control"]) == (200, "no-store")
    return Subprotocol(json.loads(body)["ticket"])


async def refused(server: Server, **options: object) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        await join(server, **options)  # type: ignore[arg-type]
    return caught.value


# -------------------------------------------------------------------- who it is


@in_loop
async def test_without_a_token_nothing_is_told_but_that_a_token_is_wanted(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        error = await refused(at.server)
        assert error.response.status_code == 401
        assert error.response.headers["WWW-Authenticate"] == 'Bearer realm="telemetry-bridge"'
        for path in ("/ticket", "/metrics"):
            status, headers, _ = await http_get(at.server, path)
            assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="telemetry-bridge"')
        status, _, body = await http_get(at.server, "/healthz")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        status, _, body = await http_get(at.server, "/healthz", more=f"Authorization: Bearer {WATCHER}\r\n")
        assert json.loads(body)["clients"][0]["name"] == "wall"


@in_loop
async def test_a_wrong_token_gets_nowhere(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for headers in (bearer("wrong"), bearer(DRIVER[:-1]), {"Authorization": f"Basic {DRIVER}"}):
            assert (await refused(at.server, additional_headers=headers)).response.status_code == 401
        assert (await http_get(at.server, "/healthz", more="Authorization: Bearer wrong\r\n"))[0] == 401


@in_loop
async def test_a_ticket_of_nobody_and_one_that_was_used_get_nowhere(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        ticket = await ticket_for(at.server, DRIVER)
        async with await join(at.server, subprotocols=[V1, ticket]) as client:
            assert client.ws.subprotocol == V1  # the ticket does not come back
            assert (await client.until("welcome"))["role"] == "operator"
        for offered in (ticket, Subprotocol("ticket.AAAA"), Subprotocol("ticket.")):
            assert (await refused(at.server, subprotocols=[V1, offered])).response.status_code == 401


@in_loop
async def test_a_ticket_of_a_viewer_makes_no_operator(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for extra in ({}, bearer(DRIVER), {"X-Role": "operator"}):
            ticket = await ticket_for(at.server, WATCHER)
            async with await join(at.server, subprotocols=[V1, ticket], additional_headers=extra) as client:
                assert (await client.until("welcome"))["role"] == "viewer"


@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("command", {"device": "dev-a", "name": "reset", "args": {}}),
        ("release", {}),
        ("resume", {}),
        ("mark", {"text": "here"}),
    ],
)
def test_a_viewer_cannot_command(
    op: str, more: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            for token, allowed in ((WATCHER, False), (DRIVER, True)):
                async with await join(at.server, additional_headers=bearer(token)) as client:
                    answer = await client.ask(op=op, id=9, **more)
                    if allowed:
                        assert (answer["op"], answer.get("code")) in {
                            ("result", None),
                            ("ok", None),
                            ("error", "unknown_device"),
                        }
                    else:
                        assert (answer["op"], answer["code"]) == ("error", "forbidden")
                        assert "operator" in answer["message"]
                assert (at.commands == []) != (allowed and op == "command")

    run()
    request = f"{op.capitalize()}(id=9"
    assert f"wall (viewer) was refused: {request}" in caplog.text
    assert f"ada: {request}" in caplog.text


@in_loop
async def test_whoever_has_a_token_that_is_taken_out_of_use_has_to_leave(tmp_path: Path) -> None:
    async with (
        site(tmp_path) as at,
        await join(at.server, additional_headers=bearer(DRIVER)) as client,
        await join(at.server, subprotocols=[V1, await ticket_for(at.server, DRIVER)]) as page,
    ):
        written(tmp_path, ENTRIES.replace(DRIVER, "another-token-0123456789"))
        at.server.refresh_tokens()
        for gone in (client, page):
            with pytest.raises(ConnectionClosedError, match=r"1008.*not valid any more"):
                await gone.until("never")
        assert (await refused(at.server, additional_headers=bearer(DRIVER))).response.status_code == 401


@in_loop
async def test_what_was_sent_before_a_token_was_taken_out_of_use_is_not_carried_out_behind_it(tmp_path: Path) -> None:
    async with site(tmp_path) as at, await join(at.server, additional_headers=bearer(DRIVER)) as client:
        await client.until("device")
        for number in range(3):
            await client.send(op="command", id=number, device="dev-a", name="reset")
        written(tmp_path, ENTRIES.replace(DRIVER, "another-token-0123456789"))
        at.server.refresh_tokens()  # before the server has looked at any of them
        for number in range(3):
            await client.send(op="command", id=number, device="dev-a", name="reset")
        with pytest.raises(ConnectionClosedError, match="1008"):
            await client.until("never")
        assert at.commands == []


@in_loop
async def test_an_operator_who_is_made_a_viewer_has_to_come_again(tmp_path: Path) -> None:
    async with site(tmp_path) as at, await join(at.server, additional_headers=bearer(DRIVER)) as client:
        written(tmp_path, ENTRIES.replace('operator"', 'viewer"'))
        at.server.refresh_tokens()
        with pytest.raises(ConnectionClosedError, match="1008"):
            await client.until("never")
        async with await join(at.server, additional_headers=bearer(DRIVER)) as again:
            assert (await again.until("welcome"))["role"] == "viewer"


@in_loop
async def test_guesses_are_answered_but_lock_nobody_out(tmp_path: Path) -> None:
    async with site(tmp_path, Limits(guesses=3)) as at:
        statuses = []
        for number in range(6):
            error = await refused(at.server, additional_headers=bearer(f"guess-number-{number}-0123456789"))
            statuses.append(error.response.status_code)
        assert statuses == [401, 401, 401, 429, 429, 429]
        async with await join(at.server, additional_headers=bearer(DRIVER)) as client:  # from the same address
            assert (await client.until("welcome"))["role"] == "operator"


@pytest.mark.parametrize("path", ["/ws?token={}", "/?access_token={}", "/ticket?x=1&Token={}", "/healthz?ticket={}"])
def test_a_token_in_an_address_is_refused_and_in_no_log(
    path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            status, _, body = await http_get(at.server, path.format(DRIVER), more=f"Authorization: Bearer {DRIVER}\r\n")
            assert status == 400
            assert b"out of use" in body
            assert DRIVER.encode() not in body

    run()
    assert caplog.text != ""
    assert DRIVER not in caplog.text


def test_neither_tokens_nor_tickets_are_in_any_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.INFO)  # the tests' own client
    tickets: list[str] = []

    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            tickets.append(await ticket_for(at.server, DRIVER))
            async with await join(at.server, subprotocols=[V1, Subprotocol(tickets[0])]) as client:
                await client.until("welcome")
            await refused(at.server, additional_headers=bearer("wrong-token-in-a-header"))

    run()
    assert "ada (operator) is here from 127.0.0.1" in caplog.text
    for secret in (DRIVER, WATCHER, tickets[0], tickets[0].removeprefix("ticket."), "wrong-token-in-a-header"):
        assert secret not in caplog.text


@pytest.mark.parametrize("header", ["Origin: http://evil.example", "Origin: null"])
def test_a_page_of_another_site_gets_no_ticket_even_with_the_token(header: str, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            more = f"{header}\r\nAuthorization: Bearer {DRIVER}\r\n"
            status, headers, _ = await http_get(at.server, "/ticket", more=more)
            assert status == 403
            assert not any(name.startswith("access-control") for name in headers)
            preflight = f"{header}\r\nAccess-Control-Request-Headers: authorization\r\n"
            assert (await http_get(at.server, "/ticket", method="OPTIONS", more=preflight))[0] == 405

    run()


@in_loop
async def test_a_name_that_was_rebound_to_this_machine_gets_no_ticket(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        host = f"rebound.example:{at.server.port}"
        assert (await http_get(at.server, "/ticket", host=host, more=f"Authorization: Bearer {DRIVER}\r\n"))[0] == 403


@in_loop
async def test_a_proxy_passes_on_what_its_own_page_says_and_nothing_else(tmp_path: Path) -> None:
    public = "bench.example.org"
    config = ServerConfig(port=0, tokens_file=str(written(tmp_path)), allowed_origins=(f"https://{public}",))
    async with Server(Hub(), config) as server:
        for origin, token, status in (
            (f"https://{public}", DRIVER, 101),
            (f"http://{public}", DRIVER, 403),
            ("https://evil.example.org", DRIVER, 403),
            (f"https://{public}", "wrong", 401),
        ):
            async with await RawClient().connect(server) as raw:
                more = f"Origin: {origin}\r\nAuthorization: Bearer {token}\r\nX-Forwarded-For: 10.0.0.1\r\n"
                await raw.send(HANDSHAKE.format(host=public, more=more).encode())
                assert (await raw.head()).startswith(f"HTTP/1.1 {status} ")


@in_loop
async def test_no_get_changes_anything(tmp_path: Path) -> None:
    """Nothing that an image or a link of another site can ask for does anything (a ticket needs a header)."""
    async with site(tmp_path) as at:
        known = f"Authorization: Bearer {DRIVER}\r\n"
        for path in ("/ws", "/ws?op=command&device=dev-a&name=reset", "/command?name=reset", "/release", "/healthz"):
            for method in ("GET", "HEAD"):
                await http_get(at.server, path, method=method, more=known)
        assert at.commands == []
        assert at.server.clients == 1
        assert (await http_get(at.server, "/ticket"))[0] == 401
