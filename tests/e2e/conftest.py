"""A browser and two servers for the whole run: one as it is on the first day, one with demo data."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.browser import NoBrowser, Watched, context_of, launched, sign_in
from tests.e2e.server import Server, running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        with launched() as browser:
            yield browser
    except NoBrowser as reason:
        # Not a skip: who asked for these tests must not take nothing for success.
        pytest.exit(str(reason), returncode=2)


@pytest.fixture(scope="session")
def demo(browser: Browser) -> Iterator[Server]:
    with running(demo=True) as server:
        yield server


@pytest.fixture(scope="session")
def passwords(demo: Server) -> Callable[[str], str]:
    """Return somebody's password on the demo's server; it is set when it is first asked for."""
    known = {demo.operator: demo.password}

    def password(username: str) -> str:
        if username not in known:
            known[username] = demo.password_of(username)
        return known[username]

    return password


@pytest.fixture(scope="session")
def sessions() -> dict[str, Any]:
    """The cookies of people who have signed in once: a password takes a tenth of a second, and they are many tests."""
    return {}


@pytest.fixture
def visit(
    browser: Browser, demo: Server, passwords: Callable[[str], str], sessions: dict[str, Any]
) -> Iterator[Callable[..., Page]]:
    """Return what opens a page of the demo's server as somebody; at the end nothing may have gone wrong on any of them."""
    opened: list[tuple[BrowserContext, Watched]] = []

    def visit(path: str = "/admin/", *, who: str = "", expected: tuple[int, ...] = (), **look: bool) -> Page:
        username = who or demo.operator
        context = context_of(browser, storage_state=sessions.get(username), base_url=demo.url, **look)
        watched = Watched(context, demo.url)
        watched.expected = set(expected)
        opened.append((context, watched))
        if username not in sessions:
            sign_in(watched.page, demo.url, username, passwords(username))
            assert watched.page.url.endswith("/admin/"), watched.page.url
            sessions[username] = context.storage_state()
        watched.page.goto(f"{demo.url}{path}")
        watched.page.wait_for_load_state("networkidle")
        return watched.page

    yield visit
    problems = [problem for _, watched in opened for problem in watched.problems]
    for context, _ in opened:
        context.close()
    assert problems == []


@pytest.fixture(autouse=True)
def closed_sockets() -> None:
    """Leave sockets open, unlike in all other tests: these speak to the server that they start."""
