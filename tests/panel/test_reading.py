"""Which pages read from a replica, which refuses every write here: none of them needs the primary in its place."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core import replica
from panel.reading import _READ_THERE
from tests.panel.conftest import Furnished
from tests.panel.test_permissions import records_of
from tests.panel.urls import looks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def read_only(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same database as a replica, by a connection that only reads."""
    if connection.vendor != "postgresql":
        pytest.skip("a replica is PostgreSQL's")
    own = connection.settings_dict
    options = {**own["OPTIONS"], "options": "-c default_transaction_read_only=on", "target_session_attrs": "any"}
    monkeypatch.setitem(connections.settings, replica.REPLICA, {**own, "OPTIONS": options})
    connections[replica.REPLICA] = connections.create_connection(replica.REPLICA)
    # Django's tests refuse connections of aliases that they were not told of at their start.
    connections[replica.REPLICA].alias = NO_DB_ALIAS
    monkeypatch.setattr(replica._freshness, "is_enough", lambda: True)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "panel.reading.FromReplica"]
    yield
    connections[replica.REPLICA].close()
    del connections[replica.REPLICA]


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(
        replica.logger, "warning", lambda event, **facts: told.append(f"{event} {facts}"), raising=False
    )
    return told


def test_lists_and_statistics_read_nothing_but_the_replica(
    read_only: None, acme: Furnished, root: Client, warnings: list[str]
) -> None:
    records = records_of(acme)
    pages = looks(lambda label: records.get(label) or acme.server)
    read = {name: path for name, path in pages.items() if _READ_THERE.fullmatch(name)}
    assert {"index", "search", "usage", "explorer_file", "servers_server_changelist", "core_auditentry_export"} <= set(
        read
    )
    for name, path in read.items():
        with CaptureQueriesContext(connections[replica.REPLICA]) as queries:
            answer = root.get(path)
        assert answer.status_code in {200, 302, 404}, (name, answer.status_code)
        assert queries.captured_queries, name
        assert warnings == [], name


def test_pages_of_records_and_changes_read_the_primary(
    read_only: None, acme: Furnished, root: Client, warnings: list[str]
) -> None:
    page = reverse("admin:servers_server_change", args=[acme.server.pk])
    with CaptureQueriesContext(connections[replica.REPLICA]) as queries:
        assert root.get(page).status_code == 200
        assert root.post(reverse("admin:servers_server_changelist"), {"action": ""}).status_code in {200, 302}
    assert queries.captured_queries == []
    assert warnings == []


def test_a_write_is_made_on_the_primary(read_only: None, acme: Furnished, warnings: list[str]) -> None:
    """What reads there must change nothing; should it do so all the same, it is not lost."""

    def rename() -> int:
        return type(acme.server).objects.filter(pk=acme.server.pk).update(name="Renamed")

    assert replica.read(rename) == 1
    acme.server.refresh_from_db()
    assert acme.server.name == "Renamed"
    assert [each.split()[0] for each in warnings] == ["replica_not_used"]
