"""Receivers' replies in the demo: invented, in the manner of large receivers, with the frequency of each."""

from collections.abc import Iterator

from config.demo import traffic
from config.demo.cast import TROUBLED_ADDRESS, TROUBLED_AT, TROUBLED_SINCE_DAYS
from stats.intake.explanations import Explained, Explanations

# Weight, reply code, enhanced code and text.
type Told = tuple[int, int, str, str]

_BOUNCES: tuple[Told, ...] = (
    (60, 550, "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
    (20, 550, "5.2.1", "550 5.2.1 The email account that you tried to reach is inactive"),
    (12, 552, "5.2.2", "552 5.2.2 The recipient's mailbox is full"),
    (8, 554, "5.7.1", "554 5.7.1 Message rejected as spam by the content filter"),
)
_DEFERRALS: tuple[Told, ...] = (
    (50, 421, "4.7.0", "421 4.7.0 Too many messages from your address, try again later"),
    (30, 452, "4.2.2", "452 4.2.2 The recipient's inbox is out of storage space"),
    (20, 451, "4.4.2", "451 4.4.2 Timeout waiting for data from client"),
)
_BY_PROVIDER: dict[str, dict[str, tuple[Told, ...]]] = {
    "Microsoft": {
        "bounced": (
            (55, 550, "5.5.0", "550 5.5.0 Requested action not taken: mailbox unavailable"),
            (30, 550, "5.7.1", "550 5.7.1 Messages from your network are on our block list (S3140)"),
            (15, 550, "5.7.509", "550 5.7.509 Access denied, the sending domain does not pass DMARC verification"),
        ),
        "deferred": ((100, 451, "4.7.500", "451 4.7.500 Server busy. Please try again later (S77719)"),),
    },
    "Yahoo": {
        "bounced": _BOUNCES,
        "deferred": (
            (80, 421, "4.7.0", "421 4.7.0 [TSS04] Messages temporarily deferred due to user complaints"),
            (20, 451, "4.7.1", "451 4.7.1 Resources temporarily unavailable. Please try again later [TSS21]"),
        ),
    },
    "GMX and WEB.DE": {
        "bounced": _BOUNCES,
        "deferred": ((100, 450, "4.2.0", "450 4.2.0 Greylisted, please try again in 5 minutes"),),
    },
    "Orange": {
        "bounced": _BOUNCES,
        "deferred": ((100, 421, "4.7.0", "421 4.7.0 Too many connections from your address, slow down (OFR_109)"),),
    },
}
_TROUBLE: dict[str, tuple[Told, ...]] = {
    "deferred": (
        (100, 421, "4.7.28", "421 4.7.28 Unusual rate of unsolicited mail from your IP address; mail is rate limited"),
    ),
    "bounced": (
        (90, 550, "5.7.1", "550 5.7.1 Our system has detected that this message is likely unsolicited mail"),
        (10, 550, "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
    ),
}


class Replies:
    """The demo's replies, classified and numbered as ingestion does it. `providers`: ids by name."""

    def __init__(self, providers: dict[str, int], *, today: int) -> None:
        self._providers = providers
        self._explanations = Explanations({pk: name for name, pk in providers.items()}, today=today)
        every = [
            reply
            for provider in traffic.PROVIDERS
            for kind in ("deferred", "bounced")
            for is_troubled in (False, True)
            for _, reply in self._told(provider, kind, is_troubled=is_troubled)
        ]
        self._explanations.find(every)

    def split(self, cell: traffic.Cell, kind: str, *, age: int) -> Iterator[tuple[Explained, int]]:
        """Yield class and signature of a cell's replies, and how many there were. `age` is in days: 0 is today."""
        is_troubled = cell.address == TROUBLED_ADDRESS and cell.provider == TROUBLED_AT and age < TROUBLED_SINCE_DAYS
        told = list(self._told(cell.provider, kind, is_troubled=is_troubled))
        numbers = traffic.apportion(cell.counts[kind], [weight for weight, _ in told])
        for (_, reply), number in zip(told, numbers, strict=True):
            if number:
                yield self._explanations.known[reply], number

    def _told(
        self, provider: str, kind: str, *, is_troubled: bool
    ) -> Iterator[tuple[int, tuple[int | None, str | None, str | None, int]]]:
        usual = {"bounced": _BOUNCES, "deferred": _DEFERRALS}
        replies = (_TROUBLE if is_troubled else _BY_PROVIDER.get(provider, usual))[kind]
        for weight, code, enhanced, text in replies:
            yield weight, (code, enhanced, text, self._providers.get(provider, 0))
