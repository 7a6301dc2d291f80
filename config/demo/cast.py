"""The demo's organizations, people, pools and servers, as tables. Volumes are in `traffic`."""

from dataclasses import dataclass, field
from typing import Any

from servers.models import Membership, Server

OWNER, OPERATOR, ANALYST = Membership.Role.OWNER, Membership.Role.OPERATOR, Membership.Role.ANALYST
DEVELOPMENT = Server.Mode.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    name: str
    permalink: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A user of the panel. `organization` empty: one of the platform's staff."""

    username: str
    name: str
    organization: str
    role: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool and its addresses, each with a host name under `domain`. No `organization`: it is the platform's."""

    name: str
    organization: str
    prefix: str
    first: int
    count: int
    domain: str
    template: str
    granted: tuple[str, ...] = ()
    is_default: bool = False

    @property
    def ips(self) -> list[str]:
        return [f"{self.prefix}.{number}" for number in range(self.first, self.first + self.count)]


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server, what it sends on a usual weekday, how the week and the day go (in `traffic`), and its senders."""

    name: str
    organization: str
    pool: str
    volume: int
    rhythm: str
    domains: tuple[str, ...]
    senders: tuple[str, ...]
    mode: str = Server.Mode.LIVE
    send_limit: int | None = None
    suspension: str = ""
    # Domains of `domains` whose records in DNS are wrong.
    failing: dict[str, str] = field(default_factory=dict)


ORGANIZATIONS = (
    OrganizationRow("Northwind Post", "northwind", "Europe/Amsterdam"),
    OrganizationRow("Brightmail Labs", "brightmail", "America/New_York"),
    OrganizationRow("Harbour Trade", "harbour", "Europe/Lisbon"),
)

PEOPLE = (
    PersonRow("petra", "Petra Holm", "", "", "Europe/Copenhagen"),
    PersonRow("olivia", "Olivia de Wit", "northwind", OWNER, "Europe/Amsterdam"),
    PersonRow("owen", "Owen Bakker", "northwind", OPERATOR, "Europe/Amsterdam"),
    PersonRow("ana", "Ana Prins", "northwind", ANALYST, "Europe/Amsterdam"),
    PersonRow("bruno", "Bruno Keller", "brightmail", OWNER, "America/New_York"),
    PersonRow("bea", "Bea Lindqvist", "brightmail", ANALYST, "America/Chicago"),
    PersonRow("hugo", "Hugo Ferreira", "harbour", OWNER, "Europe/Lisbon"),
)

POOLS = (
    PoolRow(
        "Shared Europe", "", "192.0.2", 10, 6, "eu.sluice.example", "Large providers", is_default=True,
    ),
    PoolRow("Shared America", "", "192.0.2", 40, 6, "us.sluice.example", "Large providers", granted=("brightmail",)),
    PoolRow("Warm-up", "", "192.0.2", 80, 4, "warm.sluice.example", "Warm-up", granted=("brightmail", "harbour")),
    PoolRow("Newsletters", "northwind", "198.51.100", 20, 8, "out.northwind.example", "Large providers"),
    PoolRow("Transactional", "northwind", "198.51.100", 60, 4, "tx.northwind.example", "Transactional"),
    PoolRow("Campaigns", "brightmail", "203.0.113", 10, 2, "mx.brightmail.example", "Large providers"),
    PoolRow("Receipts", "brightmail", "203.0.113", 40, 4, "rcpt.brightmail.example", "Transactional"),
    PoolRow("Alerts", "harbour", "203.0.113", 80, 6, "alert.harbour.example", "Transactional"),
)  # fmt: skip

SERVERS = (
    ServerRow(
        "Newsletter Europe", "northwind", "Newsletters", 26_000, "newsletter",
        ("news.northwind.example", "northwind.example"),
        ("weekly@news.northwind.example", "offers@news.northwind.example", "editor@northwind.example"),
    ),
    ServerRow(
        "Newsletter America", "northwind", "Newsletters", 14_000, "newsletter",
        ("us.northwind.example",), ("weekly@us.northwind.example", "offers@us.northwind.example"),
    ),
    ServerRow(
        "Orders", "northwind", "Transactional", 7_500, "shop",
        ("orders.northwind.example",), ("orders@orders.northwind.example", "shipping@orders.northwind.example"),
        send_limit=5_000,
    ),
    ServerRow(
        "Accounts", "northwind", "Transactional", 3_200, "office",
        ("id.northwind.example",), ("no-reply@id.northwind.example",),
    ),
    ServerRow(
        "Staging", "northwind", "Shared Europe", 160, "office",
        ("staging.northwind.example",), ("qa@staging.northwind.example",), mode=DEVELOPMENT,
    ),
    ServerRow(
        "Campaigns", "brightmail", "Campaigns", 21_000, "newsletter",
        ("go.brightmail.example", "brightmail.example"),
        ("hello@go.brightmail.example", "team@brightmail.example"),
    ),
    ServerRow(
        "Receipts", "brightmail", "Receipts", 9_000, "shop",
        ("receipts.brightmail.example",), ("billing@receipts.brightmail.example",),
    ),
    ServerRow(
        "Product mail", "brightmail", "Shared America", 6_500, "office",
        ("app.brightmail.example", "mail.brightmail.example"),
        ("app@app.brightmail.example", "digest@mail.brightmail.example"),
        failing={"mail.brightmail.example": "dkim"},
    ),
    ServerRow(
        "Free trials", "brightmail", "Warm-up", 1_400, "trial",
        ("trial.brightmail.example",), ("welcome@trial.brightmail.example",),
        suspension="Complaints above 0.3 % for three days: waiting for the list to be cleaned",
    ),
    ServerRow(
        "Alerts", "harbour", "Alerts", 8_500, "always",
        ("alerts.harbour.example",), ("alert@alerts.harbour.example", "pager@alerts.harbour.example"),
    ),
    ServerRow(
        "Invoices", "harbour", "Alerts", 2_800, "office",
        ("invoices.harbour.example", "harbour.example"), ("invoices@invoices.harbour.example",),
    ),
    ServerRow(
        "Partner portal", "harbour", "Shared Europe", 4_200, "office",
        ("partners.harbour.example",), ("portal@partners.harbour.example",),
    ),
)  # fmt: skip

# Mail by this address is pushed back by Gmail, since so many days.
TROUBLED_ADDRESS, TROUBLED_SINCE_DAYS, TROUBLED_AT = "198.51.100.23", 6, "Gmail"
PAUSED_ADDRESS = "192.0.2.83"
# Within the last hour its PTR record was missing for a while, and was there again.
RECOVERED_ADDRESS = "198.51.100.24"
# Nodes by the pools whose addresses are on them. The one in America still has the first revision, and a file of it was changed
# by hand.
NODES = (
    ("mta-eu-1", ("Shared Europe", "Newsletters", "Transactional", "Alerts")),
    ("mta-us-1", ("Shared America", "Warm-up", "Campaigns", "Receipts")),
)
# What petra changed between the two revisions: a template's rule for a domain, to so many messages an hour.
CHANGED_TEMPLATE, CHANGED_DOMAIN, CHANGED_TO, CHANGED_BY = "Transactional", "orange.fr", 600, "petra"
# Who gets e-mails of alerts: one of that address's customer, and one of the platform's staff.
ALERTED = tuple(person for person in PEOPLE if person.username in ("olivia", "petra"))[::-1]
# It is drained, as its identity is broken and Gmail accepts less of it than of the pool's others: this pool lets Sluice act.
HEALING_POOL, WATCHING_POOL = "Newsletters", "Shared Europe"
# Yahoo defers most of this server's mail by this address, so that its program has reduced the rate.
BACKING_OFF_ADDRESS, BACKING_OFF_SERVER = "203.0.113.10", ("brightmail", "Campaigns")
BACKING_OFF_SENDER = "hello@go.brightmail.example"
# On day 9 of its warm-up by this plan. One day was repeated, because this provider deferred mail on the day before.
WARMING_ADDRESS, WARMING_PLAN, WARMING_REFUSED_AT = "192.0.2.43", "Standard", "GMX and WEB.DE"
WARMING_ORGANIZATION, WARMING_SERVER = "brightmail", "Product mail"
# Messages on each day so far: most of what the plan allows. The fifth is the one with the deferrals.
WARMING_SENT, WARMING_REFUSED_DAY = (85, 127, 191, 286, 429, 429, 643, 965, 1_446, 2_170), 4

TEMPLATES: tuple[dict[str, Any], ...] = (
    {
        "name": "Large providers",
        "default": {"max_concurrent_connections": 10, "max_messages_per_hour": 3_000},
        "rules": (
            (("gmail.com", "googlemail.com"), 20, 12_000),
            (("[*.]outlook.com", "hotmail.com", "live.com", "msn.com"), 15, 9_000),
            (("yahoo.com", "ymail.com", "aol.com", "rocketmail.com"), 10, 6_000),
            (("icloud.com", "me.com", "mac.com"), 8, 4_000),
            (("gmx.net", "gmx.de", "web.de"), 6, 2_400),
            (("t-online.de",), 3, 1_200),
            (("orange.fr", "wanadoo.fr"), 2, 900),
        ),
    },
    {
        "name": "Transactional",
        "default": {"max_concurrent_connections": 25, "max_messages_per_hour": 0},
        "rules": (
            (("gmail.com", "googlemail.com"), 50, 0),
            (("[*.]outlook.com", "hotmail.com"), 30, 0),
            (("orange.fr", "wanadoo.fr"), 2, 900),
        ),
    },
    {
        "name": "Warm-up",
        "default": {"max_concurrent_connections": 2, "max_messages_per_hour": 200},
        "rules": (
            (("gmail.com", "googlemail.com"), 2, 150),
            (("[*.]outlook.com", "hotmail.com", "live.com"), 1, 100),
            (("yahoo.com", "aol.com"), 1, 100),
        ),
    },
)
