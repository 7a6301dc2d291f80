"""Locking out who guesses passwords: failures are counted on the shared cache, whatever door they knock at.

Ten failures for one name from one address, or a hundred from one address for any names, lock that address out for a while;
its owner elsewhere is not locked out, so nobody can lock out others. Attempts that run at the same moment may exceed the
limits by as many as there are web threads.

API keys are random and long, so nobody guesses one: wrong ones are limited only because each costs work, and a right key
works from a limited address, too.
"""

import hashlib
import ipaddress

from django.core.cache import cache

from core.names import fold

FAILURES_OF_NAME = 10
FAILURES_OF_ADDRESS = 100
# Of one wrong key from one address (a client that was never told of a new key), and of any from one address.
WRONG_KEYS_OF_KEY = 600
WRONG_KEYS_OF_ADDRESS = 3_000
# Seconds from the first failure. Not more than the 300 that caches without a counter of their own reset an entry to.
LOCKED_FOR = 300


def is_locked_out(*, username: str, address: str) -> bool:
    """Return whether a password for this name, from this address, is not to be looked at."""
    by_name, by_address = _keys(username, address)
    counts = cache.get_many([by_name, by_address])
    return counts.get(by_name, 0) >= FAILURES_OF_NAME or counts.get(by_address, 0) >= FAILURES_OF_ADDRESS


def count_failure(*, username: str, address: str) -> None:
    """Note a wrong password."""
    for key in _keys(username, address):
        _count(key)


def forget_failures(*, username: str, address: str) -> None:
    """Note a right password: the name's failures from this address no longer count, the address's own do."""
    cache.delete(_keys(username, address)[0])


def count_wrong_key(*, key: str, address: str) -> bool:
    """Note a wrong API key, and return whether there have been too many to say more than that."""
    network = _network(address)
    of_key, of_address = _count(_key("api key", key, network)), _count(_key("api keys", network))
    return of_key > WRONG_KEYS_OF_KEY or of_address > WRONG_KEYS_OF_ADDRESS


def _count(key: str) -> int:
    cache.add(key, 0, timeout=LOCKED_FOR)
    try:
        return cache.incr(key)
    except ValueError:
        # It expired between the two.
        cache.set(key, 1, timeout=LOCKED_FOR)
        return 1


def _keys(username: str, address: str) -> tuple[str, str]:
    network = _network(address)
    return _key("name", fold(username), network), _key("address", network)


def _key(*parts: str) -> str:
    # Hashed: names are of any length and any characters, and a cache need not know them.
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"lockout:{digest}"


def _network(address: str) -> str:
    """An IPv6 client has 2^64 addresses: they count as one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else address
