"""The demo's nodes and revisions. Nobody runs their agents: what they report is invented, and they are never silent."""

import datetime
from typing import Any

from django.db import transaction

from config.demo import cast
from config.demo.platform import ACTOR, NEVER
from core.audit import Actor
from core.models import User
from nodes import publishing, reports
from nodes.document import wanted_by
from nodes.models import Node, Revision
from nodes.nodes import addresses_on, create_node
from throttling import rules
from throttling.models import ThrottlingTemplate

_QUEUES = ({"active": 14, "deferred": 212}, {"active": 9, "deferred": 1_340})


def make(*, now: datetime.datetime) -> None:
    """Create the nodes, publish, change a rule, publish again, and report; nothing where there is a node.

    In one transaction: a worker that publishes by itself sees it whole.
    """
    if Node.objects.exists():
        return
    with transaction.atomic():
        ips = {pool.name: pool.ips for pool in cast.POOLS}
        nodes = [
            create_node(
                name=name, kind=Node.Kind.POSTFIX, addresses=[ip for pool in pools for ip in ips[pool]], actor=ACTOR
            ).node
            for name, pools in cast.NODES
        ]
        first = publishing.publish(actor=ACTOR, now=now)
        second = first
        petra = User.objects.filter(username=cast.CHANGED_BY).first()
        actor = ACTOR if petra is None else Actor.of_user(petra)
        if _change_rule(actor):
            second = publishing.publish(actor=actor, now=now)
        for node, applied, queue in zip(nodes, (second, first), _QUEUES, strict=True):
            _report(node, applied, queue, is_whole=applied is second, now=now)


def _change_rule(actor: Actor) -> bool:
    """Change the rule's limit; False where there is no such rule."""
    template = ThrottlingTemplate.objects.filter(name=cast.CHANGED_TEMPLATE).first()
    if template is None:
        return False
    rule = template.rules.rules.filter(domains__pattern=cast.CHANGED_DOMAIN).first()
    if rule is not None:
        rules.change(template, rule.pk, actor=actor, max_messages_per_hour=cast.CHANGED_TO)
    return rule is not None


def _report(node: Node, applied: Revision, queue: dict[str, int], *, is_whole: bool, now: datetime.datetime) -> None:
    """Store what an agent would report that has applied a revision; unless it is whole, a file is not what it wrote."""
    node.refresh_from_db()
    said: dict[str, Any] = {
        "version": "1.0",
        "mta_version": "3.9.1",
        "revision_seen": applied.number,
        "revision_applied": applied.number,
        "overlay_applied": wanted_by(node, at=now).overlay.number,
        "applied_at": (applied.created_at + datetime.timedelta(seconds=4)).isoformat(),
        "addresses_present": addresses_on(node),
        "spool_events": 0,
        "queue": queue,
        "drift": [] if is_whole else ["front/main.cf"],
    }
    reports.take_report(node=node, report=reports.read_report(said), at=now + NEVER)
