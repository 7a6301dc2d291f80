"""Annotates rows with the number of related records, in the same query."""

from typing import Any

from django.db.models import Count, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce


def count_of(model: Any, relation: str, condition: Q | None = None) -> Coalesce:
    """Count a reverse relation in a subquery of its own: several joins would multiply each other's rows."""
    field = model._meta.get_field(relation)
    rows = field.related_model._default_manager.filter(condition or Q(), **{field.field.name: OuterRef("pk")})
    counted = rows.order_by().values(field.field.name).annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))
