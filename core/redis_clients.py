"""Clients of Redis or Valkey: of the one server, or of the primary that Sentinels name (core/broker.py)."""

from typing import Any

import redis
from redis.sentinel import Sentinel, SentinelConnectionPool

from core.broker import Watched, is_watched

# redis has no types for it.
_sentinel: Any = Sentinel


class PrimaryPool(SentinelConnectionPool):
    """Connections to the primary that the Sentinels of a URL name."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "PrimaryPool":
        """Return a pool; `options` are those of a connection. Asks nobody yet."""
        watched = Watched.of(url)
        timeouts = {name: value for name, value in options.items() if name.startswith("socket_")}
        sentinel = _sentinel(
            watched.addresses, sentinel_kwargs={**timeouts, "password": watched.sentinel_password}, **timeouts
        )
        who = {"username": watched.username, "password": watched.password, "db": watched.database}
        return cls(watched.master, sentinel, **who, **options)


def client(url: str, **options: Any) -> redis.Redis:
    """Return a client of the server, or of the primary."""
    if is_watched(url):
        return redis.Redis.from_pool(PrimaryPool.from_url(url, **options))
    return redis.Redis.from_url(url, **options)
