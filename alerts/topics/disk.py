"""The disk of an embedded installation; in production, the database's machine has a monitoring of its own."""

import os

from django.conf import settings
from django.urls import reverse

from alerts.items import Item
from alerts.topics.look import Look

# Percent of free space more than where the alert begins, at which it ends.
ENDS_ABOVE = 2
# Of what is told of as low, the last fifth is where mail is affected soon.
_BAD_SHARE = 5


def items(look: Look) -> list[Item]:
    """Return a line where the disk of SLUICE_DATA_DIR has less free space than SLUICE_DISK_WARNING; nothing to a tenant."""
    if settings.IS_PRODUCTION or not look.scope.is_platform or not settings.SLUICE_DISK_WARNING:
        return []
    try:
        place = os.statvfs(settings.SLUICE_DATA_DIR)
    except OSError:
        # A folder that cannot be read is what /readyz tells of.
        return []
    url = reverse("admin:index")
    free, total = (blocks * place.f_frsize for blocks in (place.f_bavail, place.f_blocks))
    return of_space(free, total, url, held=look.held.level("disk_low", url))


def of_space(free: int, total: int, url: str, *, held: str) -> list[Item]:
    """Return a line where too few bytes are free; `held` is the severity of an open alert, which ends a little above."""
    least = settings.SLUICE_DISK_WARNING + (ENDS_ABOVE if held else 0)
    if free * 100 >= least * total:
        return []
    level = "bad" if free * 100 * _BAD_SHARE < settings.SLUICE_DISK_WARNING * total else "warn"
    text = f"The disk of the data folder is {100 - 100 * free // total}\N{NO-BREAK SPACE}% full"
    detail = f"{free / 1024**3:.1f} of {total / 1024**3:.1f} GiB are free in {settings.SLUICE_DATA_DIR}"
    return [Item(level, "disk_low", text, detail, url)]
