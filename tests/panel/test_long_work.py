"""How many files a web process writes and reads at once, and that nobody takes all of it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import User
from panel import long_work
from panel.viewer import Viewer
from tests.panel.conftest import sign_in
from tests.panel.urls import looks

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
        text = {"text": "address\nann@example.com\n", "confirmed": "1"}
        form = sign_in(acme.owner).post(IMPORT, text).context["form"]
        assert form.non_field_errors() == ["Too many files are being written or read; try again in a moment"]
        # Another organization has its share.
        assert sign_in(globex.analyst).get(EXPORT).status_code == 200
        assert sign_in(globex.owner).post(IMPORT, text).status_code == 302
    assert sign_in(acme.analyst).get(EXPORT).status_code == 200
    assert sign_in(acme.owner).post(IMPORT, text).status_code == 302


def test_the_slot_is_given_back_where_a_file_is_refused(acme, two_slots):
    client = sign_in(acme.owner)
    assert client.post(IMPORT, {"text": "address\nnone\n", "confirmed": "1"}).context["form"].errors
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
