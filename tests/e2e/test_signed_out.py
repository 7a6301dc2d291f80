"""Whose session ends while a form is filled in loses nothing that was typed."""

from playwright.sync_api import expect

from tests.e2e.browser import sign_in

ADD = "/admin/stats/ingesttoken/add/"


def save(page):
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("networkidle")


def test_a_form_that_was_sent_too_late_is_sent_again_by_the_way_back(visit, demo):
    page = visit(ADD)
    page.get_by_label("Name").fill("Typed for long")
    page.context.clear_cookies(name="sluice_session")
    save(page)
    expect(page.locator("body")).to_contain_text("so what you sent was not saved")
    page.get_by_label("Username").fill(demo.operator)
    page.get_by_label("Password").fill(demo.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{ADD}")
    while page.get_by_label("Name").count() == 0 or page.get_by_label("Name").input_value() == "":
        assert page.go_back() is not None
        page.wait_for_load_state("networkidle")
    save(page)
    expect(page.locator("#main")).to_contain_text("Typed for long")
    expect(page.locator("#main")).to_contain_text("Copy it now")


def test_a_form_goes_on_after_signing_in_again_in_another_tab(visit, demo):
    page = visit(ADD)
    page.get_by_label("Name").fill("Beside another tab")
    page.context.clear_cookies(name="sluice_session")
    tab = page.context.new_page()
    sign_in(tab, demo.url, demo.operator, demo.password)
    save(page)
    expect(page.locator("#main")).to_contain_text("Beside another tab")
    expect(page.locator("#main")).to_contain_text("Copy it now")
