"""The kinds of events, one word each."""

from django.db import models


class Kind(models.IntegerChoices):
    """A kind of event. The number is stored with the event and must never change."""

    INCOMING = 1, "incoming"  # accepted from the client
    SENT = 2, "sent"  # 2xx at the remote host
    DEFERRED = 3, "deferred"  # 4xx, still alive
    BOUNCED = 4, "bounced"  # final failure
    HELD = 5, "held"
    SPAM = 6, "spam"
    COMPLAINT = 7, "complaint"
    LATE_BOUNCE = 8, "late_bounce"  # a bounce after `sent`: it never takes away from what was sent


# The word on the wire, which is also the column of the counts.
NUMBERS: dict[str, int] = {kind.label: kind.value for kind in Kind}
COLUMNS: tuple[str, ...] = tuple(NUMBERS)

# The type of events that are not counted, such as an opened message.
IGNORED = "ignored"
# What a receiver's reply explains.
REPLIED = frozenset({Kind.DEFERRED.value, Kind.BOUNCED.value, Kind.LATE_BOUNCE.value})
# Of what a reply is read; of held messages it has a class only where it says that the recipient is suppressed.
EXPLAINED = REPLIED | {Kind.HELD.value}
