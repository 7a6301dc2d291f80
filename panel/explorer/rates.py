"""Rates beside counts, as people read them: of what each is a share, and from when on it is too high."""

from typing import Any

from stats.reports.reader import Counts

# Gmail and Yahoo ask senders to stay below the first, and refuse mail above the second.
COMPLAINTS_HIGH, COMPLAINTS_TOO_HIGH = 0.001, 0.003
TITLES = {
    "sent": "Sent", "deferred": "Deferred", "bounced": "Bounced", "late_bounce": "Late bounces",
    "complaint": "Complaints", "spam": "Spam", "held": "Held", "incoming": "Incoming",
}  # fmt: skip

# What is shown of a server or domain beside what was sent, deferred and bounced.
BESIDE = ("sent", "deferred", "bounced", "complaint", "spam", "held", "incoming")


def rate(counts: Counts, kind: str) -> float | None:
    """Return the share that a kind is: sent, deferred and bounced of the attempts; complaints and late bounces of what was
    sent; spam and held of what came in. None where there is nothing that it is a share of."""
    match kind:
        case "sent" | "deferred" | "bounced":
            whole = counts.sent + counts.deferred + counts.bounced
        case "complaint" | "late_bounce":
            whole = counts.sent
        case "spam" | "held":
            whole = counts.incoming
        case _:
            return None
    return getattr(counts, kind) / whole if whole else None


def percent(share: float | None, *, places: int = 1) -> str:
    """Return a share as text. What is nearly all is not all, and what is hardly anything is not nothing."""
    if share is None:
        return "–"
    text = f"{share * 100:.{places}f}"
    least = 10**-places
    if share < 1 and float(text) >= 100:
        text = f"{100 - least:.{places}f}"
    if share > 0 and float(text) == 0:
        return f"< {least:.{places}f} %"
    return f"{text} %"


def shown(counts: Counts, kind: str) -> dict[str, Any]:
    """Return a count with its rate as a page shows them; complaints from 0.1 and from 0.3 % on are marked."""
    share = rate(counts, kind)
    tone = ""
    if kind == "complaint" and share is not None:
        tone = "bad" if share >= COMPLAINTS_TOO_HIGH else "warn" if share >= COMPLAINTS_HIGH else ""
    return {
        "kind": kind,
        "title": TITLES[kind],
        "number": getattr(counts, kind),
        "rate": "" if share is None else percent(share, places=2 if kind == "complaint" else 1),
        "tone": tone,
    }
