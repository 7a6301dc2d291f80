"""Resolves the name of an address (a VirtualMTA's) to the address that had it at the event's time.

A name that was given up means its last holder until another address takes it: MTAs have it in their configuration for a while.
A name that was never given up means the address that has it, at any time: logs from before the panel can be imported.
"""

import datetime
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.db.models import Max

from core import sql_lists
from ippools.models import FormerAddressName, IPAddress, VirtualMTA
from stats.intake.tenures import ALWAYS
from stats.intake.timestamps import milliseconds_of


@dataclass(frozen=True, slots=True)
class Bearers:
    """The addresses that a name means, each from a time on until the next."""

    # In milliseconds since 1970, ascending.
    times: Sequence[int]
    # As IPv4; None: none that exists.
    addresses: Sequence[str | None]

    def at(self, milliseconds: int) -> str | None:
        """Return the address that had the name at this time."""
        return self.addresses[bisect_right(self.times, milliseconds) - 1]


def find(keys: Collection[str]) -> dict[str, str | Bearers | None]:
    """Return the IPv4 address of each folded name, or its bearers where that depends on the time.

    Two queries, or five where some of the names were given up.
    """
    rows = IPAddress.objects.filter(name_key__in=sql_lists.texts(keys)).values_list(
        "name_key", "pk", "ipv4", "created_at"
    )
    current = {key: (pk, ipv4, made) for key, pk, ipv4, made in rows}
    former: defaultdict[str, list[tuple[int, datetime.datetime]]] = defaultdict(list)
    given_up = FormerAddressName.objects.filter(name_key__in=sql_lists.texts(keys))
    for key, pk, until in given_up.values_list("name_key", "address_id", "until"):
        former[key].append((pk, until))
    found: dict[str, str | Bearers | None] = {key: current[key][1] if key in current else None for key in keys}
    if former:
        found |= _bearers(former, current)
    return found


def _bearers(
    former: dict[str, list[tuple[int, datetime.datetime]]], current: dict[str, tuple[int, str, datetime.datetime]]
) -> dict[str, Bearers]:
    had = sql_lists.ids({pk for rows in former.values() for pk, _ in rows})
    ipv4s = dict(IPAddress.objects.filter(pk__in=had).values_list("pk", "ipv4"))
    # An address has its name since it gave up the one before.
    have = FormerAddressName.objects.filter(address_id__in=sql_lists.ids({pk for pk, _, _ in current.values()}))
    renamed = dict(have.order_by().values_list("address_id").annotate(last=Max("until")))
    taken = set(VirtualMTA.objects.filter(name_key__in=sql_lists.texts(former)).values_list("name_key", flat=True))
    found = {}
    for key, rows in former.items():
        times, addresses = [ALWAYS], [ipv4s.get(rows[0][0])]
        for (_, until), (pk, _) in pairwise(rows):
            times.append(milliseconds_of(until))
            addresses.append(ipv4s.get(pk))
        last = rows[-1][1]
        if key in current:
            pk, ipv4, made = current[key]
            times.append(milliseconds_of(max(last, renamed.get(pk, made))))
            addresses.append(ipv4)
        elif key in taken:
            # A relay server or routing rule has it: no address.
            times.append(milliseconds_of(last))
            addresses.append(None)
        found[key] = Bearers(times, addresses)
    return found
