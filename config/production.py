"""Production: the required settings, checked before start, and the database settings for many processes.

Production means that DATABASE_URL is set. What is missing or unsafe is told in one sentence each, that names the variable.
"""

import importlib.util
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from config import environment as env
from core import broker
from core.provided_roles import BadRole, rules_of
from dnschecks.name_servers import BadServer, server_of

SECRET_KEY_LENGTH = 50
# Where plain HTTP does not leave the machine.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
FERNET_COMMAND = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
# Seconds to wait for a database that does not answer. Where DATABASE_URL names several hosts: for each of them, since the next
# one may be the primary by now. Less than the patience of who waits for the pool.
CONNECT_TIMEOUT, CONNECT_TIMEOUT_OF_EACH = 10, 3
# Seconds without a sign of the other side after which a connection is given up. A machine that is gone closes no connection,
# and Linux alone would wait for it for a quarter of an hour.
AWAY = 15
# Likewise for a replica, and for the statistics' own database, which is not asked again for a while.
REPLICA_TIMEOUT, REPLICA_AWAY = 2, 5
LEFT_FOR = 2
WATCHED = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": AWAY * 1000}
# Seconds to wait for a connection of the pool, which has one for each thread: who waits, waits for a database that is away,
# and holds a thread meanwhile. The pool gives up an attempt after as long, and the next request makes a new one: its own
# patience (five minutes, from attempt to attempt longer) would let an outage go on after its end.
POOL_TIMEOUT = 5


def refusals(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each missing or unsafe variable."""
    yield from _proxy_refusals(environment)
    yield from _dns_refusals(environment.get("SLUICE_DNS_SERVERS", ""))
    yield from _backup_refusals(environment)
    yield from _trace_refusals(environment.get("SLUICE_OTLP_ENDPOINT", "").strip())
    yield from _provider_refusals(environment)
    if not environment.get("DATABASE_URL"):
        if environment.get("DATABASE_REPLICA_URL", "").strip():
            yield "DATABASE_REPLICA_URL names a replica of the database in DATABASE_URL, which is not set."
        if environment.get("STATS_DATABASE_URL", "").strip():
            yield "STATS_DATABASE_URL names a database beside that of DATABASE_URL, which is not set."
        return
    yield from _database_refusals("DATABASE_URL", environment["DATABASE_URL"])
    if replica_url := environment.get("DATABASE_REPLICA_URL", "").strip():
        yield from _database_refusals("DATABASE_REPLICA_URL", replica_url)
    yield from _stats_refusals(environment)
    secret = environment.get("SECRET_KEY", "")
    if not secret:
        yield f"SECRET_KEY is not set; production needs {SECRET_KEY_LENGTH} random characters or more."
    elif len(secret) < SECRET_KEY_LENGTH or len(set(secret)) < 10 or secret.startswith("django-insecure-"):
        yield f"SECRET_KEY is too easy to guess; production needs {SECRET_KEY_LENGTH} random characters or more."
    hosts = [host.strip() for host in environment.get("ALLOWED_HOSTS", "").split(",") if host.strip()]
    if not hosts:
        yield "ALLOWED_HOSTS is not set; it lists the host names of Sluice, separated by commas."
    elif "*" in hosts:
        yield "ALLOWED_HOSTS must not be *: list the hosts, or a forged Host header ends up in links."
    yield from _redis_refusals(environment.get("REDIS_URL", "").strip())
    yield from _encryption_refusals(environment.get("SLUICE_ENCRYPTION_KEYS", ""))
    if environment.get("DEBUG", "").strip().lower() in env.TRUE:
        yield "DEBUG must not be on in production: its error pages show settings and source code to everyone."


def _database_refusals(name: str, url: str) -> Iterator[str]:
    if urlsplit(url).scheme not in {"postgres", "postgresql"}:
        yield f"{name} must name a PostgreSQL database: postgres://user:password@host:5432/name; unset means SQLite."
        return
    # PostgreSQL takes a single port for that of all hosts.
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    if len({host.rpartition("]")[2].count(":") for host in hosts}) != 1:
        yield f"{name} must give a port with each of its hosts, or with none: postgres://user:password@one:5432,two:5432/name."


def _stats_refusals(environment: Mapping[str, str]) -> Iterator[str]:
    url = environment.get("STATS_DATABASE_URL", "").strip()
    if not url:
        return
    yield from _database_refusals("STATS_DATABASE_URL", url)
    for name in ("DATABASE_URL", "DATABASE_REPLICA_URL"):
        if _place(url) == _place(environment.get(name, "").strip()):
            yield f"STATS_DATABASE_URL names the database of {name}: name another, or unset it to keep everything in one."


def _place(url: str) -> tuple[str, str]:
    """Return servers and database of an address, whoever signs in there."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2], parts.path


def _redis_refusals(url: str) -> Iterator[str]:
    if not url:
        yield "REDIS_URL is not set; web and worker processes share Redis (redis://:password@host:6379/0)."
    elif fault := broker.fault_of(url):
        yield f"REDIS_URL {fault}."


def _encryption_refusals(text: str) -> Iterator[str]:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not keys:
        yield f"SLUICE_ENCRYPTION_KEYS is not set; generate a key with {FERNET_COMMAND}, and keep it apart from the database."
    for position, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            yield f"SLUICE_ENCRYPTION_KEYS: key {position} is not a Fernet key (32 bytes in URL-safe base64)."


def _proxy_refusals(environment: Mapping[str, str]) -> Iterator[str]:
    text = environment.get("SLUICE_TRUSTED_PROXIES", "")
    if environment.get("SECURE_PROXY_SSL_HEADER") and not text:
        yield "SECURE_PROXY_SSL_HEADER is trusted only from the networks of SLUICE_TRUSTED_PROXIES, which is not set."
    for network in filter(None, (part.strip() for part in text.split(","))):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield f"SLUICE_TRUSTED_PROXIES: {network} is not an IP address or network (such as 10.0.0.0/8)."


def _dns_refusals(text: str) -> Iterator[str]:
    for server in filter(None, (part.strip() for part in text.split(","))):
        try:
            server_of(server)
        except BadServer as error:
            yield f"SLUICE_DNS_SERVERS: {error}."


def _backup_refusals(environment: Mapping[str, str]) -> Iterator[str]:
    folder, bucket, endpoint = (
        environment.get(f"SLUICE_BACKUP_{name}", "").strip() for name in ("FOLDER", "BUCKET", "ENDPOINT")
    )
    if bucket:
        parts = urlsplit(bucket)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            yield "SLUICE_BACKUP_BUCKET must be the address of a bucket, with a prefix if you want: s3://bucket/prefix."
        if not folder:
            yield "SLUICE_BACKUP_BUCKET needs SLUICE_BACKUP_FOLDER: backups are made and verified there, then copied."
        if importlib.util.find_spec("obstore") is None:
            yield "SLUICE_BACKUP_BUCKET needs the packages of requirements/s3.txt: pip install 'sluice[s3]'."
    if endpoint and urlsplit(endpoint).scheme not in {"http", "https"}:
        yield "SLUICE_BACKUP_ENDPOINT must be the address of an S3-compatible server: https://minio.example.com."
    if folder and not folder.startswith("/"):
        yield f"SLUICE_BACKUP_FOLDER must be an absolute path, not {folder}: workers run in folders of their own."


def _trace_refusals(endpoint: str) -> Iterator[str]:
    if not endpoint:
        return
    if urlsplit(endpoint).scheme not in {"http", "https"}:
        yield "SLUICE_OTLP_ENDPOINT must be the address of a collector: http://127.0.0.1:4318, without /v1/traces."
    if importlib.util.find_spec("opentelemetry") is None:
        yield "SLUICE_OTLP_ENDPOINT needs the packages of requirements/otlp.txt: pip install 'sluice[otlp]'."


def _provider_refusals(environment: Mapping[str, str]) -> Iterator[str]:
    issuer = environment.get("SLUICE_OIDC_ISSUER", "").strip()
    if not issuer:
        return
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        yield "SLUICE_OIDC_ISSUER must be the address of an OpenID provider by https: https://login.example.com/realms/mail."
    if not environment.get("SLUICE_OIDC_CLIENT_ID", "").strip():
        yield "SLUICE_OIDC_CLIENT_ID is not set; the provider of SLUICE_OIDC_ISSUER names it when Sluice is registered there."
    if "openid" not in (environment.get("SLUICE_OIDC_SCOPES", "").strip() or "openid").split():
        yield "SLUICE_OIDC_SCOPES must have openid among its words."
    try:
        rules_of(filter(None, (part.strip() for part in environment.get("SLUICE_OIDC_ROLES", "").split(","))))
    except BadRole as fault:
        yield f"SLUICE_OIDC_ROLES: {fault}."
    if importlib.util.find_spec("authlib") is None:
        yield "SLUICE_OIDC_ISSUER needs the packages of requirements/oidc.txt: pip install 'sluice[oidc]'."


def refuse_half_configured(environment: Mapping[str, str]) -> None:
    """End the process with the sentences, if there are any."""
    if sentences := list(refusals(environment)):
        env.end(sentences)


def database(parsed: dict[str, Any], *, pool_size: int) -> dict[str, Any]:
    """Return Django's settings of the database that DATABASE_URL names; a `pool_size` of 0 keeps a connection per thread."""
    several = "," in parsed.get("HOST", "")
    options = {
        "connect_timeout": CONNECT_TIMEOUT_OF_EACH if several else CONNECT_TIMEOUT,
        "application_name": "sluice",
        # After a failover an address may lead to a server that only reads: such a connection is refused, and not kept.
        "target_session_attrs": "read-write",
        **WATCHED,
        **parsed.pop("OPTIONS", {}),
    }
    settings = {**parsed, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}
    if settings.get("ENGINE") == "django.db.backends.postgresql":
        settings["ENGINE"] = "config.postgresql"
    if pool_size:
        options["pool"] = {
            "min_size": 1,
            "max_size": pool_size,
            "timeout": POOL_TIMEOUT,
            "reconnect_timeout": POOL_TIMEOUT,
        }
        if settings.get("ENGINE") == "config.postgresql":
            # It looks for itself whether a connection is alive.
            settings["CONN_HEALTH_CHECKS"] = False
            # For what asks for it (core.compiled): from the first time on.
            options["prepare_threshold"] = 0
    else:
        settings["CONN_MAX_AGE"] = 60
        # Behind a pooler, a cursor that outlives its transaction is in a session of others.
        settings["DISABLE_SERVER_SIDE_CURSORS"] = True
    return settings


def statistics(parsed: dict[str, Any], *, pool_size: int) -> dict[str, Any]:
    """Return Django's settings of the statistics' own database: given up sooner, because most of Sluice works without it."""
    options = {
        "connect_timeout": REPLICA_TIMEOUT,
        "tcp_user_timeout": REPLICA_AWAY * 1000,
        **parsed.pop("OPTIONS", {}),
    }
    settings = database({**parsed, "OPTIONS": options}, pool_size=pool_size)
    if pool_size:
        settings["OPTIONS"]["pool"] |= {"timeout": REPLICA_TIMEOUT, "reconnect_timeout": REPLICA_TIMEOUT}
    return {**settings, "LEFT_FOR": LEFT_FOR}


def replica(parsed: dict[str, Any], *, pool_size: int) -> dict[str, Any]:
    """Return Django's settings of the replica: given up sooner than the primary, which can answer in its place."""
    options = {
        "connect_timeout": REPLICA_TIMEOUT,
        "tcp_user_timeout": REPLICA_AWAY * 1000,
        # One that was promoted is none any more; where a connection was there before, its position tells.
        "target_session_attrs": "standby",
        **parsed.pop("OPTIONS", {}),
    }
    settings = database({**parsed, "OPTIONS": options}, pool_size=pool_size)
    if pool_size:
        settings["OPTIONS"]["pool"] |= {"min_size": 0, "timeout": REPLICA_TIMEOUT, "reconnect_timeout": REPLICA_TIMEOUT}
    return settings
