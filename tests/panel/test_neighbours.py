"""The pages of noisy neighbours: the platform's, for an address and for a pool."""

import datetime

import pytest
from django.urls import reverse

from stats.intake.ingest import Reporter, ingest
from tests.panel.conftest import NOW, sign_in

ADDRESS, POOL = "admin:ippools_ipaddress_neighbours", "admin:ippools_ippool_neighbours"


@pytest.fixture
def mail(acme, platform, time_machine):
    time_machine.move_to(NOW)
    at = (NOW - datetime.timedelta(minutes=5)).isoformat()
    server = str(acme.server.uuid)
    common = {"server": server, "ip": acme.address.ipv4, "from": "a@noisy.example", "at": at}
    events = [
        {"id": f"{kind}{index}", "type": kind, "to": f"u{index}@gmail.com", **common, **reply}
        for kind, number, reply in (
            ("sent", 60, {}), ("deferred", 40, {"reply": "421 4.7.0 blocked for spam"}), ("complaint", 2, {}),
        )
        for index in range(number)
    ]  # fmt: skip
    assert not ingest(events, reporter=Reporter(), now=NOW).refused


def test_it_works(mail, acme, root):
    for name, record in ((ADDRESS, acme.address), (POOL, acme.pool)):
        page = root.get(reverse(name, args=[record.pk]), {"hours": "6"}).content.decode()
        assert "deferred or rejected 40 of 100 attempts (40.0 %)" in page
        assert "noisy.example" in page
        assert str(acme.server.name) in page
        assert "nothing: all attempts are its own" in page
        assert "2 recipients complained" in page


@pytest.mark.parametrize("hours", ["", "0", "5", "9" * 30, "x", "²"])
def test_an_odd_time_is_a_day(mail, acme, root, hours):
    response = root.get(reverse(ADDRESS, args=[acme.address.pk]), {"hours": hours})
    assert response.context["hours"] == 24


def test_nothing_held_says_so(acme, platform, root):
    assert "No events of these addresses are held" in root.get(reverse(POOL, args=[platform.pool.pk])).content.decode()


def test_only_the_platform_reads_it(mail, acme, globex, platform):
    for client in (sign_in(acme.owner), sign_in(globex.owner)):
        for name, record in ((ADDRESS, acme.address), (POOL, acme.pool)):
            assert client.get(reverse(name, args=[record.pk])).status_code in (403, 404)
    assert (
        "neighbours"
        not in sign_in(acme.owner)
        .get(reverse("admin:ippools_ipaddress_change", args=[acme.address.pk]))
        .content.decode()
    )


def test_an_unknown_record_is_not_found(platform, root):
    assert root.get(reverse(ADDRESS, args=[10**9])).status_code == 404
    assert root.get(reverse(POOL, args=[10**9])).status_code == 404
