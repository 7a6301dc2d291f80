"""Sends the ledger's models to its own database, and all others to that of the configuration (STATS_DATABASE_URL)."""

from typing import Any

from stats.ledger.database import CONFIGURATION, LEDGER, OWN


class LedgerRouter:
    """Django's router by models. There is none where everything is in one database."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return OWN if model._meta.label_lower in LEDGER else CONFIGURATION

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return OWN if model._meta.label_lower in LEDGER else CONFIGURATION

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        """Say whether an operation of a migration is for this database. One that names no model says so by a hint."""
        is_ledger = f"{app_label}.{model_name}" in LEDGER if model_name else bool(hints.get("ledger"))
        return db == (OWN if is_ledger else CONFIGURATION)
