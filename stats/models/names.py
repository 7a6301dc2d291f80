"""The names behind the numbers in counts. No foreign keys: counts outlive the records."""

from django.db import models

# Stands for all that came after the day's allowance of new names was used up; never a domain or a mailbox.
OTHER = "*"


class Subject(models.Model):
    """The name of a server or an address when it was last counted."""

    class Kind(models.IntegerChoices):
        SERVER = 1, "server"
        ADDRESS = 2, "address"

    kind = models.SmallIntegerField(choices=Kind.choices)
    # The id of the server or address, which is never given to another one.
    object_id = models.BigIntegerField()
    # `organization/server` as in an SMTP user, or the IPv4 address.
    label = models.CharField(max_length=200)
    first_counted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="stats_subject_unique",
                fields=["kind", "object_id"],
                violation_error_message="The subject exists already",
            )
        ]

    def __str__(self) -> str:
        return self.label


class NameOfServer(models.Model):
    """A text that one server's events carry, with a number to count by."""

    # 0: a text that has one number for the whole platform.
    server_id = models.BigIntegerField()
    # Days since 1970: new names are limited by server and day.
    first_seen_day = models.IntegerField()

    class Meta:
        abstract = True


def new_names_of_a_day(name: str) -> models.Index:
    """How many new ones has this server had today?

    Without OTHER, so that no planner looks for a name by this index. PostgreSQL did where it took the table for empty, and
    went through all of a server's names for each of thousands.
    """
    return models.Index(name=name, fields=["first_seen_day", "server_id"], condition=~models.Q(name=OTHER))


class SenderDomain(NameOfServer):
    """A domain that a server's mail came from, as a lower-case A-label, whether or not it has a Domain record."""

    name = models.CharField(max_length=253)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="stats_senderdomain_unique",
                fields=["server_id", "name"],
                violation_error_message="The server has this sender domain already",
            )
        ]
        indexes = [new_names_of_a_day("stats_senderdomain_day")]

    def __str__(self) -> str:
        return self.name


class Sender(NameOfServer):
    """A mailbox that a server's mail came from, in lower case."""

    # 64 characters, an @ and a domain.
    name = models.CharField(max_length=320)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="stats_sender_unique",
                fields=["server_id", "name"],
                violation_error_message="The server has this sender already",
            )
        ]
        indexes = [new_names_of_a_day("stats_sender_day")]

    def __str__(self) -> str:
        return self.name


class RecipientDomain(NameOfServer):
    """A domain that mail was sent to, as a lower-case A-label; one number for the whole platform."""

    # Stored with each event: small.
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=253)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="stats_recipientdomain_unique",
                fields=["server_id", "name"],
                violation_error_message="The recipient domain exists already",
            )
        ]
        indexes = [new_names_of_a_day("stats_recipientdomain_day")]

    def __str__(self) -> str:
        return self.name


class Signature(NameOfServer):
    """A kind of reply: what is left of replies when names, addresses, numbers and ids in them are masked."""

    # Stored with each event: small.
    id = models.AutoField(primary_key=True)
    # A digest of code, enhanced code and text: replies can be longer than an index takes.
    name = models.CharField(max_length=64)
    # What the class of its replies is decided by, together with the provider that replied: see stats.intake.explanations.
    code = models.SmallIntegerField(default=0)
    enhanced = models.CharField(max_length=11, blank=True)
    text = models.CharField(max_length=1000, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="stats_signature_unique",
                fields=["server_id", "name"],
                violation_error_message="The signature exists already",
            )
        ]
        indexes = [new_names_of_a_day("stats_signature_day")]

    def __str__(self) -> str:
        return self.text or "other"
