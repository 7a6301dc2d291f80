"""Pages of the site, which are no model's: who gets in, and that nothing of another tenant is told there."""

import re
import sys
from pathlib import Path

import pytest
from django.core.cache import cache
from django.urls import reverse

from panel.navigation import SITE_PAGES
from panel.reading import _READ_THERE
from stats.intake.directory import Reporter
from stats.intake.ingest import ingest
from tests.panel.conftest import NOW, make_person, sign_in
from tests.panel.test_queries import count
from tests.panel.urls import addresses, looks

PAGES = Path(__file__).parents[2] / "panel/pages"
NAMES = {place.name for place in addresses() if place.model is None}
# What a person of staff without any role gets: the front page, empty; what is of the own account; what is nobody's.
OPEN = {
    "index", "search", "help", "jsi18n", "account", "second_factor", "password_change",
    "password_change_done", "password_reset_confirm", "admin_password_reset",
}  # fmt: skip
# Opened from another page or by a link, and from no entry of the sidebar.
WITHIN = {
    "alerts", "answer_invitation", "app_list", "autocomplete", "confirm_address", "explorer_file", "invitation",
    "leave_organization", "linking", "login", "login_code", "logout", "new_customer", "saved_filters", "single_sign_on",
    "single_sign_on_callback", "usage_file", "view_on_site", "weekly_reports",
}  # fmt: skip
# Another one each time, for the same person.
NEVER_THE_SAME = {"second_factor"}


def contents(client, tenant):
    """Return what each page of the site answers, by name: its status, and the text without what each answer has anew."""
    paths = {name: path for name, path in looks(lambda label: tenant.server).items() if name in NAMES - {"logout"}}
    found = {}
    for name, path in paths.items():
        cache.clear()
        response = client.get(path)
        text = re.sub(r'(csrfmiddlewaretoken" value="|nonce=")[^"]+', r"\1", response.content.decode())
        found[name] = response.status_code, text
    return found


def test_somebody_without_a_role_gets_no_page_of_records(acme, platform):
    answers = contents(sign_in(make_person("nobody")), acme)
    found = {name for name, (status, _) in answers.items() if status == 200}
    assert found == OPEN, "a page of the site raises PermissionDenied, or is named in OPEN"


@pytest.mark.parametrize("role", ["owner", "analyst"])
def test_what_another_tenant_does_changes_no_page(role, acme, globex, platform, time_machine):
    """Not a name, and not a sum either."""
    time_machine.move_to(NOW, tick=False)
    client = sign_in(getattr(globex, role))
    count(globex.server, globex.address, 1)
    before, again = contents(client, globex), contents(client, globex)
    assert {name for name in before if before[name] != again[name]} <= NEVER_THE_SAME
    count(acme.server, acme.address, 2)
    events = [
        {"id": "1", "type": kind, "at": NOW.isoformat(), "to": "bob@gmail.com", "from": "ann@acme.example"}
        for kind in ("sent", "deferred", "exploded")
    ]
    receipt = ingest(events, reporter=Reporter(acme.server), now=NOW)
    assert (receipt.accepted, len(receipt.refused)) == (2, 1)
    after = contents(client, globex)
    told = {name for name in before if before[name] != after[name]} - NEVER_THE_SAME
    assert told == set(), "they tell of servers that the person cannot view: panel.viewer, servers.access.servers_of"


@pytest.mark.parametrize("who", ["root", "owner", "operator", "analyst", "nobody"])
def test_the_sidebar_offers_no_page_that_is_closed(who, acme, platform):
    people = {"root": platform.superuser, "nobody": make_person("nobody")}
    client = sign_in(people.get(who) or getattr(acme, who))
    groups = client.get(reverse("admin:index")).context["sidebar_navigation"]
    links = [item["link"] for group in groups for item in group["items"]]
    # The explorer leads to its question, written out.
    closed = [link for link in links if client.get(link, follow=True).status_code != 200]
    assert closed == [], "SITE_PAGES of panel/navigation.py are offered to whoever may view servers"
    assert len(links) >= (1 if who == "nobody" else 10)


def test_every_page_is_offered_somewhere():
    unoffered = NAMES - OPEN - WITHIN - {name for name, _, _ in SITE_PAGES}
    assert unoffered == set(), "offer it in SITE_PAGES of panel/navigation.py, or name it in WITHIN"


def test_pages_that_only_read_do_so_from_a_replica():
    assert [name for name, _, _ in SITE_PAGES if not _READ_THERE.fullmatch(name)] == [], "name it in panel/reading.py"


def test_every_page_is_registered():
    modules = {f"panel.pages.{path.stem}" for path in PAGES.glob("*.py") if path.stem != "__init__"}
    assert modules - set(sys.modules) == set(), "import it in panel/admin.py"
