"""Routes and webhooks of a server: made, changed and deleted alike, each act in the audit trail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from core.errors import Invalid, NotFound
from core.models import AuditEntry
from servers.models import Route, Webhook
from servers.provisioning import delete_server
from servers.routes import change_route, create_route, delete_route
from servers.webhooks import change_webhook, create_webhook, delete_webhook
from tests.cast import ANN, NOW, SYSTEM, Tenant


@dataclass(frozen=True)
class Kind:
    """The three acts of a kind, what makes one, and what changes it."""

    name: str
    create: Callable[..., Any]
    change: Callable[..., Any]
    delete: Callable[..., None]
    model: type[Route] | type[Webhook]
    columns: dict[str, Any]
    changes: dict[str, Any]
    bad: dict[str, Any]


ROUTE = Kind(
    "route", create_route, change_route, delete_route, Route,
    {"name": " info ", "mode": "accept"}, {"name": "sales"}, {"mode": "endpoint"},
)  # fmt: skip
WEBHOOK = Kind(
    "webhook", create_webhook, change_webhook, delete_webhook, Webhook,
    {"name": " info ", "url": "https://hook.example/"}, {"name": "sales"}, {"url": "ftp://hook.example/"},
)  # fmt: skip
pytestmark = [pytest.mark.storage, pytest.mark.parametrize("kind", [ROUTE, WEBHOOK], ids=lambda kind: kind.name)]


def trail(kind: Kind) -> list[tuple[str, str, str | None, str | None]]:
    """What Ann did to parts: the act, and the name before and after."""
    entries = AuditEntry.objects.filter(act__startswith=f"{kind.name}.", actor_label=ANN.label).order_by("pk")
    assert len(set(entries.values_list("organization_id", flat=True))) <= 1
    return [(each.act, (each.before or {}).get("name"), (each.after or {}).get("name")) for each in entries]


def test_it_works(acme: Tenant, kind: Kind) -> None:
    part = kind.create(server=acme.server, actor=ANN, **kind.columns)
    assert (part.name, part.server) == ("info", acme.server)
    changed = kind.change(**{kind.name: part}, actor=ANN, **kind.changes)
    assert (changed.pk, changed.name) == (part.pk, "sales")
    assert kind.model.objects.get().name == "sales"
    kind.delete(**{kind.name: part}, actor=ANN)

    assert not kind.model.objects.exists()
    assert trail(kind) == [
        (f"{kind.name}.created", None, "info"),
        (f"{kind.name}.changed", "info", "sales"),
        (f"{kind.name}.deleted", "sales", None),
    ]
    assert set(AuditEntry.objects.filter(act__startswith=kind.name).values_list("organization_id", flat=True)) == {
        acme.organization.pk
    }


def test_it_rejects_bad_columns_and_changes_nothing(acme: Tenant, kind: Kind) -> None:
    part = kind.create(server=acme.server, actor=SYSTEM, **kind.columns)
    with pytest.raises(Invalid):
        kind.change(**{kind.name: part}, actor=ANN, **kind.bad)
    with pytest.raises(Invalid):
        kind.create(server=acme.server, actor=ANN, **{**kind.columns, "name": "other", **kind.bad})
    with pytest.raises(TypeError, match="server cannot be set by this act"):
        kind.change(**{kind.name: part}, actor=ANN, server=acme.server)
    assert (kind.model.objects.count(), trail(kind)) == (1, [])


def test_it_rejects_what_is_gone(acme: Tenant, kind: Kind) -> None:
    part = kind.create(server=acme.server, actor=SYSTEM, **kind.columns)
    kind.model.objects.all().delete()
    for act in (kind.change, kind.delete):
        with pytest.raises(NotFound, match=f"The {kind.name} could not be found"):
            act(**{kind.name: part}, actor=ANN)
    delete_server(server=acme.server, at=NOW, actor=SYSTEM)
    with pytest.raises(NotFound, match="The server could not be found"):
        kind.create(server=acme.server, actor=ANN, **kind.columns)
    assert trail(kind) == []
