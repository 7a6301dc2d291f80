"""Writes and removes entries of suppression lists, of several organizations at once and by a constant number of statements.

Callers are in a transaction, and hold the lists by `held` from before they read entries until its end.
"""

import datetime
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from core.encryption import encrypt
from core.sql_lists import texts
from suppressions.addresses import masked
from suppressions.keys import Keys
from suppressions.models import Suppression, SuppressionList

_ROWS_A_STATEMENT = 1_000
_COLUMNS = (
    "masked", "address", "reason", "event_id", "event_at", "actor_label", "created_at", "expires_at", "removed_at", "number",
)  # fmt: skip
# Whose an entry is: the organization, the server (None: all of them), and the digest.
type Place = tuple[int, int | None, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be suppressed: a normalized address, for a server or for all of the organization's (`server_id` None)."""

    organization_id: int
    organization_uuid: uuid.UUID
    server_id: int | None
    address: str
    reason: str
    expires_at: datetime.datetime | None = None
    event_id: str = ""
    event_at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of entries: how many are new, were there already, and are beyond the quota."""

    added: int
    present: int
    beyond: int = 0


def held(organizations: Collection[int]) -> dict[int, SuppressionList]:
    """Return the lists of these organizations, locked in order; those that are missing are made."""
    found = _locked(organizations)
    missing = sorted(set(organizations) - found.keys())
    if missing:
        SuppressionList.objects.bulk_create(
            [SuppressionList(organization_id=pk) for pk in missing], ignore_conflicts=True
        )
        found = _locked(organizations)
    return found


def _locked(organizations: Collection[int]) -> dict[int, SuppressionList]:
    rows = SuppressionList.objects.select_for_update(no_key=True).filter(pk__in=sorted(organizations)).order_by("pk")
    return {row.pk: row for row in rows}


def entries_of(organizations: Collection[int], digests: Iterable[str]) -> dict[Place, Suppression]:
    """Return the entries with these digests, removed and expired ones too, by their place. One query."""
    rows = Suppression.objects.filter(organization__in=sorted(organizations), digest__in=texts(set(digests)))
    return {(row.organization_id, row.server_id, row.digest): row for row in rows}


def write(
    entries: Sequence[Entry],
    lists: Mapping[int, SuppressionList],
    keys: Keys,
    *,
    at: datetime.datetime,
    actor_label: str,
) -> Written:
    """Suppress addresses. What is suppressed already stays as it is, and the later end of both counts.

    An event from before the removal of its address changes nothing. `lists` are held, and have `number` and `size` written.
    """
    by_place: dict[Place, Entry] = {}
    for each in entries:
        place = each.organization_id, each.server_id, keys.digest(each.organization_uuid, each.address)
        other = by_place.get(place)
        if other is None or _is_later(each.expires_at, other.expires_at):
            by_place[place] = each
    known = entries_of(lists.keys(), (digest for *_, digest in by_place))
    fresh: list[Suppression] = []
    again: list[Suppression] = []
    extended: list[Suppression] = []
    present = beyond = 0
    for place, entry in by_place.items():
        of, row = lists[entry.organization_id], known.get(place)
        if row is None:
            if of.size >= settings.SLUICE_MAX_SUPPRESSIONS:
                beyond += 1
                continue
            of.size += 1
            fresh.append(_numbered(_row(None, place, entry, of, at, actor_label), of))
        elif row.removed_at is None and (row.expires_at is None or row.expires_at > at):
            present += 1
            if _is_later(entry.expires_at, row.expires_at):
                row.expires_at = entry.expires_at
                extended.append(_numbered(row, of))
        elif row.removed_at is None or entry.event_at is None or entry.event_at > row.removed_at:
            again.append(_numbered(_row(row.pk, place, entry, of, at, actor_label), of))
    _save(fresh, again + extended)
    _save_lists(lists.values())
    return Written(len(fresh) + len(again), present, beyond)


def remove(rows: Iterable[Suppression], lists: Mapping[int, SuppressionList], *, at: datetime.datetime) -> int:
    """Remove entries of held lists, and return how many were not removed before. Their clear addresses go at once."""
    changed = []
    for row in rows:
        if row.removed_at is None:
            row.removed_at, row.address = at, ""
            changed.append(_numbered(row, lists[row.organization_id]))
    _save([], changed)
    _save_lists(lists.values())
    return len(changed)


def _save(fresh: Sequence[Suppression], changed: Sequence[Suppression]) -> None:
    Suppression.objects.bulk_create(fresh, batch_size=_ROWS_A_STATEMENT)
    # By the rows' ids: one statement for a thousand rows, where an UPDATE would name each value of each row.
    Suppression.objects.bulk_create(
        changed, batch_size=_ROWS_A_STATEMENT, update_conflicts=True, unique_fields=["pk"], update_fields=_COLUMNS
    )


def _save_lists(lists: Iterable[SuppressionList]) -> None:
    SuppressionList.objects.bulk_update(lists, ["number", "size"])


def _row(
    pk: int | None, place: Place, entry: Entry, of: SuppressionList, at: datetime.datetime, actor_label: str
) -> Suppression:
    organization, server, digest = place
    return Suppression(
        pk=pk,
        organization_id=organization,
        server_id=server,
        digest=digest,
        masked=masked(entry.address),
        address=encrypt(entry.address) if of.keeps_addresses else "",
        reason=entry.reason,
        event_id=entry.event_id,
        event_at=entry.event_at,
        actor_label=actor_label[:200],
        created_at=at,
        expires_at=entry.expires_at,
    )


def _numbered(row: Suppression, of: SuppressionList) -> Suppression:
    of.number += 1
    row.number = of.number
    return row


def _is_later(one: datetime.datetime | None, other: datetime.datetime | None) -> bool:
    """Whether an end is after another; None is never."""
    return other is not None and (one is None or one > other)
