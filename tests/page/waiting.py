"""Waiting for the page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

TIMEOUT_MS = 30_000


def until(page: Page, condition: str, arg: Any = None) -> None:
    """Wait until a JavaScript function is true, looking every 20 ms.

    Playwright's own ``wait_for_function`` evaluates strings in the page, which the page's policy forbids.

    Args:
        condition: a function of ``arg``, as JavaScript.
    """
    page.evaluate(
        f"""async (arg) => {{
          const condition = {condition};
          const end = performance.now() + {TIMEOUT_MS};
          while (!condition(arg)) {{
            if (performance.now() > end) {{
              throw new Error('not within {TIMEOUT_MS} ms; the page: ' + JSON.stringify(telemetryPage()));
            }}
            await new Promise((resume) => setTimeout(resume, 20)); // no frames come to a page that is not drawn
          }}
        }}""",
        arg,
    )
