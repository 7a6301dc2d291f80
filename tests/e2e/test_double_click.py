"""Whoever clicks twice does a thing once."""

from playwright.sync_api import expect


def posts_of(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def test_a_form_is_sent_once(visit):
    page = visit("/admin/stats/ingesttoken/add/")
    sent = posts_of(page)
    page.get_by_label("Name").fill("Twice")
    page.get_by_role("button", name="Save", exact=True).dblclick()
    # The second would be refused, and its page without the token that nobody can see again.
    expect(page.locator("#main")).to_contain_text("Twice")
    expect(page.locator("#main")).not_to_contain_text("already been taken")
    assert len(sent) == 1


def test_a_dialog_is_sent_once_and_again_after_its_refusal(visit):
    page = visit("/admin/servers/server/")
    page.locator("#result_list tbody a").first.click()
    page.wait_for_load_state("networkidle")
    dialog, sent = page.locator("#dialog"), posts_of(page)
    page.locator("[hx-get$='/suspend/']").first.dispatch_event("click")
    dialog.get_by_role("button", name="Suspend").dblclick()
    expect(dialog).to_contain_text("required")
    assert len(sent) == 1
    dialog.get_by_label("Reason").fill("Spam")
    dialog.get_by_role("button", name="Suspend").dblclick()
    expect(page.locator("#main")).to_contain_text("is suspended")
    assert len(sent) == 2
    page.locator("[hx-get$='/resume/']").first.dispatch_event("click")
    dialog.get_by_role("button", name="Resume").dblclick()
    expect(page.locator("#main")).to_contain_text("is resumed")
    assert len(sent) == 3
