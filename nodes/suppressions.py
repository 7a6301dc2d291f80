"""The suppression lists of a node: for each organization whose mail it sends, the changes since its last request."""

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.core.cache import cache
from redis.exceptions import RedisError

from core.errors import Fault, Invalid
from core.sql_lists import ids
from nodes.document import NoRevision
from nodes.models import Node, NodePolicy
from servers.models import Server
from stats.ledger.database import CONFIGURATION
from stats.ledger.storage import snapshot
from suppressions.checksums import checksum
from suppressions.keys import Keys
from suppressions.models import Suppression, SuppressionList

# Entries of one answer: some two megabytes. The agent asks again at once where there are more.
MOST_ENTRIES = 20_000
# Agents ask for the sum of a list once an hour.
SECONDS_BETWEEN_SUMS = 600
NEAR_ITS_END = datetime.timedelta(minutes=10)
_HIGHEST = 2**63 - 1
_DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Known:
    """What a node has of an organization's list: all changes up to a number; not `is_whole`: it is still loading the list."""

    number: int = 0
    is_whole: bool = False
    # It asks for the panel's sum of the list, to compare its own with.
    compares: bool = False


def read_known(given: object) -> dict[str, Known]:
    """Return what a node says it has, by the organization's UUID: `{UUID: {"number": N, "whole": true, "compare": true}}`.

    Raises Invalid.
    """
    if not isinstance(given, Mapping):
        raise Invalid(Fault("have", "must be an object"))
    return {str(uuid): _known(f"have.{uuid}", value) for uuid, value in given.items()}


def _known(path: str, value: object) -> Known:
    had = value if isinstance(value, Mapping) else {}
    number, is_whole, compares = had.get("number"), had.get("whole"), had.get("compare", False)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _HIGHEST:
        raise Invalid(Fault(f"{path}.number", "must be a whole number of at least 0"))
    if not isinstance(is_whole, bool):
        raise Invalid(Fault(f"{path}.whole", "must be true or false"))
    if not isinstance(compares, bool):
        raise Invalid(Fault(f"{path}.compare", "must be true or false"))
    return Known(number, is_whole, compares)


def changes_for(node: Node, known: Mapping[str, Known], servers: str, *, at: datetime.datetime) -> dict[str, Any]:
    """Return its servers, where the digest is not theirs, and what it lacks of each list.

    Raises NoRevision. Four queries, and one for each list with something new.
    """
    policy = NodePolicy.objects.filter(node_id=node.pk, revisions__revision=node.revision_id).first()
    if policy is None:
        raise NoRevision
    with snapshot(using=CONFIGURATION):
        found = _servers(policy)
        lists = SuppressionList.objects.filter(organization__servers__in=ids(policy.servers))
        rows = list(lists.select_related("organization").distinct().order_by("pk"))
        keys = Keys.known()
        digest = hashlib.sha256(orjson.dumps(found, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_DIGEST_DIGITS]
        changed = [] if keys is None else list(_changes(node, rows, known, keys, at))
    return {
        "servers_digest": digest,
        "servers": None if servers == digest else found,
        "lists": changed,
        "is_complete": all(each["is_complete"] for each in changed),
    }


def _servers(policy: NodePolicy) -> dict[str, dict[str, str]]:
    """Return the servers by their names in the policy, which former names may be."""
    names = dict(zip(policy.servers, policy.server_names, strict=True))
    rows = Server.objects.filter(pk__in=ids(policy.servers)).order_by("pk")
    return {
        names[pk]: {"server": str(uuid), "organization": str(organization)}
        for pk, uuid, organization in rows.values_list("pk", "uuid", "organization__uuid")
    }


def _changes(
    node: Node, lists: Iterable[SuppressionList], known: Mapping[str, Known], keys: Keys, at: datetime.datetime
) -> Iterable[dict[str, Any]]:
    left = MOST_ENTRIES
    for each in lists:
        uuid = each.organization.uuid
        had = known.get(str(uuid), Known())
        # What it has is of a list that is no longer kept, or was restored from a backup since.
        is_restart = had.number > each.number or (had.is_whole and had.number < each.forgotten)
        since = Known() if is_restart else had
        compares = since.compares and _is_due(node, each)
        if since.is_whole and since.number == each.number and not compares:
            continue
        rows = _rows(each, since, left, at)
        is_complete = len(rows) < left
        left -= len(rows)
        last = rows[-1][0] if rows else since.number
        yield {
            "organization": str(uuid),
            "key": keys.key_of(uuid).hex(),
            "at_submission": each.at_submission,
            "number": each.number if is_complete else last,
            "is_restart": is_restart,
            "is_complete": is_complete,
            "entries": [row[1:] for row in rows],
            "sum": _sum(each, at) if compares and is_complete else None,
        }


def _is_due(node: Node, of: SuppressionList) -> bool:
    """Whether a node may have the sum of a list, which is read whole for it: no key makes that happen all the time."""
    try:
        return bool(cache.add(f"nodes.summed:{node.pk}:{of.pk}", 1, timeout=SECONDS_BETWEEN_SUMS))
    except (RedisError, OSError):
        # The changes do not wait for it.
        return False


def _sum(of: SuppressionList, at: datetime.datetime) -> dict[str, Any]:
    """Return the sum of the list's entries but for those that end soon, which a node may have thrown away by its clock."""
    until = at.replace(microsecond=0) + NEAR_ITS_END
    found = checksum(of.pk, until=until)
    return {"until": int(until.timestamp()), "entries": found.entries, "digest": found.digest}


def _rows(of: SuppressionList, since: Known, most: int, at: datetime.datetime) -> Sequence[tuple[Any, ...]]:
    """Return (number, digest, server, end in seconds since 1970, whether it was removed), in the order of the numbers."""
    rows = Suppression.objects.filter(organization=of.pk, number__gt=since.number, number__lte=of.number)
    if not since.is_whole:
        rows = rows.active(at)
    found = rows.order_by("number").values_list("number", "digest", "server__uuid", "expires_at", "removed_at")
    return [
        (number, digest, server and str(server), expires_at and expires_at.timestamp(), removed_at is not None)
        for number, digest, server, expires_at, removed_at in found[:most]
    ]
