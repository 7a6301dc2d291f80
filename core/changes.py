"""Saves only changed columns: an update that changes nothing writes nothing."""

from collections.abc import Mapping
from typing import Any

from django.db import models

from core.names import NameKeyField


def save_changes(record: models.Model, columns: Mapping[str, Any]) -> set[str]:
    """Save the changed columns, with columns derived from them, and return their names."""
    changed = {name for name, value in columns.items() if getattr(record, name) != value}
    if not changed:
        return changed
    for name in changed:
        setattr(record, name, columns[name])
    derived = {
        field.name
        for field in record._meta.concrete_fields
        if getattr(field, "auto_now", False) or (isinstance(field, NameKeyField) and field.source in changed)
    }
    record.save(update_fields=changed | derived)
    return changed
