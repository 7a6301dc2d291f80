"""What the demonstration's receivers are like, and the mail of the day before it, as a node would have reported it."""

import datetime
import random
from collections.abc import Iterator, Sequence
from typing import Any

ADDRESSES = {"203.0.113.211": "mta1.lighthouse.example", "203.0.113.212": "mta2.lighthouse.example"}
SERVER = "lighthouse/news"
SENDER = "news@lighthouse.example"
# How often each receiver is written to, and what it answers beside taking the message: the share of recipients, and the reply.
# The texts are ours, in the manner of what large receivers say.
RECEIVERS: dict[str, tuple[int, list[tuple[float, str]]]] = {
    "gmail.com": (40, [
        (0.04, "550 5.1.1 The account that you tried to reach does not exist"),
        (0.06, "421 4.7.28 Unusual rate of unsolicited mail from your IP address; mail is temporarily rate limited"),
        (0.02, "452 4.2.2 The recipient's inbox is out of storage space"),
    ]),
    "yahoo.com": (20, [
        (0.05, "554 5.1.1 This user does not have an account here"),
        (0.20, "421 4.7.0 [TSS04] Messages temporarily deferred due to user complaints"),
    ]),
    "outlook.com": (20, [
        (0.03, "550 5.5.0 Requested action not taken: mailbox unavailable"),
        (0.10, "550 5.7.1 Messages from this address are on our block list (S3140)"),
    ]),
    "web.de": (10, [(0.10, "450 4.2.0 Greylisted, please try again in 5 minutes")]),
    "orange.fr": (10, [(0.08, "550 5.7.1 Message refused by the content filter as spam")]),
}  # fmt: skip
KINDS = ("sent", "deferred", "bounced")
HOURS = 24
# Messages in an hour of the day before: least at night, most in the morning.
LEAST, MOST = 600, 3000


def kind_of(code: int) -> str:
    """Return what an SMTP reply code makes of a message."""
    return KINDS[0] if code == 250 else KINDS[1] if code < 500 else KINDS[2]


def report_yesterday(
    server: Any, template: Any, *, now: datetime.datetime, addresses: Sequence[str] = tuple(ADDRESSES)
) -> None:
    """Store the invented events of the last 24 hours; of hours that an earlier run has stored nothing counts twice."""
    from stats.intake.ingest import Reporter, ingest

    rules = {each.pattern: each.rule_id for each in template.rules.domains.all()}
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    for hours in range(HOURS, 0, -1):
        events = list(_events(this_hour - datetime.timedelta(hours=hours), rules, addresses))
        receipt = ingest(events, reporter=Reporter(server), now=now)
        assert not receipt.refused, receipt.refused[:3]


def _events(hour: datetime.datetime, rules: dict[str, int], addresses: Sequence[str]) -> Iterator[dict[str, Any]]:
    # The same ones whenever it is asked.
    chance = random.Random(int(hour.timestamp()))
    number = LEAST + (MOST - LEAST) * max(0, 8 - abs(hour.hour - 9)) // 8
    domains, weights = list(RECEIVERS), [weight for weight, _ in RECEIVERS.values()]
    for position in range(number):
        domain = chance.choices(domains, weights)[0]
        drawn, reply = chance.random(), "250 2.1.5 Ok"
        for share, text in RECEIVERS[domain][1]:
            if 0 <= drawn < share:
                reply = text
            drawn -= share
        at = hour + datetime.timedelta(seconds=3600 * position / number)
        yield {
            "id": f"demo-{hour:%Y%m%d%H}-{position}",
            "type": kind_of(int(reply[:3])),
            "at": at.isoformat(),
            "ip": chance.choice(addresses),
            "from": SENDER,
            "to": f"yesterday{position}@{domain}",
            "code": int(reply[:3]),
            "reply": reply,
            "rule": rules.get(domain, 0),
        }
