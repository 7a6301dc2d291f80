"""Lists: their order by volume, state and address, the first click on numbers, and numbers that stand below each other."""

import inspect
import re

import pytest
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.db import connection
from django.db.models import IntegerField
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ippools import drains, pausing
from ippools.addresses import NewAddress, create_many
from ippools.caps import begin as begin_cap
from ippools.models import AddressIdentity, IPAddress
from servers.models import Domain
from servers.pools import add_members, create_pool
from servers.provisioning import create_organization, create_server
from stats.counts.buckets import Grain, day_of, month_number
from stats.models import AddressCount, DomainCount, SenderDomain, ServerCount
from tests.panel.conftest import NOW, SYSTEM, sign_in
from throttling.drain import Effect, Step, TroubleKind
from throttling.limits import CapKind

# Days before today, and how many were sent then; the month's count is of its own.
WEEK_AGO, BEFORE = 6, 7
TODAY, WEEK, MONTH = "sent_today", "sent_this_week", "sent_this_month"


@pytest.fixture(autouse=True)
def _now(time_machine):
    time_machine.move_to(NOW)


def sent(model, key, subject, *, today=0, earlier=0, long_ago=0, month=0, **more):
    """Count what a subject sent today, six and seven days ago, and this month."""
    days = {0: today, WEEK_AGO: earlier, BEFORE: long_ago}
    for before, number in days.items():
        model.objects.create(grain=Grain.DAY, bucket=day_of(NOW) - before, **{key: subject}, sent=number, **more)
        more = {}
    model.objects.create(grain=Grain.MONTH, bucket=month_number(NOW.date()), **{key: subject}, sent=month)


def shown(client, name, column, order, **query):
    """Return the first column and another one of a list that is ordered by a column."""
    url = reverse(f"admin:{name}_changelist")
    found = client.get(url, query).context["cl"]
    index = list(found.list_display).index(column)
    page = client.get(url, {**query, "o": f"{order}{index}"}).context["cl"]
    return [(str(row), getattr(page.model_admin, column)(row)) for row in page.result_list]


@pytest.mark.storage
def test_servers_are_ordered_by_what_they_sent(acme, globex, platform):
    client = sign_in(platform.superuser)
    sent(ServerCount, "server_id", acme.server.pk, today=5, earlier=10, long_ago=1_000, month=20)
    sent(ServerCount, "server_id", globex.server.pk, today=7, earlier=1, month=500)
    quiet = create_server(organization=acme.organization, name="Quiet", actor=SYSTEM).server
    assert shown(client, "servers_server", TODAY, "-") == [
        (str(globex.server), 7), (str(acme.server), 5), (str(quiet), 0),
    ]  # fmt: skip
    assert shown(client, "servers_server", WEEK, "-")[0] == (str(acme.server), 15)
    assert shown(client, "servers_server", MONTH, "") == [
        (str(quiet), 0), (str(acme.server), 20), (str(globex.server), 500),
    ]  # fmt: skip


@pytest.mark.storage
def test_what_is_equal_has_the_order_of_the_next_column(acme, platform):
    client = sign_in(platform.superuser)
    for name in ("B", "C", "A"):
        create_server(organization=acme.organization, name=name, actor=SYSTEM)
    url = reverse("admin:servers_server_changelist")
    columns = list(client.get(url).context["cl"].list_display)
    for order, wanted in (("", ["A", "B", "C"]), ("-", ["C", "B", "A"])):
        found = client.get(url, {"q": "acme", "o": f"-{columns.index(TODAY)}.{order}{columns.index('name')}"})
        names = [row.name for row in found.context["cl"].result_list if len(row.name) == 1]
        assert names == wanted


@pytest.mark.storage
def test_addresses_pools_organizations_and_domains_are_ordered_too(acme, globex, platform):
    client = sign_in(platform.superuser)
    sent(AddressCount, "address_id", acme.address.pk, today=1, earlier=8, month=9)
    sent(AddressCount, "address_id", globex.address.pk, today=3, earlier=2, month=7)
    second = create_pool(organization=acme.organization, name="Second", ips=["192.0.2.9"], actor=SYSTEM).pool
    sent(AddressCount, "address_id", IPAddress.objects.get(ipv4="192.0.2.9").pk, today=2, month=2)
    add_members(pool=second, addresses=[acme.address], actor=SYSTEM, organization_id=acme.organization.pk)
    assert [name for name, _ in shown(client, "ippools_ipaddress", TODAY, "-")][:3] == [
        str(globex.address), "192.0.2.9", str(acme.address),
    ]  # fmt: skip
    assert shown(client, "ippools_ippool", TODAY, "-")[:2] in (
        [(str(globex.pool), 3), (str(second), 3)],
        [(str(second), 3), (str(globex.pool), 3)],
    )
    assert shown(client, "ippools_ippool", WEEK, "-")[0] == (str(second), 11)
    sent(ServerCount, "server_id", acme.server.pk, today=2, month=2)
    sent(ServerCount, "server_id", globex.server.pk, today=1, month=3)
    # A deleted server's mail is its organization's still.
    acme.server.deleted_at = NOW
    acme.server.save()
    assert shown(client, "servers_organization", TODAY, "-")[0] == (str(acme.organization), 2)
    assert shown(client, "servers_organization", MONTH, "-")[0] == (str(globex.organization), 3)


@pytest.mark.storage
def test_a_domain_has_what_its_own_server_sent_from_it(acme, globex, platform):
    client = sign_in(platform.superuser)
    Domain.objects.create(server=globex.server, name="acme.example", verification_token="u", dkim_public_key="p")
    for server, number in ((acme.server, 4), (globex.server, 6)):
        name = SenderDomain.objects.create(server_id=server.pk, name="acme.example", first_seen_day=0)
        sent(DomainCount, "domain_id", name.pk, today=number, month=number)
    assert shown(client, "servers_domain", TODAY, "-", q="acme.example") == [("acme.example", 6), ("acme.example", 4)]


@pytest.mark.storage
def test_addresses_in_trouble_come_first(acme, globex, platform):
    client = sign_in(platform.superuser)
    rows = [NewAddress(ipv4=f"10.0.0.{n}", hostname="h.example.com") for n in (2, 10, 100, 9)]
    well, paused, drained, backing_off = create_many(rows, actor=SYSTEM)
    pausing.pause(paused.pk, reason="Listed", until=None, at=NOW, actor=SYSTEM)
    step = Step(drained.pk, Effect.DRAINED, reason="Listed", kinds=(TroubleKind.LISTED,))
    drains.take(step, domains={}, at=NOW, actor=SYSTEM)
    begin_cap(
        address_id=backing_off.pk, kind=CapKind.THROTTLE_PROGRAM, reason="Deferrals", at=NOW, actor=SYSTEM,
        max_messages_per_hour=10,
    )  # fmt: skip
    AddressIdentity.objects.create(ip_address=well, ptr_status="missing")
    AddressIdentity.objects.create(ip_address=paused, ptr_status="ok", fcrdns_status="ok", helo_status="ok")
    day = {"grain": Grain.DAY, "bucket": day_of(NOW)}
    AddressCount.objects.create(**day, address_id=well.pk, sent=90, deferred=10)
    AddressCount.objects.create(**day, address_id=paused.pk, sent=10, deferred=90)

    def first(column, order):
        return [name for name, _ in shown(client, "ippools_ipaddress", column, order, q="10.0.0.")]

    assert first("state", "")[:2] == ["10.0.0.10", "10.0.0.100"]
    assert first("dns_identity", "")[0] == "10.0.0.2"
    assert first("dns_identity", "")[-1] == "10.0.0.10"
    assert first("back_off", "-")[0] == "10.0.0.9"
    # Without attempts there is no share, which is neither the best nor the worst.
    assert first("accepted", "")[:2] == ["10.0.0.10", "10.0.0.2"]
    assert first("accepted", "-")[:2] == ["10.0.0.2", "10.0.0.10"]


@pytest.mark.storage
def test_addresses_are_ordered_as_numbers(platform):
    given = ["10.0.0.10", "10.0.0.9", "9.255.255.255", "10.0.0.100", "100.0.0.1", "10.0.10.1", "10.0.9.1"]
    create_many([NewAddress(ipv4=each, hostname="h.example.com") for each in given], actor=SYSTEM)
    wanted = ["9.255.255.255", "10.0.0.9", "10.0.0.10", "10.0.0.100", "10.0.9.1", "10.0.10.1", "100.0.0.1"]
    client, url = sign_in(platform.superuser), reverse("admin:ippools_ipaddress_changelist")
    for query, order in (({}, 1), ({"o": "1"}, 1), ({"o": "-1"}, -1)):
        rows = client.get(url, query).context["cl"].result_list
        assert [row.ipv4 for row in rows if row.ipv4 in given] == wanted[::order], query


def test_the_pages_of_an_order_have_each_record_once(acme, platform, monkeypatch):
    from panel.pages.addresses import IPAddressAdmin

    monkeypatch.setattr(IPAddressAdmin, "list_per_page", 3)
    monkeypatch.setattr(IPAddressAdmin, "list_max_show_all", 5)
    made = create_many([NewAddress(ipv4=f"10.1.0.{n}", hostname="h.example.com") for n in range(1, 8)], actor=SYSTEM)
    for number, address in enumerate(made):
        sent(AddressCount, "address_id", address.pk, today=number)
    client, url = sign_in(platform.superuser), reverse("admin:ippools_ipaddress_changelist")
    index = list(client.get(url).context["cl"].list_display).index(TODAY)
    pages = [client.get(url, {"o": f"-{index}", "p": page, "q": "10.1."}) for page in (1, 2, 3)]
    found = [[row.volume.today for row in page.context["cl"].result_list] for page in pages]
    assert found == [[6, 5, 4], [3, 2, 1], [0]]
    assert client.get(url, {"o": f"-{index}", "p": 4, "q": "10.1."}).status_code == 302
    # The file has them all in the same order.
    lines = client.get(reverse("admin:ippools_ipaddress_list_export"), {"o": f"-{index}", "q": "10.1."}).content
    assert re.findall(r"10\.1\.0\.\d", lines.decode()) == [f"10.1.0.{n}" for n in range(7, 0, -1)]


def test_the_first_click_on_numbers_asks_for_the_most(acme, platform):
    client, url = sign_in(platform.superuser), reverse("admin:servers_server_changelist")
    index = list(client.get(url).context["cl"].list_display).index(TODAY)
    assert f'href="?o=-{index}"' in client.get(url).content.decode()
    assert f'href="?o={index}"' in client.get(url, {"o": f"-{index}"}).content.decode()
    assert 'href="?o=2"' in client.get(url).content.decode()


def test_an_order_costs_the_same_queries_however_many_rows_there_are(acme, platform):
    client = sign_in(platform.superuser)

    def count(name, column):
        url = reverse(f"admin:{name}_changelist")
        index = list(client.get(url).context["cl"].list_display).index(column)
        with CaptureQueriesContext(connection) as queries:
            client.get(url, {"o": f"-{index}"})
        return len(queries)

    places = [
        (f"{model._meta.app_label}_{model._meta.model_name}", column)
        for model, page in admin.site._registry.items()
        for column in page.rankings
    ]
    assert len(places) > 15
    few = {place: count(*place) for place in places}
    for n in range(5):
        create_many([NewAddress(ipv4=f"10.2.0.{n}", hostname="h.example.com")], actor=SYSTEM)
        other = create_organization(at=NOW, name=f"More {n}", actor=SYSTEM)
        create_server(organization=other, name="Only", actor=SYSTEM)
        Domain.objects.create(server=acme.server, name=f"more{n}.example", dkim_public_key="p")
    assert {place: count(*place) for place in places} == few
    assert max(few.values()) <= 20


def test_no_column_is_hidden_by_a_field_of_its_name():
    """Django shows the model's field, or the record that refers to this one, instead of what the page's method says."""
    fields = {
        model: {field.name for field in model._meta.get_fields() if not field.one_to_many}
        for model in admin.site._registry
    }
    names = {
        model: {name for name in (*page.list_display, *page.readonly_fields) if hasattr(page, str(name))}
        for model, page in admin.site._registry.items()
    }
    hidden = [f"{model.__name__}: {name}" for model in names for name in sorted(names[model] & fields[model])]
    assert hidden == [], "call the method otherwise"


def test_every_column_of_numbers_stands_to_the_right():
    css = finders.find("panel/panel.css")
    with open(css) as file:
        [rule] = re.findall(r"#result_list td:is\((.*?)\) \{", file.read())
    parts = [part.strip() for part in rule.split(",")]
    missing = []
    for page in admin.site._registry.values():
        for name in page.list_display:
            method = getattr(page, name, None)
            if method is None:
                field = page.model._meta.get_field(name)
                is_number = isinstance(field, IntegerField) and not field.choices
            else:
                told = str(inspect.signature(inspect.unwrap(method)).return_annotation)
                is_number = "int" in told.split(" | ")
            if not is_number:
                continue
            covered = any(
                part == f".field-{name}" or (part.startswith("[") and part.split('"')[1] in f"field-{name}")
                for part in parts
            )
            if not covered:
                missing.append((type(page).__name__, name))
    assert missing == [], "add .field-NAME to the rule `#result_list td:is(…)` of panel/static/panel/panel.css"
    assert len(parts) > 5
