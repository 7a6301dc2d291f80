"""The summary of a pool's page: addresses with counts and shares, servers, rules, and comparison with other pools."""

import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Window

from alerts import pool_load
from ippools.drains import mode_of
from ippools.models import AddressDrain, IPAddress, IPPool
from ippools.public_addresses import BOUND_AND_PUBLIC, hidden
from panel.explorer import links
from panel.pages import drains, identity_watch, warm_up_overview
from panel.pages.address_states import STATES, back_offs, state_in_a_word
from panel.viewer import Viewer
from servers.access import servers_of
from servers.models import IPPoolRule
from stats.reports.queries import month_and_total_by_address, rank_pools

SHOWN_MEMBERS = 100
SHOWN_SERVERS = 20
SHOWN_UNSEEN = 10
EXPLORED_DAYS = 30


def summary(pool: IPPool, viewer: Viewer, now: datetime.datetime, *, owner_id: int | None) -> dict[str, Any]:
    """Return the context of `panel/pool/summary.html`: the same queries however many members there are.

    `owner_id` is the organization whose pool it is; None: the platform's.
    """
    columns = (
        "pk",
        "hostname",
        "delivery_paused",
        "redirect_id",
        "is_drained",
        *BOUND_AND_PUBLIC,
        *identity_watch.COLUMNS.values(),
    )
    drained = Exists(AddressDrain.objects.in_effect().filter(address=OuterRef("pk")))
    found = IPAddress.objects.filter(memberships__pool=pool).annotate(is_drained=drained)
    members = list(found.order_by("pk").values(*columns))
    unseen = [each for member in members for each in hidden(*(member[name] for name in BOUND_AND_PUBLIC))]
    ids = [member["pk"] for member in members]
    month, total = month_and_total_by_address(ids, now)
    whole = sum(month.values())
    for member in members:
        member["month"], member["total"] = month[member["pk"]], total[member["pk"]]
        member["share"] = round(100 * member["month"] / whole, 1) if whole else 0.0
    members.sort(key=lambda member: (-member["month"], member["pk"]))
    shown = members[:SHOWN_MEMBERS]
    _add_states(shown, now)
    ranking = rank_pools(owner_id) if owner_id is not None else []
    of_pool = servers_of(viewer.user).filter(ip_pool=pool, deleted_at=None).select_related("organization")
    servers = list(of_pool.annotate(of_all=Window(Count("*")))[:SHOWN_SERVERS])
    rules = IPPoolRule.objects.filter(pool=pool)
    return {
        "pool": pool,
        # What addresses sent is told of the platform's staff alone, whoever sent by them.
        "explore_url": links.of_last_days(now, EXPLORED_DAYS, pool=pool.pk) if viewer.is_platform else "",
        "members": shown,
        "member_total": len(members),
        **identity_watch.of_pool(pool, members, viewer),
        **drains.of_addresses(ids, is_platform=viewer.is_platform),
        # What may become of addresses in trouble is the platform's to say.
        "drain_mode": mode_of(pool.drain_mode).value if viewer.is_platform else "",
        "unseen": unseen[:SHOWN_UNSEEN],
        "unseen_more": max(0, len(unseen) - SHOWN_UNSEEN),
        "paused_total": sum(member["delivery_paused"] for member in members),
        "month_total": whole,
        "per_address": round(pool_load.per_address(ids, pool_load.by_day(ids, now))) if members else None,
        "is_least_used": bool(ranking) and ranking[0] == pool.pk,
        "pool_servers": servers,
        "server_total": servers[0].of_all if servers else 0,
        "rule_total": rules.count() if viewer.is_platform or owner_id in viewer.roles else 0,
    }


def _add_states(members: list[dict[str, Any]], now: datetime.datetime) -> None:
    """Add the state of each address in a word, and what else is so. Two queries."""
    ids = [member["pk"] for member in members]
    backing_off, warming = back_offs(ids, now), warm_up_overview.progress(ids)
    for member in members:
        number, progress = backing_off.get(member["pk"], 0), warming.get(member["pk"])
        member["state"] = state_in_a_word(
            is_paused=member["delivery_paused"],
            is_drained=member["is_drained"],
            is_redirected=member["redirect_id"] is not None,
            backs_off=number > 0,
            is_warming=progress is not None,
        )
        member["state_class"] = STATES[member["state"]]
        rules = f"{number} rule{'' if number == 1 else 's'} in back-off" if number else ""
        days = (progress.day, progress.story) if progress is not None else ()
        member["state_notes"] = [note for note in (rules, *days) if note]
