"""Acts on many records at once: what will be done is shown before it is done."""

import re

from playwright.sync_api import expect


def open_pool(page, name):
    page.goto("/admin/ippools/ippool/")
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_load_state("networkidle")


def expect_addresses(page, number):
    expect(page.get_by_role("checkbox", name=re.compile("^Choose "))).to_have_count(number)


def test_addresses_leave_a_pool_after_a_look_at_which(visit):
    page = visit()
    open_pool(page, "Shared America")
    expect_addresses(page, 6)
    for ipv4 in ("192.0.2.44", "192.0.2.45"):
        page.get_by_role("checkbox", name=f"Choose {ipv4}").check()
    page.get_by_role("button", name="Remove the chosen from the pool").click()
    # The look: nothing has happened yet.
    expect(page.get_by_role("heading", name="Take 2 addresses out of Shared America")).to_be_visible()
    expect(page.locator("#main")).to_contain_text("192.0.2.44")
    page.get_by_role("link", name="Cancel").click()
    expect_addresses(page, 6)

    for ipv4 in ("192.0.2.44", "192.0.2.45"):
        page.get_by_role("checkbox", name=f"Choose {ipv4}").check()
    page.get_by_role("button", name="Remove the chosen from the pool").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("2 addresses taken out of Shared America")).to_be_visible()
    expect_addresses(page, 4)


def test_pasted_addresses_are_sorted_out_before_they_are_added(visit):
    page = visit()
    open_pool(page, "Campaigns")
    page.get_by_role("link", name=re.compile("Add addresses")).click()
    page.locator("textarea").fill("203.0.113.160/30, 203.0.113.10\n300.1.2.3")
    page.get_by_role("button", name="Preview").click()
    preview = page.get_by_role("status")
    expect(preview).to_contain_text("300.1.2.3")
    expect(preview).to_contain_text("Already in the pool")
    page.get_by_role("link", name="Cancel").click()
    expect_addresses(page, 2)


def test_several_addresses_are_paused_after_a_look_and_resumed(visit):
    page = visit()
    run(page, "Pause delivery")
    expect(page.get_by_role("heading", name="Pause delivery: 3 IP addresses")).to_be_visible()
    page.get_by_label("Reason").fill("Listed by a blocklist")
    page.get_by_role("button", name="Pause delivery (3)").click()
    expect(page.locator("#main")).to_contain_text(re.compile("3 .*paused"))
    page.goto("/admin/")
    expect(page.get_by_role("region", name=re.compile("Needs attention"))).to_contain_text("192.0.2.40 is paused")
    run(page, "Resume delivery")
    page.get_by_role("button", name="Resume delivery (3)").click()
    expect(page.locator("#main")).to_contain_text(re.compile("3 .*resumed"))


def run(page, act):
    """Choose three addresses and an act in the list, and look at what it would do."""
    page.goto("/admin/ippools/ipaddress/?q=192.0.2.4")
    page.wait_for_load_state("networkidle")
    for place in range(3):
        page.locator("input[name=_selected_action]").nth(place).check()
    page.locator("select[name=action]").select_option(label=act)
    page.get_by_role("button", name="Run").click()
