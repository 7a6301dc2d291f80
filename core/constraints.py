"""Database constraints that several models use."""

import functools
import operator

from django.db.models import CheckConstraint, Q


def not_empty(name: str, *columns: str, message: str) -> CheckConstraint:
    """Return the constraint `<name>_not_empty`: none of these text columns is empty."""
    condition = functools.reduce(operator.and_, (~Q(**{column: ""}) for column in columns))
    return CheckConstraint(name=f"{name}_not_empty", condition=condition, violation_error_message=message)
