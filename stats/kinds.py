"""What can happen to a message, one word for each."""

from django.db import models


class Kind(models.IntegerChoices):
    """What happened to one message for one recipient. The number is stored with the event and must never change."""

    INCOMING = 1, "incoming"  # accepted from the client
    SENT = 2, "sent"  # 2xx at the remote host
    DEFERRED = 3, "deferred"  # 4xx, still alive
    BOUNCED = 4, "bounced"  # final failure
    HELD = 5, "held"
    SPAM = 6, "spam"
    COMPLAINT = 7, "complaint"


# The word on the wire, which is also the column of the counts.
NUMBERS: dict[str, int] = {kind.label: kind.value for kind in Kind}
COLUMNS: tuple[str, ...] = tuple(NUMBERS)
