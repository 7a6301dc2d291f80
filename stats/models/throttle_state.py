from django.db import models


class ThrottleState(models.Model):
    """The point from which the decisions about one throttle (an address and a throttling rule) are made again.

    All times are Unix seconds of the events' own time. Decisions after `at` follow from the buckets alone
    (`throttling.backoff`), so that events which arrive late are decided on as if they had come in time.
    """

    address_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    at = models.BigIntegerField()
    counted_from = models.BigIntegerField()
    suspected_at = models.BigIntegerField(null=True)
    began_at = models.BigIntegerField(null=True)
    ends_at = models.BigIntegerField(null=True)
    pk = models.CompositePrimaryKey("address_id", "rule_id")

    def __str__(self) -> str:
        return f"address {self.address_id}, rule {self.rule_id}"
