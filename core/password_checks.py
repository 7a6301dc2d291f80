"""How many passwords a web process hashes at once: each takes a quarter of a second of the processors, and 100 MiB.

Anybody can send wrong ones, and a hundred from each address are looked at before it is locked out: without a limit of those at
the same moment, they would take every thread from those who need none.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from django.conf import settings

from core.clients import network_of
from core.errors import Busy
from core.slots import Slots


class TooManyPasswords(Busy):
    """As many passwords are hashed in this process as may be, or as one network may have hashed."""

    default_message = "Too many people sign in at this moment. Try again in a few seconds"
    retry_after = 1


_slots = Slots(TooManyPasswords)
_lock = threading.Lock()
# By what is asked: its answer, while one of the threads works it out.
_asked: dict[str, Future[bool]] = {}


@contextlib.contextmanager
def in_turn(address: str) -> Iterator[None]:
    """Hash a password for a client in one of half the threads; raises TooManyPasswords at once if it cannot have one."""
    with _slots.taken(network_of(address), slots=max(1, settings.SLUICE_WEB_THREADS // 2)):
        yield


def once(key: str, address: str, check: Callable[[], bool]) -> bool:
    """Return the result of a check, done in turn, which those who ask the same (`key`) at the same moment share.

    A program that sends many requests at once with a right password is never one too many.
    """
    with _lock:
        found = _asked.get(key)
        mine = found or _asked.setdefault(key, Future())
    if found is not None:
        return found.result()
    try:
        with in_turn(address):
            mine.set_result(check())
    except BaseException as problem:
        mine.set_exception(problem)
        raise
    finally:
        with _lock:
            del _asked[key]
    return mine.result()
