from django.db import models

from core.constraints import not_empty
from core.names import NameKeyField


class FormerAddressName(models.Model):
    """A name that an address had, and gave up by being renamed or deleted.

    It means that address to the events of its time (stats/intake/address_names.py).
    """

    name = models.CharField(max_length=200)
    name_key = NameKeyField()
    # Its id, and not a reference: that of a deleted address still says that no other one was meant.
    address_id = models.BigIntegerField()
    until = models.DateTimeField()

    class Meta:
        verbose_name = "former name of an address"
        verbose_name_plural = "former names of addresses"
        ordering = ["until", "id"]
        constraints = [not_empty("ippools_formeraddressname_name", "name", message="A former name is not empty")]
        indexes = [
            # Who had a name, and since when an address has its own?
            models.Index(name="ippools_formeraddressname_key", fields=["name_key"]),
            models.Index(name="ippools_formeraddressname_of", fields=["address_id"]),
        ]

    def __str__(self) -> str:
        return self.name
