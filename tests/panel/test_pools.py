"""The page of a pool: members with their share, pasting addresses with a look before, taking them out."""

import re
import time

import pytest
from django.urls import reverse

from core.models import AuditEntry
from ippools import ranges
from ippools.addresses import NewAddress, create_one
from ippools.models import IPAddress
from servers.pools import add_members, create_pool
from tests.panel.conftest import SYSTEM, sign_in
from tests.slowness import on_this_machine


def url(pool, page="change"):
    return reverse(f"admin:ippools_ippool_{page}", args=[pool.pk])


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("192.0.2.1, 192.0.2.2;192.0.2.1\n192.0.2.3", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("192.0.2.0/30", ["192.0.2.1", "192.0.2.2"]),
        ("192.0.2.0/31", ["192.0.2.0", "192.0.2.1"]),
        ("192.0.2.9/32", ["192.0.2.9"]),
        ("192.0.2.9-192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9 - 192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9\u2013192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9 to 192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9 bis 192.0.2.10\n192.0.2.11 à 12", ["192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.12"]),
        ("192.0.2.9 and 192.0.2.11 und 192.0.2.13", ["192.0.2.9", "192.0.2.11", "192.0.2.13"]),
        ("192.0.2.9 -> 192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9～11、192.0.2.1，192.0.2.2", ["192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.1", "192.0.2.2"]),
        ('"192.0.2.9";"192.0.2.1"\r\n"192.0.2.2"', ["192.0.2.9", "192.0.2.1", "192.0.2.2"]),
        ("192.0.2.9\u00a0\u2014 192.0.2.11\r\n192.0.2.40", ["192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.40"]),
        ("192.0.2.9-11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9 ~ 192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9 … 192.0.2.11; 192.0.2.1..3", [f"192.0.2.{each}" for each in (9, 10, 11, 1, 2, 3)]),
        ("192.0.2.9 -\r\n 192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9\nto\n192.0.2.11\n192.0.2.1", ["192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.1"]),
        ("192.0.2.9&nbsp;&ndash; 192.0.2.11", ["192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("192.0.2.9 – 11, 192.0.2.0 / 30", ["192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.1", "192.0.2.2"]),
        ("\ufeff192.0.2.1\u200b,192.0.2\u00ad.2", ["192.0.2.1", "192.0.2.2"]),
    ],
)
def test_addresses_are_read_as_people_paste_them(text, addresses):
    assert ranges.read(text) == ranges.Pasted(addresses, [])


@pytest.mark.parametrize("word", ["hasta", "até", "から", "through"])
def test_a_span_in_words_that_are_not_known_is_refused_whole(word):
    [(entry, why)] = ranges.read(f"192.0.2.9 {word} 192.0.2.11\n").refused
    assert entry == f"192.0.2.9 {word} 192.0.2.11"
    assert why.startswith("is not an IPv4 address")
    assert ranges.read(f"192.0.2.9 {word} 192.0.2.11 192.0.2.1").addresses == ["192.0.2.1"]


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.9 up to 192.0.2.11",
        "192.0.2.9 až do 192.0.2.11",
        "192.0.2.9 jusqu’à 192.0.2.11",
        "192.0.2.9 bis einschl. 192.0.2.11",
        "192.0.2.9 ↔ 192.0.2.11",
        "192.0.2.9 > 192.0.2.11",
        "192.0.2.9\n- 192.0.2.11",
        "192.0.2.9 mail1 192.0.2.11",
        "192.0.2.9 through\n192.0.2.11",
        "192.0.2.9 up until\r\n192.0.2.11",
        "\n192.0.2.9\nhasta\n192.0.2.11",
        "\n192.0.2.9\njusqu’à 192.0.2.11",
        "192.0.2.9 through\n192.0.2.11 through\n192.0.2.13",
        "\n192.0.2.9\nhasta\n192.0.2.11\nhasta\n192.0.2.13",
        "192.0.2.9 255.255.255.248",
        "255.255.255.0",
    ],
)
def test_what_may_be_a_span_or_a_mask_is_never_read_as_addresses(text):
    found = ranges.read(f"192.0.2.1, {text}; 192.0.2.2")
    assert (found.addresses, len(found.refused)) == (["192.0.2.1", "192.0.2.2"], 1)


def test_the_name_of_an_address_joins_it_with_no_other():
    found = ranges.read(
        "alpha 192.0.2.1\nbeta 192.0.2.2\n192.0.2.3 mail3.example.com\n192.0.2.4 (spare)\nspare2\n192.0.2.5"
    )
    assert found.addresses == [f"192.0.2.{number}" for number in range(1, 6)]


def test_a_word_beside_an_address_is_refused_alone():
    found = ranges.read("mail1 192.0.2.1\nmail2 192.0.2.2\n• 192.0.2.3 (spare)")
    assert (found.addresses, len(found.refused)) == (["192.0.2.1", "192.0.2.2", "192.0.2.3"], 4)


@pytest.mark.parametrize(
    "blank",
    [
        " ",
        "1",
        " a 1",
        "\u00a0",
        " - ",
        "\t/",
        "\n",
        " to\n",
        " through\n",
        "\nx",
        "\nx ",
        " x\n1.",
        "\r\n- ",
        " 1.2.3.4 a",
        "…\n",
        " ..",
    ],
)
def test_a_paste_full_of_blanks_costs_no_more_than_its_length(blank):
    """A run of 200,000 took twenty minutes of a web thread."""
    began = time.process_time()
    ranges.read("192.0.2.1" + blank * (200_000 // len(blank)) + "x")
    assert time.process_time() - began < on_this_machine(5)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "1.2.3",
        "010.0.0.1",
        "192.0.2.1/33",
        "192.0.2.1/24",
        "::1",
        "1.2.3.4-",
        "9" * 90,
        "-1.2.3.4",
        "1.2.3.4-1.2.3.6-1.2.3.8",
        "1.2.3.4-256",
        "1.2.3.4-010",
        "1.2.3.0/24-30",
        "1.2.3.4-x",
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text):
    [(entry, reason)] = ranges.read(text).refused
    assert entry.startswith(text[:50])
    assert reason.startswith("is not an IPv4 address")


def test_too_many_are_refused_before_they_are_made():
    assert ranges.read("10.0.0.0/8").refused == [("10.0.0.0/8", "would create more than 4,096 addresses")]
    assert ranges.read("192.0.2.9-192.0.2.1").refused == [("192.0.2.9-192.0.2.1", "ends before it begins")]


def test_a_pasted_address_and_host_name_have_no_invisible_characters(platform, root):
    values = {
        "name": "pasted",
        "ipv4": "\u200b192.0.2.90",
        "ipv6": "2001:db8::90\ufeff",
        "hostname": "mail\u00ad.example.com",
        "priority": "1",
        "template": platform.template.pk,
        "rules-TOTAL_FORMS": "0",
        "rules-INITIAL_FORMS": "0",
    }
    root.post(reverse("admin:ippools_ipaddress_add"), values)
    made = IPAddress.objects.get(name="pasted")
    assert (made.ipv4, made.ipv6, made.hostname) == ("192.0.2.90", "2001:db8::90", "mail.example.com")


def test_pasting_shows_what_it_does_and_then_does_it(acme, globex, platform):
    client = sign_in(acme.operator)
    text = f"192.0.2.1 192.0.2.8/30 {platform.address.ipv4} {globex.address.ipv4} nonsense"
    audited = AuditEntry.objects.count()
    addition = client.post(url(acme.pool, "add_addresses"), {"addresses": text, "look": "1"}).context["addition"]
    assert addition.made == ["192.0.2.9", "192.0.2.10"]
    assert addition.used == [platform.address]
    assert addition.present == ["192.0.2.1"]
    assert [entry for entry, _ in addition.refused] == ["nonsense", globex.address.ipv4]
    assert (acme.pool.addresses.count(), AuditEntry.objects.count()) == (1, audited)
    assert client.post(url(acme.pool, "add_addresses"), {"addresses": text, "add": "1"}).status_code == 302
    members = sorted(acme.pool.addresses.values_list("ipv4", "hostname"))
    assert members == [
        ("192.0.2.1", "192-0-2-1.acme.postal"),
        ("192.0.2.10", "192-0-2-10.acme.postal"),
        ("192.0.2.9", "192-0-2-9.acme.postal"),
        (platform.address.ipv4, "spare.example.com"),
    ]
    entry = AuditEntry.objects.filter(act="ip_pool.members_added").latest("pk")
    assert (entry.actor_label, entry.organization_id) == ("Acme-operator", acme.organization.pk)


def test_addresses_leave_the_pool_after_a_look(acme, platform):
    client = sign_in(acme.owner)
    data = {"address": [acme.address.pk]}
    page = client.post(url(acme.pool, "remove_addresses"), data)
    assert page.context["shown"] == ["192.0.2.1"]
    assert acme.pool.addresses.count() == 1
    assert client.post(url(acme.pool, "remove_addresses"), {**data, "confirmed": "1"}).status_code == 302
    assert acme.pool.addresses.count() == 0
    assert IPAddress.objects.filter(pk=acme.address.pk).exists()


def test_a_granted_pool_is_used_not_changed(acme, platform, root):
    from servers.pools import grant_pool

    grant_pool(organization=acme.organization, pool=platform.pool, actor=SYSTEM)
    client = sign_in(acme.owner)
    assert client.get(url(platform.pool)).status_code == 200
    for page in ("add_addresses", "remove_addresses", "delete"):
        assert client.post(url(platform.pool, page), {"addresses": "192.0.2.99", "add": "1"}).status_code == 403
    given = {"addresses": "192.0.2.99", "add": "1", "template": platform.template.pk, "plan": "none"}
    assert root.post(url(platform.pool, "add_addresses"), given).status_code == 302
    assert platform.pool.addresses.get().hostname == "192-0-2-99.postal"


def test_the_page_tells_shares_and_the_least_used(acme, platform, root):
    from stats.models import AddressCount

    pool = create_pool(organization=acme.organization, name="Busy", ips=["192.0.2.20", "192.0.2.21"], actor=SYSTEM).pool
    first, second = pool.addresses.order_by("ipv4")
    from django.utils import timezone

    from stats.counts import buckets
    from stats.counts.buckets import Grain

    month = buckets.month_number(timezone.now().date())
    for address, sent in ((first, 30), (second, 90)):
        AddressCount.objects.create(grain=Grain.MONTH, bucket=month, address_id=address.pk, sent=sent)
        AddressCount.objects.create(grain=Grain.TOTAL, bucket=0, address_id=address.pk, sent=sent)
        today = buckets.day_of(timezone.now())
        AddressCount.objects.create(grain=Grain.DAY, bucket=today, address_id=address.pk, sent=sent)
    context = root.get(url(pool)).context
    assert [(each["ipv4"], each["month"], each["share"]) for each in context["members"]] == [
        ("192.0.2.21", 90, 75.0),
        ("192.0.2.20", 30, 25.0),
    ]
    assert (context["per_address"], context["is_least_used"]) == (60, False)
    assert root.get(url(acme.pool)).context["is_least_used"] is True


def test_a_pool_in_use_is_not_deleted_and_says_why(acme, platform, root):
    for response in (root.get(url(acme.pool, "delete")), root.post(url(acme.pool, "delete"), {"post": "yes"})):
        page = response.content.decode()
        place = reverse("admin:servers_server_change", args=[acme.server.pk])
        assert f'server <a href="{place}">Acme server</a>' in page
        assert 'name="post"' not in page, "no button"
    acme.pool.refresh_from_db()


def test_a_pool_says_which_addresses_receivers_cannot_see(acme) -> None:
    pool = create_pool(
        organization=acme.organization, name="Behind NAT", ips=["10.0.0.5", "192.0.2.77"], actor=SYSTEM
    ).pool
    rows = [
        NewAddress(ipv4="10.0.0.6", hostname="nat.example", public_ipv4="198.51.100.9"),
        NewAddress(ipv4="192.0.2.78", ipv6="fd00::1", hostname="six.example"),
    ]
    for row in rows:
        add_members(
            pool=pool, addresses=[create_one(row, actor=SYSTEM)], actor=SYSTEM,
            organization_id=acme.organization.pk,
        )  # fmt: skip
    shown = sign_in(acme.owner).get(reverse("admin:ippools_ippool_change", args=[pool.pk])).content.decode()
    [sentence] = re.findall(r'<p class="panel-warn">(.*?)</p>', shown)
    assert sentence.startswith("Not visible to receivers <code>10.0.0.5</code>, <code>fd00::1</code>: not public.")
