"""A second factor, from setting it up to signing in by a recovery code."""

import base64
import re
import time

from django_otp.oath import TOTP
from playwright.sync_api import expect

from tests.e2e.browser import Watched, context_of, sign_in

WHO = "hugo"


def code_of(secret: str) -> str:
    """Return what an authenticator app would show now."""
    key = base64.b32decode(secret.replace(" ", ""))
    totp = TOTP(key)
    totp.time = time.time()
    return f"{totp.token():06d}"


def wait_for_a_new_code(secret: str, old: str) -> str:
    until = time.monotonic() + 35
    while time.monotonic() < until:
        if (code := code_of(secret)) != old:
            return code
        time.sleep(0.5)
    raise AssertionError("the code did not change")


def test_it_is_set_up_asked_for_and_replaced_by_a_recovery_code(browser, demo, passwords):
    password = passwords(WHO)
    context = context_of(browser, base_url=demo.url)
    watched = Watched(context, demo.url)
    page = watched.page
    sign_in(page, demo.url, WHO, password)

    page.goto("/admin/account/")
    page.get_by_role("link", name="Set it up").click()
    expect(page.get_by_role("img", name=re.compile("QR code"))).to_be_visible()
    secret = page.locator(".panel-secret").inner_text()
    first = code_of(secret)
    page.get_by_role("textbox", name="Code").fill("000000" if first != "000000" else "000001")
    page.get_by_label("Current password").fill(password)
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("The code is not the current one")).to_be_visible()
    time.sleep(1.1)  # A wrong code is followed by a second in which none is looked at.
    first = code_of(secret)
    page.get_by_role("textbox", name="Code").fill(first)
    page.get_by_label("Current password").fill(password)
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    recovery = page.locator("#recovery-codes li").all_inner_texts()
    assert len(recovery) == 10
    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
    context.close()

    # The next day: the password alone shows nothing.
    context = context_of(browser, base_url=demo.url)
    watched_later = Watched(context, demo.url)
    page = watched_later.page
    sign_in(page, demo.url, WHO, password)
    expect(page).to_have_url(f"{demo.url}/admin/login/code/")
    page.goto("/admin/servers/server/")
    expect(page).to_have_url(re.compile("/admin/login/"))
    sign_in(page, demo.url, WHO, password)
    page.get_by_role("textbox", name="Code").fill(wait_for_a_new_code(secret, first))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{demo.url}/admin/")
    context.close()

    # The phone is lost.
    context = context_of(browser, base_url=demo.url)
    watched_lost = Watched(context, demo.url)
    page = watched_lost.page
    sign_in(page, demo.url, WHO, password)
    page.get_by_role("textbox", name="Code").fill(recovery[3].upper())
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{demo.url}/admin/")
    page.goto("/admin/account/")
    expect(page.get_by_text("9 recovery codes left")).to_be_visible()
    context.close()
    assert watched.problems + watched_later.problems + watched_lost.problems == []


def test_guessing_is_locked_out(browser, demo, passwords):
    passwords("bea")
    context = context_of(browser, base_url=demo.url)
    watched = Watched(context, demo.url)
    for _ in range(10):
        sign_in(watched.page, demo.url, "bea", "wrong")
    sign_in(watched.page, demo.url, "bea", passwords("bea"))
    expect(watched.page.get_by_text("Too many wrong passwords or codes")).to_be_visible()
    context.close()
    assert watched.problems == []
