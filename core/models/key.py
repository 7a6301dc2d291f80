"""The base model of keys: API tokens, ingest tokens, credentials of servers, node keys."""

import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from core.keys import DIGEST_LENGTH, PREFIX_LENGTH


class KeyQuerySet[K: "Key"](models.QuerySet[K]):
    def usable(self, at: datetime.datetime) -> Self:
        """Keys that are neither expired nor revoked."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=at), **{self.model.STOPPED_BY: None})


class Key(models.Model):
    """A key of which only the digest is stored. `core.keys` issues and finds it, and records its use.

    A subclass sets `objects` to a manager of KeyQuerySet, and calls `core.keys.issue` before it is saved.
    """

    # The column that is set while the key does not work.
    STOPPED_BY: ClassVar[str] = "revoked_at"

    key_prefix = models.CharField(max_length=PREFIX_LENGTH, editable=False)
    key_digest = models.CharField(max_length=DIGEST_LENGTH, unique=True, editable=False)
    # None: it does not expire.
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    @property
    def key_model(self) -> "type[Key]":
        """The table that `core.keys.touch_last_used` writes to."""
        return type(self)

    def is_usable(self, at: datetime.datetime) -> bool:
        """Whether the key is valid at this time."""
        return getattr(self, self.STOPPED_BY) is None and (self.expires_at is None or self.expires_at > at)
