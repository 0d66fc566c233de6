"""The page and a bridge that wants to know who is there: the real server, a real browser, tickets and TLS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from bridge.server_helpers import device_info, epoch_started
from bridge.test_server_tls import certificate
from bridge.test_server_tokens import DRIVER, ENTRIES, WATCHER, written
from page.conftest import ARTIFACTS
from page.test_settings import open_settings
from page.waiting import TIMEOUT_MS, until
from telemetry_bridge.config import ServerConfig
from telemetry_bridge.events import DeviceChanged
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server

__all__ = ["certificate"]  # a fixture

T = TypeVar("T")
WAIT_S = 20.0
# what the browser itself writes where a bridge refuses or is not there
ALLOWED = ("status of 401", "net::ERR_")


class GuardedBridge:
    """The real server with tokens and one board, in a thread of its own; comes back at the same port.

    Attributes:
        tokens: its file.
    """

    def __init__(self, folder: Path, **config: Any) -> None:
        self.tokens = written(folder)
        self._config = config
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Address of the page."""
        assert self._server is not None
        return f"{self._server.url}/"

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def __enter__(self) -> GuardedBridge:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def start(self) -> None:
        """Serve."""
        hub = Hub()
        hub.publish(DeviceChanged(device_info()))
        hub.publish(epoch_started())
        config = ServerConfig(port=self._port, tokens_file=str(self.tokens), **self._config)
        self._server = Server(hub, config)
        self._do(self._server.start())
        self._port = self._server.port

    def stop(self) -> None:
        """Close every connection and the port."""
        assert self._server is not None
        self._do(self._server.close())

    def write_tokens(self, text: str) -> None:
        """Change the file, and do not wait until it is looked at by itself."""
        written(self.tokens.parent, text)

        async def look() -> None:
            assert self._server is not None
            self._server.refresh_tokens()

        self._do(look())


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """The page in a tab of its own that knows nothing yet; nothing odd may stand in its console at the end."""
    complaints: list[str] = []
    context = browser.new_context(ignore_https_errors=True, color_scheme="dark")
    try:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
        )
        page.goto(url)
        yield page
    finally:
        context.close()
    assert [text for text in complaints if not any(allowed in text for allowed in ALLOWED)] == []


@pytest.fixture
def guarded(built_page: None, tmp_path: Path) -> Iterator[GuardedBridge]:  # noqa: ARG001 (a fixture)
    with GuardedBridge(tmp_path) as bridge:
        yield bridge


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def is_open(page: Page, role: str) -> None:
    until(page, "(role) => telemetryPage().connection === 'open' && telemetryPage().role === role", role)


def test_a_viewer_signs_in_watches_and_can_change_nothing(browser: Browser, guarded: GuardedBridge) -> None:
    with opened(browser, guarded.url) as page:
        heading = page.get_by_role("heading", name="This bridge wants to know who you are")
        expect(heading).to_be_visible()
        expect(page.get_by_label("Token")).to_be_focused()
        expect(page).to_have_title("Sign in · Telemetry Bridge")
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / "sign-in.png")

        sign_in(page, "not-a-token-of-this-bridge")
        expect(page.get_by_role("alert").filter(has_text="does not know this token")).to_be_visible()
        sign_in(page, f"  {WATCHER}\n")
        is_open(page, "viewer")
        expect(heading).to_be_hidden()
        expect(page.locator(".role")).to_have_text("Viewer, read only")
        for of in ("the board", "imu"):
            settings = open_settings(page, of)
            for control in settings.get_by_role("button").all():
                expect(control).to_be_disabled()
        page.screenshot(path=ARTIFACTS / "viewer.png")

        assert WATCHER not in page.url
        assert page.evaluate("JSON.stringify(localStorage)").find(WATCHER) < 0
        assert WATCHER in page.evaluate("Object.values(sessionStorage)")
        assert page.evaluate("performance.getEntries().every((entry) => !/token|ticket\\./.test(entry.name))")


def test_an_operator_can_change_things_and_signs_out(browser: Browser, guarded: GuardedBridge) -> None:
    with opened(browser, guarded.url) as page:
        sign_in(page, DRIVER)
        is_open(page, "operator")
        expect(page.locator(".role")).to_have_text("Operator")
        expect(open_settings(page, "the board").get_by_role("button", name="Save settings")).to_be_enabled()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        assert page.evaluate("telemetryPage().connection") == "denied"
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_token_survives_a_reload_and_a_restart_of_the_bridge(browser: Browser, guarded: GuardedBridge) -> None:
    with opened(browser, guarded.url) as page:
        sign_in(page, DRIVER)
        is_open(page, "operator")
        page.reload()
        is_open(page, "operator")
        guarded.stop()
        until(page, "() => telemetryPage().connection === 'waiting'")
        guarded.start()
        is_open(page, "operator")  # with a new ticket: the new bridge knows none of the old one's


def test_who_loses_the_token_is_asked_for_another(browser: Browser, guarded: GuardedBridge) -> None:
    with opened(browser, guarded.url) as page:
        sign_in(page, DRIVER)
        is_open(page, "operator")
        guarded.write_tokens(ENTRIES.replace(DRIVER, "another-token-0123456789"))
        expect(page.get_by_label("Token")).to_be_visible()
        expect(page.locator(".boards")).to_be_hidden()
        sign_in(page, WATCHER)
        is_open(page, "viewer")


def test_a_second_tab_has_to_sign_in_for_itself(browser: Browser, guarded: GuardedBridge) -> None:
    with opened(browser, guarded.url) as page:
        sign_in(page, DRIVER)
        is_open(page, "operator")
        other = page.context.new_page()
        other.goto(guarded.url)
        expect(other.get_by_label("Token")).to_be_visible()
        other.close()


def test_the_page_works_over_tls(browser: Browser, built_page: None, certificate: Path, tmp_path: Path) -> None:  # noqa: ARG001
    files = {"tls_certificate": str(certificate / "cert.pem"), "tls_key": str(certificate / "key.pem")}
    with GuardedBridge(tmp_path, **files) as bridge, opened(browser, bridge.url) as page:
        assert page.url.startswith("https://")
        sign_in(page, DRIVER)
        is_open(page, "operator")


def test_a_page_of_another_site_cannot_read_even_with_the_token(browser: Browser, guarded: GuardedBridge) -> None:
    """The browser that attackers have: another origin on the same machine."""
    with opened(browser, guarded.url) as page:
        sign_in(page, DRIVER)
        is_open(page, "operator")
        evil = page.context.new_page()
        evil.route("http://evil.example/**", lambda route: route.fulfill(body="<title>evil</title>"))
        evil.goto("http://evil.example/")
        attack = """async ([url, token]) => {
          const ticket = await fetch(`${url}ticket`, { headers: { Authorization: `Bearer ${token}` } })
            .then(() => 'read', () => 'refused');
          const plain = await fetch(`${url}healthz`).then(() => 'read', () => 'refused');
          const socket = await new Promise((end) => {
            const ws = new WebSocket(`${url.replace('http', 'ws')}ws`, ['telemetry-bridge.v1']);
            ws.onopen = () => end('open');
            ws.onerror = () => end('refused');
          });
          return [ticket, plain, socket];
        }"""
        assert evil.evaluate(attack, [guarded.url, DRIVER]) == ["refused", "refused", "refused"]
        evil.close()
