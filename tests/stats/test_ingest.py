"""What is taken, what is refused and why; that everything counts once, whichever way it came."""

import datetime
from typing import Any

import pytest

from core.audit import Actor
from ippools.models import IPAddress, IPPoolMember
from servers.models import OrganizationPool
from servers.provisioning import delete_server
from stats.counts import buckets
from stats.counts.audit import audit
from stats.counts.fold import fold_all
from stats.intake import numbering
from stats.intake.ingest import CONFLICT, Receipt, Remark, Reporter, ingest
from stats.ledger import keys, storing
from stats.models import Batch, Day, Event, RecipientDomain, RefusalCount, Sender, SenderDomain, Subject
from stats.reports import queries
from stats.reports.reader import Counts
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import assert_counts, event
from throttling.models import Rule, RuleDomain, RuleSet

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

PLATFORM = Reporter()
AT_SECOND = "2026-03-11T15:30:{:02d}Z"


def test_it_counts_events_of_every_kind(acme: Tenant) -> None:
    kinds = ["incoming", "sent", "deferred", "bounced", "held", "spam", "complaint", "late_bounce"]
    events = [event(acme, id=kind, type=kind) for kind in kinds] + [event(acme, id="again")]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=9)
    assert_counts(events)


def test_it_counts_all_that_an_event_may_leave_out(acme: Tenant, globex: Tenant) -> None:
    events = [
        event(acme, id="no ip", ip=None),
        event(acme, id="no sender", **{"from": None}),
        event(acme, id="null sender", **{"from": ""}),
        event(acme, id="nobody", to=None),
        event(acme, id="own domain", domain="brand.example"),
        event(acme, id="domain alone", domain="brand.example", **{"from": None}),
        event(acme, id="bare", ip=None, to=None, **{"from": None}),
        event(globex, id="1", ip="198.51.100.1", **{"from": "Bob@Globex.Example"}),
        event(acme, id="elsewhere", to="someone@yahoo.co.uk"),
        event(acme, id="capitals", to="SOMEONE@ICLOUD.COM"),
    ]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=10)
    assert_counts(events)


@pytest.mark.parametrize(
    "at",
    [
        "2026-03-11T15:30:00Z",
        "2026-03-11T15:30:00+00:00",
        "2026-03-11T23:30:00+08:00",
        "2026-03-11T15:30:00.000999Z",
        1773243000,
        1773243000.0,
        1773243000.0004,
        # Cut off as in text, not rounded up to the next millisecond.
        1773243000.0009,
        1773243000000,
        1773243000000.0,
        "2026-03-11T15:30:00z",
    ],
)
def test_one_moment_is_one_identity_however_it_is_written(acme: Tenant, at: Any) -> None:
    assert ingest([event(acme)], reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
    assert ingest([event(acme, at=at)], reporter=PLATFORM, now=NOW) == Receipt(duplicates=1)
    assert_counts([event(acme)])


def test_another_moment_id_type_recipient_or_server_is_another_event(acme: Tenant, globex: Tenant) -> None:
    events = [
        event(acme),
        event(acme, at="2026-03-11T15:30:00.001Z"),
        event(acme, id="2"),
        event(globex, ip=None),
        event(acme, type="bounced"),
        event(acme, to="carol@gmail.com"),
        event(acme, to=None),
    ]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=7)
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(duplicates=7)
    assert_counts(events)


def test_one_id_for_all_that_happens_to_a_message_in_a_second_counts_all_of_it(acme: Tenant) -> None:
    """As KumoMTA reports: one id for reception, deferral and delivery, and whole seconds."""
    kinds = [("incoming", "a"), ("incoming", "b"), ("incoming", "c"), ("sent", "a"), ("sent", "b"), ("bounced", "c")]
    events = [event(acme, type=kind, to=f"{name}@gmail.com") for kind, name in [*kinds, ("deferred", "b")]]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=7)
    assert_counts(events)
    assert queries.server_totals([acme.server.pk])[acme.server.pk] == Counts(incoming=3, sent=2, bounced=1, deferred=1)


@pytest.mark.parametrize("changes", [{"ip": "192.0.2.2"}, {"ip": None}, {"from": "carol@acme.example"}, {"from": None}])
def test_the_same_identity_with_other_content_is_a_conflict(acme: Tenant, changes: dict[str, Any]) -> None:
    first, other = event(acme), event(acme, **changes)
    both = Receipt(accepted=1, conflicts=[Remark(1, "conflict", CONFLICT)])
    assert ingest([first, other], reporter=PLATFORM, now=NOW) == both
    again = [event(acme, id="new"), other, first, other]
    conflicts = [Remark(1, "conflict", CONFLICT), Remark(3, "conflict", CONFLICT)]
    receipt = ingest(again, reporter=PLATFORM, now=NOW)
    assert (receipt.accepted, receipt.refused) == (1, [])
    # The first of a batch stands for its identity there: what agrees with it shares its fate.
    assert receipt.conflicts[0] == conflicts[0]
    assert receipt.duplicates + len(receipt.conflicts) == 3
    assert ingest([other], reporter=PLATFORM, now=NOW) == Receipt(conflicts=[Remark(0, "conflict", CONFLICT)])
    assert_counts([first, event(acme, id="new")])
    assert list(RefusalCount.objects.values_list("code", flat=True)) == ["conflict"]


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("<reader@gmail.com>", "gmail.com"),
        ("<>", None),
        ("root", None),
        ("user@[192.0.2.1]", None),
        ("u@my_host.x", None),
    ],
)
def test_a_recipient_that_cannot_be_read_does_not_lose_the_event(acme: Tenant, to: str, expected: str | None) -> None:
    receipt = ingest([event(acme, to=to), event(acme, to=f"{to}x")], reporter=PLATFORM, now=NOW)
    assert (receipt.accepted, receipt.refused, receipt.warnings[0].code) == (2, [], "invalid_to")
    numbers = dict(RecipientDomain.objects.values_list("pk", "name"))
    assert numbers.get(Event.objects.order_by("recipient_id").last().recipient_id) == expected


@pytest.mark.parametrize(
    ("mailbox", "expected"),
    [("<alice@acme.example>", "alice@acme.example"), ("<>", None), ("root", None), ("user@[192.0.2.1]", None)],
)
def test_a_sender_that_cannot_be_read_does_not_lose_the_event(acme: Tenant, mailbox: str, expected: str | None) -> None:
    receipt = ingest([event(acme, **{"from": mailbox})], reporter=PLATFORM, now=NOW)
    assert (receipt.accepted, receipt.refused, receipt.warnings[0].code) == (1, [], "invalid_from")
    assert dict(Sender.objects.values_list("pk", "name")).get(Event.objects.get().sender_id) == expected


# Values of each optional field that cannot be read.
UNREADABLE: dict[str, list[Any]] = {
    "code": [199, 600, "abc", "55", True, [], 5.5],
    "enhanced": ["5.1", "6.1.1", 5, {}, "5.1.1111"],
    "reply": [5, [], {}],
    "mx": [5, [], "x" * 256],
    "seconds": [-1, "1", True, [], 1e300, float("nan")],
    "attempt": [0, -1, "1", True, 1.5],
    "rule": [-1, "1", True, 1.5, 2**64, 999],
}


@pytest.mark.parametrize(("name", "values"), UNREADABLE.items())
def test_an_optional_field_that_cannot_be_read_is_left_out_with_a_warning(
    acme: Tenant, name: str, values: list[Any]
) -> None:
    events = [event(acme, id=str(number), **{name: value}) for number, value in enumerate(values)]
    receipt = ingest(events, reporter=PLATFORM, now=NOW)
    assert (receipt.accepted, receipt.refused) == (len(values), [])
    assert [(each.position, each.code) for each in receipt.warnings] == [
        (number, f"invalid_{name}") for number in range(len(values))
    ]


def test_it_keeps_how_long_a_message_was_under_way_in_powers_of_two(acme: Tenant) -> None:
    seconds = [None, 0, 0.99, 1, 1.9, 2, 3.99, 4, 3600, 432_000]
    events = [
        event(acme, id=f"{number:02d}", at=AT_SECOND.format(number), seconds=each)
        for number, each in enumerate(seconds)
    ]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=10)
    found = Event.objects.order_by("key").values_list("latency", flat=True)
    assert list(found) == [-1, 0, 0, 1, 1, 2, 2, 3, 12, 19]


def test_the_rule_is_found_from_the_recipient_or_named_by_the_event(acme: Tenant) -> None:
    address = acme.addresses[0]
    large = add_rule(address.template.rules, "gmail.com")
    own = add_rule(address.rules, "[*.]yahoo.co.uk")
    cases = [
        ("a@gmail.com", {}, large),
        ("a@mail.yahoo.co.uk", {}, own),
        ("a@elsewhere.example", {}, 0),
        (None, {}, -1),
        ("a@gmail.com", {"rule": 0}, 0),
        ("a@gmail.com", {"rule": own}, own),
        (None, {"rule": large}, large),
        ("a@gmail.com", {"ip": None}, -1),
        ("a@gmail.com", {"ip": "192.0.2.2"}, large),
        ("a@yahoo.co.uk", {"ip": "192.0.2.2"}, 0),
    ]
    events = [
        event(acme, id=str(number), at=AT_SECOND.format(number), to=to, **changes)
        for number, (to, changes, _) in enumerate(cases)
    ]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=10)
    assert list(Event.objects.order_by("key").values_list("rule_id", flat=True)) == [rule for *_, rule in cases]
    # Another address's rule is none of this one's.
    other = ingest([event(acme, id="x", ip="192.0.2.2", rule=own, to="a@gmail.com")], reporter=PLATFORM, now=NOW)
    assert [each.code for each in other.warnings] == ["invalid_rule"]
    assert Event.objects.order_by("-batch_id").first().rule_id == large


def add_rule(rule_set: RuleSet, domain: str) -> int:
    rule = Rule.objects.create(
        rule_set=rule_set, slot=rule_set.rules.count() + 1, max_concurrent_connections=1, max_messages_per_hour=10
    )
    RuleDomain.objects.create(rule=rule, rule_set=rule_set, pattern=domain, position=0)
    return rule.pk


def test_a_replay_changes_nothing_whatever_door_it_comes_by(acme: Tenant) -> None:
    events = [event(acme, id=str(number)) for number in range(20)]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=20)
    fold_all(now=NOW)
    own = [{**each, "server": acme.smtp_user} for each in events]
    assert ingest(own, reporter=Reporter(acme.server), now=NOW) == Receipt(duplicates=20)
    mixed = [*events[5:], event(acme, id="new"), event(acme, id="new")]
    assert ingest(mixed, reporter=PLATFORM, now=NOW) == Receipt(accepted=1, duplicates=16)
    assert Batch.objects.count() == 2
    assert list(Batch.objects.values_list("event_count", flat=True)) == [20, 1]
    assert_counts([*events, event(acme, id="new")])


def test_a_server_reports_for_itself(acme: Tenant) -> None:
    own = Reporter(acme.server)
    events = [
        event(id="unnamed"),
        event(acme, id="by uuid"),
        event(acme, id="in capitals", server=str(acme.server.uuid).upper()),
        event(id="by user", server=acme.smtp_user),
    ]
    assert ingest(events, reporter=own, now=NOW) == Receipt(accepted=4)
    assert_counts([event(acme, id=each["id"]) for each in events])


def test_a_server_cannot_report_for_others_nor_with_their_addresses(acme: Tenant, globex: Tenant) -> None:
    own = Reporter(acme.server)
    events = [
        event(globex, ip=None),
        event(server=globex.smtp_user, ip=None),
        event(acme, ip="198.51.100.1"),
        event(acme, ip="203.0.113.77"),
        event(acme, id="good"),
    ]
    unknown_server = ("unknown_server", "The server could not be found")
    unknown_ip = ("unknown_ip", "ip is not an address of a pool of the server's organization")
    assert ingest(events, reporter=own, now=NOW) == Receipt(
        accepted=1,
        refused=[
            Remark(0, *unknown_server),
            Remark(1, *unknown_server),
            Remark(2, *unknown_ip),
            Remark(3, *unknown_ip),
        ],
    )
    assert_counts([event(acme, id="good")])


def test_the_platform_may_name_an_address_that_is_not_ours(acme: Tenant) -> None:
    assert ingest([event(acme, ip="203.0.113.77")], reporter=PLATFORM, now=NOW) == Receipt(accepted=1)
    assert_counts([event(acme, ip=None)])


def test_an_address_is_known_by_ipv6_too(acme: Tenant) -> None:
    IPAddress.objects.filter(pk=acme.addresses[0].pk).update(ipv6="2001:db8::1")
    written = ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "::ffff:192.0.2.1"]
    events = [event(acme, id=ip, ip=ip) for ip in written]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=3)
    assert_counts([event(acme, id=ip) for ip in written])


def test_a_deleted_server_is_known_by_uuid_to_the_platform(acme: Tenant) -> None:
    delete_server(server=acme.server, at=NOW, actor=Actor.system())
    events = [event(acme), event(acme, server=acme.smtp_user)]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(
        accepted=1, refused=[Remark(1, "unknown_server", "The server could not be found")]
    )
    assert_counts(events[:1])


def test_positions_are_those_of_the_whole_even_beyond_a_batch(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stats.intake.ingest.MOST_EVENTS", 4)
    monkeypatch.setattr("stats.ledger.storage.batch_limit", lambda: 3)
    events: list[Any] = [event(acme, id=str(number)) for number in range(11)]
    events[5] = "wrong"
    events[9] = event(acme, id="0")
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(
        accepted=9, duplicates=1, refused=[Remark(5, "invalid_event", "An event must be a JSON object")]
    )
    assert_counts([each for each in events if each != "wrong"])


def test_nothing_at_all_is_fine(acme: Tenant) -> None:
    assert ingest([], reporter=PLATFORM, now=NOW) == Receipt()
    assert Batch.objects.count() == 0


def test_domains_are_lower_case_a_labels(acme: Tenant) -> None:
    events = [
        event(acme, id="1", **{"from": "Ünal@BÜCHER.example"}),
        event(acme, id="2", **{"from": "ünal@xn--bcher-kva.example"}),
        event(acme, id="3", domain="Bücher.Example."),
    ]
    assert ingest(events, reporter=PLATFORM, now=NOW) == Receipt(accepted=3)
    assert sorted(SenderDomain.objects.values_list("name", flat=True)) == ["xn--bcher-kva.example"]
    assert sorted(Sender.objects.values_list("name", flat=True)) == ["alice@acme.example", "ünal@xn--bcher-kva.example"]


def test_new_senders_are_limited_by_server_and_day(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(numbering.ALLOWANCES, Sender, numbering.Allowance(3))

    def report(tenant: Tenant, *names: str, now: datetime.datetime = NOW) -> None:
        events = [
            event(tenant, id=f"{names} {name} {now}", ip=None, **{"from": f"{name}@one.example"}) for name in names
        ]
        assert ingest(events, reporter=PLATFORM, now=now) == Receipt(accepted=len(names))

    report(acme, "a", "b")
    report(acme, "b", "c", "d", "e")
    report(globex, "d")
    report(acme, "c", "d")
    tomorrow = NOW + datetime.timedelta(days=1)
    report(acme, "d", "e", now=tomorrow)
    fold_all(now=NOW)
    mine = dict(Sender.objects.filter(server_id=acme.server.pk).values_list("pk", "name"))
    events = Event.objects.filter(server_id=acme.server.pk).values_list("sender_id", flat=True)
    names = sorted(mine[each] for each in events)
    assert names == ["*", "*", "*", *(f"{name}@one.example" for name in "abbccde")]
    assert list(Sender.objects.filter(server_id=globex.server.pk).values_list("name", flat=True)) == ["d@one.example"]


def test_it_writes_down_what_subjects_are_called(acme: Tenant) -> None:
    ingest([event(acme)], reporter=PLATFORM, now=NOW)
    expected = [
        (Subject.Kind.SERVER, acme.server.pk, "acme/mailer"),
        (Subject.Kind.ADDRESS, acme.addresses[0].pk, "192.0.2.1"),
    ]
    assert list(Subject.objects.order_by("kind").values_list("kind", "object_id", "label")) == expected
    acme.server.permalink = "renamed"
    acme.server.save()
    ingest([event(acme, id="2")], reporter=PLATFORM, now=NOW)
    assert Subject.objects.get(kind=Subject.Kind.SERVER).label == "acme/renamed"
    assert Subject.objects.count() == 2


def test_a_batch_knows_its_keys_and_a_day_its_month(acme: Tenant) -> None:
    events = [event(acme, id="1", at="2026-03-01T00:00:00Z"), event(acme, id="2", at="2026-02-28T23:59:59.999Z")]
    ingest(events, reporter=PLATFORM, now=NOW)
    batch = Batch.objects.get()
    stored = sorted(Event.objects.values_list("key", flat=True))
    assert [batch.least_key, batch.greatest_key] == stored
    assert keys.day_of_key(stored[0]) == buckets.day_number(datetime.date(2026, 2, 28))
    assert keys.least_key(keys.day_of_key(stored[1])) < stored[1]
    assert (batch.event_count, batch.received_at, batch.folded_at) == (2, NOW, None)
    days = list(Day.objects.values_list("day", "month", "year", "received_at", "dropped_at"))
    february = buckets.day_number(datetime.date(2026, 2, 28))
    assert days == [(february, 2026 * 12 + 1, 2026, NOW, None), (february + 1, 2026 * 12 + 2, 2026, NOW, None)]


def test_a_day_notes_when_an_event_last_came_to_the_hour(acme: Tenant) -> None:
    ingest([event(acme)], reporter=PLATFORM, now=NOW)
    for minutes, expected in [(59, 0), (61, 61), (70, 61)]:
        later = NOW + datetime.timedelta(minutes=minutes)
        ingest([event(acme, id=str(minutes))], reporter=PLATFORM, now=later)
        assert Day.objects.get().received_at == NOW + datetime.timedelta(minutes=expected)


def test_storing_nothing_stores_nothing() -> None:
    assert storing.store([], now=NOW) == storing.Stored(0, 0)


def test_what_is_deleted_keeps_its_counts(acme: Tenant) -> None:
    """The rows of server, pool and address go; what they were called and what was counted of them stays."""
    events = [event(acme, id=str(number)) for number in range(3)]
    ingest(events, reporter=PLATFORM, now=NOW)
    fold_all(now=NOW)
    address, server = acme.addresses[0].pk, acme.server.pk
    IPPoolMember.objects.all().delete()
    OrganizationPool.objects.all().delete()
    acme.pool.delete()
    IPAddress.objects.get(pk=address).delete()
    acme.server.delete()
    assert queries.sent_by_address([address], None, NOW) == {address: 3}
    assert queries.server_totals([server]) == {server: Counts(sent=3)}
    assert sorted(Subject.objects.values_list("object_id", "label")) == sorted(
        [(server, "acme/mailer"), (address, "192.0.2.1")]
    )
    assert audit(now=NOW).is_clean
