"""What a page reads does not grow with the platform: by the statements that it makes (`make bench ARGS=sizes` measures it)."""

import datetime
from functools import partial
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from alerts import conditions, measures
from alerts.scope import PLATFORM, of_organization
from core.models import AuditEntry
from ippools.blocklists import create as create_blocklist
from panel import charts
from panel.lists import BoundedPaginator
from panel.site import Choices
from servers import spf_coverage
from servers.credentials import create_credential
from servers.models import Organization
from servers.pool_rules import addresses_of
from servers.webhooks import create_webhook
from stats import warm_up
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import Provider
from stats.reports import explore, queries, recent, volumes
from stats.reports.explore import By, Question
from stats.reports.queries import Point
from tests.alerts.factories import ChannelFactory
from tests.factories import AuditEntryFactory
from tests.panel.conftest import NOW, SYSTEM, sign_in

pytestmark = pytest.mark.django_db
FEW, MANY = range(1, 1_001), range(1, 1_002)


@pytest.fixture
def asked():
    """Return the statements of a call, in their order."""

    def ask(call):
        with CaptureQueriesContext(connection) as captured:
            call()
            return [query["sql"] for query in captured]

    return ask


@pytest.mark.parametrize(
    "read",
    [
        lambda ids: volumes.by_address(ids, NOW),
        lambda ids: volumes.by_server(ids, NOW),
        lambda ids: queries.server_sent(ids, NOW),
        lambda ids: queries.server_totals(ids),
        lambda ids: queries.month_and_total_by_address(ids, NOW),
        lambda ids: queries.sent_by_address(ids, "week", NOW),
        lambda ids: recent.of_servers(ids, NOW, days=30, hours=48),
    ],
)
def test_counts_of_few_are_found_by_their_key_and_of_many_by_their_bucket(read, asked):
    (few,) = asked(lambda: read(FEW))
    # Every bucket by itself: a range beside keys is read for each of these, or for all that there are.
    assert "SELECT unnest" not in few
    assert "json_each" not in few
    assert "BETWEEN" not in few
    (many,) = asked(lambda: read(MANY))
    assert "SELECT unnest" in many or "json_each" in many


def test_silent_servers_of_an_organization_are_looked_for_among_its_own(acme, asked):
    scope = of_organization(acme.organization)
    found = asked(lambda: conditions.found(scope, measures.measure(scope, NOW, worst=4), NOW))
    (sql,) = [each for each in found if "'traffic'" in each]
    assert "unnest" not in sql
    assert "json_each" not in sql


def test_days_of_a_warm_up_are_found_one_by_one(asked):
    first, last = NOW.date() - datetime.timedelta(days=9), NOW.date()
    for sql in asked(lambda: (warm_up.sent_by_day(7, first, last), warm_up.happened_between(7, first, last))):
        assert "BETWEEN" not in sql


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plan")
def test_counts_of_one_server_do_not_read_those_of_the_others(asked):
    with connection.cursor() as cursor:
        for grain in (3, 4):
            cursor.execute(
                "INSERT INTO stats_servercount (grain, bucket, server_id, incoming, sent, deferred, bounced, held, spam,"
                f" complaint, late_bounce) SELECT {grain}, bucket, id, 0, 1, 0, 0, 0, 0, 0, 0"
                " FROM generate_series(1, 3000) AS id,"
                " (VALUES (extract(epoch FROM now())::int / 86400), (2026 * 12 + 10)) AS of (bucket)"
            )
        cursor.execute("ANALYZE stats_servercount")
    (sql,) = asked(lambda: queries.server_sent([7], datetime.datetime.now(datetime.UTC)))
    assert _most_read(sql) < 10


def _most_read(sql) -> float:
    """Return how many rows the plan's most expensive node read, kept or not."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql.replace('%', '%%')}")
        (plan,) = cursor.fetchone()
    return _rows_read(plan[0]["Plan"])


def _rows_read(plan) -> float:
    own = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    return max([own, *map(_rows_read, plan.get("Plans", ()))])


def test_names_of_the_busiest_servers_are_read_of_these_alone(acme, asked):
    found = asked(lambda: queries.busiest_servers(None, 1, 7, limit=8))
    assert "servers_server" not in found[0]
    assert len(found) <= 2


def test_spf_coverage_looks_for_servers_and_not_from_each_domain(acme, asked):
    (sql,) = asked(lambda: spf_coverage.of_pools([acme.pool.pk]))
    assert "EXISTS" not in sql
    assert spf_coverage.of_pools([acme.pool.pk]).total == 1


def test_a_list_counts_some_thousands_of_rows_at_most(root, monkeypatch, asked):
    AuditEntryFactory.create_batch(8)
    url = reverse("admin:core_auditentry_changelist")
    assert b"more than" not in root.get(url).content
    monkeypatch.setattr(BoundedPaginator, "most", 5)
    answer = root.get(url)
    assert " ".join(answer.content.decode().split()).count("more than 5 ") == 1
    (counting,) = [sql for sql in asked(lambda: root.get(url)) if "COUNT(" in sql and "core_auditentry" in sql]
    assert "LIMIT 6" in counting


def test_a_list_of_as_many_rows_as_are_counted_says_so_exactly(root, monkeypatch):
    url = reverse("admin:core_auditentry_changelist")
    monkeypatch.setattr(BoundedPaginator, "most", AuditEntry.objects.count())
    assert b"more than" not in root.get(url).content


@pytest.mark.parametrize(("given", "most"), [("", 22), ("&page=2", 42)])
def test_choices_by_typing_count_their_page_and_one_more(root, acme, asked, given, most):
    url = reverse("admin:autocomplete") + "?app_label=servers&model_name=credential&field_name=server&term=" + given
    (counting,) = [sql for sql in asked(lambda: root.get(url)) if "COUNT(" in sql and "servers_server" in sql]
    assert f"LIMIT {most})" in counting


def test_choices_by_typing_go_on_over_pages(root, acme, globex, monkeypatch):
    monkeypatch.setattr(Choices, "paginate_by", 1)
    url = reverse("admin:autocomplete") + "?app_label=servers&model_name=credential&field_name=server&term="
    pages = [root.get(f"{url}&page={number}").json() for number in (1, 2)]
    assert [page["pagination"]["more"] for page in pages] == [True, False]
    assert len({page["results"][0]["id"] for page in pages}) == 2


def test_an_entry_of_the_audit_trail_counts_nothing_of_its_record(root, platform, asked):
    entry = AuditEntryFactory(target_type="throttling.throttlingtemplate", target_id=str(platform.template.pk))
    url = reverse("admin:core_auditentry_change", args=[entry.pk])
    link = reverse("admin:throttling_throttlingtemplate_change", args=[platform.template.pk])
    assert link in root.get(url).content.decode()
    assert not [sql for sql in asked(lambda: root.get(url)) if 'FROM "ippools_ipaddress"' in sql]


def test_suppressions_and_pool_rules_are_counted_without_a_join_of_all_servers(root, acme, asked):
    for client, page, table in (
        (root, "suppressions_suppression", "suppressions_suppression"),
        (sign_in(acme.owner), "servers_ippoolrule", "servers_ippoolrule"),
    ):
        statements = asked(partial(client.get, reverse(f"admin:{page}_changelist")))
        (counting,) = [sql for sql in statements if "COUNT(" in sql and f'FROM "{table}"' in sql]
        assert 'JOIN "servers_server"' not in counting


def test_a_provider_is_not_added_up_over_all_servers(root, acme, asked):
    provider = Provider.objects.earliest("pk")
    url = reverse("admin:stats_provider_change", args=[provider.pk])
    assert not [sql for sql in asked(lambda: root.get(url)) if '"stats_serverprovidercount"' in sql]


def test_blocklists_are_not_joined_with_the_answers_about_every_address(root, asked):
    statements = asked(lambda: root.get(reverse("admin:ippools_blocklist_changelist")))
    assert not [sql for sql in statements if "JOIN" in sql and "ippools_listing" in sql]


def test_a_new_pool_reads_no_organizations_to_choose_from(root, acme, globex, asked):
    url = reverse("admin:ippools_ippool_add")
    assert not [sql for sql in asked(lambda: root.get(url)) if 'FROM "servers_organization"' in sql]
    assert root.post(url, {"organization": acme.organization.pk, "name": "Of Acme"}).status_code == 302
    assert Organization.objects.get(organization_pools__pool__name="Of Acme") == acme.organization


def test_what_takes_long_is_kept_for_longer(monkeypatch):
    times = iter([0, 3, 10, 10.1, 20, 20.1])
    monkeypatch.setattr("alerts.scope.time", SimpleNamespace(monotonic=lambda: next(times)))
    kept = []
    monkeypatch.setattr(cache, "set", lambda key, value, seconds: kept.append((key, seconds)))
    assert PLATFORM.cached("long", lambda: 1) == 1
    assert PLATFORM.cached("quick", lambda: 1) == 1
    assert PLATFORM.cached("at_once", lambda: 1, least=datetime.timedelta()) == 1
    assert kept == [("panel.long.platform", 60), ("panel.quick.platform", 15)]


def test_a_list_finds_its_rows_before_it_reads_what_is_shown_of_them(root, acme, asked):
    """In one query, PostgreSQL joined and sorted all addresses that an owner may see."""
    statements = asked(lambda: root.get(reverse("admin:ippools_ipaddress_changelist")))
    shown = [
        sql for sql in statements if '"throttling_throttlingtemplate"."name"' in sql and "ippools_ipaddress" in sql
    ]
    assert [sql for sql in shown if "LIMIT" in sql.rpartition("ORDER BY")[2]] == []
    assert len(shown) == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plan")
def test_addresses_of_a_server_are_found_by_its_pools(acme, asked):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ippools_ippool (uuid, name, name_key, is_default, created_at, updated_at, drain_mode, drain_share)"
            " SELECT gen_random_uuid(), 'Pool ' || n, 'pool ' || n, false, now(), now(), '', 20"
            " FROM generate_series(1, 3000) AS n"
        )
        cursor.execute(
            "INSERT INTO ippools_ippoolmember (pool_id, ip_address_id, created_at)"
            f" SELECT id, {acme.address.pk}, now() FROM ippools_ippool WHERE name LIKE 'Pool %'"
        )
        cursor.execute("ANALYZE ippools_ippoolmember, ippools_ippool, servers_ippoolrule, servers_server")
    (sql,) = asked(lambda: list(addresses_of(acme.server)))
    assert _most_read(sql) < 50


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plan")
def test_suppressions_of_a_server_are_not_looked_for_among_those_of_all(acme, globex, asked):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO suppressions_suppression (organization_id, server_id, digest, masked, address, reason, event_id,"
            " actor_label, created_at, number) SELECT %s, %s, 'x' || n, 'x', '', 'manual', '', 'x', now(), 1000 + n"
            " FROM generate_series(1, 3000) AS n",
            [globex.organization.pk, globex.server.pk],
        )
        cursor.execute("ANALYZE suppressions_suppression")
    key = create_credential(server=acme.server, kind="api", name="of the test", actor=SYSTEM).key
    client = Client(headers={"X-Server-API-Key": key})
    statements = asked(lambda: client.get("/api/v1/suppressions/list"))
    (sql,) = [sql for sql in statements if "suppressions_suppression" in sql and "LIMIT" in sql]
    assert _most_read(sql) < 50


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plan")
def test_the_chart_of_a_domain_does_not_read_the_counts_of_other_servers(root, acme, asked):
    today = datetime.datetime.now(datetime.UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stats_senderdomain (server_id, name, first_seen_day)"
            f" SELECT {acme.server.pk} + n, 'd' || n || '.example', 20000 FROM generate_series(0, 2999) AS n"
        )
        cursor.execute(
            "INSERT INTO stats_domaincount (grain, bucket, domain_id, incoming, sent, deferred, bounced, held, spam,"
            " complaint, late_bounce) SELECT 3, extract(epoch FROM now())::int / 86400 - day, domain.id, 0, 1, 0, 0, 0, 0, 0, 0"
            " FROM stats_senderdomain AS domain, generate_series(0, 29) AS day"
        )
        cursor.execute("ANALYZE stats_domaincount, stats_senderdomain")
    only = {By.SERVER: [acme.server.pk], By.DOMAIN: ["d0.example"]}
    statements = asked(lambda: charts.of_subject(only, today))
    assert [point.counts.sent for point in _points(only, today)] == [1] * 30
    for sql in statements:
        assert _most_read(sql) < 100, sql


def _points(only, now):
    first = buckets.start_of_day(buckets.day_of(now) - 29)
    last = buckets.start_of_day(buckets.day_of(now) + 1)
    planned = explore.plan(Question(first, last, Grain.DAY, datetime.UTC, only), now)
    return [Point(*each) for each in explore.ask(planned).series]


def test_a_page_to_delete_does_not_try_what_nothing_stands_against(root, acme, asked):
    """A blocklist has an answer about each address, and a webhook and a channel what they sent: none is deleted to look."""
    webhook = create_webhook(server=acme.server, name="Deleted", url="https://hooks.example/", actor=SYSTEM)
    blocklist = create_blocklist(name="deleted.example", ranges="127.0.0.2", actor=SYSTEM)
    channel = ChannelFactory(organization=acme.organization)
    for record in (webhook, blocklist, channel):
        url = reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_delete", args=[record.pk])
        statements = asked(lambda url=url: root.get(url))
        assert not [sql for sql in statements if sql.startswith(("DELETE", "INSERT", "UPDATE"))]
        assert root.post(url, {"post": "yes"}).status_code == 302
        assert not type(record).objects.filter(pk=record.pk).exists()
