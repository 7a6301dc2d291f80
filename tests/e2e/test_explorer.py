"""Jobs that begin with a question about the counts, with the clicks that they may take."""

import csv
import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Locator, expect

from tests.e2e.accessibility import violations
from tests.e2e.clicks import Clicks


def number(where: Locator) -> int:
    """Return the number that a cell or tile begins with."""
    return int(re.split(r"\s", where.inner_text().strip())[0].replace(",", ""))


def test_what_happened_to_mail_to_yahoo_yesterday_from_10_to_12(visit):
    page = visit()
    clicks = Clicks(page)
    clicks.on(page.get_by_role("link", name="Explorer"))
    clicks.choose("Recipients’ provider", "Yahoo")
    clicks.on(page.get_by_role("button", name="Yesterday"))
    assert clicks.number == 3
    table = page.get_by_role("region", name="By hour")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for hour in (10, 11):
        row = table.get_by_role("row", name=re.compile(f"{yesterday:%-d %b}, {hour}:00"))
        expect(row).to_contain_text(re.compile(r"\d+ ?\d\d\.\d %"))
    # And just these two hours, with one sum, by typing: the address says all of it.
    page.get_by_label("From", exact=True).fill(f"{yesterday:%Y-%m-%d}T10:00")
    page.get_by_label("To", exact=True).fill(f"{yesterday:%Y-%m-%d}T12:00")
    page.get_by_label("To", exact=True).press("Enter")
    page.wait_for_url(re.compile("T10"))
    shown = page.locator("[data-kind=sent] dd").inner_text()
    assert re.match(r"[\d,]+\s9\d\.\d %", shown), shown
    again = visit(f"/{page.url.split('/', 3)[3]}")
    assert again.locator("[data-kind=sent] dd").inner_text() == shown


def test_a_servers_bounces_by_reason(visit):
    page = visit("/admin/servers/server/?q=Newsletter+Europe")
    page.get_by_role("link", name="Newsletter Europe").first.click()
    clicks = Clicks(page)
    clicks.on(page.get_by_role("link", name="Bounces by reason"))
    assert clicks.number == 1
    expect(page.get_by_label("Group by")).to_have_value("reason")
    table = page.get_by_role("region", name="By class of the reply")
    expect(page.locator(".panel-notice")).to_have_count(0)
    # The demo's receivers refuse for these reasons; each row is a share of all bounces, and leads to its own days.
    heads = table.get_by_role("columnheader").all_inner_texts()
    assert [head.removesuffix(" ↓") for head in heads] == [
        "Class of the reply",
        "Deferred",
        "Bounced",
        "Late bounces",
        "Held",
    ]
    rows = {row.get_by_role("rowheader").inner_text(): row for row in table.get_by_role("row").all()[1:]}
    bounces = {name: number(row.locator("[data-label=Bounced]")) for name, row in rows.items()}
    total = bounces.pop("All")
    assert bounces["no such mailbox"] > bounces["mailbox full"] > 0
    assert sum(bounces.values()) == total == number(page.locator("[data-kind=bounced] dd"))
    rows["no such mailbox"].get_by_role("link").click()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_label("Class of the reply")).to_have_value(re.compile(r"\d"))
    assert number(page.locator("[data-kind=bounced] dd")) == bounces["no such mailbox"]
    # What was accepted has no reply, so there is no share of it.
    expect(page.get_by_role("list", name="Totals").first).not_to_contain_text("Accepted")


def test_who_sent_most_last_month_as_a_file(visit):
    page = visit()
    clicks = Clicks(page)
    clicks.on(page.get_by_role("link", name="Usage"))
    last = datetime.now(UTC).replace(day=1) - timedelta(days=1)
    with page.expect_download() as download:
        clicks.on(page.get_by_role("link", name=f"Export {last:%B %Y}"))
    assert clicks.number == 2
    assert download.value.suggested_filename == f"usage-{last:%Y-%m}.csv"
    with download.value.path().open() as file:
        rows = list(csv.DictReader(file))
    sent = [int(row["sent"]) for row in rows]
    assert len(rows) > 2
    assert sent == sorted(sent, reverse=True)


def test_every_chart_leads_into_the_explorer_and_it_is_drawn(visit):
    page = visit()
    assert page.get_by_role("link", name=re.compile("^Explore: ")).count() == 2
    page.get_by_role("link", name="Explore: The last 30 days").click()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("img", name=re.compile("^Messages: "))).to_be_visible()
    canvas = page.locator("canvas.chart").first
    ink = "each => each.getContext('2d').getImageData(0, 0, each.width, each.height).data.filter(Boolean).length"
    assert canvas.evaluate(ink) > 5_000
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    footer = canvas.evaluate("each => Chart.getChart(each).tooltip.footer.join(' ')")
    assert re.match(r"[\d,]+ attempts, \d+\.\d % accepted", footer), footer


def test_it_is_read_by_everybody_and_fits_on_a_phone(visit):
    for look in ({}, {"dark": True}, {"phone": True}):
        page = visit("/admin/explorer/?period=7d&group=server", **look)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
