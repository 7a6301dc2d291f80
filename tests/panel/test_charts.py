"""Charts: the same numbers drawn and as a table."""

import json

import pytest
from django.template.loader import render_to_string

from panel import charts
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import AddressCount, Provider, ProviderCount, ServerCount
from stats.reports.queries import Point
from stats.reports.reader import Counts
from tests.panel.conftest import NOW

pytestmark = pytest.mark.django_db


def test_a_servers_charts_have_thirty_days_and_a_day_of_hours():
    day, hour = buckets.day_of(NOW), buckets.hour_of(NOW)
    ServerCount.objects.create(grain=Grain.DAY, bucket=day - 1, server_id=7, sent=1_200, deferred=30, bounced=4)
    ServerCount.objects.create(grain=Grain.HOUR, bucket=hour, server_id=7, sent=5)
    daily, hourly = charts.server_chart(7, NOW)["charts"]
    assert (len(daily["rows"]), len(hourly["rows"])) == (30, 24)
    assert daily["rows"][-2] == {"label": "17 Nov", "values": [1_200, 30, 4], "share": "97.2 %"}
    assert hourly["rows"][-1] == {"label": "10:00", "values": [5, 0, 0], "share": "100.0 %"}
    assert daily["description"] == "The last 30 days: 1,200 sent, 30 deferred, 4 bounced"
    drawn = json.loads(daily["data"])
    assert [each["label"] for each in drawn["datasets"]] == ["Sent", "Deferred", "Bounced", "Accepted %"]
    assert [each["data"][-2] for each in drawn["datasets"]] == [1_200, 30, 4, 97.24]
    assert drawn["notes"][-2] == "1,234 attempts, 97.2 % accepted"
    # Today is not over, and hours are named with the zone that they are of.
    assert (daily["rows"][-1]["label"], hourly["column"]) == ("18 Nov, so far", "Hour from (UTC)")
    assert hourly["rows"][13]["label"] == "18 Nov, 00:00"
    assert drawn["labels"] == [row["label"] for row in daily["rows"]]


def test_a_chart_of_replies_has_no_accepted_share():
    points = [Point(NOW, Counts(deferred=30, bounced=4))]
    drawn = charts.chart(
        "Messages", points, str, "Day (UTC)", ["18 Nov"], [0], kinds=("deferred", "bounced", "late_bounce")
    )
    assert [each["label"] for each in json.loads(drawn["data"])["datasets"]] == ["Deferred", "Bounced"]
    assert "share" not in json.loads(drawn["options"])["scales"]
    assert json.loads(drawn["data"])["notes"] == []
    assert (drawn["accepted"], drawn["rows"]) == ("", [{"label": str(NOW), "values": [30, 4], "share": ""}])
    assert drawn["description"] == "Messages: 30 deferred, 4 bounced"


def test_an_addresss_chart_comes_with_how_providers_took_its_mail(django_assert_num_queries):
    day, gmail = buckets.day_of(NOW), Provider.objects.get(name="Gmail").pk
    AddressCount.objects.create(grain=Grain.DAY, bucket=day, address_id=3, sent=40, deferred=60)
    for provider, sent, deferred in ((gmail, 10, 60), (0, 30, 0)):
        ProviderCount.objects.create(
            grain=Grain.DAY, bucket=day, address_id=3, provider_id=provider, sent=sent, deferred=deferred
        )
    with django_assert_num_queries(3):
        found = charts.address_chart(3, NOW)
    assert [(row["name"], row["slug"], row["text"], row["step"]) for row in found["providers"]] == [
        ("other", "provider-other", "100 %", "5"),
        ("Gmail", "provider-gmail", "14 %", "0"),
    ]


def test_the_page_shows_the_chart_to_who_cannot_see_it():
    ServerCount.objects.create(grain=Grain.DAY, bucket=buckets.day_of(NOW), server_id=7, sent=1_200)
    html = render_to_string("panel/parts/charts.html", charts.server_chart(7, NOW))
    assert 'aria-label="The last 30 days: 1,200 sent, 0 deferred, 0 bounced"' in html
    assert '<th scope="row">18 Nov, so far</th><td class="panel-number">1,200</td>' in html
    assert "No events in this period." in html  # the hours


@pytest.mark.parametrize(
    ("counts", "text", "step"),
    [
        (Counts(), "–", "none"),
        (Counts(sent=999, deferred=1), "99 %", "5"),
        (Counts(sent=1000), "100 %", "5"),
        # 96.99 %, which is 97.0 % elsewhere.
        (Counts(sent=40_456, deferred=957, bounced=299), "97 %", "5"),
        (Counts(sent=49, bounced=51), "49 %", "0"),
        (Counts(sent=50, bounced=50), "50 %", "1"),
        (Counts(sent=93, deferred=7), "93 %", "4"),
    ],
)
def test_a_share_is_rounded_but_never_to_all_and_has_a_step(counts, text, step):
    shown = charts.shown_share(counts)
    assert (shown["text"], shown["step"]) == (text, step)
