"""Redis or Valkey: Celery's broker, the cache, and when each task was sent last; one server, or a primary that Sentinels name.

With Sentinels, REDIS_URL names them and the group: sentinel://:password@one:26379,two:26379,three:26379/0?master=sluice. They
are asked at each new connection, and an existing one to a server that is no primary any more is given up.

Every process reads the URL; clients are in core/redis_clients.py: loading their library takes longer than many a command.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

SENTINEL = "sentinel"
SENTINEL_PORT = 26379
EXAMPLE = "sentinel://:password@one:26379,two:26379,three:26379/0?master=sluice"

# Seconds until a message that nobody acknowledged is given to another worker: longer than any task and any ETA.
VISIBILITY = 6 * 3600
# Without time-outs, a hanging broker would block every sender indefinitely.
BROKER_TIMEOUTS = {"socket_connect_timeout": 5, "socket_timeout": 10}
# A server that hangs must not hang every request that counts a failed login or asks for a fold.
CACHE_TIMEOUTS = {"socket_connect_timeout": 2, "socket_timeout": 2}


@dataclass(frozen=True, slots=True)
class Watched:
    """What a URL with Sentinels says. The user's name and password are the servers', not the Sentinels'."""

    addresses: list[tuple[str, int]]
    master: str
    database: int
    username: str | None
    password: str | None
    sentinel_password: str | None

    @classmethod
    def of(cls, url: str) -> "Watched":
        """Read a URL; raises ValueError with the reason."""
        parts = urlsplit(url)
        user, _, hosts = parts.netloc.rpartition("@")
        username, _, password = user.partition(":")
        addresses = [urlsplit(f"//{host}") for host in hosts.split(",") if host]
        query = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        database = parts.path.strip("/") or "0"
        if not addresses or any(not each.hostname for each in addresses):
            raise ValueError("it names no Sentinel")
        if not query.get("master") or query.keys() - {"master", "sentinel_password"}:
            raise ValueError("it ends with ?master= and the name of the group that the Sentinels watch")
        if not database.isdecimal():
            raise ValueError("its path is the number of a database")
        return cls(
            addresses=[(each.hostname or "", each.port or SENTINEL_PORT) for each in addresses],
            master=query["master"],
            database=int(database),
            username=unquote(username) or None,
            password=unquote(password) or None,
            sentinel_password=query.get("sentinel_password"),
        )


def cache(url: str) -> dict[str, Any]:
    """Return Django's settings of a cache in it."""
    options: dict[str, Any] = dict(CACHE_TIMEOUTS)
    if is_watched(url):
        options["pool_class"] = "core.redis_clients.PrimaryPool"
    # A list: Django would split a text at its commas.
    location = [url] if is_watched(url) else url
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location, "OPTIONS": options}


def celery(url: str) -> tuple[str, dict[str, Any]]:
    """Return Celery's URL of the broker, and its options."""
    options: dict[str, Any] = {"visibility_timeout": VISIBILITY, **BROKER_TIMEOUTS}
    if not is_watched(url):
        return url, options
    watched = Watched.of(url)
    options["master_name"] = watched.master
    options["sentinel_kwargs"] = {**CACHE_TIMEOUTS, "password": watched.sentinel_password}
    who = f"{quote(watched.username or '', safe='')}:{quote(watched.password or '', safe='')}@"
    places = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in watched.addresses)
    return ";".join(f"sentinel://{who}{place}/{watched.database}" for place in places), options


def is_watched(url: str) -> bool:
    """Return whether it names Sentinels."""
    return url.startswith(f"{SENTINEL}://")


def fault_of(url: str) -> str:
    """Return what is wrong with REDIS_URL, as the end of a sentence; empty: nothing."""
    if not is_watched(url):
        return (
            "" if urlsplit(url).scheme in {"redis", "rediss"} else "must begin with redis://, rediss:// or sentinel://"
        )
    try:
        Watched.of(url)
    except ValueError as problem:
        return f"cannot be read ({problem}); with Sentinels it looks like {EXAMPLE}"
    return ""
