"""A plain recount of events in Python, and the counts as they stand in the database: the two must be equal.

Nothing of stats' own arithmetic is used here: dates come from the calendar of the standard library.
"""

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from servers.models import Server
from stats.counts.buckets import Grain
from stats.models import (
    AddressCount,
    AddressReasonCount,
    DomainCount,
    LatencyCount,
    PlatformCount,
    PlatformProviderCount,
    Provider,
    ProviderCount,
    ReasonCount,
    Sender,
    SenderCount,
    SenderDomain,
    ServerCount,
    ServerProviderCount,
    Signature,
    SignatureCount,
    ThrottleCount,
)

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
KINDS = ("incoming", "sent", "deferred", "bounced", "held", "spam", "complaint", "late_bounce")
REPLIED = ("deferred", "bounced", "late_bounce")
ATTEMPTS = ("sent", "deferred", "bounced")
TABLES = (
    "server", "address", "domain", "sender", "provider", "server and provider", "class", "class of an address", "signature",
    "throttle", "latency", "platform",
    "provider of all servers",
)  # fmt: skip
# Replies whose class nobody doubts, with what is left of them when addresses and numbers are masked.
REASONS = {
    "550 5.1.1 <ann@example.com>: user unknown": "no_such_mailbox",
    "550 5.1.1 <bob@example.com>: user unknown": "no_such_mailbox",
    "550 5.1.1 <eve@example.com>: user unknown": "no_such_mailbox",
    "452 4.2.2 mailbox of this user is full": "mailbox_full",
    "550 5.7.1 Sluice: this recipient is suppressed": "suppressed",
}
SIGNATURES = {reply: reply.partition("<")[0] or reply for reply in REASONS}
# table -> (grain, bucket, what) -> kind -> count
Counts = dict[str, dict[tuple[Any, ...], Counter[str]]]


def moment(at: Any) -> datetime.datetime:
    if isinstance(at, str):
        return datetime.datetime.fromisoformat(at).astimezone(datetime.UTC)
    if at >= 100_000_000_000:
        return EPOCH + datetime.timedelta(milliseconds=int(at))
    return EPOCH + datetime.timedelta(microseconds=round(at * 1_000_000))


def provider_of(recipient: str | None) -> str:
    domain = (recipient or "").rpartition("@")[2].lower()
    return {"gmail.com": "Gmail", "yahoo.co.uk": "Yahoo", "icloud.com": "Apple"}.get(domain, "other")


def recount(
    events: Iterable[dict[str, Any]], *, hours_from: datetime.datetime, minutes_from: datetime.datetime
) -> Counts:
    """Count events that name a server and are all valid; each (server, id, type, at, recipient) once."""
    counts: Counts = {name: defaultdict(Counter) for name in TABLES}
    seen = set()
    for event in events:
        at = moment(event["at"])
        recipient = (event.get("to") or "").lower()
        identity = (
            event["server"],
            event["id"],
            event["type"],
            recipient,
            (at - EPOCH) // datetime.timedelta(milliseconds=1),
        )
        if identity in seen:
            continue
        seen.add(identity)
        kind = event["type"]
        day, month, year = at.strftime("%Y-%m-%d"), at.strftime("%Y-%m"), at.strftime("%Y")
        server = event["server"]
        if at >= minutes_from:
            counts["server"]["minute", at.strftime("%Y-%m-%d %H:%M"), server][kind] += 1
        if at >= hours_from:
            counts["server"]["hour", at.strftime("%Y-%m-%d %H"), server][kind] += 1
            counts["platform"]["hour", at.strftime("%Y-%m-%d %H")][kind] += 1
        counts["platform"]["day", day][kind] += 1
        for grain, bucket in (("day", day), ("month", month), ("total", "")):
            counts["server"][grain, bucket, server][kind] += 1
        _count_provider(counts, event, at, day, hours_from)
        for table, keys, buckets in _subjects(event, day, month, year):
            for grain, bucket in buckets:
                counts[table][grain, bucket, *keys][kind] += 1
        if kind in REPLIED or (kind == "held" and reason_of(event) == "suppressed"):
            _count_reply(counts, event, at, day, hours_from)
        if kind in ATTEMPTS and event.get("ip"):
            _count_attempt(counts, event, at, day, minutes_from)
    return counts


def _count_provider(counts: Counts, event: Any, at: datetime.datetime, day: str, hours_from: datetime.datetime) -> None:
    # Its hours are kept for 35 days, those of others for 90.
    hours = [("hour", at.strftime("%Y-%m-%d %H"))] if at >= hours_from + datetime.timedelta(days=90 - 35) else []
    for grain, bucket in [("day", day), *hours]:
        provider = provider_of(event.get("to"))
        counts["server and provider"][grain, bucket, event["server"], provider][event["type"]] += 1
        counts["provider of all servers"][grain, bucket, provider][event["type"]] += 1
    # Those of an address and a provider are kept for two days.
    if event.get("ip") and at >= hours_from + datetime.timedelta(days=90 - 2):
        hour = at.strftime("%Y-%m-%d %H")
        counts["provider"]["hour", hour, event["ip"], provider_of(event.get("to"))][event["type"]] += 1


def _count_reply(counts: Counts, event: Any, at: datetime.datetime, day: str, hours_from: datetime.datetime) -> None:
    kind, ip, reason = event["type"], event.get("ip"), reason_of(event)
    hours = [("hour", at.strftime("%Y-%m-%d %H"))] if at >= hours_from else []
    for grain, bucket in [("day", day), *hours]:
        counts["class"][grain, bucket, event["server"], reason][kind] += 1
        if ip and kind in REPLIED:
            counts["class of an address"][grain, bucket, ip, provider_of(event.get("to")), reason][kind] += 1
    if event.get("reply") and kind in REPLIED:
        counts["signature"]["day", day, ip, SIGNATURES[event["reply"]]][kind] += 1


def _count_attempt(
    counts: Counts, event: Any, at: datetime.datetime, day: str, minutes_from: datetime.datetime
) -> None:
    ip, kind = event["ip"], event["type"]
    if event.get("seconds") is not None:
        power = sum(1 for exponent in range(40) if event["seconds"] >= 2**exponent)
        counts["latency"]["day", day, ip, provider_of(event.get("to")), power][kind] += 1
    # No rule: the default is what applies. Its hours are kept for 35 days: a test with older events has none of them.
    if event.get("to"):
        hour = at.replace(minute=0, second=0, microsecond=0)
        if hour >= minutes_from.replace(minute=0) - datetime.timedelta(days=35) + datetime.timedelta(hours=2):
            counts["throttle"]["hour", at.strftime("%Y-%m-%d %H"), ip, 0][kind] += 1
        if at >= minutes_from:
            counts["throttle"]["minute", at.strftime("%Y-%m-%d %H:%M"), ip, 0][kind] += 1


def reason_of(event: dict[str, Any]) -> str:
    return REASONS[event["reply"]] if event.get("reply") else "unknown"


def _subjects(event: dict[str, Any], day: str, month: str, year: str) -> Iterable[tuple[str, Any, Any]]:
    """Yield what an event counts for besides its server: table, keys, and the buckets by grain."""
    server, sender = event["server"], (event.get("from") or "").lower()
    if ip := event.get("ip"):
        yield "address", (ip,), (("day", day), ("month", month), ("year", year), ("total", ""))
        yield "provider", (ip, provider_of(event.get("to"))), (("day", day),)
    if domain := event.get("domain") or sender.rpartition("@")[2]:
        yield "domain", (server, domain), (("day", day), ("month", month))
    if sender:
        yield "sender", (server, sender), (("day", day),)


def counted(addresses: dict[int, str]) -> Counts:
    """Read all counts, in the words of `recount`; `addresses` has the texts by id. Rows of zeroes are left out."""
    servers = {pk: str(uuid) for pk, uuid in Server.objects.values_list("pk", "uuid")}
    domains = dict(SenderDomain.objects.values_list("pk", "name"))
    domain_servers = dict(SenderDomain.objects.values_list("pk", "server_id"))
    senders = dict(Sender.objects.values_list("pk", "name"))
    signatures = {pk: text.partition("<")[0] or text for pk, text in Signature.objects.values_list("pk", "text")}
    providers = {0: "other"} | dict(Provider.objects.values_list("pk", "name"))
    return {
        "server": _rows(ServerCount, lambda row: (servers[row.server_id],)),
        "address": _rows(AddressCount, lambda row: (addresses[row.address_id],)),
        "domain": _rows(DomainCount, lambda row: (servers[domain_servers[row.domain_id]], domains[row.domain_id])),
        "sender": _rows(SenderCount, lambda row: (servers[row.server_id], senders[row.sender_id])),
        "provider": _rows(ProviderCount, lambda row: (addresses[row.address_id], providers[row.provider_id])),
        "server and provider": _rows(
            ServerProviderCount, lambda row: (servers[row.server_id], providers[row.provider_id])
        ),
        "class": _rows(ReasonCount, lambda row: (servers[row.server_id], row.get_reason_display())),
        "class of an address": _rows(
            AddressReasonCount,
            lambda row: (addresses[row.address_id], providers[row.provider_id], row.get_reason_display()),
        ),
        "signature": _rows(SignatureCount, lambda row: (addresses.get(row.address_id), signatures[row.signature_id])),
        "throttle": _rows(ThrottleCount, lambda row: (addresses[row.address_id], row.rule_id)),
        "latency": _rows(
            LatencyCount, lambda row: (addresses[row.address_id], providers[row.provider_id], row.latency)
        ),
        "platform": _rows(PlatformCount, lambda _: ()),
        "provider of all servers": _rows(PlatformProviderCount, lambda row: (providers[row.provider_id],)),
    }


def _rows(model: Any, name: Any) -> dict[tuple[Any, ...], Counter[str]]:
    found = {}
    for row in model.objects.all():
        counts = Counter({kind: getattr(row, kind) for kind in KINDS if getattr(row, kind, 0)})
        if counts:
            found[Grain(row.grain).label, _bucket(Grain(row.grain), row.bucket), *name(row)] = counts
    return found


def _bucket(grain: Grain, bucket: int) -> str:
    match grain:
        case Grain.MINUTE:
            return (EPOCH + datetime.timedelta(minutes=bucket)).strftime("%Y-%m-%d %H:%M")
        case Grain.HOUR:
            return (EPOCH + datetime.timedelta(hours=bucket)).strftime("%Y-%m-%d %H")
        case Grain.DAY:
            return (EPOCH + datetime.timedelta(days=bucket)).strftime("%Y-%m-%d")
        case Grain.MONTH:
            return f"{bucket // 12:04d}-{bucket % 12 + 1:02d}"
        case Grain.YEAR:
            return f"{bucket:04d}"
        case Grain.TOTAL:
            return ""
