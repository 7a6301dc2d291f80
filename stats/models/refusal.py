from django.db import models
from django.db.models import Q


class RefusalCount(models.Model):
    """How many events were refused, by day, reporter and reason: what a reporter overlooks in answers, operators see.

    Of the events themselves one sample is kept, without mailboxes. Not a count of messages: an event that is sent again is
    refused again.
    """

    # Days since 1970, by our clock.
    day = models.IntegerField()
    # The server whose key reported; 0: an ingest token, or a file read by a command.
    server_id = models.BigIntegerField()
    code = models.CharField(max_length=40)
    number = models.BigIntegerField()
    # The sentence and the record of the latest one.
    message = models.CharField(max_length=300, blank=True, default="")
    sample = models.CharField(max_length=1000, blank=True, default="")
    pk = models.CompositePrimaryKey("day", "server_id", "code")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="stats_refusalcount_positive",
                condition=Q(number__gt=0),
                violation_error_message="A count of refusals is positive",
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} × {self.code}, server {self.server_id}, day {self.day}"
