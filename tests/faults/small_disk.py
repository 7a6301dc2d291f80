"""The product's settings on a disk whose size the test says meanwhile: SQLite's max_page_count, read for each connection."""

from pathlib import Path

from django.db.backends.signals import connection_created

from config.settings import *  # noqa: F403
from config.settings import SLUICE_DATA_DIR

PAGES = Path(SLUICE_DATA_DIR) / "pages"


def limit(connection: object, **_: object) -> None:
    if PAGES.exists():
        with connection.cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(f"PRAGMA max_page_count = {int(PAGES.read_text())}")


connection_created.connect(limit)
