"""ippools.addresses.create_many: the one way to make addresses, one or ten thousand."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.audit import snapshot
from core.errors import Invalid
from core.models import AuditEntry
from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress, VirtualMTA
from ippools.values import canonical_ipv6, is_ipv4
from tests.cast import ANN, SYSTEM, written_by
from tests.factories import IPAddressFactory, RelayServerFactory, TemplateFactory, default_template
from tests.slowness import on_this_machine
from throttling.models import RuleSet

pytestmark = pytest.mark.django_db


def new(ipv4, **columns):
    return NewAddress(**{"ipv4": ipv4, "hostname": "mail.example"} | columns)


@pytest.mark.storage
def test_it_works():
    template, relay = TemplateFactory(), RelayServerFactory()
    made = create_many(
        [
            new("192.0.2.1"),
            new(
                "192.0.2.2", hostname="out.example", name="Out 2", ipv6="2001:0DB8::0:2", priority=0,
                template=template, redirect=relay, max_concurrent_connections=5, max_messages_per_hour=0,
            ),
        ],
        actor=ANN,
        organization_id=3,
    )  # fmt: skip
    stored = list(IPAddress.objects.order_by("pk"))
    assert made == stored
    first, second = stored
    expected = {
        "kind": "ip_address", "name": "ip-192.0.2.1", "redirect_id": None, "is_default": False, "ipv4": "192.0.2.1",
        "ipv6": None, "hostname": "mail.example", "priority": 100, "template_id": default_template().pk,
        "delivery_paused": False, "pause_reason": "", "paused_until": None, "public_ipv4": None,
        "public_ipv6": None,
    }  # fmt: skip
    volatile = {"id", "virtualmta_ptr_id", "rules_id", "created_at"}
    assert {name: value for name, value in snapshot(first).items() if name not in volatile} == expected
    assert {name: value for name, value in snapshot(second).items() if name not in volatile} == expected | {
        "name": "Out 2", "redirect_id": relay.pk, "ipv4": "192.0.2.2", "ipv6": "2001:db8::2", "hostname": "out.example",
        "priority": 0, "template_id": template.pk,
    }  # fmt: skip
    assert (second.name_key, second.virtualmta_ptr_id) == ("out 2", second.pk)
    assert [
        (each.rules.kind, each.rules.max_concurrent_connections, each.rules.max_messages_per_hour) for each in stored
    ] == [
        ("address", None, None),
        ("address", 5, 0),
    ]
    # What it returns is what is stored.
    assert [snapshot(each) for each in made] == [snapshot(each) for each in stored]
    assert written_by(ANN) == [("ip_address.created", "192.0.2.1", 3), ("ip_address.created", "192.0.2.2", 3)]
    # The whole document, as for an address that is created alone.
    assert [entry.after for entry in AuditEntry.objects.order_by("pk")] == [each.document() for each in stored]


def test_nothing_to_make_is_nothing(django_assert_num_queries):
    with django_assert_num_queries(2):  # a savepoint and its release
        assert create_many([], actor=ANN) == []


@pytest.mark.storage
def test_names_are_numbered_where_they_are_taken():
    IPAddressFactory(ipv4="192.0.2.9", name="IP-192.0.2.1")
    RelayServerFactory(name="ip-192.0.2.1-2")
    made = create_many([new("192.0.2.1"), new("192.0.2.2", name="ip-192.0.2.3"), new("192.0.2.3")], actor=SYSTEM)
    assert [each.name for each in made] == ["ip-192.0.2.1-3", "ip-192.0.2.3", "ip-192.0.2.3-2"]


@pytest.mark.storage
def test_it_rejects_what_is_taken_and_writes_nothing():
    IPAddressFactory(ipv4="192.0.2.1", ipv6="2001:db8::1", name="Straße")
    IPAddressFactory(ipv6="::1.2.3.4")
    rows = [
        new("192.0.2.1"),
        new("192.0.2.5", ipv6="2001:DB8:0::1"),
        new("192.0.2.6", name="STRASSE"),
        new("192.0.2.7", name="New", ipv6="2001:db8::7"),
        new("192.0.2.7", name="NEW", ipv6="2001:db8:0::7"),
        new("192.0.2.8", ipv6="::102:304"),
    ]
    with pytest.raises(Invalid) as refusal:
        create_many(rows, actor=ANN)
    assert sorted(str(fault) for fault in refusal.value.faults) == [
        "addresses[0].ipv4 has already been taken",
        "addresses[1].ipv6 has already been taken",
        "addresses[2].name has already been taken",
        "addresses[4].ipv4 has already been taken",
        "addresses[4].ipv6 has already been taken",
        "addresses[4].name has already been taken",
        "addresses[5].ipv6 has already been taken",
    ]
    assert (VirtualMTA.objects.count(), RuleSet.objects.filter(kind="address").count()) == (2, 2)
    assert written_by(ANN) == []


LENGTH = "must be from 1 to 200 characters in length"
CHARACTERS = "must contain only ASCII characters in the range 0x20-0x7e, without comma, pound and at-sign"


@pytest.mark.storage
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"ipv4": ""}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "192.0.2"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "192.0.2.256"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "192.0.2.01"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "192.0.2.1/32"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "１９２.0.2.1"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "192.0.2.1\n"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv4": "::1"}, "ipv4 must be a valid dotted-decimal IPv4 address"),
        ({"ipv6": "192.0.2.1"}, "ipv6 must be null or a valid IPv6 address"),
        ({"ipv6": "fe80::1%eth0"}, "ipv6 must be null or a valid IPv6 address"),
        ({"ipv6": "::ffff:192.0.2.1"}, "ipv6 must be null or a valid IPv6 address"),
        ({"ipv6": "\x00"}, "ipv6 must be null or a valid IPv6 address"),
        ({"hostname": "x." * 100 + "x"}, f"hostname {LENGTH}"),
        (
            {"hostname": "under_score.example"},
            "hostname must contain only letters, numbers and -, in labels with single dots between them",
        ),
        (
            {"hostname": "mail.example."},
            "hostname must start and end with a letter or number, and so must each of its labels",
        ),
        ({"hostname": "192.0.2.1"}, "hostname must not be an IPv4 address"),
        ({"name": "\u200b"}, f"name {CHARACTERS}"),
        ({"name": "\ud800"}, f"name {CHARACTERS}"),
        ({"name": "x@y"}, f"name {CHARACTERS}"),
        ({"name": "12"}, "name must not be an integer"),
        ({"name": " x"}, "name must not have leading or trailing whitespace"),
        ({"name": "x" * 201}, f"name {LENGTH}"),
        ({"priority": -1}, "priority must be an integer from 0 to 100"),
        ({"priority": 101}, "priority must be an integer from 0 to 100"),
        (
            {"max_concurrent_connections": 2**31},
            "max_concurrent_connections must be null or an integer from 0 to 2147483647",
        ),
        ({"max_messages_per_hour": -1}, "max_messages_per_hour must be null or an integer from 0 to 2147483647"),
    ],
    ids=str,
)
def test_it_rejects(change, fault):
    with pytest.raises(Invalid) as refusal:
        create_many([new("192.0.2.9"), new(**{"ipv4": "192.0.2.1"} | change)], actor=ANN)
    assert [str(each) for each in refusal.value.faults] == [f"addresses[1].{fault}"]
    assert not IPAddress.objects.exists()


def test_it_tells_every_fault_of_every_row():
    with pytest.raises(Invalid) as refusal:
        create_many([new("x", priority=101), new("192.0.2.1"), new("y", hostname="")], actor=ANN)
    assert [str(each) for each in refusal.value.faults] == [
        "addresses[0].priority must be an integer from 0 to 100",
        "addresses[0].ipv4 must be a valid dotted-decimal IPv4 address",
        "addresses[2].ipv4 must be a valid dotted-decimal IPv4 address",
        f"addresses[2].hostname {LENGTH}",
    ]


def statements(count):
    rows = [new(f"10.{count & 255}.{number >> 8}.{number & 255}") for number in range(count)]
    with CaptureQueriesContext(
        connection,
    ) as captured:
        made = create_many(rows, actor=SYSTEM)
    assert [each.ipv4 for each in made] == [row.ipv4 for row in rows]
    return len(captured)


def test_ten_thousand_take_as_many_statements_as_one():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite takes 999 parameters in an INSERT: the number grows with the rows, and costs little")
    one = statements(1)
    started = time.thread_time()
    assert statements(10_000) == one
    # Generous: it takes about two.
    assert time.thread_time() - started < on_this_machine(30)
    assert IPAddress.objects.count() == RuleSet.objects.filter(ip_address__isnull=False).count() == 10_001
    assert AuditEntry.objects.filter(act="ip_address.created").count() == 10_001


@pytest.mark.storage
def test_a_thousand_fit_every_database():
    create_many([new(f"10.0.{number >> 8}.{number & 255}") for number in range(1_500)], actor=SYSTEM)
    with pytest.raises(Invalid) as refusal:
        create_many([new(f"10.0.{number >> 8}.{number & 255}") for number in range(1_500)], actor=SYSTEM)
    assert len(refusal.value.faults) == 1_500


@pytest.mark.parametrize("text", ["0.0.0.0", "192.0.2.1", "255.255.255.255"])
def test_ipv4_is_dotted_decimal(text):
    assert is_ipv4(text)


@pytest.mark.parametrize(
    "text", ["", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.256", "٣.2.3.4", "\x00"]
)
def test_other_texts_are_no_ipv4(text):
    assert not is_ipv4(text)


def test_ipv6_has_one_form():
    for text in ("2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::0001"):
        assert canonical_ipv6(text) == "2001:db8::1"
