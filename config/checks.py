"""System checks that run before a process of Sluice starts, in addition to the environment (config.production)."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.db import DatabaseError, connections, models

from config import environment, poolers
from core.encryption import UnreadableCiphertext, ciphertext_fields, decrypt
from stats.ledger.database import IS_APART

REMEDY = (
    "Add the key that encrypted them to SLUICE_ENCRYPTION_KEYS, after the newest one. `manage.py rotate_encryption_keys` "
    "then encrypts all secrets with the newest key; only then can an old key be removed."
)

LEFT_BEHIND = (
    "STATS_DATABASE_URL names an empty database, and the statistics are in that of DATABASE_URL: move them with `backup` and "
    "`restore`, as docs/operations.md says."
)


@checks.register(checks.Tags.database)
def check_secrets(databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report stored secrets that no key decrypts; run by `check --database default`."""
    if "default" not in (databases or ()):
        return []
    return [checks.Error(sentence, hint=REMEDY, id="sluice.E001") for sentence in unreadable_secrets()]


# By which variable a database is named.
_VARIABLES = {"default": "DATABASE_URL", "replica": "DATABASE_REPLICA_URL", "stats": "STATS_DATABASE_URL"}


@checks.register(checks.Tags.database)
def check_sessions(databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a pooler that shares the sessions in which web prepares statements; run by `check --database default`."""
    if "default" not in (databases or ()):
        return []
    return [
        checks.Error(
            f"{name} leads to a pooler that gives each transaction another session of PostgreSQL (pgbouncer's `pool_mode ="
            " transaction`), and SLUICE_DATABASE_POOL is not 0: web processes prepare statements in their sessions.",
            hint=poolers.REMEDY,
            id="sluice.E002",
        )
        for alias, name in _VARIABLES.items()
        if settings.DATABASES.get(alias, {}).get("OPTIONS", {}).get("pool") and poolers.shares_sessions(alias)
    ]


def refuse_shared_sessions() -> None:
    """End beat, whose lock is its session's, where a pooler gives that to others as well."""
    if connections["default"].vendor == "postgresql" and poolers.shares_sessions("default"):
        environment.end(
            [
                "DATABASE_URL leads to a pooler that gives each transaction another session of PostgreSQL.",
                "Beat needs one of its own: which of several beats leads is a lock of its session.",
                "Give beat a DATABASE_URL of its own: pgbouncer's `pool_mode = session`, or PostgreSQL's own address.",
            ]
        )


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


def refuse_statistics_left_behind() -> None:
    """End the process where STATS_DATABASE_URL was set and nothing was moved: counts would begin anew."""
    if not IS_APART:
        return
    # The command of the same name needs it, and nothing else at a start.
    from stats.ledger.reconciling import is_left_behind

    try:
        is_left = is_left_behind()
    except DatabaseError:
        # One of the two is away, or has no tables yet: no reason to refuse.
        return
    if is_left:
        environment.end([LEFT_BEHIND])


def refuse_unreadable_secrets() -> None:
    """End the process with the sentences, if there are any."""
    refuse_statistics_left_behind()
    if sentences := list(unreadable_secrets()):
        environment.end([*sentences, REMEDY])


def leave_pools() -> None:
    """Let this process, and those that it forks, keep a connection per thread instead of a pool."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    for each in connections.settings.values():
        if each.get("OPTIONS", {}).pop("pool", None):
            each["CONN_MAX_AGE"], each["CONN_HEALTH_CHECKS"] = 60, True
