"""Chromium for the tests of pages, and what one does with GraphiQL in it.

Every address but loopback is unreachable. Screenshots go to ``GATEWAY_TEST_ARTEFACTS`` if that is
set. Without Chromium (`make chromium`) or a built page the tests are skipped, but not in CI.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from gateway.playground import build as building

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

RUN = ".graphiql-execute-button"

# The machine that runs this may be small and busy.
TIMEOUT = 20_000
expect.set_options(timeout=TIMEOUT)

FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium, with a profile of its own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    for missing in [
        *(["Chromium is not installed: make chromium"] if program is None else []),
        *([] if building.is_current() else ["the page is not built: make playground"]),
    ]:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@contextmanager
def profile(browser: Browser, *, width: int = 1360, height: int = 820) -> Iterator[BrowserContext]:
    """Make a fresh profile that prefers light colours."""
    fresh = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light",
        permissions=["clipboard-read", "clipboard-write"],
    )
    yield fresh
    fresh.close()


def artefacts(folder: Path) -> Path:
    """Say where screenshots go: into the folder, unless another is wished for."""
    folder = Path(os.environ.get("GATEWAY_TEST_ARTEFACTS") or folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Visit:
    """A page that is open at ``/graphql``, and everything about it that should not have been."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        """Open a page in a fresh profile."""
        self.url = url.rstrip("/") + "/graphql"
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        # Of the context, so that workers' requests count.
        context.on("request", lambda request: self._on_request(request.url))
        context.on("requestfailed", lambda request: self._on_loss(request.url, request.failure))

    def _on_console(self, message: ConsoleMessage) -> None:
        # Violations of the Content-Security-Policy are errors here too.
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_request(self, url: str) -> None:
        inner = url.startswith(("data:", "blob:"))
        if not inner and not url.startswith(self.url):
            self.complaints.append(f"request: {url}")

    def _on_loss(self, url: str, failure: str | None) -> None:
        # A reload breaks off what was still loading.
        if failure != "net::ERR_ABORTED":
            self.complaints.append(f"lost: {url} ({failure})")

    def load(self, fragment: str = "") -> None:
        """Load the page and wait until its editor is there."""
        self.page.goto(self.url + fragment)
        self.page.wait_for_selector(".graphiql-query-editor .view-line")

    def open(self, fragment: str = "") -> None:
        """Load the page and wait until its editor and its schema are there."""
        with self.page.expect_response(self._is_introspection):
            self.load(fragment)

    def reload(self) -> None:
        """Load the page again, with what the browser kept."""
        with self.page.expect_response(self._is_introspection):
            self.page.reload()
        self.page.wait_for_selector(".graphiql-query-editor .view-line")

    @staticmethod
    def _is_introspection(response: Response) -> bool:
        return "__schema" in (response.request.post_data or "")

    def text(self, pane: str) -> str:
        """Read a pane, named as GraphiQL does: ``operation.graphql``, ``response.json``."""
        found = self.page.evaluate(
            "name => __MONACO.editor.getModels().find(m => m.uri.path.endsWith(name)).getValue()",
            pane,
        )
        return str(found)

    def write(self, pane: str, text: str) -> None:
        """Replace what a pane says."""
        self.page.evaluate(
            "([name, text]) => __MONACO.editor.getModels()"
            ".find(m => m.uri.path.endsWith(name)).setValue(text)",
            [pane, text],
        )

    def run(self) -> dict[str, Any]:
        """Press the button; return the answer as the page shows it."""
        self.write("response.json", "")
        self.page.click(RUN)
        self.page.wait_for_function(
            "() => __MONACO.editor.getModels()"
            ".find(m => m.uri.path.endsWith('response.json')).getValue().endsWith('}')"
        )
        answer = json.loads(self.text("response.json"))
        assert "errors" not in answer, answer
        return dict(answer["data"])

    def headers_of_a_run(self) -> dict[str, str]:
        """Press the button, once nothing runs; return the headers that the browser sent."""
        expect(self.page.locator(RUN)).to_have_attribute("aria-label", re.compile("^Execute"))
        with self.page.expect_request(lambda request: request.method == "POST") as sent:
            self.page.click(RUN)
        return dict(sent.value.headers)

    def tabs(self) -> list[str]:
        """List the tabs' titles."""
        return self.page.locator("[role=tab]").all_inner_texts()

    def open_tab(self, title: str) -> None:
        """Go to a tab."""
        self.page.locator("[role=tab]").get_by_text(title, exact=True).click()

    def stored(self) -> str:
        """Everything that the browser keeps for this page."""
        return str(self.page.evaluate("JSON.stringify([localStorage, sessionStorage])"))
