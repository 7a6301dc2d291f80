"""Encryption at rest for secrets that must be readable (Fernet: AES-128-CBC with HMAC-SHA-256).

SLUICE_ENCRYPTION_KEYS holds the keys, newest first: the first encrypts, every one decrypts. The command
`rotate_encryption_keys` writes every CiphertextField anew under the first.
"""

from collections.abc import Iterator
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction


class UnreadableCiphertext(Exception):
    """No key of SLUICE_ENCRYPTION_KEYS decrypts a stored secret."""


class CiphertextField(models.TextField):  # type: ignore[type-arg]  # Django's fields take no arguments at run time.
    """A column of ciphertext. It does not encrypt: callers use `encrypt` and `decrypt`."""


@lru_cache(maxsize=8)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _current() -> MultiFernet:
    return _fernet(tuple(settings.SLUICE_ENCRYPTION_KEYS))


def encrypt(text: str) -> str:
    """Return the ciphertext of `text` under the newest key."""
    return _current().encrypt(text.encode()).decode()


def decrypt(ciphertext: str) -> str:
    """Return the plain text; raises UnreadableCiphertext if no key decrypts it."""
    try:
        return _current().decrypt(ciphertext.encode()).decode()
    except InvalidToken:
        raise UnreadableCiphertext("no key of SLUICE_ENCRYPTION_KEYS decrypts this secret") from None


def ciphertext_fields() -> Iterator[tuple[type[models.Model], str]]:
    """Yield every (model, field name) that holds ciphertext, in a stable order."""
    for model in sorted(apps.get_models(), key=lambda each: each._meta.label):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, CiphertextField):
                yield model, field.attname


def rotate(*, batch_size: int = 500) -> int:
    """Encrypt every stored secret again with the newest key, and return their number.

    Each batch is a transaction, and a row that changed meanwhile keeps its change: running it again ends the work.
    """
    total = 0
    for model, name in ciphertext_fields():
        last = 0
        while batch := _batch_after(model, name, last, batch_size):
            with transaction.atomic():
                for pk, ciphertext in batch:
                    fresh = encrypt(decrypt(ciphertext))
                    total += model._default_manager.filter(pk=pk, **{name: ciphertext}).update(**{name: fresh})
            last = batch[-1][0]
    return total


def _batch_after(model: type[models.Model], name: str, last: int, size: int) -> list[tuple[int, str]]:
    rows = model._default_manager.filter(pk__gt=last).exclude(**{name: ""}).exclude(**{f"{name}__isnull": True})
    return list(rows.order_by("pk").values_list("pk", name)[:size])
