"""System checks that run before a process of Sluice starts, in addition to the environment (config.production)."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.db import DatabaseError, connections, models

from config import environment
from core.encryption import UnreadableCiphertext, ciphertext_fields, decrypt

REMEDY = (
    "Add the key that encrypted them to SLUICE_ENCRYPTION_KEYS, after the newest one. `manage.py rotate_encryption_keys` "
    "then encrypts all secrets with the newest key; only then can an old key be removed."
)


@checks.register(checks.Tags.database)
def check_secrets(databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report stored secrets that no key decrypts; run by `check --database default`."""
    if "default" not in (databases or ()):
        return []
    return [checks.Error(sentence, hint=REMEDY, id="sluice.E001") for sentence in unreadable_secrets()]


def unreadable_secrets() -> Iterator[str]:
    """Yield a sentence for each column of ciphertext whose oldest or newest secret no key decrypts.

    Those two are looked at, not all: keys are added and taken away in order of time, and a start must not take minutes.
    """
    for model, name in ciphertext_fields():
        try:
            unreadable = any(not is_readable(secret) for secret in oldest_and_newest(model, name))
        except DatabaseError:
            # The table is not there yet: migrations have not run, so it holds nothing.
            continue
        if unreadable:
            yield (
                f"The database holds secrets ({model._meta.verbose_name_plural}, {name}) "
                "that no key of SLUICE_ENCRYPTION_KEYS decrypts."
            )


def oldest_and_newest(model: type[models.Model], name: str) -> list[str]:
    """Return at most two ciphertexts of this column."""
    written = model._default_manager.exclude(**{name: ""}).exclude(**{f"{name}__isnull": True})
    ordered = (written.order_by("pk"), written.order_by("-pk"))
    return [secret for each in ordered for secret in each.values_list(name, flat=True)[:1]]


def is_readable(secret: str) -> bool:
    """Return whether one of our keys decrypts it."""
    try:
        decrypt(secret)
    except UnreadableCiphertext:
        return False
    return True


def refuse_unreadable_secrets() -> None:
    """End the process with the sentences, if there are any."""
    if sentences := list(unreadable_secrets()):
        environment.end([*sentences, REMEDY])


def leave_pools() -> None:
    """Let this process, and those that it forks, keep a connection per thread instead of a pool."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    for settings in connections.settings.values():
        if settings.get("OPTIONS", {}).pop("pool", None):
            settings["CONN_MAX_AGE"], settings["CONN_HEALTH_CHECKS"] = 60, True
