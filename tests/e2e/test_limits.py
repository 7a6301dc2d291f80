"""“Which limit applies?”: typed on an address's page, answered with the winning rule and how it was found."""

import re

from playwright.sync_api import expect


def open_address(page, ipv4):
    page.goto("/admin/ippools/ipaddress/")
    page.get_by_role("link", name=ipv4).first.click()
    page.wait_for_load_state("networkidle")


def ask(page, domain):
    page.get_by_role("textbox", name="Recipient domain").fill(domain)
    page.get_by_role("button", name="Show").click()
    return page.locator("#limits-answer")


def test_the_templates_rule_wins_and_the_trace_says_why(visit):
    page = visit()
    open_address(page, "198.51.100.23")
    answer = ask(page, "gmail.com")
    expect(answer).to_contain_text("Messages per hour to gmail.com")
    expect(answer).to_contain_text("12,000")
    expect(answer).to_contain_text("by the template's rule for gmail.com")
    winner = answer.locator("tr.panel-winner")
    expect(winner).to_have_count(1)
    expect(winner).to_contain_text("gmail.com")
    assert answer.get_by_role("row").count() >= 3


def test_a_domain_without_a_rule_has_the_default(visit):
    page = visit()
    open_address(page, "198.51.100.23")
    answer = ask(page, "somebody@unheard-of.example")
    expect(answer).to_contain_text("Messages per hour to unheard-of.example")
    expect(answer).to_contain_text("3,000")
    expect(answer).to_contain_text("default")


def test_what_is_no_domain_gets_a_sentence(visit):
    page = visit()
    open_address(page, "198.51.100.23")
    expect(ask(page, "not a domain")).to_contain_text(re.compile("is not a domain name"))
