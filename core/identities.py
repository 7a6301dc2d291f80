"""Who signs in as which user by an OpenID provider: found by issuer and subject, linked by the user or a new account."""

from django.db import IntegrityError, transaction

from core.acts import locked
from core.audit import Actor, record, snapshot
from core.errors import Conflict, NotFound
from core.models import Identity, User


def find(*, issuer: str, subject: str) -> Identity | None:
    """Return the identity with its user, or None."""
    return Identity.objects.select_related("user").filter(issuer=issuer, subject=subject).first()


@transaction.atomic
def link(*, user: User, issuer: str, subject: str, actor: Actor) -> Identity:
    """Let this person of the provider sign in as the user. Raises Conflict where either has another already."""
    locked(User.objects.all(), user.pk, no_key=False)
    identity = Identity(user=user, issuer=issuer, subject=subject)
    try:
        with transaction.atomic():
            identity.save(force_insert=True)
    except IntegrityError:
        raise Conflict("The account, or the one at the provider, is linked to another already") from None
    record(actor=actor, act="identity.linked", target=identity, after=snapshot(identity))
    return identity


@transaction.atomic
def unlink(*, identity: Identity, actor: Actor) -> None:
    """End that this person of the provider signs in as the user. Sessions go on until they end. Raises NotFound."""
    found = Identity.objects.select_for_update().filter(pk=identity.pk).first()
    if found is None:
        raise NotFound("The link to the provider could not be found")
    record(actor=actor, act="identity.unlinked", target=found, before=snapshot(found))
    found.delete()
