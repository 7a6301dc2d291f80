"""Filters of lists that people saved for themselves. They are a convenience: the audit trail does not have them."""

from django.db import transaction

from core.errors import Fault, Invalid
from core.models import SavedFilter, User
from core.models.saved_filter import NAME_LENGTH, QUERY_LENGTH
from core.texts import is_storable, is_visible

# Of one person and list.
MOST = 30


@transaction.atomic
def save(*, user: User, page: str, name: str, query: str) -> SavedFilter:
    """Save a list's query string under a name; a filter of the same name gets the new one. Raises Invalid."""
    # Its own filters only change with the person: two requests at once must not exceed the number.
    User.objects.select_for_update().get(pk=user.pk)
    name = " ".join(name.split())
    faults = []
    if not is_visible(name) or len(name) > NAME_LENGTH or not is_storable(name):
        faults.append(Fault("name", f"must have 1 to {NAME_LENGTH} characters"))
    if len(query) > QUERY_LENGTH or not is_storable(query):
        faults.append(Fault("query", f"must have at most {QUERY_LENGTH:,} characters"))
    own = SavedFilter.objects.filter(user=user, page=page)
    if not faults and own.exclude(name=name).count() >= MOST:
        faults.append(Fault("name", f"cannot be added: a list has at most {MOST} saved filters"))
    if faults:
        raise Invalid(*faults)
    found, _ = own.update_or_create(name=name, defaults={"user": user, "page": page, "query": query})
    return found


def delete(*, user: User, pk: int) -> bool:
    """Delete one of the person's own filters; return whether there was one."""
    return bool(SavedFilter.objects.filter(user=user, pk=pk).delete()[0])
