"""Names of the explorer's groups, and the groups that are sums of others: organizations and pools."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from alerts.links import change_url
from core import sql_lists
from ippools.models import IPAddress, IPPool, IPPoolMember
from servers.access import pools_seen_by
from servers.models import Organization, Server
from stats import reasons
from stats.models import Provider, Sender, Signature, Subject
from stats.models.names import OTHER
from stats.reports.reader import ZERO, Counts


@dataclass(frozen=True, slots=True)
class Name:
    """What a group is called, where its record is looked at, and what the filter for just it is; empty: none."""

    text: str
    url: str = ""
    value: str = ""


def merged(group: str, groups: dict[Any, Counts], user: Any) -> dict[Any, Counts]:
    """Return the sums by organization or pool, of those by server or address; all others as they are. At most one query.

    An address in two pools counts in both; what has no pool or organization is under None.
    """
    owners: dict[int, list[int]] = {}
    match group:
        case "organization":
            pairs: QuerySet[Any, Any] = Server.objects.filter(pk__in=sql_lists.ids(groups)).values_list(
                "pk", "organization_id"
            )
        case "pool":
            seen = pools_seen_by(user).values("pk")
            members = IPPoolMember.objects.filter(ip_address_id__in=sql_lists.ids(groups), pool_id__in=seen)
            pairs = members.values_list("ip_address_id", "pool_id")
        case _:
            return groups
    for key, owner in pairs:
        owners.setdefault(key, []).append(owner)
    found: dict[Any, Counts] = {}
    for key, counts in groups.items():
        for owner in owners.get(key, [None]):
            found[owner] = found.get(owner, ZERO) + counts
    return found


def names_of(group: str, keys: Iterable[Any]) -> dict[Any, Name]:
    """Return what groups are called, by key. At most two queries."""
    wanted = [key for key in keys if key is not None]
    match group:
        case "organization":
            found = _records(Organization, "servers.organization", wanted, "name")
        case "server":
            rows = Server.objects.filter(pk__in=sql_lists.ids(wanted)).values_list("pk", "name", "organization__name")
            url = "servers.server"
            found = {pk: Name(f"{name} ({owner})", change_url(url, pk), str(pk)) for pk, name, owner in rows}
            found |= _gone(Subject.Kind.SERVER, wanted, found)
        case "pool":
            found = _records(IPPool, "ippools.ippool", wanted, "name")
        case "address":
            found = _records(IPAddress, "ippools.ipaddress", wanted, "ipv4")
            found |= _gone(Subject.Kind.ADDRESS, wanted, found)
        case "provider":
            known = dict(Provider.objects.values_list("pk", "name"))
            found = {key: Name(known.get(key, "others"), value=str(key if key in known else 0)) for key in wanted}
        case "domain":
            found = {key: Name("other domains") if key == OTHER else Name(key, value=key) for key in wanted}
        case "sender":
            senders = dict(Sender.objects.filter(pk__in=sql_lists.ids(wanted)).values_list("pk", "name"))
            found = {key: Name("other senders" if text == OTHER else text) for key, text in senders.items()}
        case "reason":
            found = {key: Name(class_of_reply(reasons.WORDS.get(key, "other")), value=str(key)) for key in wanted}
        case _:
            texts = {each.pk: str(each) for each in Signature.objects.filter(pk__in=sql_lists.ids(wanted))}
            found = {key: Name(texts.get(key, "other"), value=str(key)) for key in wanted}
    nothing = {"organization": "no organization", "pool": "no pool", "address": "no known address"}.get(
        group, "unknown"
    )
    return {key: found.get(key, Name(nothing)) for key in [*wanted, None, 0]} | found


def _records(model: type[Any], label: str, ids: list[int], column: str) -> dict[Any, Name]:
    rows = model._default_manager.filter(pk__in=sql_lists.ids(ids)).values_list("pk", column)
    return {pk: Name(str(text), change_url(label, pk), str(pk)) for pk, text in rows}


def _gone(kind: Subject.Kind, ids: list[int], known: dict[Any, Name]) -> dict[Any, Name]:
    """Return what those are called that have no record any more, as they were called when they were counted."""
    lost = [each for each in ids if each not in known]
    rows = Subject.objects.filter(kind=kind, object_id__in=sql_lists.ids(lost)).values_list("object_id", "label")
    return {pk: Name(f"{label} (deleted)") for pk, label in rows}


def class_of_reply(word: str) -> str:
    """Return a class's name for people."""
    return "TLS" if word == "tls" else word.replace("_", " ")
