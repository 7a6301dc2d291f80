from django.conf import settings
from django.db import models
from django.db.models import Q

NAME_LENGTH = 60
QUERY_LENGTH = 2_000


class SavedFilter(models.Model):
    """A name that a person gave to a list as it was filtered, searched and ordered. Only this person sees it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters")
    # The label of the model whose list it is, as in servers.server.
    page = models.CharField(max_length=100)
    name = models.CharField(max_length=NAME_LENGTH)
    # The query string of the list's URL.
    query = models.CharField(max_length=QUERY_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                name="core_savedfilter_name",
                fields=["user", "page", "name"],
                violation_error_message="A filter of this name has been saved already",
            ),
            models.CheckConstraint(
                name="core_savedfilter_named",
                condition=~Q(name=""),
                violation_error_message="A saved filter has a name",
            ),
        ]

    def __str__(self) -> str:
        return self.name
