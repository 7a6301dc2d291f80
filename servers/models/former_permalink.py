import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

from core.constraints import not_empty
from core.names import PERMALINK_LENGTH
from servers.models.organization import Organization


class FormerPermalinkQuerySet(models.QuerySet["FormerPermalink"]):
    def held(self, at: datetime.datetime) -> Self:
        """Those that no other organization may take at this time."""
        return self.filter(held_until__gt=at)


class FormerPermalink(models.Model):
    """A permalink that an organization had, and gave up for another.

    It means that organization to the events of its time, and is held back for it for a while (servers/permalinks.py). The times
    of one permalink do not overlap; the organization that has it now says since when (`Organization.permalink_since`).
    """

    permalink = models.SlugField(max_length=PERMALINK_LENGTH)
    # An organization that can be deleted never had a server: nobody ever called it by this.
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="former_permalinks")
    # None: nobody had it before.
    since = models.DateTimeField(null=True)
    until = models.DateTimeField()
    held_until = models.DateTimeField()

    objects = FormerPermalinkQuerySet.as_manager()

    class Meta:
        ordering = ["-until", "-id"]
        indexes = [
            # How often an organization was renamed lately (permalinks.change).
            models.Index(name="servers_formerpermalink_of", fields=["organization", "until"]),
        ]
        constraints = [
            # Its index finds who had a permalink.
            models.UniqueConstraint(
                name="servers_formerpermalink_unique",
                fields=["permalink", "until"],
                violation_error_message="Another organization gave up this permalink at the same moment",
            ),
            models.UniqueConstraint(
                name="servers_formerpermalink_first",
                fields=["permalink"],
                condition=Q(since=None),
                violation_error_message="Another organization was the first to have this permalink",
            ),
            not_empty(
                "servers_formerpermalink_permalink", "permalink", message="A former permalink needs the permalink"
            ),
            models.CheckConstraint(
                name="servers_formerpermalink_times",
                condition=(Q(since=None) | Q(since__lt=F("until"))) & Q(held_until__gte=F("until")),
                violation_error_message="A permalink is given up after it was taken, and held back from then on",
            ),
        ]

    def __str__(self) -> str:
        return self.permalink

    def is_held(self, at: datetime.datetime) -> bool:
        """Whether no other organization may take it at this time."""
        return self.held_until > at
