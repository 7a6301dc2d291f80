"""The volume that the demo's servers send on a day, by address, provider and hour. Pure and deterministic."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from config.demo.cast import (
    DEVELOPMENT,
    PAUSED_ADDRESS,
    TROUBLED_ADDRESS,
    TROUBLED_AT,
    TROUBLED_SINCE_DAYS,
    WARMING_ADDRESS,
    WARMING_ORGANIZATION,
    WARMING_REFUSED_AT,
    WARMING_REFUSED_DAY,
    WARMING_SENT,
    WARMING_SERVER,
    ServerRow,
)
from stats.kinds import COLUMNS

# Monday to Sunday, against a usual weekday.
WEEKS = {
    "newsletter": (0.7, 1.3, 1.0, 1.4, 0.9, 0.35, 0.3),
    "shop": (1.0, 0.95, 1.0, 1.05, 1.2, 1.15, 0.95),
    "office": (1.0, 1.05, 1.05, 1.0, 0.85, 0.15, 0.1),
    "always": (1.0, 1.0, 1.05, 1.0, 1.0, 0.85, 0.8),
    "trial": (1.0, 1.1, 1.1, 1.0, 0.9, 0.6, 0.6),
}
# Weight of each UTC hour.
HOURS = {
    "newsletter": (2, 1, 1, 1, 2, 4, 9, 16, 22, 20, 14, 9, 7, 6, 6, 7, 9, 12, 11, 7, 4, 3, 2, 2),
    "shop": (4, 2, 1, 1, 1, 2, 3, 5, 8, 10, 11, 12, 12, 11, 10, 10, 11, 13, 15, 17, 16, 13, 9, 6),
    "office": (1, 1, 1, 1, 1, 2, 5, 11, 16, 17, 16, 13, 11, 14, 15, 14, 11, 7, 4, 3, 2, 2, 1, 1),
    "always": (9, 8, 8, 8, 8, 9, 10, 10, 11, 11, 11, 10, 10, 10, 11, 11, 11, 10, 10, 10, 10, 9, 9, 9),
    "trial": (3, 2, 2, 2, 3, 4, 5, 7, 9, 10, 10, 9, 9, 10, 10, 9, 8, 8, 8, 7, 6, 5, 4, 3),
}
# Share of the recipients, deferred and bounced per message sent.
PROVIDERS = {
    "Gmail": (0.41, 0.015, 0.006),
    "Microsoft": (0.20, 0.035, 0.010),
    "Yahoo": (0.12, 0.050, 0.009),
    "Apple": (0.07, 0.012, 0.005),
    "GMX and WEB.DE": (0.05, 0.020, 0.008),
    "T-Online": (0.03, 0.030, 0.006),
    "Orange": (0.02, 0.090, 0.012),
    "": (0.10, 0.025, 0.022),
}
TROUBLE = (2.1, 0.55)  # deferred and bounced per message that still gets through
SCALE = 0.5
# Of a suspended server.
SILENT_DAYS = 2
PAUSED_DAYS = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """Counts of a server by address and provider. Address "" is no address, provider "" all others."""

    address: str
    provider: str
    counts: dict[str, int]


def cells(
    server: ServerRow, addresses: Sequence[str], *, weekday: int, age: int, day: int, warm_day: int
) -> list[Cell]:
    """Return a server's counts of one whole day. `age` is in days: 0 is today. `warm_day` counts from the day on which the
    warm-up began: 0 is that day."""
    dice = random.Random(f"{server.organization}/{server.name}/{day}")  # noqa: S311 - it decides nothing
    volume = _volume(server, weekday, age, day, dice)
    if server.suspension and age < SILENT_DAYS:
        return []
    if server.mode == DEVELOPMENT:
        return _without_address(incoming=volume, held=volume)
    warming = _warming(server, warm_day)
    incoming = volume + sum(cell.counts["sent"] for cell in warming)
    found = _without_address(incoming=incoming, held=volume // 2500, spam=volume // 1100)
    usable = [
        each for each in addresses if each != WARMING_ADDRESS and not (each == PAUSED_ADDRESS and age < PAUSED_DAYS)
    ]
    weights = [dice.uniform(0.9, 1.1) for _ in usable]
    for address, through in zip(usable, apportion(volume, weights), strict=True):
        for provider, messages in _by_provider(through):
            found.append(_cell(server, address, provider, messages, age, dice))
    return [*found, *warming]


def _by_provider(messages: int) -> Iterator[tuple[str, int]]:
    """Spread messages over the providers of their recipients."""
    shares = [share for share, _, _ in PROVIDERS.values()]
    return zip(PROVIDERS, apportion(messages, shares), strict=True)


def _without_address(**counts: int) -> list[Cell]:
    """Return what no address has sent yet, by its recipients' providers."""
    split = {kind: dict(_by_provider(number)) for kind, number in counts.items()}
    return [
        Cell("", provider, _counts(**{kind: numbers[provider] for kind, numbers in split.items()}))
        for provider in PROVIDERS
    ]


def _warming(server: ServerRow, warm_day: int) -> list[Cell]:
    """Return what one server sends by the address that is warmed up: most of what its plan allows, and nearly all accepted."""
    if (server.organization, server.name) != (WARMING_ORGANIZATION, WARMING_SERVER) or warm_day < 0:
        return []
    messages = WARMING_SENT[min(warm_day, len(WARMING_SENT) - 1)]
    found = []
    for provider, sent in _by_provider(messages):
        is_refused = provider == WARMING_REFUSED_AT and warm_day == WARMING_REFUSED_DAY
        # A third of the attempts, or one in a hundred.
        deferred = sent // 2 if is_refused else sent // 100
        found.append(Cell(WARMING_ADDRESS, provider, _counts(sent=sent, deferred=deferred)))
    return found


def by_hour(server: ServerRow, total: int) -> list[int]:
    """Spread a day's number over its hours."""
    return apportion(total, HOURS[server.rhythm])


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Split a whole number by weights so that the parts are whole and add up to it (largest remainder)."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [math.floor(each) for each in exact]
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def total(rows: Sequence[Cell]) -> dict[str, int]:
    """Add cells up."""
    return {kind: sum(row.counts[kind] for row in rows) for kind in COLUMNS}


def kinds(counts: dict[str, int]) -> Iterator[str]:
    """Yield each kind as often as it is counted."""
    for kind, number in counts.items():
        for _ in range(number):
            yield kind


def _volume(server: ServerRow, weekday: int, age: int, day: int, dice: random.Random) -> int:
    # A year ago everybody sent half as much; before Christmas the shops send more.
    growth = 1.0 - 0.5 * min(age, 365) / 365
    season = 1.0 + 0.25 * max(0.0, math.cos((day - 20_807) * 2 * math.pi / 365.25))
    return round(server.volume * SCALE * WEEKS[server.rhythm][weekday] * growth * season * dice.uniform(0.92, 1.08))


def _cell(server: ServerRow, address: str, provider: str, messages: int, age: int, dice: random.Random) -> Cell:
    _, deferred, bounced = PROVIDERS[provider]
    if server.pool == "Campaigns":
        # Two addresses for what eight should carry: receivers slow them down.
        deferred *= 2.6
    if server.suspension:
        bounced *= 3
    if address == TROUBLED_ADDRESS and provider == TROUBLED_AT and age < TROUBLED_SINCE_DAYS:
        deferred, bounced = TROUBLE
        sent = round(messages / (1 + bounced))
    else:
        sent = round(messages * (1 - bounced))
    complaints = sent * (0.005 if server.suspension else 0.0003) * dice.uniform(0, 2)
    counts = _counts(
        sent=sent,
        deferred=round(sent * deferred * dice.uniform(0.8, 1.2)),
        bounced=messages - sent,
        complaint=int(complaints + dice.random()),
    )
    return Cell(address, provider, counts)


def _counts(**given: int) -> dict[str, int]:
    return {kind: given.get(kind, 0) for kind in COLUMNS}
