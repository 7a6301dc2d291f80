"""Acts at the same moment, each in a thread with a connection of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

# Threads must see what the test wrote, so it is in no transaction; afterwards all tables are emptied.
in_the_open = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Begin all acts at the same moment; returns what each returned or raised, in their order."""
    start = threading.Barrier(len(acts), timeout=30)

    def run(act: Callable[[], Any]) -> Any:
        try:
            # Connecting takes longer than most acts: it must not decide who is first.
            connection.ensure_connection()
            start.wait()
            return act()
        except Exception as exc:
            return exc
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(run, acts))
