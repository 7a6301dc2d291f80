"""axe-core finds nothing serious on the pages that one works with, light and dark."""

import pytest

from tests.e2e.accessibility import violations
from tests.e2e.browser import context_of

LISTS = (
    "servers/organization", "servers/server", "servers/domain", "ippools/ippool", "ippools/ipaddress",
    "throttling/throttlingtemplate", "throttling/throttleprogram", "core/auditentry",
    "servers/webhook",
    "ippools/addresscap", "ippools/warmup", "throttling/warmupplan", "nodes/node", "nodes/revision",
)  # fmt: skip
RECORDS = (
    "servers/organization", "servers/server", "ippools/ippool", "ippools/ipaddress", "throttling/throttlingtemplate",
    "throttling/throttleprogram", "servers/webhook", "servers/domain", "stats/provider",
    "ippools/addresscap", "ippools/warmup", "throttling/warmupplan", "nodes/node", "nodes/revision",
)  # fmt: skip
OTHERS = (
    "/admin/",
    "/admin/account/",
    "/admin/account/second-factor/",
    "/admin/password_change/",
    "/admin/help/",
    "/admin/usage/",
    "/api/docs/",
)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_serious(visit, dark):
    page = visit(dark=dark)
    found = {}
    for path in (*OTHERS, *(f"/admin/{each}/" for each in LISTS)):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        found[path] = violations(page)
    page.goto("/admin/ippools/ipaddress/")
    page.locator("input[name=_selected_action]").first.check()
    page.get_by_label("Select action to run").wait_for()
    found["a chosen row"] = violations(page)
    for each in RECORDS:
        page.goto(f"/admin/{each}/")
        page.locator(f"a[href*='/{each}/'][href*='/change/']").first.click()
        page.wait_for_load_state("networkidle")
        found[f"a {each}"] = violations(page)
    for each in ("servers/organization", "ippools/ippool", "core/user"):
        page.goto(f"/admin/{each}/")
        page.locator(f"a[href*='/{each}/'][href*='/change/']").first.click()
        record = page.url
        # Refused with its reasons; an account is not deleted, and its page has the choice of permissions.
        for way in ("history",) if each == "core/user" else ("history", "delete"):
            page.goto(record.replace("/change/", f"/{way}/"))
            found[f"{way} of {each}"] = violations(page)
        page.goto(f"/admin/{each}/add/")
        found[f"new {each}"] = violations(page)
    assert {path: problems for path, problems in found.items() if problems} == {}


def test_nothing_serious_before_one_is_signed_in(browser, demo):
    context = context_of(browser, base_url=demo.url)
    page = context.new_page()
    page.goto("/admin/login/")
    assert violations(page) == []
    context.close()
