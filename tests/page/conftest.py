"""The page, freshly built, in headless Chromium, against a bridge that says what the test tells it to."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from page.fake_bridge import FakeBridge
from page.waiting import TIMEOUT_MS, until

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# the browser itself writes this line for each attempt to reach a bridge that is not there
ALLOWED = "net::ERR_CONNECTION_REFUSED"

expect.set_options(timeout=TIMEOUT_MS)  # its own five seconds are few on a busy machine

OpenPage: TypeAlias = Callable[..., Page]


@pytest.fixture(scope="session")
def built_page() -> None:
    """Build the page if its sources have changed, so that no test judges an old one."""
    environment = {name: value for name, value in os.environ.items() if name != "TELEMETRY_BRIDGE_SKIP_PAGE"}
    script = str(ROOT / "bridge" / "hatch_build.py")
    ARTIFACTS.mkdir(exist_ok=True)
    with (ARTIFACTS / ".page-build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        pytest.fail(done.stderr, pytrace=False)


@pytest.fixture(scope="module")  # no longer: while playwright runs, nobody else can use asyncio in this process
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.fail("Chromium is not installed: sudo apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, headless=True, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def bridge(built_page: None) -> Iterator[FakeBridge]:  # noqa: ARG001 (a fixture)
    """A bridge without boards."""
    with FakeBridge() as fake:
        yield fake


@contextmanager
def watched_page(
    browser: Browser, url: str, width: int = 1440, height: int = 900, scheme: str = "dark"
) -> Iterator[Page]:
    """Opens the page and waits for its connection; at the end nothing may have been complained about in its console."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and ALLOWED not in message.text:
            complaints.append(message.text)

    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # a violated policy is an event on the document as well as a line in the console
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective))"
        )
        page.goto(url)
        until(page, "() => telemetryPage().connection === 'open'")
        yield page
    finally:
        page.close()
    assert complaints == []


@pytest.fixture
def open_page(browser: Browser, bridge: FakeBridge) -> Iterator[OpenPage]:
    """Opens the fake bridge's page, watched, in the size and colour scheme asked for."""
    with ExitStack() as pages:
        yield lambda *arguments: pages.enter_context(watched_page(browser, bridge.url, *arguments))
