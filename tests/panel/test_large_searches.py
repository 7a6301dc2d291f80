"""The search and choices do not go through all records of a large platform, and have what they had before."""

import re

import pytest
from django.db import connection
from django.urls import reverse

from ippools.addresses import NewAddress, create_many
from panel import search
from tests.panel.conftest import SYSTEM
from tests.panel.test_large_platforms import _most_read, asked
from tests.words import ip_addresses

__all__ = ["asked"]
pytestmark = pytest.mark.django_db
MANY = 3_000


@pytest.fixture
def many(acme, platform):
    """Make many addresses, of which the last has a rule of its own for a domain."""
    new = [
        NewAddress(ipv4=f"10.9.{number // 250}.{number % 250 + 1}", hostname=f"mx{number}.grown.example")
        for number in range(MANY)
    ]
    addresses = create_many(new, actor=SYSTEM)
    rule = {"domains": ["rare-domain.example"], "max_concurrent_connections": 1, "max_messages_per_hour": 1}
    ip_addresses.update(addresses[-1].pk, {"rules_new": [rule]}, actor=SYSTEM)
    return addresses


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plan")
def test_it_reads_few_names(many, root, asked):
    for text in ("mx2999.grown", "10.9.11.250", "rare-domain.example", "grown", "nowhere-at-all"):
        with connection.cursor() as cursor:
            # Of some thousands, reading all is as fast as the index. What many names have is found by reading these in order.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"SET LOCAL enable_indexscan = {'on' if text == 'grown' else 'off'}")
            cursor.execute(
                "ANALYZE ippools_virtualmta, ippools_ipaddress, throttling_ruledomain, throttling_rule, throttling_ruleset"
            )
        given = {"s": text}
        found = [sql for sql in asked(lambda given=given: root.get(reverse("admin:search"), given)) if "LIKE" in sql]
        assert found
        for sql in found:
            assert _most_read(sql) < MANY / 4, sql


FIRST = {
    "MX2999.grown": [2999],
    "10.9.11.25": [2774, 2999],
    "rare-domain": [2999],
    "someone@rare-domain.example": [2999],
    "grown": range(8),
    "10.9.1.0/24": range(250, 258),
}


def test_it_finds_the_first_ones(many, root):
    for text, numbers in FIRST.items():
        page = root.get(reverse("admin:search"), {"s": text}).content.decode()
        for number in numbers:
            assert reverse("admin:ippools_ipaddress_change", args=[many[number].pk]) in page, text
        assert len(re.findall(r"/admin/ippools/ipaddress/\d+/", page)) == len(numbers), text


def test_it_finds_the_same_where_parts_cannot_be_cut(many, root, monkeypatch):
    """SQLite takes no limit in a part of a union."""
    page = root.get(reverse("admin:search"), {"s": "grown"}).content.decode()
    monkeypatch.setattr(search.connection.features, "supports_slicing_ordering_in_compound", False)
    again = root.get(reverse("admin:search"), {"s": "grown"}).content.decode()
    address = [line for line in page.splitlines() if "/admin/ippools/ipaddress/" in line]
    assert address == [line for line in again.splitlines() if "/admin/ippools/ipaddress/" in line]


def test_the_form_to_start_a_warm_up_counts_no_warm_ups(root, platform, asked):
    url = reverse("admin:ippools_warmup_add")
    assert not [sql for sql in asked(lambda: root.get(url)) if 'FROM "ippools_warmup"' in sql]
    assert "Standard" in root.get(url).content.decode()
