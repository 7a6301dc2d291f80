"""Locks on things that are not rows."""

import hashlib

from django.db import connection


def advisory(name: str) -> None:
    """Hold the lock of this name until the transaction ends; must be called inside one.

    PostgreSQL only: on SQLite a transaction that writes has the whole database to itself (BEGIN IMMEDIATE).
    """
    if connection.vendor != "postgresql":
        return
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
