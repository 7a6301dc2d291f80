import zoneinfo
from functools import cache

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

# Read once: it looks through some 600 files.
_time_zones = cache(zoneinfo.available_timezones)


def validate_time_zone(name: str) -> None:
    """Refuse texts that are not IANA time zones, such as `Europe/Nowhere`."""
    if name not in _time_zones():
        raise ValidationError("“%(name)s” is not the name of a time zone", params={"name": name})


class User(AbstractUser):
    """A person who signs in to the panel, or in whose name a program uses the GreenArrow dialect."""

    class ApiLevel(models.TextChoices):
        """What a user may do by GreenArrow's API (its page on users has the same four)."""

        YES = "yes", "Read and change"
        READ_ONLY = "read_only", "Read only"
        STATS_ONLY = "stats_only", "Throttles only"
        NO = "no", "None"

    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    api_level = models.CharField("GreenArrow API access", max_length=10, choices=ApiLevel.choices, default=ApiLevel.NO)

    class Meta(AbstractUser.Meta):
        permissions = [("platform", "Can see and change every tenant's records")]
        constraints = [
            models.CheckConstraint(
                name="core_user_api_level",
                condition=Q(api_level__in=["yes", "read_only", "stats_only", "no"]),
                violation_error_message="API access must be yes, read only, throttles only or none",
            )
        ]
