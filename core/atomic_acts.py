"""A decorator for functions that check and then write, and retry when a concurrent write made a check obsolete."""

import functools
from collections.abc import Callable

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

_ATTEMPTS = 3


def atomic_act[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run the act in a transaction, and retry it if the database refuses what its checks accepted.

    Then somebody else was faster: the second time the checks see what they wrote, and say in words what is wrong. A refusal
    that no check explains comes out as it is, an IntegrityError or ProtectedError.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(_ATTEMPTS - 1):
            try:
                with transaction.atomic():
                    return function(*args, **kwargs)
            except (IntegrityError, ProtectedError):
                continue
        with transaction.atomic():
            return function(*args, **kwargs)

    return wrapped
