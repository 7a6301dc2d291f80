"""Every interface validates names, IPv4, IPv6 and host names alike, by ippools.values."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from core.audit import Actor
from core.csv_table import Row
from core.errors import Invalid
from core.models import User
from core.references import Reference
from ippools import ip_addresses, ranges
from ippools.addresses import NewAddress, create_many
from ippools.models import IPAddress
from servers import address_file
from tests.api.greenarrow.conftest import Caller, basic, make_token, make_user
from throttling.models import ThrottlingTemplate

pytestmark = pytest.mark.django_db

SYSTEM = Actor.system()
GOOD = {"name": "out-1", "ipv4": "192.0.2.1", "ipv6": None, "hostname": "out.example.com"}
LABEL = "must have labels of at most 63 characters"
CHARACTERS = "must contain only ASCII characters in the range 0x20-0x7e, without comma, pound and at-sign"


# Each way in takes values and returns the sentences by which it refuses them; none: the address is there.


def by_the_act(values):
    try:
        ip_addresses.create(actor=SYSTEM, template=Reference(name="Default"), **values)
    except Invalid as refusal:
        return [each.message for each in refusal.faults]
    return []


def by_a_change(values):
    made = ip_addresses.create(
        actor=SYSTEM, template=Reference(name="Default"), name="before", ipv4="203.0.113.9", hostname="before.example"
    )
    try:
        ip_addresses.change(made.pk, actor=SYSTEM, **values)
    except Invalid as refusal:
        return [each.message for each in refusal.faults]
    return []


def in_bulk(values):
    try:
        create_many([NewAddress(**values)], actor=SYSTEM)
    except Invalid as refusal:
        return [each.message for each in refusal.faults]
    return []


def by_the_file(values):
    row = Row(2, {name: value or "" for name, value in values.items()})
    try:
        address_file.import_rows([row], actor=SYSTEM)
    except Invalid as refusal:
        return [each.message for each in refusal.faults]
    return []


def by_the_form(values, client):
    client.force_login(User.objects.create_superuser("root"))
    form = {
        **{name: value or "" for name, value in values.items()},
        "priority": "100",
        "template": ThrottlingTemplate.objects.get(is_default=True).pk,
        "rules-TOTAL_FORMS": "0",
        "rules-INITIAL_FORMS": "0",
    }
    answer = client.post(reverse("admin:ippools_ipaddress_add"), form)
    if answer.status_code == 302:
        return []
    errors = answer.context_data["adminform"].form.errors
    return [message for messages in errors.values() for message in messages]


@pytest.mark.parametrize("door", [by_the_act, by_a_change, in_bulk, by_the_file])
@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({}, []),
        ({"ipv6": "2001:db8::1"}, []),
        ({"ipv6": "::ffff:192.0.2.1"}, ["must be null or a valid IPv6 address"]),
        ({"ipv6": "fe80::1%eth0"}, ["must be null or a valid IPv6 address"]),
        ({"ipv4": "192.0.2.01"}, ["must be a valid dotted-decimal IPv4 address"]),
        ({"name": "12"}, ["must not be an integer"]),
        ({"name": "x@y"}, [CHARACTERS]),
        ({"name": "é"}, [CHARACTERS]),
        ({"name": "x" * 201}, ["must be from 1 to 200 characters in length"]),
        ({"hostname": "x" * 63 + ".example.com"}, []),
        ({"hostname": "x" * 64 + ".example.com"}, [LABEL]),
        ({"hostname": "x_y.example"}, ["must contain only letters, numbers and -, in labels with single dots between them"]),
        ({"hostname": "192.0.2.1"}, ["must not be an IPv4 address"]),
        ({"hostname": "0xbeef.example"}, []),
    ],
    ids=str,
)  # fmt: skip
def test_every_way_in_judges_alike(door, changes, messages):
    assert door({**GOOD, **changes}) == messages
    assert IPAddress.objects.filter(ipv4="192.0.2.1").exists() is (messages == [])


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"ipv6": "::ffff:192.0.2.1"}, False),
        ({"name": "12"}, False),
        ({"name": "x@y"}, False),
        ({"hostname": "x" * 64 + ".example.com"}, False),
        ({"hostname": "x_y.example"}, False),
    ],
    ids=str,
)
def test_the_form_judges_alike(client, changes, is_good):
    assert (by_the_form({**GOOD, **changes}, client) == []) is is_good
    assert IPAddress.objects.exists() is is_good


@pytest.mark.parametrize("hostname", ["127.1", "0x7f.1", "2130706433", "0X7F000001", "0177.0.0.1"])
def test_people_are_refused_host_names_that_resolvers_read_as_addresses(client, hostname):
    """GreenArrow's page allows most of them."""
    assert by_the_form({**GOOD, "hostname": hostname}, client)
    assert by_the_file({**GOOD, "hostname": hostname})
    assert not IPAddress.objects.exists()


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({}, []),
        ({"name": "12"}, ["name must not be an integer"]),
        ({"name": "x@y"}, [f"name {CHARACTERS}"]),
        ({"hostname": "x" * 64 + ".example.com"}, [f"hostname {LABEL}"]),
        ({"ip": "192.0.2.01"}, ["ip must be a valid dotted-decimal IPv4 address"]),
    ],
    ids=str,
)
def test_the_api_judges_alike(changes, messages):
    call = Caller(basic("operator", make_token(make_user("operator", "yes"))))
    values = {"name": "out-1", "ip": "192.0.2.1", "hostname": "out.example.com"}
    body = {"ip_address": {**values, "throttling_template": {"name": "Default"}, **changes}}
    answer = call.raw("POST", "ip_addresses", json.dumps(body).encode(), status=422 if messages else 200)
    assert (answer["error_messages"] or []) == messages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["192.0.2.1", "out.example.com"], ""),
        (["192.0.2.1", "x" * 64 + ".example.com"], LABEL),
        (["192.0.2.1", "out.example.com", "--ipv6", "::ffff:192.0.2.1"], "must be null or a valid IPv6 address"),
        (["192.0.2.01", "out.example.com"], "must be a valid dotted-decimal IPv4 address"),
    ],
    ids=str,
)
def test_the_command_judges_alike(arguments, message):
    if not message:
        call_command("create_ip_address", *arguments)
        assert IPAddress.objects.filter(ipv4="192.0.2.1").exists()
        return
    with pytest.raises(CommandError, match=message):
        call_command("create_ip_address", *arguments)


def test_a_paste_judges_alike():
    pasted = ranges.read("192.0.2.1 192.0.2.01 ::ffff:192.0.2.1")
    assert pasted.addresses == ["192.0.2.1"]
    assert [entry for entry, _ in pasted.refused] == ["192.0.2.01", "::ffff:192.0.2.1"]
