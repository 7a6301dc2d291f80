"""The browser: where it is, how it is started, and a page that notices what must not happen on any page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NONE_FOUND = (
    "No browser was found, so nothing was tested. Install Chromium (`apt install chromium`, or `.venv/bin/playwright install"
    " chromium`), or say where one is: SLUICE_BROWSER=/path/to/chromium make e2e"
)
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 400, "height": 860}


class NoBrowser(Exception):
    """There is no browser on this machine."""


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium; raises NoBrowser, whose message says what to do."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_executable(playwright), args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


def _executable(playwright: Playwright) -> str:
    named = os.environ.get("SLUICE_BROWSER")
    found = named or next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
    if not found or not Path(found).exists():
        raise NoBrowser(NONE_FOUND)
    return found


class Watched:
    """A page on which nothing may crash, be refused by the security policy, or be loaded from elsewhere."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.page: Page = context.new_page()
        # Generous: a machine that is busy with other things is not a failure.
        self.page.set_default_timeout(60_000)
        self.problems: list[str] = []
        # Statuses from 400 that a test expects.
        self.expected: set[int] = set()
        self._host = urlsplit(base_url).netloc
        self.page.on("pageerror", lambda error: self.problems.append(f"script on {self.page.url}: {error}"))
        self.page.on("console", self._on_console)
        self.page.on("request", self._on_request)
        self.page.on("response", lambda answer: self._on_status(answer.status, answer.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        # That something could not be loaded is told by its status, with its address.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(f"console on {self.page.url}: {message.text[:300]}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https") and address.netloc != self._host:
            self.problems.append(f"loaded from outside: {request.url}")

    def _on_status(self, status: int, url: str) -> None:
        if status >= 400 and status not in self.expected:
            self.problems.append(f"{status}: {url}")


def context_of(browser: Browser, *, phone: bool = False, dark: bool = False, **more: Any) -> BrowserContext:
    """Return a fresh session of a person: nobody is signed in."""
    return browser.new_context(
        viewport=PHONE if phone else WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        has_touch=phone,
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
        **more,
    )


def sign_in(page: Page, url: str, username: str, password: str) -> None:
    """Fill in the first page; what comes next is the caller's to look at."""
    page.goto(f"{url}/admin/login/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
