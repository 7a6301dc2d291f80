"""The classes of SMTP replies, one word each (assigned by stats.intake.replies)."""

from django.db import models


class Reason(models.IntegerChoices):
    """The class of a reply. The number is stored with the event and must never change; 0 is no reply."""

    UNKNOWN = 0, "unknown"  # the event did not say what the receiver replied
    NO_SUCH_MAILBOX = 1, "no_such_mailbox"
    INACTIVE = 2, "inactive"
    MAILBOX_FULL = 3, "mailbox_full"
    RATE_LIMITED = 4, "rate_limited"
    GREYLISTED = 5, "greylisted"
    BLOCKED = 6, "blocked"
    CONTENT = 7, "content"
    AUTHENTICATION = 8, "authentication"
    BAD_SENDER = 9, "bad_sender"
    ROUTING = 10, "routing"
    CONNECTION = 11, "connection"
    TLS = 12, "tls"
    PROTOCOL = 13, "protocol"
    EXPIRED = 14, "expired"
    OPERATOR = 15, "operator"
    OTHER = 16, "other"
    SUPPRESSED = 17, "suppressed"


NUMBERS: dict[str, int] = {reason.label: reason.value for reason in Reason}
WORDS: dict[int, str] = {reason.value: reason.label for reason in Reason}
