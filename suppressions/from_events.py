"""Events suppress addresses, by the rules of their organizations, in the transaction that stores them."""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.audit import Actor
from core.sql_lists import texts
from servers.models import Server
from suppressions import lists
from suppressions.addresses import NotAnAddress, normalized
from suppressions.keys import Keys
from suppressions.lists import Entry
from suppressions.models import BounceCount, Reason, SuppressionList
from suppressions.rules import COUNTED_FOR

_ROWS_A_STATEMENT = 1_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event that may suppress its recipient: a bounce of class "no such mailbox", or a complaint."""

    server_id: int
    address: str
    reason: Reason
    event_id: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True)
class _Owner:
    organization_id: int
    organization_uuid: uuid.UUID


@dataclass(frozen=True, slots=True)
class _Case:
    """An event that its organization's rules are for."""

    evidence: Evidence
    owner: _Owner
    rules: SuppressionList
    address: str
    digest: str

    @property
    def is_counted(self) -> bool:
        """Whether one such event alone suppresses nothing."""
        return self.evidence.reason == Reason.HARD_BOUNCE and self.rules.bounce_threshold > 1

    @property
    def place(self) -> tuple[int, str]:
        return self.evidence.server_id, self.digest

    @property
    def expires_at(self) -> datetime.datetime | None:
        days = self.rules.valid_days
        return None if days is None else self.evidence.at + datetime.timedelta(days=days)

    def entry(self) -> Entry:
        is_servers = self.rules.scope == SuppressionList.Scope.SERVER
        return Entry(
            organization_id=self.owner.organization_id,
            organization_uuid=self.owner.organization_uuid,
            server_id=self.evidence.server_id if is_servers else None,
            address=self.address,
            reason=self.evidence.reason,
            expires_at=self.expires_at,
            event_id=self.evidence.event_id,
            event_at=self.evidence.at,
        )


def suppress_recipients(found: Sequence[Evidence], *, now: datetime.datetime) -> None:
    """Suppress what the rules say. The number of statements does not depend on that of the events.

    Bounces from more than 30 days ago count for nothing. Validity begins with the event, and may be over.
    """
    recent = [each for each in found if each.reason == Reason.COMPLAINT or each.at > now - COUNTED_FOR]
    owners = _owners({each.server_id for each in recent})
    wanted = [each for each in recent if each.server_id in owners]
    if not wanted:
        return
    held = lists.held({owners[each.server_id].organization_id for each in wanted})
    keys = Keys.ensured(at=now)
    cases = [case for each in wanted if (case := _case(each, owners[each.server_id], held, keys)) is not None]
    over = _over_threshold([case for case in cases if case.is_counted])
    entries = [
        case.entry()
        for case in cases
        if (not case.is_counted or case.place in over) and (case.expires_at is None or case.expires_at > now)
    ]
    if entries:
        lists.write(entries, held, keys, at=now, actor_label=Actor.system().label)


def _case(evidence: Evidence, owner: _Owner, held: Mapping[int, SuppressionList], keys: Keys) -> _Case | None:
    rules = held[owner.organization_id]
    is_wanted = rules.suppresses_complaints if evidence.reason == Reason.COMPLAINT else rules.suppresses_bounces
    if not is_wanted:
        return None
    try:
        address = normalized(evidence.address)
    except NotAnAddress:
        return None
    return _Case(evidence, owner, rules, address, keys.digest(owner.organization_uuid, address))


def _owners(servers: set[int]) -> dict[int, _Owner]:
    """Return the organizations of those of the servers that are not deleted."""
    if not servers:
        return {}
    rows = Server.objects.living().filter(pk__in=servers)
    return {
        pk: _Owner(organization, uuid_)
        for pk, organization, uuid_ in rows.values_list("pk", "organization_id", "organization__uuid")
    }


def _over_threshold(cases: Sequence[_Case]) -> set[tuple[int, str]]:
    """Count bounces by server and digest; return those that have reached the threshold, whose count ends.

    Their organizations' lists are held: no other transaction counts for the same server.
    """
    if not cases:
        return set()
    thresholds = {case.evidence.server_id: case.rules.bounce_threshold for case in cases}
    times: dict[tuple[int, str], list[datetime.datetime]] = {}
    for case in cases:
        times.setdefault(case.place, []).append(case.evidence.at)
    digests = texts({case.digest for case in cases})
    rows = BounceCount.objects.filter(server__in=sorted(thresholds), digest__in=digests)
    known = {(row.server_id, row.digest): row for row in rows}
    over, kept, ended = set(), [], []
    for place, bounced in times.items():
        row, bounces, latest = known.get(place), len(bounced), max(bounced)
        # Those that are far apart do not count together, whichever was heard of first.
        if row is not None and abs(latest - row.bounced_at) <= COUNTED_FOR:
            bounces, latest = bounces + row.bounces, max(latest, row.bounced_at)
        if bounces < thresholds[place[0]]:
            kept.append(BounceCount(server_id=place[0], digest=place[1], bounces=bounces, bounced_at=latest))
            continue
        over.add(place)
        if row is not None:
            ended.append(row.pk)
    BounceCount.objects.bulk_create(
        kept,
        batch_size=_ROWS_A_STATEMENT,
        update_conflicts=True,
        unique_fields=["server", "digest"],
        update_fields=["bounces", "bounced_at"],
    )
    if ended:
        BounceCount.objects.filter(pk__in=ended).delete()
    return over
