"""The explorer's page: whose numbers it shows, what it says where nothing is kept, its file, and the links that lead there."""

import csv
import datetime
import io
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from panel.explorer import links, rates
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import (
    AddressCount,
    DomainCount,
    PlatformCount,
    PlatformProviderCount,
    Provider,
    ProviderCount,
    ReasonCount,
    SenderDomain,
    ServerCount,
    ServerProviderCount,
    Subject,
)
from stats.reasons import NUMBERS
from stats.reports.reader import Counts
from tests.panel.conftest import NOW, sign_in

PAGE, FILE = reverse("admin:explorer"), reverse("admin:explorer_file")
DAY = datetime.timedelta(days=1)
YESTERDAY = {"since": "2026-11-17T00:00", "until": "2026-11-18T00:00", "zone": "UTC"}
TEN_TO_TWELVE = {**YESTERDAY, "since": "2026-11-17T10:00", "until": "2026-11-17T12:00"}


@pytest.fixture(autouse=True)
def at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def yahoo(db):
    return Provider.objects.get(name="Yahoo")


def add(model, at, grains, counts, **ids):
    for grain in grains:
        bucket = buckets.day_of(at) if grain == Grain.DAY else buckets.hour_of(at)
        row, _ = model.objects.get_or_create(grain=grain, bucket=bucket, **ids)
        for kind, number in counts.items():
            setattr(row, kind, getattr(row, kind) + number)
        row.save()


def count(tenant, at, provider, **counts):
    """Count as the fold does, for one server by its address to a provider."""
    server, address, both = tenant.server.pk, tenant.address.pk, (Grain.HOUR, Grain.DAY)
    add(PlatformCount, at, both, counts)
    add(PlatformProviderCount, at, both, counts, provider_id=provider.pk)
    add(ServerCount, at, both, counts, server_id=server)
    add(ServerProviderCount, at, both, counts, server_id=server, provider_id=provider.pk)
    add(AddressCount, at, [Grain.DAY], counts, address_id=address)
    add(ProviderCount, at, [Grain.DAY], counts, address_id=address, provider_id=provider.pk)
    replied = {kind: number for kind, number in counts.items() if kind in ("deferred", "bounced")}
    add(ReasonCount, at, both, replied, server_id=server, reason=NUMBERS["mailbox_full"])
    domain, _ = SenderDomain.objects.get_or_create(server_id=server, name=tenant.domain.name, first_seen_day=0)
    add(DomainCount, at, [Grain.DAY], counts, domain_id=domain.pk)


@pytest.fixture
def counted(acme, globex, platform, yahoo):
    eleven = NOW.replace(hour=11, minute=5) - DAY
    count(acme, eleven, yahoo, sent=900, deferred=80, bounced=20, complaint=2, incoming=1_000)
    count(acme, eleven + datetime.timedelta(hours=3), yahoo, sent=7)
    count(globex, eleven, yahoo, sent=50, bounced=50)
    count(acme, eleven - DAY, yahoo, sent=450)


def context(client, **asked):
    response = client.get(PAGE, asked)
    assert response.status_code == 200, response
    return response.context


def rows(shown):
    return [(row["label"], [cell["number"] for cell in row["cells"]][:3]) for row in shown["rows"]]


def test_what_happened_to_mail_to_yahoo_yesterday_from_10_to_12(counted, yahoo, root):
    shown = context(root, **TEN_TO_TWELVE, provider=yahoo.pk)
    tiles = {tile["kind"]: (tile["number"], tile["rate"]) for tile in shown["tiles"]}
    assert tiles == {
        "sent": (950, "86.4 %"), "deferred": (80, "7.3 %"), "bounced": (70, "6.4 %"), "complaint": (2, "0.21 %"),
        "incoming": (1_000, ""),
    }  # fmt: skip
    assert rows(shown) == [("Tue 17 Nov, 11:00", [950, 80, 70])]
    assert shown["complaints"]["description"] == "Complaint rate: 2 complaints, 0.21 % of what was sent"


def test_a_period_becomes_times_that_say_the_same_tomorrow(counted, yahoo, root):
    response = root.get(PAGE, {"period": "yesterday", "provider": yahoo.pk, "grain": "minute", "nonsense": "1"})
    assert response.status_code == 302
    asked = {name: value[0] for name, value in parse_qs(urlsplit(response.headers["Location"]).query).items()}
    assert asked == {**YESTERDAY, "provider": str(yahoo.pk)}
    assert root.get(PAGE).status_code == 302
    shown = context(root, **asked)
    assert [label for label, _ in rows(shown)] == ["Tue 17 Nov, 11:00", "Tue 17 Nov, 14:00"]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("organization", [("Acme", [907, 80, 20]), ("Globex", [50, 0, 50])]),
        ("server", [("Acme server (Acme)", [907, 80, 20]), ("Globex server (Globex)", [50, 0, 50])]),
        ("pool", [("Acme pool", [907, 80, 20]), ("Globex pool", [50, 0, 50])]),
        ("address", [("192.0.2.1", [907, 80, 20]), ("198.51.100.1", [50, 0, 50])]),
        ("provider", [("Yahoo", [957, 80, 70])]),
        ("domain", [("acme.example", [907, 80, 20]), ("globex.example", [50, 0, 50])]),
        ("reason", [("mailbox full", [80, 70, 0])]),
    ],
)
def test_rows_by_anything(group, expected, counted, root):
    assert rows(context(root, **YESTERDAY, group=group)) == expected


def test_replies_are_counted_without_what_was_accepted_so_there_is_no_rate_of_the_attempts(counted, root):
    shown = context(root, **YESTERDAY, group="reason")
    assert [(tile["kind"], tile["number"], tile["rate"]) for tile in shown["tiles"]] == [
        ("deferred", 80, ""),
        ("bounced", 70, ""),
    ]
    assert [each["name"] for each in shown["chart"]["series"]] == ["deferred", "bounced"]
    assert shown["chart"]["accepted"] == ""


def test_a_row_leads_to_just_what_it_is_about(counted, acme, root):
    shown = context(root, **YESTERDAY, group="server", sort="bounced")
    assert [row["label"] for row in shown["rows"]] == ["Globex server (Globex)", "Acme server (Acme)"]
    url = shown["rows"][1]["url"]
    only = root.get(url).context
    assert [tile["number"] for tile in only["tiles"]][:3] == [907, 80, 20]
    assert f"server={acme.server.pk}" in url
    assert "group=" not in url


def test_it_compares_with_the_period_before(counted, root):
    shown = context(root, **YESTERDAY, compare="on")
    sent = next(tile for tile in shown["tiles"] if tile["kind"] == "sent")
    assert sent["change"] == "+113 %, 450 (100.0 %) before"
    lacking = {
        "since": "2026-11-18T09:00",
        "until": "2026-11-18T10:00",
        "zone": "UTC",
        "grain": "minute",
        "compare": "on",
    }
    assert context(root, **lacking)["lacks_past"] is True


def test_what_is_not_kept_is_said_and_what_is_kept_is_offered(counted, acme, root):
    both = {**YESTERDAY, "server": acme.server.pk, "address": acme.address.pk}
    shown = context(root, **both)
    assert "Counts are not kept by IP address and server together." in shown["lack"]
    assert [title for title, _ in shown["offers"]] == ["Without “Server”", "Without “IP address”"]
    assert "tiles" not in shown
    hours = context(root, **TEN_TO_TWELVE, address=acme.address.pk)
    assert hours["lack"] == "Counts by IP address are kept by whole UTC days, no finer."
    [(title, url)] = hours["offers"]
    assert title == "By whole UTC days"
    assert [tile["number"] for tile in root.get(url).context["tiles"]][:3] == [907, 80, 20]
    assert root.get(FILE, both).status_code == 400


def test_the_file_has_the_same_rows(counted, root):
    response = root.get(FILE, {**YESTERDAY, "group": "organization"})
    assert response.headers["Content-Disposition"] == 'attachment; filename="counts.csv"'
    head, *lines = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert head[:6] == ["since", "until", "organization", "sent", "deferred", "bounced"]
    assert [line[2:6] for line in lines] == [["Acme", "907", "80", "20"], ["Globex", "50", "0", "50"]]
    assert lines[0][:2] == ["2026-11-17T00:00:00+00:00", "2026-11-18T00:00:00+00:00"]
    assert dict(zip(head, lines[0], strict=True))["sent_rate"] == "0.900695"
    by_time = list(csv.reader(io.StringIO(root.get(FILE, YESTERDAY).content.decode("utf-8-sig"))))
    assert (len(by_time), by_time[12][0], by_time[12][3]) == (25, "2026-11-17T11:00:00+00:00", "950")


@pytest.mark.parametrize("role", ["owner", "operator", "analyst"])
def test_people_see_their_own_servers_alone(role, counted, acme, globex, yahoo):
    client = sign_in(getattr(acme, role))
    for asked in ({}, {"group": "organization"}, {"group": "server"}, {"group": "domain"}, {"provider": yahoo.pk}):
        response = client.get(PAGE, {**YESTERDAY, **asked})
        assert b"lobex" not in response.content
        assert [tile["number"] for tile in response.context["tiles"]][:3] == [907, 80, 20], asked
    assert b"lobex" not in client.get(FILE, {**YESTERDAY, "group": "domain"}).content
    for name, pk in (("server", globex.server.pk), ("organization", globex.organization.pk)):
        response = client.get(PAGE, {**YESTERDAY, name: pk})
        assert "tiles" not in response.context
        assert b"lobex" not in response.content
        assert client.get(FILE, {**YESTERDAY, name: pk}).status_code == 400
    assert [tile["number"] for tile in context(client, **YESTERDAY, domain="globex.example")["tiles"]] == [0, 0, 0]


def test_what_addresses_sent_is_the_platforms(counted, acme, platform):
    client = sign_in(acme.owner)
    assert not {"pool", "address", "signature"} & set(context(client, **YESTERDAY)["form"].fields)
    for asked in ({"address": acme.address.pk}, {"pool": acme.pool.pk}, {"signature": 1}):
        # Unknown parameters: the answer is that of their servers.
        assert [tile["number"] for tile in context(client, **YESTERDAY, **asked)["tiles"]][:3] == [907, 80, 20]
    for group in ("address", "pool", "signature"):
        assert context(client, **YESTERDAY, group=group)["form"].errors
        assert client.get(FILE, {**YESTERDAY, "group": group}).status_code == 400
    page = client.get(reverse("admin:ippools_ipaddress_change", args=[acme.address.pk]))
    assert {chart["explore"] for chart in page.context["chart"]["charts"]} == {""}


def test_nobody_else_gets_in(counted, acme, platform):
    from tests.panel.conftest import make_person

    assert sign_in(None).get(PAGE, YESTERDAY).status_code == 302
    assert sign_in(make_person("nobody")).get(PAGE, YESTERDAY).status_code == 403
    assert sign_in(make_person("nobody2")).get(FILE, YESTERDAY).status_code == 403


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "x"}, {"since": "0001-01-01T00:00"}, {"until": "9999-12-31T23:59"}, {"zone": "Mars/Olympus"},
        {"zone": "../etc/passwd"}, {"zone": "\x00"}, {"server": "x"}, {"server": "9" * 40}, {"provider": "x"},
        {"group": "password"}, {"domain": "a b"}, {"domain": "\x00"}, {"reason": "99"}, {"signature": "-1"},
        {"signature": "9" * 30}, {"grain": "year"}, {"since": "2026-11-18T00:00"}, {"address": "\ud800"},
        {"sort": "password"}, {"compare": "x"}, {"since": "2026-11-17T10:30"}, {"since": "2001-01-01T00:00"},
    ],
)  # fmt: skip
def test_bad_input_is_no_crash(asked, counted, root):
    asked = {name: value.encode("utf-8", "surrogatepass") for name, value in asked.items()}
    for url in (PAGE, FILE):
        assert root.get(url, {**YESTERDAY, **asked}).status_code in (200, 400)
    assert root.get(PAGE, {"period": "x" * 300, **asked}).status_code == 302


def test_a_page_costs_at_most_twenty_queries(counted, acme, yahoo, root):
    questions = [
        {"organization": acme.organization.pk, "server": acme.server.pk, "provider": yahoo.pk, "group": "server"},
        {"pool": acme.pool.pk, "address": acme.address.pk, "provider": yahoo.pk, "reason": 3, "group": "pool"},
        {"organization": acme.organization.pk, "server": acme.server.pk, "reason": 3, "group": "organization"},
        {"organization": acme.organization.pk, "domain": "acme.example", "group": "server"},
        {
            "server": acme.server.pk,
            "address": acme.address.pk,
            "pool": acme.pool.pk,
            "organization": acme.organization.pk,
        },
    ]
    for asked in questions:
        for client in (root, sign_in(acme.owner)):
            cache.clear()
            with CaptureQueriesContext(connection) as queries:
                client.get(PAGE, {**YESTERDAY, **asked, "compare": "on"})
            assert len(queries) <= 20, (asked, [each["sql"][:120] for each in queries])


def test_what_is_deleted_is_called_as_it_was(counted, root):
    ServerCount.objects.create(grain=Grain.HOUR, bucket=buckets.hour_of(NOW) - 24, server_id=99, sent=1)
    Subject.objects.create(kind=Subject.Kind.SERVER, object_id=99, label="gone/mailer")
    labels = [row["label"] for row in context(root, **YESTERDAY, group="server")["rows"]]
    # Its place among those with as many depends on ids.
    assert "gone/mailer (deleted)" in labels


# --- The ways there --------------------------------------------------------------------------------------------------


def test_every_chart_leads_into_the_explorer(counted, acme, yahoo, root):
    pages = {
        "index": root.get(reverse("admin:index")).context,
        "server": root.get(reverse("admin:servers_server_change", args=[acme.server.pk])).context["chart"],
        "address": root.get(reverse("admin:ippools_ipaddress_change", args=[acme.address.pk])).context["chart"],
        "domain": root.get(reverse("admin:servers_domain_change", args=[acme.domain.pk])).context["chart"],
        "provider": root.get(reverse("admin:stats_provider_change", args=[yahoo.pk])).context["chart"],
    }
    charts = [pages["index"]["daily"], pages["index"]["hourly"]]
    for name in ("server", "address", "domain", "provider"):
        charts += pages[name]["charts"]
    assert len(charts) == 8
    for chart in charts:
        shown = root.get(chart["explore"]).context
        assert "lack" not in shown, chart["title"]
        if chart.get("series"):
            numbers = {tile["kind"]: tile["number"] for tile in shown["tiles"]}
            assert {each["name"]: each["total"] for each in chart["series"]} == {
                kind: numbers[kind] for kind in ("sent", "deferred", "bounced")
            }, chart["title"]


def test_the_reasons_of_a_servers_bounces_are_one_click_away(counted, acme, root):
    html = root.get(reverse("admin:servers_server_change", args=[acme.server.pk])).content.decode()
    url = links.of_last_days(NOW, 30, server=acme.server.pk, group="reason", sort="bounced")
    assert url.replace("&", "&amp;") in html
    assert rows(root.get(url).context) == [("mailbox full", [80, 20, 0])]


# --- Rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("complaints", "rate", "tone"),
    [(0, "0.00 %", ""), (9, "0.09 %", ""), (10, "0.10 %", "warn"), (29, "0.29 %", "warn"), (30, "0.30 %", "bad")],
)
def test_complaints_are_marked_at_a_thousandth_and_at_three(complaints, rate, tone):
    shown = rates.shown(Counts(sent=10_000, complaint=complaints), "complaint")
    assert (shown["rate"], shown["tone"]) == (rate, tone)


@pytest.mark.parametrize(
    ("share", "text"), [(None, "–"), (1.0, "100.0 %"), (0.9999, "99.9 %"), (0.0, "0.0 %"), (0.0001, "< 0.1 %")]
)
def test_what_is_nearly_all_is_not_all(share, text):
    assert rates.percent(share) == text


@pytest.mark.parametrize("period", ["today", "yesterday", "7d", "30d"])
def test_every_period_is_answered_in_a_zone_of_half_hours(acme, period):
    acme.analyst.time_zone = "Asia/Kolkata"
    acme.analyst.save()
    response = sign_in(acme.analyst).get(reverse("admin:explorer"), {"period": period}, follow=True)
    assert "lack" not in response.context
    assert "T00%3A30" in response.redirect_chain[-1][0]


def test_a_time_that_begins_within_an_hour_is_offered_by_whole_hours(acme):
    asked = {"since": "2026-11-10T00:00", "until": "2026-11-15T00:00", "zone": "Asia/Kolkata"}
    shown = sign_in(acme.analyst).get(reverse("admin:explorer"), asked).context
    assert shown["lack"].startswith("The time begins or ends within an hour of UTC")
    title, url = shown["offers"][0]
    assert title == "By whole hours"
    assert "lack" not in sign_in(acme.analyst).get(url).context
