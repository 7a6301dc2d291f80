"""While the statistics' own database is away, pages of configuration go on without counts, and all pages say so."""

from typing import Any

import psycopg
import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from core import compiled
from panel.without_counts import SENTENCE
from stats.ledger import database
from stats.models import AddressCount, DomainCount, ServerCount
from tests.panel.conftest import Furnished, sign_in

LISTS = ("servers_server", "servers_organization", "servers_domain", "ippools_ipaddress", "ippools_ippool")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every read of counts fail, as psycopg says it."""

    def fail(*args: Any, **named: Any) -> None:
        raise OperationalError("away") from psycopg.OperationalError("away")

    models = (AddressCount, DomainCount, ServerCount)
    for model in models:
        monkeypatch.setattr(model.objects, "filter", fail)
        monkeypatch.setattr(model._default_manager, "filter", fail)

    # Statements that were made before ask no manager.
    fetched = compiled._fetched

    def fetch(connection: Any, sql: str, *given: Any) -> Any:
        return (fail if any(model._meta.db_table in sql for model in models) else fetched)(connection, sql, *given)

    monkeypatch.setattr(compiled, "_fetched", fetch)
    monkeypatch.setattr(database, "has_failed", lambda: True)


@pytest.fixture
def client(root: Client) -> Client:
    root.raise_request_exception = False
    return root


@pytest.mark.parametrize("name", LISTS)
def test_a_list_goes_on(client: Client, acme: Furnished, away: None, name: str) -> None:
    response = client.get(reverse(f"admin:{name}_changelist"))
    assert response.status_code == 200
    assert SENTENCE in response.content.decode()


@pytest.mark.parametrize("kind", ["organization", "server", "domain", "pool", "address"])
def test_a_records_page_goes_on(client: Client, acme: Furnished, away: None, kind: str) -> None:
    record = getattr(acme, kind)
    names = {"pool": "ippools_ippool", "address": "ippools_ipaddress"}
    response = client.get(reverse(f"admin:{names.get(kind, f'servers_{kind}')}_change", args=[record.pk]))
    assert response.status_code == 200
    page = response.content.decode()
    assert SENTENCE in page
    assert "<form" in page


def test_the_front_page_says_so(client: Client, acme: Furnished, away: None) -> None:
    response = client.get(reverse("admin:index"))
    assert response.status_code == 503
    page = response.content.decode()
    assert "The database of the statistics does not answer" in page
    # With the way to everything that works.
    assert reverse("admin:servers_server_changelist") in page


def test_where_all_is_in_one_database_nothing_is_left_out(
    acme: Furnished, away: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "has_failed", lambda: False)
    client = sign_in(acme.owner)
    client.raise_request_exception = False
    response = client.get(reverse("admin:servers_server_changelist"))
    assert response.status_code == 503
    assert "The database does not answer or is busy" in response.content.decode()
