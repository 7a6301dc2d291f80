"""Drains in the panel: what the pages tell whom, what becomes of a pool's addresses, and an address taken out."""

import dataclasses
import datetime

import pytest
import time_machine
from django.urls import reverse

from alerts.conditions import CONDITIONS, found
from alerts.measures import Measures
from alerts.scope import PLATFORM, of_organization
from alerts.topics import drains as conditions
from core.models import AuditEntry
from ippools import drains
from ippools.models import AddressDrain, Blocklist, IPPool, Listing
from tests.panel.conftest import NOW, SYSTEM, sign_in
from tests.panel.posting import YES
from throttling.drain import Effect, Mode, Step, TroubleKind

POOL = "admin:ippools_ippool"
DRAIN = "admin:ippools_addressdrain"
REASON = (
    "Listed: bl.example lists 192.0.2.1. 1 of 8 sending addresses of pool Secret is drained, at most 2 may be (30 %)"
)


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


def drain(address, effect=Effect.DRAINED, scope=frozenset()):
    step = Step(address.pk, effect, scope, REASON, kinds=(TroubleKind.LISTED,))
    drains.take(step, domains={}, at=NOW, actor=SYSTEM)
    return AddressDrain.objects.open().get(address=address)


def page_of(client, name, record):
    return client.get(reverse(f"{name}_change", args=[record.pk])).content.decode()


def test_the_platform_reads_the_reason_and_a_tenant_the_trouble(acme, globex, platform, root):
    drain(acme.address, scope=frozenset({"Yahoo"}))
    for name, record in (("admin:ippools_ipaddress", acme.address), (POOL, acme.pool)):
        page = page_of(root, name, record)
        assert REASON in page
        assert "Yahoo" in page
        assert "Drained" in page
        page = page_of(sign_in(acme.owner), name, record)
        assert "listed by a blocklist" in page
        # The reason tells of pools and counts of others.
        assert "Secret" not in page
        assert "Yahoo" in page
    assert "listed by a blocklist" not in page_of(sign_in(globex.owner), POOL, globex.pool)
    assert sign_in(acme.owner).get(reverse(f"{DRAIN}_changelist")).status_code == 403


@pytest.mark.parametrize("effect", [Effect.TOLD, Effect.WITHHELD])
def test_a_trouble_that_drains_nothing_is_the_platforms_to_know(acme, platform, root, effect):
    drain(acme.address, effect)
    assert REASON in page_of(root, "admin:ippools_ipaddress", acme.address)
    assert "In trouble" not in page_of(sign_in(acme.owner), "admin:ippools_ipaddress", acme.address)


def test_an_operator_takes_an_address_out(acme, platform, root):
    row = drain(acme.address)
    url = reverse(f"{DRAIN}_spare", args=[row.pk])
    assert root.get(url).status_code == 200
    until = NOW + datetime.timedelta(hours=3)
    given = {"until_0": f"{until:%Y-%m-%d}", "until_1": f"{until:%H:%M}", "reason": "Delisting is under way", **YES}
    assert root.post(url, {**given, "reason": ""}).status_code == 200
    assert root.post(url, given).status_code == 302
    row.refresh_from_db()
    assert (row.ended_at, row.ended_because, row.spared_until) == (
        NOW,
        "Delisting is under way",
        until.replace(second=0, microsecond=0),
    )
    entry = AuditEntry.objects.get(act="drain.ended", target_id=str(row.pk))
    assert entry.after["ended_because"] == "Delisting is under way"
    assert sign_in(acme.owner).post(url, given).status_code == 403


def test_the_platform_says_what_becomes_of_a_pools_addresses(acme, platform, root):
    url = reverse(f"{POOL}_drain", args=[acme.pool.pk])
    assert "as the platform (off)" in root.get(url).content.decode()
    assert root.post(url, {"mode": "act", "share": "60", **YES}).status_code == 200
    assert root.post(url, {"mode": "act", "share": "25", **YES}).status_code == 302
    pool = IPPool.objects.get(pk=acme.pool.pk)
    assert (pool.drain_mode, pool.drain_share) == ("act", 25)
    assert AuditEntry.objects.filter(act="ip_pool.draining_changed", target_id=str(pool.pk)).count() == 1
    assert "at most 25 %" in page_of(root, POOL, pool)
    assert root.post(url, {"mode": "", "share": "25", **YES}).status_code == 302
    assert drains.mode_of(IPPool.objects.get(pk=pool.pk).drain_mode) == Mode.OFF
    # Not a tenant's to say, even of its own pool: its addresses may be in others' pools.
    owner = sign_in(acme.owner)
    assert owner.get(url).status_code == 403
    assert owner.post(url, {"mode": "act", "share": "25", **YES}).status_code == 403
    assert "Draining" not in page_of(owner, POOL, pool)


def measured():
    return Measures([], {}, {}, {}, [], 0)


def test_conditions_tell_of_drained_and_listed_addresses(acme, globex, platform, root):
    AddressDrain.objects.all().delete()
    drain(acme.address)
    drain(globex.address, Effect.WITHHELD)
    Blocklist.objects.update(zone_status="ok")
    Listing.objects.create(
        blocklist=Blocklist.objects.get(), address=acme.address, listing_status="invalid", listing_error="Spam source",
        listed=acme.address.ipv4, first_seen_at=NOW - datetime.timedelta(hours=2), last_seen_at=NOW,
    )  # fmt: skip

    def told(scope):
        items = [
            item for item in found(scope, measured(), NOW) if item.condition in ("address_listed", "address_drained")
        ]
        return [(item.level, item.condition, item.text.split(" since")[0], item.detail) for item in items]

    ipv4, other = acme.address.ipv4, globex.address.ipv4
    assert told(PLATFORM) == [
        ("bad", "address_listed", f"{ipv4} is listed by bl.example", "Spam source"),
        ("bad", "address_drained", f"{other} is in trouble", REASON),
        ("warn", "address_drained", f"{ipv4} is drained for all recipients", REASON),
    ]
    assert told(of_organization(acme.organization)) == [
        ("bad", "address_listed", f"{ipv4} is listed by bl.example", "Spam source"),
        ("warn", "address_drained", f"{ipv4} is drained for all recipients", "Because of: listed by a blocklist"),
    ]
    assert told(of_organization(globex.organization)) == []
    page = root.get(reverse("admin:index")).content.decode()
    assert f"{ipv4} is drained for all recipients" in page
    assert set(conditions.KINDS) == {kind.value for kind in TroubleKind}
    assert {"address_listed", "address_drained"} <= CONDITIONS.keys()


def test_many_are_one_line(acme, globex, platform):
    AddressDrain.objects.all().delete()
    for address in (acme.address, globex.address, platform.address):
        drain(address)

    few = dataclasses.replace(PLATFORM, named=2)
    [item] = [item for item in found(few, measured(), NOW) if item.condition == "address_drained"]
    assert (item.text, item.is_group) == ("3 addresses are drained or in trouble", True)
