"""The list of conditions: what the front page shows, and what alerts are made of."""

import datetime
from dataclasses import dataclass

from alerts import attention, limits
from alerts.attention import Item
from alerts.measures import DAYS, Measures
from alerts.scope import Scope

# The worst first.
LEVELS = ("bad", "warn", "note")


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
    "pool_overloaded": Condition("Pool with far more load than others", "balance"),
    "statistics": Condition("Statistics late or wrong", "hourglass_disabled", is_platforms=True),
    "events_refused": Condition("Events refused", "report"),
    "organization_suspended": Condition("Organization suspended", "domain_disabled"),
    "domain_dns": Condition("Domain fails its DNS checks", "dns"),
    "server_suspended": Condition("Server suspended", "block"),
    "send_limit": Condition("Send limit approached or reached", "speed"),
    "back_off": Condition("Address backs off", "slow_motion_video"),
    "address_paused": Condition("Address paused", "pause_circle"),
}


def found(scope: Scope, measured: Measures, now: datetime.datetime) -> list[Item]:
    """Return what all conditions find in a scope, the worst first."""
    items = [
        *attention.of_silent_servers(scope),
        *attention.of_reputation(measured.cells, measured.known, measured.providers, DAYS, scope.named),
        *attention.of_loads(measured.loads, DAYS, scope.named),
        *(attention.of_counting(now) if scope.is_platform else []),
        *attention.of_refusals(scope, now),
        *attention.of_records(scope),
        *limits.of_servers(scope, now),
        *limits.of_addresses(scope, now),
    ]
    return sorted(items, key=lambda item: LEVELS.index(item.level))
