"""Names that a process has met are not looked up again by its next requests, for a while."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stats.intake import known_names
from stats.intake.ingest import Directory, Receipt, Reporter, ingest
from stats.models import Event, Sender
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import event

pytestmark = pytest.mark.django_db
TABLES = ("stats_senderdomain", "stats_sender", "stats_recipientdomain")


def report(tenant: Tenant, id_: str, *, now: datetime.datetime = NOW, sender: str = "shop@acme.example") -> set[str]:
    """Ingest an event as a request does; return the tables of names that were asked."""
    at = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    directory = Directory(Reporter(), now=now, names=known_names.of_this_process(now))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        receipt = ingest(
            [event(tenant, id=id_, at=at, **{"from": sender})], reporter=Reporter(), now=now, directory=directory
        )
    assert receipt == Receipt(accepted=1)
    return {table for table in TABLES for each in queries if f"{table} " in each["sql"].replace('"', " ")}


def test_the_next_request_does_not_look_for_them(acme: Tenant, globex: Tenant) -> None:
    assert report(acme, "1") == set(TABLES)
    assert report(acme, "2") == set()
    assert report(acme, "3", sender="other@acme.example") == {"stats_sender"}
    # The same mailbox of another server is another sender.
    assert report(globex, "4") == {"stats_senderdomain", "stats_sender"}
    stored = dict(Event.objects.values_list("batch_id", "sender_id"))
    senders = {pk: (server, name) for pk, server, name in Sender.objects.values_list("pk", "server_id", "name")}
    assert [senders[each] for _, each in sorted(stored.items())] == [
        (acme.server.pk, "shop@acme.example"),
        (acme.server.pk, "shop@acme.example"),
        (acme.server.pk, "other@acme.example"),
        (globex.server.pk, "shop@acme.example"),
    ]


def test_after_a_minute_and_on_the_next_day_it_does(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1_000.0]
    monkeypatch.setattr(known_names.time, "monotonic", lambda: moment[0])
    assert report(acme, "1") == set(TABLES)
    moment[0] += known_names.SECONDS_KEPT - 0.1
    assert report(acme, "2") == set()
    moment[0] += 0.1
    assert report(acme, "3") == set(TABLES)
    assert report(acme, "4", now=NOW + datetime.timedelta(days=1)) == set(TABLES)


def test_too_many_are_left_to_who_is_at_them(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    names = known_names.of_this_process(NOW)
    assert report(acme, "1") == set(TABLES)
    monkeypatch.setattr(known_names, "MOST_REMEMBERED", 0)
    assert known_names.of_this_process(NOW) is not names
    assert (list(names.domains), [*names.senders]) == ([(acme.server.pk, "acme.example")], [acme.server.pk])
