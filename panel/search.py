"""The search box: every kind of record by what people paste into it, within what this person may see."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.dataclasses import SearchResult

from core.attributes import is_storable
from core.keys import PREFIX_LENGTH
from core.models import ApiToken, User
from core.names import fold
from ippools.models import IPAddress, IPPool, RelayServer, RoutingRule
from servers.models import Credential, Domain, Organization, Server
from stats.models import IngestToken
from throttling.models import ThrottleProgram, ThrottlingTemplate

PER_KIND = 8
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Searched:
    """How records of one kind are found. `starts` are compared at their beginning (an index serves it)."""

    model: type[Any]
    icon: str
    contains: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    has_uuid: bool = False
    beside: str = ""


KINDS = (
    Searched(Organization, "apartment", contains=("name_key",), starts=("permalink",), has_uuid=True),
    Searched(Server, "dns", contains=("name_key",), starts=("permalink",), has_uuid=True, beside="organization"),
    Searched(IPPool, "hub", contains=("name_key",), has_uuid=True),
    Searched(IPAddress, "lan", contains=("name_key",), starts=("ipv4", "ipv6", "hostname"), beside="hostname"),
    Searched(Domain, "alternate_email", starts=("name",), has_uuid=True, beside="server"),
    Searched(Credential, "key", starts=("key_prefix",), beside="server"),
    Searched(ThrottlingTemplate, "tune", contains=("name_key",)),
    Searched(ThrottleProgram, "speed", contains=("name_key",)),
    Searched(RelayServer, "forward_to_inbox", contains=("name_key",), starts=("destination_hostname",)),
    Searched(RoutingRule, "alt_route", contains=("name_key",)),
    Searched(User, "person", starts=("username", "email")),
    Searched(ApiToken, "token", starts=("key_prefix",)),
    Searched(IngestToken, "input", contains=("name_key",), starts=("key_prefix",)),
)


def find(request: HttpRequest, text: str) -> list[SearchResult]:
    """Return at most eight records of each kind: one query a kind, whatever is asked."""
    if len(text) > LONGEST or not is_storable(text):
        return []
    return [result for kind in KINDS for result in _found(kind, request, text)]


def _found(kind: Searched, request: HttpRequest, text: str) -> Iterator[SearchResult]:
    page: Any = admin.site._registry.get(kind.model)
    condition = _condition(kind, text)
    if page is None or condition is None or not page.has_view_permission(request):
        return
    records: QuerySet[Any] = page.get_queryset(request).filter(condition).order_by("pk")
    if kind.beside and kind.model._meta.get_field(kind.beside).is_relation:
        records = records.select_related(kind.beside)
    for record in records[:PER_KIND]:
        noun = str(kind.model._meta.verbose_name)
        description = f"{noun} · {getattr(record, kind.beside)}" if kind.beside else noun
        yield SearchResult(title=str(record), description=description, link=page.url_of(record.pk), icon=kind.icon)


def _condition(kind: Searched, text: str) -> Q | None:
    conditions = [Q(**{f"{name}__contains": fold(text)}) for name in kind.contains]
    for name in kind.starts:
        if name == "key_prefix":
            # Whoever pastes a whole key finds it by the part that is kept readable.
            if len(text) >= PREFIX_LENGTH:
                conditions.append(Q(key_prefix=text[:PREFIX_LENGTH]))
        else:
            folded = text if name in ("username", "email") else text.lower()
            conditions.append(Q(**{f"{name}__startswith": folded}))
    if kind.has_uuid and (number := _uuid(text)) is not None:
        conditions.append(Q(uuid=number))
    if not conditions:
        return None
    combined = conditions[0]
    for each in conditions[1:]:
        combined |= each
    return combined


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
