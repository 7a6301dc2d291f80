"""The list of conditions: what the front page shows, and what alerts are made of."""

import datetime
from dataclasses import dataclass

from alerts import attention
from alerts.asking import ask
from alerts.held import held_in
from alerts.items import Item
from alerts.measures import DAYS, Measures
from alerts.scope import Scope
from alerts.topics import addresses, disk, domains, drains, nodes, organizations, pools, servers, sources, traffic
from alerts.topics.look import Look

# The worst first.
LEVELS = ("bad", "warn", "note")
# Each asks records and counts, and makes lines of the answers; of one severity, the first topic's come first.
TOPICS = (pools, nodes, sources, traffic, organizations, domains, servers, drains, addresses)


@dataclass(frozen=True, slots=True)
class Condition:
    """A kind of trouble: its title, its icon, and whether only the platform's staff hear of it."""

    title: str
    icon: str
    is_platforms: bool = False


CONDITIONS = {
    "pool_silent": Condition("Pool without a sending address", "mail_off"),
    "server_without_pool": Condition("Live server without a pool", "link_off"),
    "address_refused": Condition("Address refused by a provider", "trending_down"),
    "address_listed": Condition("Address listed by a blocklist", "gpp_bad"),
    "address_identity": Condition("Address fails its DNS checks", "badge"),
    "pool_overloaded": Condition("Pool with far more load than others", "balance"),
    "complaint_rate": Condition("High complaint rate", "thumb_down"),
    "server_silent": Condition("Server silent against its habit", "volume_off"),
    "domain_dns": Condition("Domain fails its DNS checks", "dns"),
    "domain_unverified": Condition("Domain not verified", "gpp_maybe"),
    "back_off": Condition("Address backs off", "slow_motion_video"),
    "address_drained": Condition("Address drained or in trouble", "healing"),
    "warm_up_repeated": Condition("Warm-up does not advance", "replay"),
    "network_contested": Condition("SMTP-IP network of several organizations", "join_inner"),
    "send_limit": Condition("Send limit approached or reached", "speed"),
    "quota": Condition("Quota nearly used", "production_quantity_limits"),
    "events_refused": Condition("Events refused", "report"),
    "organization_suspended": Condition("Organization suspended", "domain_disabled"),
    "server_suspended": Condition("Server suspended", "block"),
    "address_paused": Condition("Address paused", "pause_circle"),
    "statistics": Condition("Statistics late or wrong", "hourglass_disabled", is_platforms=True),
    "source_silent": Condition("Event source silent", "sensors_off", is_platforms=True),
    "source_refused": Condition("Event source refused", "rule", is_platforms=True),
    "node_failing": Condition("Node silent or in error", "error", is_platforms=True),
    "node_behind": Condition("Node behind its revision", "sync_problem", is_platforms=True),
    "revision_rolled_back": Condition("Revision rolled back", "history", is_platforms=True),
    "disk_low": Condition("Disk nearly full", "hard_drive", is_platforms=True),
}


def found(scope: Scope, measured: Measures, now: datetime.datetime) -> list[Item]:
    """Return what all conditions find in a scope, the worst first.

    Eight queries at most: what is open, one of all topics' questions, and the details of some answers.
    """
    look = Look(scope, now, held_in(scope))
    answers = ask(lambda: [each for topic in TOPICS for each in topic.questions(look)], key=look.key, at=now)
    named, held = scope.named, look.held
    items = [
        *pools.items(look, answers),
        *attention.of_reputation(measured.cells, measured.known, measured.providers, DAYS, named, held),
        *attention.of_loads(measured.loads, DAYS, named, held),
        *(attention.of_counting(now) if scope.is_platform else []),
        *disk.items(look),
        *attention.of_refusals(scope, now),
        *(item for topic in TOPICS[1:] for item in topic.items(look, answers)),
    ]
    return sorted(items, key=lambda item: LEVELS.index(item.level))
