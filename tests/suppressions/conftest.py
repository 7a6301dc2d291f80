"""Two tenants, and what they suppress."""

import datetime
from typing import Any

import pytest

from suppressions import acts, checking
from suppressions.models import Suppression
from tests.cast import SYSTEM, Tenant, make_tenant

NOW = datetime.datetime(2026, 3, 11, 15, 30, 20, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def acme(db: None) -> Tenant:
    return make_tenant("Acme", "192.0.2.1", "192.0.2.2")


@pytest.fixture
def globex(db: None) -> Tenant:
    return make_tenant("Globex", "198.51.100.1")


def suppress(tenant: Tenant, *addresses: str, **more: Any) -> Any:
    """Suppress addresses for the tenant's server."""
    values = {"server": tenant.server, "reason": "manual", "at": NOW, "actor": SYSTEM, **more}
    return acts.suppress(organization=tenant.organization, addresses=addresses, **values)


def remove(tenant: Tenant, *addresses: str, **more: Any) -> int:
    values = {"server": tenant.server, "at": NOW, "actor": SYSTEM, **more}
    return acts.remove(organization=tenant.organization, addresses=addresses, **values)


def check(tenant: Tenant, *addresses: str, at: datetime.datetime = NOW) -> list[Suppression | None]:
    return checking.find(
        addresses,
        server_id=tenant.server.pk,
        organization_id=tenant.organization.pk,
        organization_uuid=tenant.organization.uuid,
        at=at,
    )


def suppressed(tenant: Tenant, *addresses: str, at: datetime.datetime = NOW) -> list[bool]:
    """Tell which of the addresses the tenant's server sends no mail to."""
    return [each is not None for each in check(tenant, *addresses, at=at)]


def rows() -> list[tuple[Any, ...]]:
    """Return all entries: whose, what is shown, why, by which event, until when, removed when."""
    return [
        (each.server and each.server.name, each.masked, each.reason, each.event_id, each.expires_at, each.removed_at)
        for each in Suppression.objects.order_by("organization", "pk").select_related("server")
    ]
