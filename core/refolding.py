"""A step of a migration: names whose folded form has changed get the new one."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.migrations import RunPython

from core.names import NameKeyField, fold


def one_blank(*labels: str) -> RunPython:
    """Return the step for these models, where several blanks became one. Of twins, the later one gets its id into its name."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        for label in labels:
            refold(apps.get_model(label), using=schema_editor.connection.alias)

    return RunPython(forwards, RunPython.noop)


def refold(model: Any, *, using: str) -> None:
    """Write the folded form of the model's names that have several blanks in a row."""
    [key] = [field for field in model._meta.local_fields if isinstance(field, NameKeyField)]
    length = model._meta.get_field(key.source).max_length
    rows = model._base_manager.using(using)
    for row in rows.filter(**{f"{key.name}__contains": "  "}).order_by("pk"):
        name, this = getattr(row, key.source), rows.filter(pk=row.pk)
        try:
            with transaction.atomic(using=using):
                this.update(**{key.name: fold(name)})
        except IntegrityError:
            tail = f" ({row.pk})"
            name = name[: length - len(tail)] + tail
            this.update(**{key.source: name, key.name: fold(name)})
