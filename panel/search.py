"""The search: finds records of every kind by pasted text, within what the user can view."""

import ipaddress
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.dataclasses import SearchResult

from core.keys import PREFIX_LENGTH
from core.models import ApiToken, User
from core.names import fold
from ippools.models import IPAddress, IPPool, RelayServer, RoutingRule
from panel.navigation import sidebar
from panel.search_terms import is_searchable
from servers.models import Credential, Domain, Organization, Server
from stats.models import IngestToken
from throttling.domains import NotADomain, domain_name
from throttling.models import ThrottleProgram, ThrottlingTemplate

PER_KIND = 8


@dataclass(frozen=True, slots=True)
class Searched:
    """The search of one kind of record: by parts of names, by prefixes, and by other pasted values."""

    model: type[Any]
    icon: str
    contains: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    has_uuid: bool = False
    beside: str = ""
    # Columns of domains and of patterns over them, in lower-case A-labels.
    domains: tuple[str, ...] = ()
    # Where it is reached by `organization/server`: the ways to both permalinks.
    path: tuple[str, str] = ("", "")


KINDS = (
    Searched(Organization, "apartment", contains=("name_key", "permalink"), has_uuid=True),
    Searched(
        Server, "dns", contains=("name_key", "permalink"), has_uuid=True, beside="organization",
        path=("organization__permalink", "permalink"),
    ),
    Searched(IPPool, "hub", contains=("name_key",), has_uuid=True, beside="owner_name"),
    Searched(
        IPAddress, "lan", contains=("name_key", "hostname_key"), starts=("ipv4", "ipv6"), beside="hostname",
        domains=("rules__rules__domains__pattern",),
    ),
    Searched(Domain, "alternate_email", has_uuid=True, beside="server", domains=("name",)),
    Searched(Credential, "key", starts=("key_prefix",), beside="server"),
    Searched(ThrottlingTemplate, "tune", contains=("name_key",), domains=("rules__rules__domains__pattern",)),
    Searched(ThrottleProgram, "speed", contains=("name_key",)),
    Searched(RelayServer, "forward_to_inbox", contains=("name_key", "destination_hostname")),
    Searched(RoutingRule, "alt_route", contains=("name_key",), domains=("domain_overrides__domains__pattern",)),
    Searched(User, "person", contains=("username", "email")),
    Searched(ApiToken, "token", starts=("key_prefix",)),
    Searched(IngestToken, "input", contains=("name_key",), starts=("key_prefix",)),
)  # fmt: skip
# Addresses of a larger network are not listed; the address list can be filtered instead.
MOST_OF_NETWORK = 1024
# An address, or the beginning of one, is written with these.
_OF_ADDRESSES = frozenset("0123456789abcdef.:")


def find(request: HttpRequest, text: str) -> list[SearchResult]:
    """Return pages by title, then at most eight records of each kind, with one query per kind."""
    if not is_searchable(text):
        return []
    return [*_pages(request, text), *(result for kind in KINDS for result in _found(kind, request, text))]


def _pages(request: HttpRequest, text: str) -> Iterator[SearchResult]:
    """Yield the pages of the sidebar with this title."""
    for group in sidebar(request):
        for item in group["items"]:
            if len(text) > 2 and fold(text) in fold(item["title"]):
                yield SearchResult(title=item["title"], description="page", link=item["link"], icon=item["icon"])


def _found(kind: Searched, request: HttpRequest, text: str) -> Iterator[SearchResult]:
    page: Any = admin.site._registry.get(kind.model)
    conditions = _conditions(kind, text)
    if page is None or not conditions or not page.has_view_permission(request):
        return
    ids = _ids([page.get_queryset(request).filter(each) for each in conditions])
    records: QuerySet[Any] = page.get_queryset(request).filter(pk__in=ids)
    label = str
    columns = {field.name: field for field in kind.model._meta.get_fields()}
    if (field := columns.get(kind.beside)) is not None and field.is_relation:
        # Organizations have servers of the same name, with domains of the same name.
        owners: Any = admin.site._registry[field.related_model]
        label = owners.choice_label
        records = records.select_related(kind.beside, *(f"{kind.beside}__{each}" for each in owners.choice_related))
    for record in records.order_by("pk"):
        noun = str(kind.model._meta.verbose_name)
        # Empty: a pool of the platform's, or one whose owner the viewer may not know.
        beside = getattr(record, kind.beside) if kind.beside else None
        description = f"{noun} · {label(beside)}" if beside else noun
        yield SearchResult(title=str(record), description=description, link=page.url_of(record.pk), icon=kind.icon)


def _ids(parts: list[QuerySet[Any]]) -> QuerySet[Any]:
    """Return the first ids that one of these finds.

    Each finds its own by indexes: of one condition over several tables PostgreSQL would join all records with them. A rule's
    domains may name a record more than once.
    """
    found = [part.order_by("pk").values("pk").distinct()[:PER_KIND] for part in parts]
    if len(found) == 1:
        return found[0]
    if not connection.features.supports_slicing_ordering_in_compound:
        found = [part.order_by().values("pk").distinct() for part in parts]
    return found[0].union(*found[1:]).order_by("pk")[:PER_KIND]


def _conditions(kind: Searched, text: str) -> list[Q]:
    """Return what finds such records: a condition for each table whose columns are compared."""
    given = {f"{name}__contains": _written(name, text) for name in kind.contains}
    for name in kind.starts:
        if name == "key_prefix":
            # A pasted key is found by its readable prefix.
            if len(text) >= PREFIX_LENGTH:
                given["key_prefix"] = text[:PREFIX_LENGTH]
        elif set(text.lower()) <= _OF_ADDRESSES:
            given[f"{name}__startswith"] = text.lower()
    if domain := _domain(text):
        given |= {f"{name}__contains": domain for name in kind.domains}
    found: dict[object, Q] = {}
    for look_up, value in given.items():
        name = look_up.rpartition("__")[0] if look_up != "key_prefix" else look_up
        table = name if "__" in name else kind.model._meta.get_field(name).model
        found[table] = found.get(table, Q()) | Q(**{look_up: value})
    if kind.has_uuid and (number := _uuid(text)) is not None:
        found[kind.model] = found.get(kind.model, Q()) | Q(uuid=number)
    if kind.model is IPAddress and (addresses := _of_network(text)):
        found[kind.model] |= Q(ipv4__in=addresses)
    organization, slash, server = text.lower().partition("/")
    if kind.path[0] and slash and organization:
        found["path"] = Q(**{kind.path[0]: organization, f"{kind.path[1]}__startswith": server})
    return list(found.values())


def _written(name: str, text: str) -> str:
    """Return the text in the column's format."""
    if name in ("username", "email"):
        return text
    return text.lower() if name in ("permalink", "destination_hostname") else fold(text)


def _domain(text: str) -> str:
    """Return the domain of a text or mailbox in lower-case A-labels; a part of a name unchanged, or empty."""
    name = text.rpartition("@")[2].strip()
    if name.isascii():
        # A part of a domain is not a domain, and is compared unchanged.
        return name.lower() if len(name) > 1 and " " not in name and "/" not in name else ""
    try:
        return domain_name(name)
    except NotADomain:
        return ""


def _of_network(text: str) -> list[str]:
    """Return the addresses of a small IPv4 network such as 10.9.0.0/24; empty for any other text."""
    if "/" not in text:
        return []
    try:
        network = ipaddress.IPv4Network(text.strip(), strict=False)
    except ValueError:
        return []
    return [str(each) for each in network] if network.num_addresses <= MOST_OF_NETWORK else []


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
