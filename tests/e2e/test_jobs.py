"""The daily jobs of an operator, each from the front page, with the clicks that it may take. Typing is no click.

The jobs that ask for counts are in test_explorer.py.
"""

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from tests.e2e.clicks import Clicks

BLANK = re.compile(r"^\s*$")


def test_a_new_customer_gets_everything_on_one_card(visit):
    page = visit()
    clicks = Clicks(page)
    clicks.on_sidebar("Organizations")
    clicks.on_link("New customer")
    page.get_by_label("Customer").fill("Riverbank Books")
    page.get_by_label("First server").fill("Orders of books")
    clicks.number += 1
    page.locator("select[name=pool]").select_option(label="Shared Europe")
    clicks.on_button("Create and show the keys")
    assert clicks.number == 4
    card = page.get_by_role("region", name=re.compile("To hand over to Riverbank Books"))
    labels = card.locator("p.panel-quiet").all_inner_texts()
    assert labels == [
        "API URL", "API key", "SMTP host", "SMTP port", "SMTP user", "SMTP password", "Server UUID", "Try it",
    ]  # fmt: skip
    values = dict(zip(labels, card.locator(".panel-key code").all_inner_texts(), strict=True))
    assert values["SMTP user"] == "riverbank-books/orders-of-books"
    assert values["API key"] in values["Try it"]
    # The example works as it is.
    answer = page.request.post(f"{values['API URL']}servers/show", headers={"X-Server-API-Key": values["API key"]})
    assert answer.json()["status"] == "success"
    expect(card).to_contain_text("It sends by the pool Shared Europe")
    page.reload()
    expect(page.get_by_text(values["API key"])).to_have_count(0)


def test_who_changed_a_rule_and_revert_it(visit):
    page = visit("/admin/throttling/throttlingtemplate/")
    page.get_by_role("link", name="Large providers", exact=True).click()
    page.wait_for_load_state("networkidle")
    limit = page.locator("[name$=-max_messages_per_hour]").first
    before = limit.input_value()
    domains = page.locator("textarea[name$=-domains]").first.input_value().split()[0]
    limit.fill("17")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("networkidle")
    # What it does is shown first.
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="See the change, or undo it")).to_be_visible()

    page = visit()
    clicks = Clicks(page)
    clicks.on_sidebar("Audit trail")
    # A revision may have been published since.
    row = page.locator("#result_list tr.data-row", has_text="Throttling template changed").first
    expect(row).to_contain_text("operator")
    clicks.on(row.get_by_role("link"))
    changes = page.get_by_role("region", name="Changes")
    expect(changes).to_contain_text(domains)
    expect(changes).to_contain_text(re.compile("messages per hour"))
    expect(changes.locator("ins").first).to_contain_text("17")
    clicks.on_button("Undo this change …")
    expect(page.get_by_role("heading", name=re.compile("Restore Large providers to its values of"))).to_be_visible()
    clicks.on_button("Restore these values")
    assert clicks.number == 4
    expect(page.get_by_text("has been restored to its values of")).to_be_visible()
    expect(page.locator("[name$=-max_messages_per_hour]").first).to_have_value(before)


def test_an_address_is_paused_with_reason_and_end_and_resumed(visit):
    page = visit()
    clicks = Clicks(page)
    clicks.on_sidebar("IP addresses")
    clicks.on_link("203.0.113.43")
    open_dialog(clicks, "Pause delivery")
    page.get_by_label("Reason").fill("Asked by the customer")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    page.locator("[name=until_0]").fill(f"{tomorrow:%Y-%m-%d}")
    page.locator("[name=until_1]").fill("12:00:00")
    clicks.on_button("Pause delivery")
    assert clicks.number == 4
    main = page.locator("#main")
    expect(main).to_contain_text("203.0.113.43 sends no mail until")
    expect(main).to_contain_text("Asked by the customer")
    expect(main).to_contain_text(f"{tomorrow.day} {tomorrow:%b %Y}")
    clicks = Clicks(page)
    open_dialog(clicks, "Resume delivery")
    clicks.on_button("Resume delivery")
    assert clicks.number == 2
    expect(main).to_contain_text("203.0.113.43 may send mail again")


def test_a_leaked_key_is_rotated_at_once_or_with_an_overlap(visit):
    page = visit()
    clicks = Clicks(page)
    clicks.on_sidebar("Credentials")
    clicks.on(page.locator("#result_list tr.data-row").first.get_by_role("link").first)
    open_dialog(clicks, "Rotate the key")
    clicks.on_button("Rotate the key")
    assert clicks.number == 4
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("The old key has stopped.")
    # The key, and Done: nothing else can be done here.
    expect(dialog.get_by_role("button")).to_have_text(["Copy"])
    expect(dialog.get_by_role("link")).to_have_text([re.compile(r"^\s*Done\s*$")])
    first = dialog.locator("code").inner_text()
    dialog.get_by_role("link", name="Done").click()
    page.wait_for_load_state("networkidle")
    open_dialog(Clicks(page), "Rotate the key")
    page.locator("#dialog-form select").select_option(label="in 4 hours")
    page.get_by_role("button", name="Rotate the key", exact=True).last.click()
    expect(page.locator("#dialog")).to_contain_text("The old key stops in 4 hours.")
    assert page.locator("#dialog code").inner_text() != first


def test_which_addresses_are_in_trouble(visit):
    page = visit()
    clicks = Clicks(page)
    clicks.on_sidebar("IP addresses")
    clicks.on_link("Accepted (7 days)")
    assert clicks.number == 2
    first = page.locator("#result_list tr.data-row").first
    expect(first).to_contain_text("198.51.100.23")
    expect(first.locator(".field-dns_identity")).to_contain_text(re.compile("wrong", re.IGNORECASE))
    for title in ("State", "DNS identity", "Back-off", "Sent today", "Sent in 7 days", "Sent this month"):
        clicks = Clicks(page)
        clicks.on_link(title)
        # The last one decides; those before it order what is equal.
        assert title in [each.strip() for each in page.locator("#result_list th.sorted .text").all_inner_texts()]
    shown = page.locator("#result_list .field-sent_this_month").all_inner_texts()
    numbers = [int(each.replace(",", "")) for each in shown]
    assert numbers == sorted(numbers, reverse=True)


def test_a_filter_is_saved_and_found_again(visit):
    page = visit("/admin/ippools/ipaddress/?identity=failing")
    page.get_by_text("Save this filter").click()
    page.get_by_label("Name of the filter").fill("Names to mend")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("“Names to mend” is saved")).to_be_visible()
    page = visit()
    clicks = Clicks(page)
    clicks.on_sidebar("IP addresses")
    clicks.on_link("Names to mend")
    assert clicks.number == 2
    expect(page.locator("#result_list tr.data-row")).to_have_count(1)
    page.get_by_role("button", name="Delete the saved filter Names to mend").click()
    expect(page.get_by_role("link", name="Names to mend")).to_have_count(0)


def test_on_a_phone_lists_are_cards_and_the_bar_has_menu_and_search(visit):
    page = visit("/admin/ippools/ipaddress/?q=198.51.100.23", phone=True)
    card = page.locator("#result_list tr.data-row").first
    for column in ("state", "accepted", "dns_identity", "sent_today"):
        cell = card.locator(f".field-{column}")
        expect(cell).to_be_in_viewport()
        assert not BLANK.match(cell.get_attribute("data-label") or "")
    expect(page.get_by_role("button", name="Menu")).to_be_visible()
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_role("searchbox").fill("northwind/newsletter-europe")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("link", name="Newsletter Europe")).to_be_visible()


def open_dialog(clicks: Clicks, title: str) -> None:
    """Open the dialog of an action of a record's page."""
    page: Page = clicks.page
    clicks.on(page.get_by_text(re.compile(rf"{title}\s*$")).first)
    # A dialog that asks nothing hides the part for fields.
    expect(page.locator("#dialog")).to_be_visible()
