from django.db import models


class ThrottleBucket(models.Model):
    """The replies to attempts of one address under one throttling rule (0: the default) within ten seconds.

    Written with the events themselves, for what has to act at once; kept three hours. The counts of stats are made from events.
    """

    # Seconds since 1970 of the events' own time, divided by ten.
    bucket = models.BigIntegerField()
    address_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    sent = models.IntegerField(default=0)
    deferred = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    pk = models.CompositePrimaryKey("address_id", "rule_id", "bucket")

    class Meta:
        indexes = [
            # The removal of those that are past their keeping.
            models.Index(name="stats_throttlebucket_bucket", fields=["bucket"]),
        ]

    def __str__(self) -> str:
        return f"address {self.address_id}, rule {self.rule_id}, {self.bucket}"
