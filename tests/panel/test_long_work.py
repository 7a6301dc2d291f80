"""How many files a web process writes and reads at once, and that nobody takes all of it."""

import threading
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import AuditEntry, User
from panel import long_work
from panel.viewer import Viewer
from tests.cast import make_tenant
from tests.panel.conftest import make_person, sign_in
from tests.panel.posting import imported
from tests.panel.urls import looks
from tests.races import at_once, in_the_open

EXPORT = reverse("admin:suppressions_suppression_export")
IMPORT = reverse("admin:suppressions_suppression_import")


@pytest.fixture
def two_slots(settings):
    settings.SLUICE_WEB_THREADS = 8


def test_an_organization_with_a_file_under_way_is_told_to_come_again(acme, globex, two_slots):
    with long_work._slots.taken(acme.organization.pk, slots=2):
        response = sign_in(acme.analyst).get(EXPORT)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "15")
        assert response.content == b"Too many files are being written or read; try again in a moment.\n"
        text = "address\nann@example.com\n"
        form = imported(sign_in(acme.owner), IMPORT, text).context["form"]
        assert form.non_field_errors() == ["Too many files are being written or read; try again in a moment"]
        # Another organization has its share.
        assert sign_in(globex.analyst).get(EXPORT).status_code == 200
        assert imported(sign_in(globex.owner), IMPORT, text).status_code == 302
    assert sign_in(acme.analyst).get(EXPORT).status_code == 200
    assert imported(sign_in(acme.owner), IMPORT, text).status_code == 302


def test_the_slot_is_given_back_where_a_file_is_refused(acme, two_slots):
    client = sign_in(acme.owner)
    assert imported(client, IMPORT, "address\nnone\n").context["form"].errors
    assert not long_work._slots._taken


def test_who_was_added_to_another_organization_has_a_share_of_their_own():
    person = User(pk=7, username="ann")
    shares = [
        Viewer(person, is_platform=False, roles=roles).counts_as
        for roles in ({5: "owner"}, {5: "owner", 3: "analyst"}, {})
    ]
    assert shares == [5, "user 7", "user 7"]


def test_without_a_slot_no_file_is_even_read(acme, globex, platform, root, two_slots):
    """Every file of the panel, and those to come: reading what is written takes as long as writing it."""
    pages = looks(lambda label: acme.server)
    read = {}
    person = Viewer(User.objects.get(username="root"), is_platform=True).counts_as
    with long_work._slots.taken(person, slots=2):
        for name, path in pages.items():
            if not path.partition("?")[0].endswith(".csv"):
                continue
            path += "?since=2026-11-17T00:00&until=2026-11-18T00:00&zone=UTC" if name == "explorer_file" else ""
            with CaptureQueriesContext(connection) as queries:
                response = root.get(path)
            # The session, the person, and whether they may be here.
            if response.status_code != 503 or len(queries) > 4:
                read[name] = response.status_code, len(queries)
    assert read == {}


def large_entries(organization, number):
    """Write entries of about a megabyte: the two states of a large rule set."""
    rules = [{"id": each, "domains": [f"m{each}.example"], "note": "x" * 60} for each in range(4_000)]
    state = {"name": "Acme", "rules": rules}
    changed = {**state, "rules": [{**each, "note": "y" * 60} for each in rules]}
    AuditEntry.objects.bulk_create(
        AuditEntry(
            actor_kind="system", actor_label="x", act="server.changed", target_type="servers.server", target_id="1",
            target_label="it", organization_id=organization.pk, before=state, after=changed,
        )
        for _ in range(number)
    )  # fmt: skip


TRAIL = reverse("admin:core_auditentry_export")


class SlowRows:
    """A clock on which each row of a file takes a second. The first does not end before others were answered."""

    def __init__(self):
        self.readings = Counter()
        self.is_written, self.may_go_on = threading.Event(), threading.Event()

    def monotonic(self):
        thread = threading.get_ident()
        self.readings[thread] += 1
        if self.readings[thread] == 2:
            self.is_written.set()
            assert self.may_go_on.wait(60)
        return float(self.readings[thread])


@in_the_open
@pytest.mark.storage
def test_a_file_of_large_entries_is_given_up_and_others_are_answered_meanwhile(two_slots, monkeypatch):
    """5,000 entries of a megabyte took minutes of a thread."""
    clock = SlowRows()
    monkeypatch.setattr(long_work, "MOST_SECONDS", 3)
    monkeypatch.setattr(long_work, "time", clock)
    acme, globex = make_tenant("Acme", "192.0.2.1"), make_tenant("Globex", "198.51.100.1")
    large_entries(acme.organization, 30)
    first, second = (sign_in(make_person(f"acme-{n}", acme.organization, "owner")) for n in range(2))
    other = sign_in(make_person("globex-1", globex.organization, "owner"))

    def meanwhile():
        try:
            assert clock.is_written.wait(60)
            return second.get(TRAIL), other.get(reverse("admin:servers_server_changelist"))
        finally:
            clock.may_go_on.set()

    given_up, (refused, page) = at_once(lambda: first.get(TRAIL), meanwhile)
    # One at a time of an organization.
    assert [each.status_code for each in (given_up, refused, page)] == [413, 503, 200]
    assert (
        given_up.content
        == b"The file takes too long to write: leave less of the list by its filters, such as a shorter time.\n"
    )
    assert not long_work._slots._taken


def test_a_file_that_is_written_in_time_is_whole(acme, two_slots):
    large_entries(acme.organization, 3)
    response = sign_in(acme.owner).get(TRAIL, {"kind": "servers.server"})
    assert (response.status_code, response.content.count(b"Server changed")) == (200, 3)
