from django.db import models
from django.db.models import Q

from servers.models import Organization

MOST_BOUNCES = 100
MOST_DAYS = 3_650


class SuppressionList(models.Model):
    """An organization's suppression list: its rules, what nodes do with recipients on it, and its last change's number.

    Whoever changes suppressions of the organization holds this row until the end of the transaction, so that numbers are
    committed in their order. An organization without one has the defaults, and no suppressions.
    """

    class Scope(models.TextChoices):
        SERVER = "server", "The server that sent the message"
        ORGANIZATION = "organization", "All servers of the organization"

    class Submission(models.TextChoices):
        REFUSE = "refuse", "Refuse: the client gets a 550 reply for the recipient"
        DROP = "drop", "Drop: the recipient is accepted, and no mail is sent to it"

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="suppression_list"
    )
    # Whether bounces of class "no such mailbox" suppress, and from how many on.
    suppresses_bounces = models.BooleanField("suppress addresses that do not exist", default=True)
    bounce_threshold = models.PositiveSmallIntegerField("after so many bounces", default=1)
    suppresses_complaints = models.BooleanField("suppress addresses that complained", default=True)
    # Whom the rules suppress an address for.
    scope = models.CharField("for", max_length=12, choices=Scope.choices, default=Scope.SERVER)
    # Days that what the rules suppress is valid, from the event on. None: until it is removed.
    valid_days = models.PositiveSmallIntegerField("days of validity", null=True, blank=True, default=365)
    # Whether the clear address of new entries is kept, encrypted.
    keeps_addresses = models.BooleanField("keep the clear addresses", default=False)
    at_submission = models.CharField(max_length=6, choices=Submission.choices, default=Submission.REFUSE)
    # Of the last change of its entries and of what nodes do with them.
    number = models.PositiveBigIntegerField(default=0, editable=False)
    # Entries that are kept, removed and expired ones too: what the quota counts.
    size = models.PositiveBigIntegerField(default=0, editable=False)
    # The highest number of an entry that was removed and is no longer kept: nodes behind it get the list anew.
    forgotten = models.PositiveBigIntegerField(default=0, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["organization_id"]
        constraints = [
            models.CheckConstraint(
                name="suppressions_suppressionlist_threshold",
                condition=Q(bounce_threshold__gte=1, bounce_threshold__lte=MOST_BOUNCES),
                violation_error_message=f"The threshold must be from 1 to {MOST_BOUNCES}",
            ),
            models.CheckConstraint(
                name="suppressions_suppressionlist_validity",
                condition=Q(valid_days=None) | Q(valid_days__gte=1, valid_days__lte=MOST_DAYS),
                violation_error_message=f"The days of validity must be from 1 to {MOST_DAYS}",
            ),
            models.CheckConstraint(
                name="suppressions_suppressionlist_words",
                condition=Q(scope__in=["server", "organization"], at_submission__in=["refuse", "drop"]),
                violation_error_message="The scope is server or organization; suppressed recipients are refused or dropped",
            ),
            models.CheckConstraint(
                name="suppressions_suppressionlist_forgotten",
                condition=Q(forgotten__lte=models.F("number")),
                violation_error_message="Only what was changed can be forgotten",
            ),
        ]

    def __str__(self) -> str:
        return f"suppression list of {self.organization}"
