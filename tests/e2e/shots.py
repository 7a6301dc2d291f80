"""Pictures of every page on the demo's data, wide and on a phone, light and dark: `make shots` fills shots/.

What axe-core finds serious on any of them is a problem, too.
"""

import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page

from tests.e2e.accessibility import violations
from tests.e2e.browser import NoBrowser, Watched, context_of, launched, sign_in
from tests.e2e.pages import found_from
from tests.e2e.server import ROOT, running

FOLDER = ROOT / "shots"
LOOKS = {
    "1440-light": {"phone": False, "dark": False},
    "1440-dark": {"phone": False, "dark": True},
    "400-light": {"phone": True, "dark": False},
    "400-dark": {"phone": True, "dark": True},
}
# In these, axe-core looks at every page, too.
AUDITED = ("1440-light", "400-dark")
# Taller pages are cut: a list of a hundred rows shows nothing new below.
TALLEST = 3_000


def main() -> int:
    """Take them all; what went wrong on a page is printed, and makes this fail."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    problems: list[str] = []
    try:
        with launched() as browser, running(demo=True) as server:
            state = paths = None
            for look, options in LOOKS.items():
                context = context_of(browser, storage_state=state, base_url=server.url, **options)
                watched = Watched(context, server.url)
                # A dialog that is not for this record answers 403 or 404, and looks like it.
                watched.expected = {403, 404}
                if state is None:
                    watched.page.goto("/admin/login/")
                    save(watched, FOLDER / look / "login.png")
                    sign_in(watched.page, server.url, server.operator, server.password)
                    state = context.storage_state()
                paths = paths or found_from(watched.page)
                for path in paths:
                    watched.page.goto(path)
                    watched.page.wait_for_load_state("networkidle")
                    save(watched, FOLDER / look / f"{name_of(path)}.png")
                    if look in AUDITED:
                        problems += [f"{look}: {path}: {each}" for each in violations(watched.page)]
                look_before_many(watched.page)
                save(watched, FOLDER / look / "servers-server-suspend-many.png")
                problems += [f"{look}: {problem}" for problem in watched.problems]
                context.close()
                print(f"{look}: {len(paths)} pages")
    except NoBrowser as reason:
        print(reason, file=sys.stderr)
        return 2
    for problem in dict.fromkeys(problems):
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def look_before_many(page: Page) -> None:
    """Go to where an act on many records shows what it will do: no address leads there."""
    page.goto("/admin/servers/server/")
    for place in range(3):
        page.locator("input[name=_selected_action]").nth(place).check()
    page.locator("select[name=action]").select_option(label="Suspend")
    page.get_by_role("button", name="Run").click()
    page.wait_for_load_state("networkidle")


def save(watched: Watched, file: Path) -> None:
    """Take the page as if the screen were as tall as it is: bars that stick to the screen's end are at the page's then."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page, size = watched.page, watched.page.viewport_size
    assert size
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(max(height, size["height"]), TALLEST)})
    page.screenshot(path=file, animations="disabled")
    page.set_viewport_size(size)


def name_of(path: str) -> str:
    return re.sub("[^A-Za-z0-9_]+", "-", path.removeprefix("/admin/")).strip("-") or "dashboard"


if __name__ == "__main__":
    sys.exit(main())
