"""Deletes organizations: what prevents it, and what is deleted with it."""

from django.db import models, transaction
from django.db.models import F

from core import acts
from core.audit import Actor, record, snapshot
from core.errors import Dependency, InUse
from ippools.models import IPPool
from servers.models import Organization, Server
from servers.pools import NAMED


def blocking_records(organization: Organization) -> list[Dependency]:
    """Return servers (including deleted ones) and own pools that prevent the deletion, some of each."""
    servers = Server.objects.filter(organization=organization).order_by(F("deleted_at").asc(nulls_first=True), "pk")
    made = IPPool.objects.filter(namespace=organization.uuid).order_by("pk")
    return [
        *(
            Dependency("server" if each.deleted_at is None else "deleted server", each.pk, each.name)
            for each in servers[:NAMED]
        ),
        *(Dependency("IP pool", each.pk, each.name) for each in made[:NAMED]),
    ]


@transaction.atomic
def delete_organization(*, organization: Organization, actor: Actor) -> None:
    """Delete an organization that has never had a server, with its roles, grants and rules; raises InUse, NotFound.

    Of one that had servers the counts and the trail would be nobody's (docs/decisions/0016): it can be suspended.
    """
    # Whole, not `no_key`: who is to get a role or a pool in it waits until it is known whether it stays.
    locked = acts.locked(Organization.objects.all(), organization.pk, no_key=False)
    if uses := blocking_records(locked):
        raise InUse(*uses)
    for rule in locked.pool_rules.all():
        _delete(actor, "ip_pool_rule.deleted", rule, locked.pk)
    for grant in locked.organization_pools.select_related("organization", "pool"):
        _delete(actor, "organization_pool.withdrawn", grant, locked.pk)
    for membership in locked.memberships.select_related("organization", "user"):
        _delete(actor, "membership.deleted", membership, locked.pk)
    for invitation in locked.invitations.select_related("organization"):
        _delete(actor, "invitation.withdrawn", invitation, locked.pk)
    _delete(actor, "organization.deleted", locked, locked.pk)


def _delete(actor: Actor, act: str, target: models.Model, organization_id: int) -> None:
    record(actor=actor, act=act, target=target, before=snapshot(target), organization_id=organization_id)
    target.delete()
