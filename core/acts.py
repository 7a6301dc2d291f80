"""Shared by all functions that change records: lock the row, and write only what differs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.db import models

from core.audit import Actor, record, snapshot
from core.errors import NotFound
from core.names import NameKeyField

type Document = dict[str, Any]


def locked[M: models.Model](
    rows: models.QuerySet[M], pk: int, *, noun: str = "", no_key: bool = True, of: Sequence[str] = ("self",)
) -> M:
    """Return the current row, locked until the transaction ends; raises NotFound if it is not among `rows`.

    Of the records that `rows` select with it, those that `of` names are held too. Others may write rows that refer to it
    meanwhile, unless `no_key` is false.
    """
    held = rows.select_for_update(of=of, no_key=no_key).filter(pk=pk).first()
    if held is None:
        raise NotFound(f"The {noun or rows.model._meta.verbose_name} could not be found")
    return held


def assign(target: models.Model, columns: Mapping[str, Any]) -> set[str]:
    """Set these columns, and return the names of those that had other values."""
    changed = {name for name, value in columns.items() if getattr(target, name) != value}
    for name in changed:
        setattr(target, name, columns[name])
    return changed


def save_columns(target: models.Model, names: Collection[str]) -> None:
    """Write these columns with what is made from them; no columns, no statement."""
    if not names:
        return
    derived = {
        field.name
        for field in target._meta.concrete_fields
        if getattr(field, "auto_now", False) or (isinstance(field, NameKeyField) and field.source in names)
    }
    target.save(update_fields={*names, *derived})


def save_change(
    target: models.Model,
    before: Document,
    *,
    act: str,
    actor: Actor,
    organization_id: int | None = None,
    unrecorded: Collection[str] = (),
    document: Callable[[Any], Document] = snapshot,
) -> bool:
    """Save the record and an audit entry with its states, and return whether anything changed.

    Where the document is the same, nothing is written. `document` is what made `before`; it may tell of parts, which the caller
    has written. `unrecorded` are columns that it does not tell of, to be written with the others.
    """
    after = document(target)
    if after == before:
        return False
    columns = {field.attname for field in target._meta.concrete_fields if field.attname in after}
    save_columns(target, {name for name in columns if before.get(name) != after[name]}.union(unrecorded))
    record(actor=actor, act=act, target=target, before=before, after=after, organization_id=organization_id)
    return True
