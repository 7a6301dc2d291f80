from django.db import models


class SetAside(models.Model):
    """An alert that a user has acknowledged (it stays visible) or snoozed (it is hidden), until a time.

    The dashboard finds them anew for each page. `key` is what makes one the same alert from page to page, and that of its row.
    """

    # Who no longer needs to see it: "platform" for all of its staff, one person, "user:<id>", or "organization:<id>", whose
    # channels send no reminders.
    audience = models.CharField(max_length=40)
    key = models.CharField(max_length=300)
    label = models.CharField(max_length=300)
    is_hidden = models.BooleanField()
    until = models.DateTimeField()
    by_label = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "alert set aside"
        verbose_name_plural = "alerts set aside"
        constraints = [
            models.UniqueConstraint(
                name="core_setaside_one_each",
                fields=["audience", "key"],
                violation_error_message="The alert has been set aside already",
            )
        ]

    def __str__(self) -> str:
        return self.label
