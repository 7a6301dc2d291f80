"""Effective limits of one address for 1,000 domains, against the bare dictionary look-ups and the rows' reading."""

from collections.abc import Iterator

from core.audit import Actor
from ippools.limits import limit_tables
from ippools.models import IPAddress
from tests.benchmarks.ratios import Ratio, rates
from tests.words import ip_addresses, templates
from throttling.domains import patterns_matching
from throttling.limits import LimitTable, effective, trace

RULES, DOMAINS = 250, 1_000
# The decision is string work and at most 12 look-ups a domain; beyond that it may cost as much again, twice.
MOST_OF_LOOKUPS = 3


def measure() -> Iterator[Ratio]:
    """Yield what a thousand decisions cost, and their ratio to the look-ups that nobody could do without."""
    address = _address()
    own, template = limit_tables(address)
    domains = [
        f"{host}.d{number}.{'own' if number % 2 else 'template'}.example"
        for number in range(DOMAINS // 4)
        for host in ("a", "b.c", "mail", "x.y.z")
    ]
    found = rates(
        {
            "look-ups": lambda: [_look_up(own, template, domain) for domain in domains],
            "effective": lambda: [effective((own, template), (), domain) for domain in domains],
            "trace": lambda: [trace((own, template), domain) for domain in domains],
            "rows": lambda: limit_tables(address),
        }
    )
    for name, rate in found.items():
        yield Ratio(f"ms for {DOMAINS if name != 'rows' else 2 * RULES}: {name}", 1_000 / rate)
    yield Ratio(
        "effective ÷ bare look-ups (time)", found["look-ups"] / found["effective"], MOST_OF_LOOKUPS, is_at_most=True
    )
    yield Ratio("effective with its trace ÷ bare look-ups (time)", found["look-ups"] / found["trace"])


def _look_up(own: LimitTable, template: LimitTable, domain: str) -> object:
    """The least that any answer needs: each pattern, asked of each table, in order."""
    for rule_of in (own.rule_of, template.rule_of):
        for pattern in patterns_matching(domain):
            if pattern in rule_of:
                return rule_of[pattern]
    return None


def _address() -> IPAddress:
    system = Actor.system()

    def rules(owner: str) -> list[dict[str, object]]:
        return [
            {
                "domains": [f"*.d{number}.{owner}.example", f"d{number}.{owner}.example"],
                "max_concurrent_connections": number,
                "max_messages_per_hour": number,
            }
            for number in range(RULES)
        ]

    default = {"max_concurrent_connections": 0, "max_messages_per_hour": 0}
    template = templates.create({"name": "Benchmark", "default": default, "rules": rules("template")}, actor=system)
    address = ip_addresses.create(
        {
            "name": "benchmark",
            "ipv4": "10.255.255.1",
            "hostname": "benchmark.example.com",
            "throttling_template": {"id": template.pk},
            "rules": rules("own"),
        },
        actor=system,
    )
    return IPAddress.objects.select_related("rules", "template__rules").get(pk=address.pk)
