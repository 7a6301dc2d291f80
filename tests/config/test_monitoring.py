"""The rules for Prometheus and the dashboard for Grafana in deploy/: what they name, `/metrics` has."""

import datetime
import json
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from stats.counts.buckets import Grain
from stats.models import ServerCount
from tests.alerts.factories import AlertFactory, MessageFactory

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
DEPLOY = Path(settings.BASE_DIR) / "deploy"
SELECTOR = re.compile(r"\b(sluice_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|=|!=)"([^"]*)"')


def rules():
    [group] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return group["rules"]


def panels():
    return json.loads((DEPLOY / "grafana" / "sluice.json").read_text())["panels"]


def expressions():
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


@pytest.fixture
def scraped(client: Client) -> dict[str, list[dict[str, str]]]:
    """Return the labels of each series of a scrape, by metric."""
    client.get("/admin/login/")
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_every_metric_and_label_that_is_named_exists(scraped):
    selectors = [found for each in expressions() for found in SELECTOR.findall(each)]
    assert {name for name, _ in selectors} - scraped.keys() == set()
    for name, matchers in selectors:
        for label, operator, value in MATCHER.findall(matchers):
            values = {labels[label] for labels in scraped[name]}
            # Routes and statuses are what has been requested; words of ours are all there.
            if label not in ("route", "status") and operator in ("=", "=~"):
                assert set(value.split("|")) <= values, (name, label)
    # What is grouped by is a label of a metric beside it.
    for each in expressions():
        labels = {label for name, _ in SELECTOR.findall(each) for series in scraped[name] for label in series}
        for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", each):
            assert set(by.split(", ")) <= labels | {"instance"}, each


def test_nothing_but_our_metrics_and_whether_a_machine_answers_is_asked():
    words = {"up", "job", "instance"}
    known = words | {
        "sum", "rate", "max", "by", "unless", "on", "and", "offset", "increase", "delta", "histogram_quantile", "le", "kind",
        "condition", "severity", "status", "state", "m", "h", "d", "w",
    }  # fmt: skip
    for each in expressions():
        bare = re.sub(r'"[^"]*"', "", SELECTOR.sub("", each))
        assert set(re.findall(r"[A-Za-z_]+", bare)) <= known, each


def test_each_rule_is_whole_and_each_panel_has_a_place_of_its_own():
    assert all(rule.keys() <= {"alert", "expr", "for", "labels", "annotations"} for rule in rules())
    assert all(
        rule["labels"]["severity"] in ("critical", "warning") and rule["annotations"]["summary"] for rule in rules()
    )
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own


def test_the_numbers_of_messages_and_alerts(client: Client):
    for server, sent in ((1, 5), (2, 7)):
        ServerCount.objects.create(grain=Grain.TOTAL, bucket=0, server_id=server, sent=sent, complaint=1)
        ServerCount.objects.create(grain=Grain.DAY, bucket=20_000, server_id=server, sent=sent)
    AlertFactory(condition="node_failing")
    AlertFactory(ended_at=timezone.now())
    AlertFactory(began_at=None)
    MessageFactory(created_at=timezone.now() - datetime.timedelta(hours=1))
    MessageFactory(state="sent", due_at=None)
    MessageFactory(channel__enabled=False)
    text = client.get("/metrics").content.decode()
    for line in (
        'sluice_messages_total{kind="sent"} 12.0',
        'sluice_messages_total{kind="complaint"} 2.0',
        'sluice_messages_total{kind="bounced"} 0.0',
        'sluice_alerts{condition="node_failing",severity="bad"} 1.0',
        'sluice_alerts{condition="domain_dns",severity="bad"} 0.0',
        "sluice_alert_messages 1.0",
    ):
        assert f"\n{line}\n" in text
    [age] = re.findall(r"\nsluice_alert_message_age_seconds (\S+)", text)
    assert 3600 <= float(age) < 7200
