from django.conf import settings
from django.db import models

from servers.models import Organization


class Report(models.Model):
    """That a person gets the report of an organization's week: once."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="reports")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reports")
    # The Monday of the week that it is about, in UTC as counts are.
    week_on = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="alerts_report_once",
                fields=["organization", "user", "week_on"],
                violation_error_message="The report of this week has been written",
            ),
        ]
        indexes = [
            # What is past its keeping? Asked by the daily clean-up.
            models.Index(name="alerts_report_week", fields=["week_on"]),
        ]

    def __str__(self) -> str:
        return f"{self.organization} to {self.user}, week of {self.week_on}"


class ReportOptOut(models.Model):
    """That a person gets no weekly reports of an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="report_opt_outs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="report_opt_outs")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="alerts_report_opt_out_once",
                fields=["organization", "user"],
                violation_error_message="The person gets no reports already",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: no reports of {self.organization}"
