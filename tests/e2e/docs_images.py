"""The pictures of the README: `make docs-images` takes them on the demo's data into docs/images/."""

import os
import re
import subprocess
import sys

from playwright.sync_api import Browser, Page

from tests.e2e.browser import NoBrowser, context_of, launched, sign_in
from tests.e2e.server import ROOT, Server, running

FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 200_000


def main() -> int:
    """Take them all; a picture that is too large for a repository makes this fail."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    # A change waits until it is published, so that there is something to preview.
    os.environ["SLUICE_PUBLISH"] = "manual"
    try:
        with launched() as browser, running(demo=True) as server:
            take(browser, server)
    except NoBrowser as reason:
        print(reason, file=sys.stderr)
        return 2
    large = [file.name for file in FOLDER.glob("*.png") if file.stat().st_size > MOST_BYTES]
    if large:
        print(f"Larger than {MOST_BYTES:,} bytes: {', '.join(large)}", file=sys.stderr)
    return 1 if large else 0


def take(browser: Browser, server: Server) -> None:
    state = None
    for dark, phone in ((False, False), (True, False), (True, True)):
        context = context_of(browser, phone=phone, dark=dark, base_url=server.url, storage_state=state)
        page = context.new_page()
        if state is None:
            sign_in(page, server.url, server.operator, server.password)
            state = context.storage_state()
        if phone:
            picture(page, "phone", "/admin/", height=860)
            picture(page, "phone-list", "/admin/ippools/ipaddress/?o=4", height=860)
        elif dark:
            picture(page, "dashboard-dark", "/admin/", height=840)
        else:
            picture(page, "dashboard", "/admin/", height=840)
            picture(page, "server", "/admin/servers/server/?q=Newsletter+Europe", "Newsletter Europe", height=860)
            picture(page, "explorer", "/admin/explorer/?period=7d&group=provider&compare=on", height=1150)
            picture(page, "pool", "/admin/ippools/ippool/?q=Campaigns", "Campaigns", height=760)
            address(page)
            closed_loop(page)
            picture(page, "addresses", "/admin/ippools/ipaddress/?o=4", height=720)
            picture(page, "domain", "/admin/servers/domain/?q=mail.brightmail", "mail.brightmail.example", height=800)
            picture(page, "usage", "/admin/usage/?by=server", height=700)
            addition(page)
            change(page)
            limits(page, server)
        context.close()


def picture(page: Page, name: str, path: str, link: str = "", *, height: int) -> None:
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": size["width"], "height": height})
    page.goto(path)
    if link:
        page.get_by_role("link", name=link, exact=True).first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


def address(page: Page) -> None:
    """The address in trouble, with the limit that applies to the provider that pushes it back."""
    picture(page, "address", "/admin/ippools/ipaddress/?q=198.51.100.23", "198.51.100.23", height=980)
    page.get_by_role("textbox", name="Recipient domain").fill("gmail.com")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("How it was found").wait_for()
    page.screenshot(path=FOLDER / "address.png", animations="disabled")


def limits(page: Page, server: Server) -> None:
    """What a lower limit would have delayed: before it is saved, and before it is published. Made by `make demo-mta`."""
    command = [sys.executable, "-m", "tests.mta.demo", "--url", server.url, "--prepare"]
    subprocess.run(command, cwd=ROOT, env=server.environment, check=True)
    server.manage("roll_up_stats")
    page.goto("/admin/throttling/throttlingtemplate/?q=Lighthouse")
    page.get_by_role("link", name="Lighthouse", exact=True).first.click()
    page.locator("input[value='7200']").fill("360")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Not saved yet").wait_for()
    page.screenshot(path=FOLDER / "limit.png", animations="disabled")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("networkidle")
    page.goto("/admin/nodes/revision/publish/")
    page.get_by_role("button", name="Replay the mail of the last seven days").click()
    page.get_by_text("would have delayed").wait_for(timeout=60_000)
    page.set_viewport_size({"width": 1440, "height": 620})
    page.screenshot(path=FOLDER / "publish.png", animations="disabled")


def addition(page: Page) -> None:
    """What adding addresses would do, which is not done."""
    picture(page, "addition", "/admin/ippools/ippool/?q=Campaigns", "Campaigns", height=1250)
    page.get_by_role("link", name=re.compile("Add addresses")).click()
    page.locator("textarea").fill("203.0.113.12-13, 198.51.100.23")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("status").wait_for()
    page.screenshot(path=FOLDER / "addition.png", animations="disabled")


def change(page: Page) -> None:
    """A changed rule in the audit trail, which is put back."""
    picture(page, "change", "/admin/throttling/throttlingtemplate/", "Large providers", height=640)
    page.locator("[name$=-max_messages_per_hour]").first.fill("6000")
    for _ in range(2):
        # The first shows what it does.
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="See the change, or undo it").click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / "change.png", animations="disabled")
    page.get_by_role("button", name="Undo this change …").click()
    page.get_by_role("button", name="Restore these values").click()
    page.wait_for_load_state("networkidle")


def closed_loop(page: Page) -> None:
    """One address in back-off, one that is warmed up, one that is drained: each with its reason."""
    addresses = (("back-off", "203.0.113.10", 560), ("drained", "198.51.100.23", 560), ("warm-up", "192.0.2.43", 960))
    for name, ipv4, height in addresses:
        picture(page, name, f"/admin/ippools/ipaddress/?q={ipv4}", ipv4, height=height)


if __name__ == "__main__":
    sys.exit(main())
