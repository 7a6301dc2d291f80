"""The front page: what a newcomer finds without reading anything, for each kind of person, by day, by night, on a phone."""

import re

from playwright.sync_api import expect

from alerts.scope import FRESH_FOR


def test_one_finds_the_overloaded_pool_the_address_in_trouble_and_why(visit):
    page = visit()
    attention = page.get_by_role("region", name=re.compile("Needs attention"))
    expect(attention.get_by_role("link", name=re.compile("Pool Campaigns is overloaded"))).to_be_visible()
    expect(
        attention.get_by_role(
            "link", name=re.compile("mail.brightmail.example fails its DNS checks|domains fail their DNS checks")
        )
    ).to_be_visible()
    trouble = attention.get_by_role(
        "link", name=re.compile(r"Delivery problems of address 198\.51\.100\.23: Gmail accepts \d+")
    )
    # Why: Gmail alone pushes it back, and it has lost its name.
    expect(trouble).to_contain_text(re.compile(r"the other providers accept 9\d.%"))
    expect(trouble).to_contain_text("In DNS: PTR missing")
    cell = page.get_by_role("link", name=re.compile(r"198\.51\.100\.23 at Gmail: \d+ % accepted"))
    expect(cell).to_have_class(re.compile(r"panel-accepted-[01]"))
    cell.click()
    page.wait_for_load_state("networkidle")
    expect(page).to_have_url(re.compile(r"/admin/ippools/ipaddress/\d+/change/#provider-gmail"))
    row = page.locator("tr#provider-gmail")
    expect(row).to_contain_text("Gmail")
    expect(row.locator(".panel-accepted")).to_have_class(re.compile(r"panel-accepted-[01]"))


def test_every_link_of_what_needs_attention_opens(visit):
    page = visit()
    links = page.eval_on_selector_all(".panel-item", "all => all.map(each => each.href)")
    assert len(links) >= 5
    for link in links:
        page.goto(link)
        expect(page.locator("#main")).to_be_visible()


def test_the_charts_are_drawn_and_can_be_read_as_tables(visit):
    page = visit()
    for canvas in page.locator("canvas.chart").all():
        ink = canvas.evaluate(
            "each => each.getContext('2d').getImageData(0, 0, each.width, each.height).data.filter(Boolean).length"
        )
        assert ink > 5_000
    page.get_by_text("Show as a table").first.click()
    table = page.get_by_role("region", name="The last 30 days, as a table")
    expect(table.get_by_role("row")).to_have_count(31)


def test_an_analyst_sees_only_her_organization_and_can_change_nothing(visit):
    page = visit(who="ana", expected=(403, 404))
    text = page.locator("#main").inner_text()
    assert "Newsletter Europe" in text
    assert "Brightmail" not in text
    assert "Harbour" not in text
    page.goto("/admin/servers/server/")
    expect(page.get_by_role("link", name=re.compile("Add"))).to_have_count(0)
    page.goto("/admin/servers/server/add/")
    expect(page.get_by_label("Name")).to_have_count(0)
    page.goto("/admin/servers/server/")
    page.get_by_role("link", name="Newsletter Europe").first.click()
    expect(page.get_by_role("button", name=re.compile("^Save"))).to_have_count(0)
    own = page.url
    page.goto(re.sub(r"/\d+/change/", "/6/change/", own))
    assert "Campaigns" not in page.locator("#main").inner_text()


def test_it_is_dark_where_one_likes_it_dark(visit):
    background = "() => getComputedStyle(document.querySelector('#main')).backgroundColor"
    ink = "() => getComputedStyle(document.querySelector('.panel-title')).color"
    light, dark = visit(), visit(dark=True)
    assert luminance(light.evaluate(background)) > 0.9
    assert luminance(dark.evaluate(background)) < 0.3
    assert luminance(light.evaluate(ink)) < 0.3
    assert luminance(dark.evaluate(ink)) > 0.7


def luminance(colour):
    """Return how bright a colour is, 0 to 1, of what the browser calls it: rgb(…), or oklch(lightness …)."""
    first, *others = (float(number) for number in re.findall(r"[\d.]+", colour)[:3])
    return first if colour.startswith("oklch") else (first + sum(others)) / 3 / 255


def test_it_fits_on_a_phone(visit):
    page = visit(phone=True)
    lists = (
        "servers/organization", "servers/server", "servers/ippoolrule", "servers/webhook", "ippools/ippool",
        "ippools/ipaddress", "ippools/addresscap", "ippools/warmup", "throttling/warmupplan",
    )  # fmt: skip
    paths = ["/admin/", "/admin/account/", "/admin/core/auditentry/", "/admin/throttling/throttlingtemplate/"]
    for each in lists:
        page.goto(f"/admin/{each}/")
        record = page.locator(f"a[href*='/{each}/'][href*='/change/']").first.get_attribute("href")
        assert record is not None
        paths += [f"/admin/{each}/", record, record.partition("?")[0].replace("/change/", "/history/")]
    for path in paths:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{path} is {wider} pixels wider than the screen"
    page.goto("/admin/")
    expect(page.get_by_role("link", name=re.compile("Pool Campaigns is overloaded"))).to_be_visible()


def test_it_is_used_by_keyboard(visit):
    page = visit()
    link = page.locator(".panel-item").first
    link.focus()
    expect(link).to_be_focused()
    assert link.evaluate("each => getComputedStyle(each).outlineStyle !== 'none' || each.matches(':focus-visible')")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/admin/.+"))


def test_the_first_stop_of_the_keyboard_leads_past_the_menu(visit):
    page = visit()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#content').contains(document.activeElement)")


def test_the_numbers_of_today_are_read_again_with_their_time(visit):
    page = visit()
    first = page.locator("#today time").get_attribute("datetime")
    # The sums are kept for some seconds, and the time is theirs.
    page.wait_for_timeout(FRESH_FOR.total_seconds() * 1_000 + 500)
    page.evaluate("htmx.ajax('GET', location.pathname, {target: '#today', select: '#today', swap: 'outerHTML'})")
    expect(page.locator("#today time")).not_to_have_attribute("datetime", first or "")
    expect(page.locator("#today")).to_have_attribute("hx-trigger", "every 60s")
    expect(page.locator("#today [data-number=sent]")).to_have_count(1)
