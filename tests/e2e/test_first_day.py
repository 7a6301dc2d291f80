"""The first day: from an empty panel to a number on the front page, without a line of documentation."""

import json
import re
import urllib.request
from datetime import UTC, datetime

from playwright.sync_api import expect

from tests.e2e.browser import Watched, context_of, sign_in
from tests.e2e.server import running

EVENTS = (("gmail.com", "sent", 7), ("outlook.com", "deferred", 2), ("yahoo.com", "bounced", 1))


def choose(page, field, text):
    """Choose from a list that is searched as one types."""
    page.locator(f".field-{field} .select2-selection").click()
    page.locator(".select2-search__field").last.fill(text)
    page.locator(".select2-results__option", has_text=text).first.click()


def report(url, key):
    """Send what a mail server would, and return the answer."""
    now = datetime.now(UTC).isoformat()
    events = [
        {
            "id": f"{domain}-{number}",
            "type": kind,
            "at": now,
            "ip": "192.0.2.20",
            "to": f"a@{domain}",
            "from": "b@first.example",
        }
        for domain, kind, total in EVENTS
        for number in range(total)
    ]
    request = urllib.request.Request(
        f"{url}/api/v1/events",
        data=json.dumps(events).encode(),
        headers={"X-Server-API-Key": key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_newcomer_gets_from_signing_in_to_the_first_number(browser):
    with running(demo=False) as server:
        context = context_of(browser, base_url=server.url)
        watched = Watched(context, server.url)
        page = watched.page
        sign_in(page, server.url, server.operator, server.password)

        # Nothing is there, and the page says what to do first.
        expect(page.get_by_role("heading", name="First steps")).to_be_visible()
        page.get_by_role("link", name="Add an organization").click()
        page.get_by_label("Name").fill("First Post")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("First Post").first).to_be_visible()

        page.goto("/admin/")
        page.get_by_role("link", name="Add a pool").click()
        choose(page, "organization", "First Post")
        page.get_by_label("Name").fill("Everything")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name=re.compile("Add addresses")).click()
        page.locator("textarea").fill("192.0.2.16/29\n192.0.2.99\nnonsense")
        page.get_by_role("button", name="Preview").click()
        preview = page.get_by_role("status")
        expect(preview).to_contain_text("nonsense")
        expect(preview.locator("div", has_text="New addresses").locator("dd")).to_have_text("7")
        page.get_by_role("button", name="Add 7 addresses").click()
        expect(page.get_by_text("7 addresses added")).to_be_visible()

        page.goto("/admin/")
        page.get_by_role("link", name="Add a server").click()
        page.get_by_label("Name").fill("Mailer")
        choose(page, "organization", "First Post")
        choose(page, "ip_pool", "Everything")
        page.get_by_role("button", name="Save", exact=True).click()

        page.goto("/admin/servers/server/")
        page.get_by_role("link", name="Mailer").click()
        page.get_by_role("link", name="Reveal").first.click()
        page.get_by_role("button", name="Reveal the key").click()
        shown = page.locator("code").filter(has_text=re.compile(r"^\S{24,}$")).first
        expect(shown).to_be_visible()
        key = shown.inner_text()

        answer = report(server.url, key)
        assert answer["data"] == {
            "accepted": 10,
            "duplicates": 0,
            "ignored": 0,
            "conflicts": [],
            "warnings": [],
            "refused": [],
        }

        # Counted within seconds by the worker; nobody asks for it.
        tile = page.locator("[data-number=sent]")
        for _ in range(30):
            page.goto("/admin/")
            if tile.count():
                break
            page.wait_for_timeout(1_000)
        expect(tile).to_have_text("7")
        expect(page.get_by_role("heading", name="First steps")).to_have_count(0)
        expect(page.get_by_role("img", name="The last 30 days: 7 sent, 2 deferred, 1 bounced")).to_be_visible()
        expect(page.get_by_role("link", name=re.compile("^Mailer First Post"))).to_contain_text("7")
        context.close()
        assert watched.problems == []
