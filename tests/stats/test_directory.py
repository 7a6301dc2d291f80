"""What names mean: the numbers of domains and senders, found in bulk, made once and remembered for a while."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from stats.intake import directory, known_names
from stats.intake.directory import Directory, Reporter
from stats.intake.ingest import CONFLICT, Receipt, Remark, ingest
from stats.intake.reading import read
from stats.ledger import storage
from stats.models import Event, Sender, SenderDomain
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counts, event

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
# What a list of texts in SQL or JSON might trip over.
ODD = [
    "a'b@x.example",
    'a"b@x.example',
    "a\\b@x.example",
    "{a,b}@x.example",
    "null@x.example",
    "ü😀@x.example",
    "%s@x.example",
]


def test_names_are_numbered_once_for_each_server(acme: Tenant, globex: Tenant) -> None:
    names = [(tenant.server.pk, name) for tenant in (acme, globex) for name in ODD]
    numbers = Directory(PLATFORM, now=NOW).number_senders(names[:3])
    numbers |= Directory(PLATFORM, now=NOW).number_senders(names)
    stored = {(server, name): pk for server, name, pk in Sender.objects.values_list("server_id", "name", "pk")}
    assert numbers == stored
    assert sorted(stored) == sorted(names)


def test_the_longest_sender_fits_in_lower_case(acme: Tenant) -> None:
    domain = ".".join(["d" * 63] * 3 + ["e" * 61])
    longest = event(acme, **{"from": "İ" * 32 + f"@{domain}"})
    assert ingest([longest], reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
    assert Sender.objects.get().name == "i\u0307" * 32 + f"@{domain}"


@pytest.mark.parametrize("model", [Sender, SenderDomain])
def test_a_name_is_looked_for_by_the_unique_index_whatever_the_statistics_say(model: type[Sender]) -> None:
    """One name for each server makes any index that begins with the server look as good, and be quadratic where it is not."""
    table = model._meta.db_table
    model.objects.bulk_create(model(server_id=number, name="a.example", first_seen_day=1) for number in range(1, 5_001))
    storage.execute(f"ANALYZE {table}")
    with CaptureQueriesContext(connection) as asked:
        names = [(7, f"{number}.example") for number in range(1_000)] + [(7, "a.example")]
        assert [found is not None for found in storage.find_names(table, names)] == [False] * 1_000 + [True]
    explain, *parts = {
        "postgresql": (
            "EXPLAIN",
            f"Index Scan using {table}_unique",
            "Index Cond: ((server_id = wanted.server) AND ((name)::text = wanted.name))",
        ),
        # The constraint's own index has no name of ours there.
        "sqlite": ("EXPLAIN QUERY PLAN", f"INDEX sqlite_autoindex_{table}_1 (server_id=? AND name=?)"),
    }[connection.vendor]
    plan = "\n".join(str(line[-1]) for line in storage.fetch(f"{explain} {asked[0]['sql']}"))
    assert [part for part in parts if part not in plan] == [], plan


def test_what_was_seen_before_is_not_looked_up_again(
    acme: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    known = Directory(PLATFORM, now=NOW)
    events = [event(acme, id="1"), event(acme, id="2", domain="brand.example"), event(acme, id="3", **{"from": None})]
    first = read(events, known, now=NOW)
    with django_assert_num_queries(0):
        assert read(events, known, now=NOW) == first
    assert [(row[4] > 0, row[5] > 0) for row in first.rows.values()] == [(True, True), (True, True), (False, False)]


def test_a_long_run_forgets_and_counts_on(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (directory, known_names):
        monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
    known, events = Directory(Reporter(), now=NOW), []
    for number in range(12):
        tenant = (acme, globex)[number % 2]
        each = event(tenant, id=str(number), ip=None, **{"from": f"u{number % 5}@d{number % 3}.example"})
        assert ingest([each], reporter=PLATFORM, now=NOW, directory=known) == Receipt(accepted=1)
        assert sum(len(entry.senders) for entry in known.servers.values() if entry) <= 3
        events.append(each)
    assert_counts(events)


def test_a_long_run_forgets_recipients_that_are_no_domains(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (directory, known_names):
        monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
    known = Directory(Reporter(), now=NOW)
    for number in range(6):
        odd = event(acme, id=str(number), ip=None, to=f"x@no_{number}_domain!", **{"from": None})
        assert ingest([odd], reporter=PLATFORM, now=NOW, directory=known).accepted == 1
        assert len(known.recipients.known) <= 3


@pytest.mark.parametrize("first", ["known@acme.example", "new@acme.example"])
def test_of_events_with_one_key_the_first_counts_whether_or_not_its_sender_is_new(acme: Tenant, first: str) -> None:
    known = Directory(PLATFORM, now=NOW)
    ingest([event(acme, id="0", **{"from": "known@acme.example"})], reporter=PLATFORM, now=NOW, directory=known)
    second = {"known@acme.example": "new@acme.example", "new@acme.example": "known@acme.example"}[first]
    events = [event(acme, id="1", **{"from": sender}) for sender in (first, second, second)]
    receipt = ingest(events, reporter=PLATFORM, now=NOW, directory=known)
    assert receipt == Receipt(accepted=1, conflicts=[Remark(1, "conflict", CONFLICT), Remark(2, "conflict", CONFLICT)])
    stored = Event.objects.order_by("batch_id").values_list("sender_id", flat=True)
    assert [Sender.objects.get(pk=each).name for each in stored] == ["known@acme.example", first]
    assert list(SenderDomain.objects.values_list("name", flat=True)) == ["acme.example"]
