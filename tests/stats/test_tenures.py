"""`organization/server` in an event means who had it at the event's time."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from servers import permalinks
from servers.models import FormerPermalink, Organization, Server
from servers.provisioning import change_organization, create_organization, create_server, delete_server, restore_server
from stats.intake.directory import Directory, Reporter
from stats.intake.ingest import Receipt, Remark, ingest
from stats.models import Event
from tests.stats.conftest import ACTOR, NOW, Tenant
from tests.stats.events import event

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
UNKNOWN = "unknown_server", "The server could not be found"


def named(name: str, at: datetime.datetime, **changes: Any) -> dict[str, Any]:
    return event(server=name, ip=None, at=at.isoformat(), id=f"{name} {at}", **changes)


def owners(*events: dict[str, Any], now: datetime.datetime = NOW, reporter: Reporter = PLATFORM) -> list[int | None]:
    """Return which server each event counts for, None where it is refused as of none; they are reported one by one."""
    found = []
    for each in events:
        before = set(Event.objects.values_list("key", flat=True))
        receipt = ingest([each], reporter=reporter, now=now)
        if receipt.accepted:
            found.append(Event.objects.exclude(key__in=before).get().server_id)
        else:
            assert receipt == Receipt(refused=[Remark(0, *UNKNOWN)]), receipt
            found.append(None)
    return found


def rename(organization: Organization, permalink: str, at: datetime.datetime) -> Organization:
    return change_organization(organization=organization, permalink=permalink, actor=ACTOR, at=at)


def make_server(organization: Organization, made: datetime.datetime, name: str = "Mailer") -> Server:
    server = create_server(organization=organization, name=name, actor=ACTOR).server
    Server.objects.filter(pk=server.pk).update(created_at=made)
    return server


def test_a_freed_name_that_another_took_means_each_at_their_time(acme: Tenant, globex: Tenant) -> None:
    renamed, taken = NOW - 40 * DAY, NOW - 5 * DAY
    rename(acme.organization, "acme-inc", renamed)
    rename(globex.organization, "acme", taken)
    mine, theirs = acme.server.pk, globex.server.pk
    moments = {
        # However long ago: nobody had it before.
        renamed - 300 * DAY: mine,
        renamed - HOUR: mine,
        # Mail that was under way, and collectors that have not heard of it.
        renamed: mine,
        renamed + 30 * DAY - HOUR: mine,
        # Nobody's.
        renamed + 30 * DAY: None,
        taken - HOUR: None,
        taken: theirs,
        NOW: theirs,
    }
    assert owners(*(named("acme/mailer", at) for at in moments)) == list(moments.values())
    others = {
        ("acme-inc/mailer", renamed - HOUR): None,
        ("acme-inc/mailer", renamed): mine,
        ("globex/mailer", taken - HOUR): theirs,
        ("globex/mailer", taken + 30 * DAY - HOUR): theirs,
    }
    assert owners(*(named(*each) for each in others), now=NOW + 30 * DAY) == list(others.values())


def test_a_replay_after_the_name_went_on_counts_nothing_again(acme: Tenant, globex: Tenant) -> None:
    events = [named("acme/mailer", NOW - number * DAY) for number in range(12)]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=12)
    rename(acme.organization, "acme-inc", NOW)
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(duplicates=12)
    permalinks.release(former=FormerPermalink.objects.get(), at=NOW + HOUR, actor=ACTOR)
    assert ingest(events, reporter=PLATFORM, now=NOW + HOUR) == Receipt(duplicates=12)
    rename(globex.organization, "acme", NOW + HOUR)
    assert ingest(events, reporter=PLATFORM, now=NOW + HOUR) == Receipt(duplicates=12)
    # By its new name it is another text of the same event, of a time in which nobody was called so.
    renamed = [{**each, "server": "acme-inc/mailer"} for each in events[1:]]
    assert ingest(renamed, reporter=PLATFORM, now=NOW + HOUR).accepted == 0
    assert set(Event.objects.values_list("server_id", flat=True)) == {acme.server.pk}
    assert Event.objects.count() == 12


def test_a_released_name_means_nobody_from_then_on(acme: Tenant) -> None:
    rename(acme.organization, "acme-inc", NOW - DAY)
    permalinks.release(former=FormerPermalink.objects.get(), at=NOW - HOUR, actor=ACTOR)
    moments = [NOW - HOUR - HOUR, NOW - HOUR, NOW]
    assert owners(*(named("acme/mailer", at) for at in moments)) == [acme.server.pk, None, None]


def test_a_name_taken_back_meant_its_holder_all_along(acme: Tenant) -> None:
    rename(acme.organization, "acme-inc", NOW - 3 * DAY)
    rename(acme.organization, "acme", NOW - DAY)
    moments = [NOW - 4 * DAY, NOW - 2 * DAY, NOW - HOUR]
    assert owners(*(named("acme/mailer", at) for at in moments)) == [acme.server.pk] * 3
    given_up = [NOW - 4 * DAY, NOW - 2 * DAY, NOW - HOUR]
    assert owners(*(named("acme-inc/mailer", at) for at in given_up)) == [None, acme.server.pk, acme.server.pk]


def test_a_server_made_again_gets_nothing_of_its_predecessor(acme: Tenant) -> None:
    Server.objects.filter(pk=acme.server.pk).update(created_at=NOW - 10 * DAY)
    events = [named("acme/mailer", NOW - number * DAY) for number in (5, 6, 12)]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=3)
    delete_server(server=acme.server, at=NOW - 4 * DAY, actor=ACTOR)
    again = make_server(acme.organization, NOW - 2 * DAY)
    assert again.permalink == "mailer"
    refused = Receipt(refused=[Remark(position, *UNKNOWN) for position in range(3)])
    assert ingest(events, reporter=PLATFORM, now=NOW) == refused
    moments = [NOW - 3 * DAY, NOW - 2 * DAY, NOW]
    assert owners(*(named("acme/mailer", at) for at in moments)) == [None, again.pk, again.pk]
    # By its UUID the predecessor is told of what was under way, and a replay is known.
    uuids = [{**each, "server": str(acme.server.uuid)} for each in events]
    assert ingest(uuids, reporter=PLATFORM, now=NOW) == Receipt(duplicates=3)
    # Its own key names it as the platform does.
    own = Reporter(Server.objects.select_related("organization").get(pk=again.pk))
    assert owners(*(named("acme/mailer", at, type="held") for at in moments), reporter=own) == [
        None,
        again.pk,
        again.pk,
    ]


def test_one_that_is_restored_is_not_told_of_what_came_between(acme: Tenant) -> None:
    Server.objects.filter(pk=acme.server.pk).update(created_at=NOW - 10 * DAY)
    delete_server(server=acme.server, at=NOW - 8 * DAY, actor=ACTOR)
    between = make_server(acme.organization, NOW - 6 * DAY)
    delete_server(server=between, at=NOW - 4 * DAY, actor=ACTOR)
    restore_server(server=acme.server, at=NOW, actor=ACTOR)
    moments = [NOW - 9 * DAY, NOW - 6 * DAY, NOW - 5 * DAY, NOW - 4 * DAY, NOW]
    mine = acme.server.pk
    assert owners(*(named("acme/mailer", at) for at in moments)) == [mine, None, None, mine, mine]


def test_a_new_organization_by_a_name_that_was_anothers_begins_with_itself(acme: Tenant) -> None:
    rename(acme.organization, "acme-inc", NOW - 50 * DAY)
    heir = create_organization(name="Acme again", permalink="acme", actor=ACTOR, at=NOW - 10 * DAY)
    server = make_server(heir, NOW - 9 * DAY)
    assert heir.permalink == "acme"
    moments = [NOW - 51 * DAY, NOW - 11 * DAY, NOW - 10 * DAY, NOW]
    assert owners(*(named("acme/mailer", at) for at in moments)) == [acme.server.pk, None, server.pk, server.pk]
    # One that the former holder did not have.
    other = make_server(heir, NOW - 9 * DAY, "Only mine")
    assert owners(*(named("acme/only-mine", at) for at in moments)) == [None, None, other.pk, other.pk]


def test_a_machine_may_name_its_own_servers_only_whoever_had_the_name(acme: Tenant, globex: Tenant) -> None:
    rename(acme.organization, "acme-inc", NOW - 40 * DAY)
    rename(globex.organization, "acme", NOW - 5 * DAY)
    moments = [NOW - 41 * DAY, NOW - DAY]
    for tenant, expected in ((acme, [acme.server.pk, None]), (globex, [None, globex.server.pk])):
        machine = Reporter(servers=Server.objects.filter(pk=tenant.server.pk))
        assert owners(*(named("acme/mailer", at) for at in moments), reporter=machine) == expected
        Event.objects.all().delete()


def test_a_servers_key_names_that_server_only_whoever_had_the_name(acme: Tenant, globex: Tenant) -> None:
    rename(acme.organization, "acme-inc", NOW - 40 * DAY)
    rename(globex.organization, "acme", NOW - 5 * DAY)
    make_server(acme.organization, NOW, "Other")
    named_then = [named("acme/mailer", NOW - 41 * DAY), named("acme/mailer", NOW - DAY), named("acme-inc/other", NOW)]
    for tenant, expected in ((acme, [acme.server.pk, None, None]), (globex, [None, globex.server.pk, None])):
        assert owners(*named_then, reporter=Reporter(server=tenant.server)) == expected
        Event.objects.all().delete()


def test_one_batch_has_events_of_all_holders(acme: Tenant, globex: Tenant) -> None:
    rename(acme.organization, "acme-inc", NOW - 38 * DAY)
    rename(globex.organization, "acme", NOW - 5 * DAY)
    events = [named("acme/mailer", NOW - number * DAY) for number in range(40)]
    receipt = ingest(events, reporter=PLATFORM, now=NOW)
    refused = [position for position in range(40) if 5 < position <= 8]
    assert receipt == Receipt(accepted=37, refused=[Remark(position, *UNKNOWN) for position in refused])
    counted = Event.objects.values_list("server_id", flat=True)
    assert sorted(counted) == sorted([globex.server.pk] * 6 + [acme.server.pk] * 31)


def test_names_that_never_changed_cost_one_query(acme: Tenant, globex: Tenant) -> None:
    names = [acme.smtp_user, globex.smtp_user]
    directory = Directory(PLATFORM, now=NOW)
    with CaptureQueriesContext(connection) as asked:
        directory.find_servers(names)
    assert len(asked) == 1, asked.captured_queries
    assert {each.id for each in directory.servers.values()} == {acme.server.pk, globex.server.pk}  # type: ignore[union-attr]


def test_no_number_of_names_and_holders_costs_more_queries(
    acme: Tenant, globex: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(9):
        rename(acme.organization, f"a-{number}", NOW + number * DAY)
        rename(globex.organization, f"g-{number}", NOW + number * DAY)
    names = [f"{letter}-{number}/mailer" for letter in "ag" for number in range(9)] + ["x/y", "acme/mailer", "acme/z"]
    directory = Directory(PLATFORM, now=NOW)
    # Who has them, who had them, and the servers of those.
    with django_assert_num_queries(3):
        directory.find_servers(names)
    assert [name for name in names if directory.servers[name] is None] == ["x/y", "acme/z"]


@pytest.mark.parametrize(
    "name", ["/", "a/", "/b", "acme/mailer/", "acme//mailer", "ACME/mailer", "acme/mailer/x", "é/x"]
)
def test_other_texts_are_nobodys(acme: Tenant, name: str) -> None:
    rename(acme.organization, "acme-inc", NOW - DAY)
    assert owners(named(name, NOW - 2 * DAY)) == [None]
