"""Shared by all functions that change records: lock the row, and write only what differs."""

from collections.abc import Callable, Collection
from typing import Any

from django.db import models

from core.audit import Actor, record, snapshot
from core.errors import NotFound

type Document = dict[str, Any]


def locked[M: models.Model](rows: models.QuerySet[M], pk: int, *, noun: str = "", no_key: bool = True) -> M:
    """Return the current row, locked until the transaction ends; raises NotFound if it is not among `rows`.

    Records that `rows` select with it are not held. Others may write rows that refer to it meanwhile, unless `no_key` is false.
    """
    held = rows.select_for_update(of=("self",), no_key=no_key).filter(pk=pk).first()
    if held is None:
        raise NotFound(f"The {noun or rows.model._meta.verbose_name} could not be found")
    return held


def save_change(
    target: models.Model,
    before: Document,
    *,
    act: str,
    actor: Actor,
    organization_id: int | None = None,
    columns: Collection[str] | None = None,
    document: Callable[[Any], Document] = snapshot,
) -> bool:
    """Save the record and an audit entry with its states, and return whether anything changed.

    Where nothing is, nothing is written. `columns` are those to be saved, None: all; `document` is what made `before`.
    """
    after = document(target)
    if after == before:
        return False
    target.save(update_fields=columns)
    record(actor=actor, act=act, target=target, before=before, after=after, organization_id=organization_id)
    return True
