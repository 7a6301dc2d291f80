"""IP pool rules: how conditions are written, which rule wins, and the addresses that a server may send by."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid, NotFound, QuotaExceeded
from core.models import AuditEntry
from ippools.models import IPPool
from servers import pool_rules
from servers.dns_records import expected_of
from servers.domains import create_domain
from servers.models import IPPoolRule, Organization, Server
from servers.pool_rules import (
    addresses_of,
    change_rule,
    condition,
    create_rule,
    delete_rule,
    order_rules,
)
from servers.pools import create_pool, grant_pool, withdraw_pool
from servers.provisioning import delete_server
from tests.cast import make_server
from tests.servers.conftest import POOL, SYSTEM
from tests.servers.pool_choice import pool_for, rules_of

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


@pytest.fixture
def bulk(acme: Organization) -> IPPool:
    return create_pool(organization=acme, name="Bulk", ips=["203.0.113.1"], actor=SYSTEM).pool


@pytest.fixture
def vip(acme: Organization) -> IPPool:
    return create_pool(organization=acme, name="VIP", ips=["203.0.113.9", "192.0.2.1"], actor=SYSTEM).pool


def winner(server: Server, sender: str, recipient: str = "you@example.net") -> str | None:
    pool = pool_for(server=server, sender=sender, recipient=recipient)
    return pool.name if pool else None


def test_it_works(server: Server, bulk: IPPool) -> None:
    rule = create_rule(owner=server, pool=bulk, from_conditions=["News@Example.COM", " bücher.example "], actor=SYSTEM)

    assert rule.from_conditions == "news@example.com\nxn--bcher-kva.example"
    assert winner(server, "news@example.com") == "Bulk"
    assert winner(server, "news+july@EXAMPLE.com") == "Bulk"
    assert winner(server, "anybody@bücher.example") == "Bulk"
    assert winner(server, "other@example.com") == "Main"
    assert winner(server, "news@sub.example.com") == "Main"
    entry = AuditEntry.objects.get(act="ip_pool_rule.created")
    assert (entry.target_id, entry.organization_id) == (str(rule.pk), server.organization_id)
    assert entry.after["from_conditions"] == rule.from_conditions


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("example.com", "example.com"),
        (" Example.COM. ", "example.com"),
        ("Joe+News@Example.com", "joe@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("É@example.com", "é@example.com"),
    ],
)
def test_conditions_are_stored_in_one_form(text: str, stored: str) -> None:
    assert condition(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "@example.com",
        "+tag@example.com",
        "joe@",
        "a b@example.com",
        "a@b@c.com",
        "no domain",
        "\x00@example.com",
        "\ud800@example.com",
        # What means something in the files of MTAs, which tenants share: quotes, escapes …
        '"joe"@example.com',
        'jo"e@example.com',
        "jo\\e@example.com",
        # … also where only the folded form has it: U+00A8 becomes a blank and a mark, U+FE6B is "@", U+FF02 a quote.
        "jo\u00a8e@example.com",
        "\u00a8joe@example.com",
        "joe\ufe6bother.example@example.com",
        "jo\uff02e@example.com",
        # What is not printable (for private use, not assigned).
        "jo\ue000e@example.com",
        "jo\u0378e@example.com",
    ],
)
def test_it_rejects_what_is_no_condition(server: Server, bulk: IPPool, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        create_rule(owner=server, pool=bulk, from_conditions=["fine.example", text], actor=SYSTEM)
    assert refusal.value.message == "from_conditions[1] is neither an e-mail address nor a domain"
    assert not IPPoolRule.objects.exists()


@pytest.mark.parametrize("texts", [[7], [None], [["a.example"]]])
def test_it_rejects_what_is_no_text(server: Server, bulk: IPPool, texts: list) -> None:
    with pytest.raises(Invalid):
        create_rule(owner=server, pool=bulk, to_conditions=texts, actor=SYSTEM)


def test_an_organization_has_a_number_of_rules(server: Server, bulk: IPPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the files of nodes that it shares with others. Rules of its servers count, those of deleted ones do not."""
    monkeypatch.setattr(pool_rules, "MOST_RULES", 2)
    acme = server.organization
    create_rule(owner=acme, pool=bulk, to_conditions=["a.example"], actor=SYSTEM)
    create_rule(owner=server, pool=bulk, to_conditions=["b.example"], actor=SYSTEM)

    with pytest.raises(QuotaExceeded, match="at most 2 pool rules"):
        create_rule(owner=acme, pool=bulk, to_conditions=["c.example"], actor=SYSTEM)

    delete_server(server=server, actor=SYSTEM, at=timezone.now())
    create_rule(owner=acme, pool=bulk, to_conditions=["c.example"], actor=SYSTEM)


def test_an_organization_has_a_number_of_conditions(
    server: Server, bulk: IPPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_rules, "MOST_IN_ALL", 6)
    create_rule(owner=server.organization, pool=bulk, to_conditions=["a.example", "b.example"], actor=SYSTEM)
    rule = create_rule(
        owner=server, pool=bulk, from_conditions=["d.example"], to_conditions=["c.example"], actor=SYSTEM
    )
    six = ["a.example", "b.example", "c.example", "d.example", "e.example"]

    with pytest.raises(QuotaExceeded, match="at most 6 conditions"):
        change_rule(rule=rule, to_conditions=six, actor=SYSTEM)
    with pytest.raises(QuotaExceeded, match="at most 6 conditions"):
        create_rule(owner=server, pool=bulk, to_conditions=six[:3], actor=SYSTEM)
    change_rule(rule=rule, from_conditions=["e.example"], actor=SYSTEM)


def test_an_organizations_conditions_count_for_each_server_with_rules_of_its_own(
    server: Server, bulk: IPPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes have them once for each of these."""
    monkeypatch.setattr(pool_rules, "MOST_AT_NODES", 7)
    acme = server.organization
    create_rule(owner=server, pool=bulk, to_conditions=["a.example"], actor=SYSTEM)
    rule = create_rule(owner=acme, pool=bulk, to_conditions=["b.example", "c.example", "d.example"], actor=SYSTEM)

    with pytest.raises(QuotaExceeded, match="count once more"):
        change_rule(rule=rule, to_conditions=["b.example", "c.example", "d.example", "e.example"], actor=SYSTEM)
    with pytest.raises(QuotaExceeded, match="count once more"):
        create_rule(owner=make_server(acme, "Other").server, pool=bulk, to_conditions=["a.example"], actor=SYSTEM)
    change_rule(rule=rule, to_conditions=["b.example"], actor=SYSTEM)
    create_rule(owner=server, pool=bulk, to_conditions=["f.example", "g.example"], actor=SYSTEM)


def test_it_rejects_a_rule_without_conditions(server: Server, bulk: IPPool) -> None:
    with pytest.raises(Invalid) as refusal:
        create_rule(owner=server, pool=bulk, from_conditions=["", " "], actor=SYSTEM)
    assert refusal.value.message == "A pool rule needs at least one condition"


def test_it_rejects_a_pool_of_others(server: Server, globex: Organization) -> None:
    theirs = create_pool(organization=globex, name="Theirs", ips=[], actor=SYSTEM).pool
    with pytest.raises(Invalid) as refusal:
        create_rule(owner=server, pool=theirs, from_conditions=["example.com"], actor=SYSTEM)
    assert refusal.value.message == "pool is not a pool of this organization"


def test_the_database_refuses_a_rule_without_conditions_or_with_two_owners(
    server: Server, acme: Organization, bulk: IPPool
) -> None:
    for bad in (
        {"server": server, "from_conditions": ""},
        {"from_conditions": "a.example"},
        {"server": server, "organization": acme, "from_conditions": "a.example"},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            IPPoolRule.objects.create(pool=bulk, **bad)


def test_both_kinds_must_match(server: Server, bulk: IPPool) -> None:
    create_rule(
        owner=server,
        pool=bulk,
        from_conditions=["example.com"],
        to_conditions=["gmail.com", "boss@acme.example"],
        actor=SYSTEM,
    )

    assert winner(server, "a@example.com", "x@gmail.com") == "Bulk"
    assert winner(server, "a@example.com", "boss+x@acme.example") == "Bulk"
    assert winner(server, "a@example.com", "other@acme.example") == "Main"
    assert winner(server, "a@example.org", "x@gmail.com") == "Main"


def test_the_servers_rules_come_before_its_organizations(
    server: Server, acme: Organization, bulk: IPPool, vip: IPPool
) -> None:
    create_rule(owner=acme, pool=vip, from_conditions=["example.com"], actor=SYSTEM)
    create_rule(owner=acme, pool=vip, to_conditions=["gmail.com"], actor=SYSTEM)
    create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)

    assert winner(server, "a@example.com", "x@gmail.com") == "Bulk"
    assert winner(server, "a@example.org", "x@gmail.com") == "VIP"
    assert winner(server, "a@example.org", "x@example.net") == "Main"
    assert [rule.pool.name for rule in rules_of(server)] == ["Bulk", "VIP", "VIP"]


def test_their_order_decides(server: Server, bulk: IPPool, vip: IPPool) -> None:
    first = create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)
    second = create_rule(owner=server, pool=vip, from_conditions=["example.com"], actor=SYSTEM)
    assert winner(server, "a@example.com") == "Bulk"

    order_rules(owner=server, ids=[second.pk, first.pk], actor=SYSTEM)
    assert winner(server, "a@example.com") == "VIP"
    entry = AuditEntry.objects.get(act="ip_pool_rule.ordered")
    assert (entry.before, entry.after) == ({"ids": [first.pk, second.pk]}, {"ids": [second.pk, first.pk]})

    third = create_rule(owner=server, pool=vip, from_conditions=["example.com"], actor=SYSTEM)
    assert [rule.pk for rule in rules_of(server)] == [second.pk, first.pk, third.pk]
    for bad in ([second.pk], [second.pk, second.pk, third.pk], [second.pk, first.pk, third.pk, 0]):
        with pytest.raises(Invalid):
            order_rules(owner=server, ids=bad, actor=SYSTEM)


def test_without_a_pool_and_a_match_there_is_none(acme: Organization, server: Server, bulk: IPPool) -> None:
    Server.objects.filter(pk=server.pk).update(ip_pool=None)
    server.refresh_from_db()
    create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)
    assert winner(server, "a@example.com") == "Bulk"
    assert winner(server, "a@example.org") is None


@pytest.mark.parametrize("sender", ["", "postmaster", "@", "<>", "a@", "\x00@\x00"])
def test_a_sender_that_is_no_address_matches_no_condition(server: Server, bulk: IPPool, sender: str) -> None:
    create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)
    assert winner(server, sender) == "Main"


def test_change_and_delete(server: Server, bulk: IPPool, vip: IPPool) -> None:
    rule = create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)
    changed = change_rule(rule=rule, pool=vip, to_conditions=["gmail.com"], actor=SYSTEM)
    assert (changed.pool, changed.from_conditions, changed.to_conditions) == (vip, "example.com", "gmail.com")
    with pytest.raises(Invalid):
        change_rule(rule=rule, from_conditions=[], to_conditions=[], actor=SYSTEM)

    delete_rule(rule=rule, actor=SYSTEM)
    assert winner(server, "a@example.com", "x@gmail.com") == "Main"
    for again in (change_rule, delete_rule):
        with pytest.raises(NotFound):
            again(rule=rule, actor=SYSTEM)
    assert list(AuditEntry.objects.filter(target_type="servers.ippoolrule").values_list("act", flat=True)) == [
        "ip_pool_rule.deleted",
        "ip_pool_rule.changed",
        "ip_pool_rule.created",
    ]


@pytest.mark.parametrize("owner", ["server_id", "organization_id"])
def test_a_rule_that_is_gone_with_its_owner_is_not_found(server: Server, bulk: IPPool, owner: str) -> None:
    stale = IPPoolRule(pk=7, pool=bulk, to_conditions="gmail.com", **{owner: 123_456})
    for act in (delete_rule, change_rule):
        with pytest.raises(NotFound):
            act(rule=stale, actor=SYSTEM)
    # The owner is there, and only the rule is gone.
    stale = IPPoolRule(pk=7, pool=bulk, to_conditions="gmail.com", server=server)
    for act in (delete_rule, change_rule):
        with pytest.raises(NotFound):
            act(rule=stale, actor=SYSTEM)


def test_owners_that_are_gone_get_no_rules(server: Server, acme: Organization, bulk: IPPool) -> None:
    for owner in (Server(pk=123_456), Organization(pk=123_456)):
        with pytest.raises(NotFound):
            create_rule(owner=owner, pool=bulk, to_conditions=["gmail.com"], actor=SYSTEM)
        with pytest.raises(NotFound):
            order_rules(owner=owner, ids=[], actor=SYSTEM)


def test_a_deleted_server_gets_no_rule(server: Server, bulk: IPPool) -> None:
    delete_server(server=server, at=timezone.now(), actor=SYSTEM)
    with pytest.raises(NotFound):
        create_rule(owner=server, pool=bulk, to_conditions=["gmail.com"], actor=SYSTEM)


def test_a_pool_that_a_rule_needs_is_not_withdrawn(server: Server, acme: Organization, bulk: IPPool) -> None:
    rule = create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)
    with pytest.raises(Conflict) as refusal:
        withdraw_pool(organization=acme, pool=bulk, actor=SYSTEM)
    assert refusal.value.message == "Rules of the organization send by this pool"
    delete_rule(rule=rule, actor=SYSTEM)
    withdraw_pool(organization=acme, pool=bulk, actor=SYSTEM)


def test_a_server_sends_by_its_pool_and_its_rules_pools(
    server: Server, acme: Organization, globex: Organization, bulk: IPPool, vip: IPPool, django_assert_num_queries
) -> None:
    create_rule(owner=server, pool=bulk, from_conditions=["example.com"], actor=SYSTEM)
    create_rule(owner=acme, pool=vip, from_conditions=["example.com"], actor=SYSTEM)
    grant_pool(organization=globex, pool=bulk, actor=SYSTEM)
    with django_assert_num_queries(1):
        found = [address.ipv4 for address in addresses_of(server)]
    # 192.0.2.1 is in two of the pools.
    assert sorted(found) == sorted([*POOL, "203.0.113.1", "203.0.113.9"])


def test_spf_covers_the_pools_that_mail_from_the_domain_may_take(server: Server, bulk: IPPool, vip: IPPool) -> None:
    domain = create_domain(at=timezone.now(), server=server, name="example.com", actor=SYSTEM).domain
    create_rule(owner=server, pool=bulk, from_conditions=["other.example", "joe@another.example"], actor=SYSTEM)
    assert {each.address for each in expected_of(domain).sendings} == set(POOL)

    create_rule(owner=server, pool=bulk, from_conditions=["joe@example.com"], actor=SYSTEM)
    assert {each.address for each in expected_of(domain).sendings} == {*POOL, "203.0.113.1"}

    create_rule(owner=server, pool=vip, to_conditions=["gmail.com"], actor=SYSTEM)
    assert {each.address for each in expected_of(domain).sendings} == {*POOL, "203.0.113.1", "203.0.113.9"}
