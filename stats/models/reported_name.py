from django.db import models

from core.constraints import not_empty
from core.names import PERMALINK_LENGTH


class ReportedName(models.Model):
    """By which names (`organization/server`) a reporter of the platform named servers lately: what a renaming changes for it.

    Written at most once a day for each; kept as long as counts of refusals.
    """

    # What it is and what it is called, such as "event source mail log".
    reporter = models.CharField(max_length=250)
    organization = models.CharField(max_length=PERMALINK_LENGTH)
    server = models.CharField(max_length=PERMALINK_LENGTH)
    # Days since 1970, by our clock.
    last_day = models.IntegerField()

    class Meta:
        ordering = ["organization", "server", "reporter"]
        constraints = [
            # Its index finds who reported by an organization's permalink.
            models.UniqueConstraint(
                name="stats_reportedname_unique",
                fields=["organization", "server", "reporter"],
                violation_error_message="It is noted already that the reporter named the server so",
            ),
            not_empty("stats_reportedname_reporter", "reporter", message="A reported name has a reporter"),
        ]

    def __str__(self) -> str:
        return f"{self.organization}/{self.server} by {self.reporter}"
