"""Events suppress their recipients by the rules of their organization, in the transaction that stores them."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.audit import Actor
from servers.models import Server
from servers.provisioning import delete_server
from stats.intake.ingest import Reporter, ingest
from stats.ledger import consumers
from stats.models import Batch, Event
from suppressions import rules
from suppressions.models import BounceCount, Suppression
from tests.cast import Tenant
from tests.stats.events import event
from tests.suppressions.conftest import DAY, NOW, remove, rows, suppress, suppressed

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
PLATFORM = Reporter()
SYSTEM = Actor.system()
AT = datetime.datetime(2026, 3, 11, 15, 30, tzinfo=datetime.UTC)
NO_SUCH = "550 5.1.1 user unknown"


def bounce(tenant: Tenant, **more: Any) -> dict[str, Any]:
    return event(tenant, **{"type": "bounced", "ip": None, "reply": NO_SUCH, **more})


def take(*events: dict[str, Any], now: datetime.datetime = NOW) -> int:
    return ingest(list(events), reporter=PLATFORM, now=now).accepted


def change(tenant: Tenant, **more: Any) -> None:
    rules.change_rules(organization=tenant.organization, actor=SYSTEM, **more)


def test_a_hard_bounce_suppresses_its_recipient_for_its_server(acme: Tenant, globex: Tenant) -> None:
    assert take(bounce(acme, id="m-1", to="<Bob@gmail.com>"), event(globex, id="2", ip=None, to="ann@gmail.com")) == 2
    assert rows() == [(acme.server.name, "b…b@gmail.com", "hard_bounce", "m-1", AT + 365 * DAY, None)]
    row = Suppression.objects.get()
    assert (row.event_at, row.created_at, row.actor_label, row.address) == (AT, NOW, "Sluice", "")
    assert suppressed(acme, "bob@gmail.com", "ann@gmail.com") == [True, False]
    assert suppressed(globex, "bob@gmail.com", "ann@gmail.com") == [False, False]


@pytest.mark.parametrize(
    ("kind", "reply", "reason"),
    [
        ("late_bounce", NO_SUCH, "hard_bounce"),
        ("complaint", None, "complaint"),
        ("bounced", "552 5.2.2 mailbox full", None),
        ("bounced", None, None),
        ("deferred", "450 4.1.1 user unknown", None),
        ("deferred", NO_SUCH, None),
        ("sent", NO_SUCH, None),
    ],
)
def test_only_these_events_suppress(acme: Tenant, kind: str, reply: str | None, reason: str | None) -> None:
    take(bounce(acme, type=kind, reply=reply))
    assert [each[2] for each in rows()] == ([] if reason is None else [reason])


@pytest.mark.parametrize("to", [None, "nobody", 7, "@gmail.com", "x@nowhere..example", "x" * 70 + "@gmail.com"])
def test_events_without_a_readable_recipient_suppress_nobody(acme: Tenant, to: Any) -> None:
    assert take(bounce(acme) | {"to": to}) == 1
    assert rows() == []


def test_rules_are_each_organizations(acme: Tenant, globex: Tenant) -> None:
    change(acme, suppresses_bounces=False, valid_days=None, scope="organization")
    change(globex, suppresses_complaints=False, valid_days=7)
    events = [
        each
        for tenant in (acme, globex)
        for each in (
            bounce(tenant, id="b", to="bob@gmail.com"),
            bounce(tenant, id="c", type="complaint", to="ann@gmail.com"),
        )
    ]
    take(*events)
    assert rows() == [
        (None, "a…n@gmail.com", "complaint", "c", None, None),
        (globex.server.name, "b…b@gmail.com", "hard_bounce", "b", AT + 7 * DAY, None),
    ]


def test_the_threshold_counts_bounces_of_an_address_that_are_not_far_apart(acme: Tenant, globex: Tenant) -> None:
    change(acme, bounce_threshold=3)
    change(globex, bounce_threshold=3)
    take(bounce(acme, id="1"), bounce(globex, id="1"), bounce(acme, id="other", to="ann@gmail.com"))
    take(bounce(acme, id="2"))
    take(bounce(acme, id="2"))
    assert rows() == []
    take(bounce(acme, id="3"))
    assert suppressed(acme, "bob@gmail.com", "ann@gmail.com") == [True, False]
    assert suppressed(globex, "bob@gmail.com") == [False]
    assert sorted(BounceCount.objects.values_list("server", "bounces")) == sorted(
        [(acme.server.pk, 1), (globex.server.pk, 1)]
    )
    later = NOW + 31 * DAY
    at = later.isoformat()
    take(bounce(globex, id="2", at=at), bounce(globex, id="3", at=at), now=later)
    assert suppressed(globex, "bob@gmail.com", at=later) == [False]
    take(bounce(globex, id="4", at=at), now=later)
    assert suppressed(globex, "bob@gmail.com", at=later) == [True]


def test_a_threshold_is_reached_within_one_batch(acme: Tenant) -> None:
    change(acme, bounce_threshold=2)
    take(bounce(acme, id="1"), bounce(acme, id="2"))
    assert suppressed(acme, "bob@gmail.com") == [True]
    assert BounceCount.objects.count() == 0


def test_events_of_the_far_past_suppress_only_as_long_as_they_would_have(acme: Tenant) -> None:
    long_ago, lately = (NOW - 400 * DAY).isoformat(), (NOW - 40 * DAY).isoformat()
    take(
        bounce(acme, id="1", at=lately, to="one@gmail.com"),
        bounce(acme, id="2", at=long_ago, type="complaint", to="two@gmail.com"),
        bounce(acme, id="3", at=lately, type="complaint", to="six@gmail.com"),
    )
    assert rows() == [(acme.server.name, "s…x@gmail.com", "complaint", "3", NOW - 40 * DAY + 365 * DAY, None)]


def test_an_event_from_before_the_removal_does_not_suppress_again(acme: Tenant) -> None:
    take(bounce(acme, id="1"))
    remove(acme, "bob@gmail.com", at=NOW)
    take(bounce(acme, id="2"), now=NOW + DAY)
    assert suppressed(acme, "bob@gmail.com") == [False]
    take(bounce(acme, id="3", at=(NOW + DAY).isoformat()), now=NOW + DAY)
    assert suppressed(acme, "bob@gmail.com", at=NOW + DAY) == [True]
    assert [each[3] for each in rows()] == ["3"]


def test_what_is_suppressed_keeps_its_reason_and_gets_the_later_end(acme: Tenant) -> None:
    suppress(acme, "bob@gmail.com", expires_at=NOW + DAY)
    take(bounce(acme, id="1"))
    assert rows() == [(acme.server.name, "b…b@gmail.com", "manual", "", AT + 365 * DAY, None)]


def test_only_accepted_events_suppress_and_each_once(acme: Tenant) -> None:
    change(acme, bounce_threshold=2)
    first = bounce(acme, id="1")
    take(first)
    receipt = ingest(
        [first, bounce(acme, id="1", **{"from": "else@acme.example"}), event(acme, id="9", ip=None)],
        reporter=PLATFORM,
        now=NOW,
    )
    assert (receipt.accepted, receipt.duplicates, len(receipt.conflicts)) == (1, 1, 1)
    assert rows() == []
    take(first, bounce(acme, id="2"))
    assert suppressed(acme, "bob@gmail.com") == [True]


def test_a_deleted_servers_events_suppress_nobody(acme: Tenant) -> None:
    delete_server(server=Server.objects.get(pk=acme.server.pk), at=NOW, actor=SYSTEM)
    assert take(bounce(acme)) == 1
    assert rows() == []


def test_events_and_suppressions_come_into_being_together(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **named: object) -> None:
        raise RuntimeError("the transaction is gone")

    monkeypatch.setattr(consumers, "suppress_recipients", fail)
    with pytest.raises(RuntimeError):
        take(bounce(acme))
    assert (Event.objects.count(), Batch.objects.count(), Suppression.objects.count()) == (0, 0, 0)


def test_beyond_the_quota_events_are_stored_and_suppress_nobody(acme: Tenant, settings: Any) -> None:
    settings.SLUICE_MAX_SUPPRESSIONS = 1
    assert take(bounce(acme, id="1"), bounce(acme, id="2", to="ann@gmail.com")) == 2
    assert Suppression.objects.count() == 1


def test_the_number_of_statements_does_not_depend_on_that_of_the_events(acme: Tenant, globex: Tenant) -> None:
    def queries(*events: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as made:
            assert take(*events) == len(events)
        return len([each for each in made if "suppressions_" in each["sql"]])

    change(acme, bounce_threshold=2)
    assert queries(*(event(acme, id=f"s{n}", ip=None) for n in range(50))) == 0
    take(bounce(acme, id="warm"), bounce(globex, id="warm"))
    one = queries(*(bounce(each, id=f"o{n}", to="one@gmail.com") for each in (acme, globex) for n in range(1)))
    many = queries(
        *(bounce(each, id=f"m{n}", to=f"u{n}@gmail.com") for each in (acme, globex) for n in range(30)),
    )
    # The lists held, the key, the counts and the entries read; entries and counts written, and the lists' numbers.
    assert one == many == 7
