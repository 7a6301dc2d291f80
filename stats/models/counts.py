"""The rollup tables: number of events by kind, scope and time bucket.

Rows are written by the fold and the rebuild, nothing else. There are no checks that a count is positive, because the
rebuild inserts negative differences and PostgreSQL checks a row before it sees that it exists; the audit holds counts to
the events instead. The bucket leads the keys: a fold writes few neighbouring pages then, a period of many subjects is one
range, and a series of one subject is a list of buckets.
"""

from django.db import models

from stats.counts.buckets import Grain
from stats.reasons import Reason


class Bucket(models.Model):
    """One bucket of time of one tier."""

    grain = models.SmallIntegerField(choices=Grain.choices)
    bucket = models.IntegerField()

    class Meta:
        abstract = True


class Count(Bucket):
    """Counts of every kind in one bucket; what they are about is in the subclasses."""

    incoming = models.BigIntegerField(default=0)
    sent = models.BigIntegerField(default=0)
    deferred = models.BigIntegerField(default=0)
    bounced = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    spam = models.BigIntegerField(default=0)
    complaint = models.BigIntegerField(default=0)
    late_bounce = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class PlatformCount(Count):
    """Of all servers: hours (90 days), days."""

    pk = models.CompositePrimaryKey("grain", "bucket")

    def __str__(self) -> str:
        return f"platform, {self.get_grain_display()} {self.bucket}"


class PlatformProviderCount(Count):
    """Of all servers by recipients' provider (0: all others): hours (35 days), days."""

    provider_id = models.SmallIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "provider_id")

    def __str__(self) -> str:
        return f"platform to provider {self.provider_id}, {self.get_grain_display()} {self.bucket}"


class ServerCount(Count):
    """By server: minutes (kept two hours), hours (90 days), days, months, total."""

    server_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "server_id")

    def __str__(self) -> str:
        return f"server {self.server_id}, {self.get_grain_display()} {self.bucket}"


class AddressCount(Count):
    """By IP address: days, months, years, total. Pools are joined when read, as membership changes."""

    address_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "address_id")

    def __str__(self) -> str:
        return f"address {self.address_id}, {self.get_grain_display()} {self.bucket}"


class DomainCount(Count):
    """By sender domain of a server: days, months."""

    domain_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "domain_id")

    def __str__(self) -> str:
        return f"domain {self.domain_id}, {self.get_grain_display()} {self.bucket}"


class SenderCount(Count):
    """By sender mailbox of a server: days. The server comes before the sender, for the breakdown of one server."""

    server_id = models.BigIntegerField()
    sender_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "server_id", "sender_id")

    def __str__(self) -> str:
        return f"sender {self.sender_id}, {self.get_grain_display()} {self.bucket}"


class ProviderCount(Count):
    """By IP address and recipients' provider: hours (two days), days."""

    address_id = models.BigIntegerField()
    provider_id = models.SmallIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "address_id", "provider_id")

    def __str__(self) -> str:
        return f"address {self.address_id} to provider {self.provider_id}, {self.get_grain_display()} {self.bucket}"


class ServerProviderCount(Count):
    """By server and recipients' provider (0: all others): hours (35 days), days."""

    server_id = models.BigIntegerField()
    provider_id = models.SmallIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "server_id", "provider_id")

    def __str__(self) -> str:
        return f"server {self.server_id} to provider {self.provider_id}, {self.get_grain_display()} {self.bucket}"


class ReasonOf(Bucket):
    """Counts of explained events: deferred, bounced, bounced late."""

    deferred = models.BigIntegerField(default=0)
    bounced = models.BigIntegerField(default=0)
    late_bounce = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class ReasonCount(ReasonOf):
    """By server and class of the reply: hours (90 days), days. Held messages are those of class `suppressed`."""

    held = models.BigIntegerField(default=0)
    server_id = models.BigIntegerField()
    reason = models.SmallIntegerField(choices=Reason.choices)
    pk = models.CompositePrimaryKey("grain", "bucket", "server_id", "reason")

    def __str__(self) -> str:
        return f"server {self.server_id}, {self.get_reason_display()}, {self.get_grain_display()} {self.bucket}"


class AddressReasonCount(ReasonOf):
    """By IP address, recipients' provider and class of the reply: hours (90 days), days."""

    address_id = models.BigIntegerField()
    provider_id = models.SmallIntegerField()
    reason = models.SmallIntegerField(choices=Reason.choices)
    pk = models.CompositePrimaryKey("grain", "bucket", "address_id", "provider_id", "reason")

    def __str__(self) -> str:
        return f"address {self.address_id}, {self.get_reason_display()}, {self.get_grain_display()} {self.bucket}"


class SignatureCount(ReasonOf):
    """By IP address (0: none) and kind of reply: days."""

    address_id = models.BigIntegerField()
    signature_id = models.IntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "address_id", "signature_id")

    def __str__(self) -> str:
        return f"address {self.address_id}, signature {self.signature_id}, {self.get_grain_display()} {self.bucket}"


class AttemptsOf(Bucket):
    """Counts of attempts: accepted, deferred, rejected."""

    sent = models.BigIntegerField(default=0)
    deferred = models.BigIntegerField(default=0)
    bounced = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class ThrottleCount(AttemptsOf):
    """By IP address and throttling rule (0: the default): minutes (kept two hours), hours (35 days)."""

    address_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "address_id", "rule_id")

    def __str__(self) -> str:
        return f"address {self.address_id}, rule {self.rule_id}, {self.get_grain_display()} {self.bucket}"


class LatencyCount(AttemptsOf):
    """By IP address, recipients' provider and power of two of the seconds from acceptance: days."""

    address_id = models.BigIntegerField()
    provider_id = models.SmallIntegerField()
    latency = models.SmallIntegerField()
    pk = models.CompositePrimaryKey("grain", "bucket", "address_id", "provider_id", "latency")

    def __str__(self) -> str:
        return f"address {self.address_id}, 2^{self.latency} s, {self.get_grain_display()} {self.bucket}"
