"""What every test stands on: closed sockets, an empty cache, and a fixed cast."""

import gc
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.cache import caches
from django.db.backends.postgresql.operations import DatabaseOperations
from django.db.models.signals import post_migrate
from django.template.base import Template
from django.test.signals import template_rendered

from config.postgresql import bounds
from dnschecks.resolver import QUESTION_TIMEOUT, Resolver
from nodes import publishing
from panel.apps import load_pages
from servers.provisioning import suspend_server
from stats.intake import known_names
from tests.cast import NOW, SYSTEM, Tenant, make_server, make_tenant
from tests.clock import Clock
from tests.dns_server import LocalDNS
from tests.examples import USUAL, examples

REAL_RENDER = Template._render  # type: ignore[attr-defined]  # the types leave it out
REAL_CONNECT, REAL_CONNECT_EX, REAL_SENDTO = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C: what fixtures started, and namespaces that they made, must not stay behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for. Where there are two databases, each test has both."""
    if len(settings.DATABASES) > 1:
        for item in items:
            give_all_databases(item)
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def give_all_databases(item: pytest.Item) -> None:
    """Let a test that has the database have all of them."""
    mark = item.get_closest_marker("django_db")
    if mark is not None or {"db", "transactional_db"}.intersection(getattr(item, "fixturenames", ())):
        known = mark.kwargs if mark else {"transaction": "transactional_db" in getattr(item, "fixturenames", ())}
        item.add_marker(pytest.mark.django_db(**{**known, "databases": "__all__"}), append=False)


def pytest_collection_finish() -> None:
    """Tell the garbage collector that modules and tests stay: it would look at all of them again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares servers; not where another way was asked for (`--dist`)."""
    if config.getvalue("dist") != "load":
        return None
    from tests.together import Together

    return Together(config, log)


class SocketIsClosed(Exception):
    """A test spoke to the network without saying so: mark it `server`, or put a fake at the boundary."""


def refuse_strangers(address: object) -> None:
    """Let the cache's own server pass, and files; nothing else."""
    redis = urlsplit(settings.REDIS_URL) if settings.REDIS_URL else None
    if isinstance(address, (str, bytes)) or (redis and tuple(address[:2]) == (redis.hostname, redis.port)):
        return
    raise SocketIsClosed(f"This test opened a socket to {address!r}; a test that does so is marked `server`.")


@pytest.fixture(autouse=True)
def closed_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close Python's sockets to all but the cache, except in tests marked `server`. (PostgreSQL's library opens its own.)"""
    if request.node.get_closest_marker("server"):
        return

    def connect(self: socket.socket, address: object) -> None:
        refuse_strangers(address)
        return REAL_CONNECT(self, address)

    def connect_ex(self: socket.socket, address: object) -> int:
        refuse_strangers(address)
        return REAL_CONNECT_EX(self, address)

    def sendto(self: socket.socket, content: bytes, *flags_and_address: object) -> int:
        refuse_strangers(flags_and_address[-1])
        return REAL_SENDTO(self, content, *flags_and_address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", sendto)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Keep what the file of SQLite's test database holds: a copy of one that is migrated. PostgreSQL copies by itself."""
    return not settings.IS_PRODUCTION and bool(settings.DATABASES["default"]["TEST"]["TEMPLATE"])


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, django_db_keepdb: bool) -> None:
    if django_db_keepdb:
        of_tests = settings.DATABASES["default"]["TEST"]
        shutil.copy(of_tests["TEMPLATE"], of_tests["NAME"])


@pytest.fixture(autouse=True, scope="session")
def unbounded_statements() -> None:
    """Tests are no web process, though some import its application: a statement takes as long as it does on a busy machine."""
    bounds.bound(0)


@pytest.fixture(autouse=True, scope="session")
def sparing_templates(django_test_environment: None) -> None:
    """Tell the test client of a page's own template alone: it copies the whole context for each, a tenth of a page's time."""
    within = threading.local()

    def render(self: Template, context: Any) -> Any:
        if getattr(within, "template", None) is not None:
            return REAL_RENDER(self, context)
        within.template = self
        try:
            template_rendered.send(sender=self, template=self, context=context)
            return REAL_RENDER(self, context)
        finally:
            within.template = None

    Template._render = render  # type: ignore[attr-defined]  # the types leave it out


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Begin with an empty cache: what one test locks out or remembers is not the next one's."""
    known_names.forget()
    # On Redis they share a database, and clearing one empties it.
    for name in ["default"] if settings.REDIS_URL else settings.CACHES:
        caches[name].clear()


@pytest.fixture(autouse=True)
def publishing_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one that took long, automatic publication rests; a machine that is busy with other things would take long."""
    monkeypatch.setattr(publishing, "time", Clock())


@pytest.fixture
def dns(settings: Any) -> Iterator[LocalDNS]:
    """A DNS server that the resolver asks by default; it knows only what a test says."""
    with LocalDNS() as server:
        settings.SLUICE_DNS_SERVERS = [server.address]
        yield server


@pytest.fixture
def impatient(dns: LocalDNS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a moment for what the DNS server never answers, and as long as ever for what it answers, on a slow machine."""
    once = Resolver._once

    def soon(self: Resolver, name: str, rdtype: str) -> Any:
        self.question_timeout = QUESTION_TIMEOUT if dns.answers(name, rdtype) else 0.05
        return once(self, name, rdtype)

    monkeypatch.setattr(Resolver, "_once", soon)


@pytest.fixture
def acme(db: None) -> Tenant:
    """The caller."""
    return make_tenant("ACME Inc", server="Transactional Server", permalink="acme")


@pytest.fixture
def globex(db: None) -> Tenant:
    """Another tenant, who must see nothing of acme, and acme nothing of it."""
    return make_tenant("Globex", server="Globex Server", permalink="globex")


@pytest.fixture
def suspended(acme: Tenant) -> Tenant:
    """A server of acme's that may do nothing just now."""
    tenant = make_server(acme.organization, "Suspended Server")
    suspend_server(server=tenant.server, reason="Spam", at=NOW, actor=SYSTEM)
    return tenant


def make_builtin_rows(sender: AppConfig, **_: Any) -> None:
    """Make again what migrations make: the end of a test with `transaction=True` empties every table."""
    if sender.name == "stats" and not apps.get_model("throttling", "ThrottlingTemplate").objects.exists():
        for name in (
            "throttling.migrations.0002_builtins",
            "throttling.migrations.0005_builtin_warm_up_plans",
            "stats.migrations.0002_providers",
        ):
            import_module(name).create(apps, None)


post_migrate.connect(make_builtin_rows)

# Tests of every page are made from what is registered, while they are collected.
load_pages()


def delete_what_is_there(
    self: DatabaseOperations,
    style: Any,
    tables: list[str],
    *,
    reset_sequences: bool = False,
    allow_cascade: bool = False,
) -> list[str]:
    """Empty the few tables that a test has filled. Django's TRUNCATE of all hundred takes most of a second after each test."""
    if reset_sequences:
        return REAL_FLUSH(self, style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade)
    asked = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM \"{table}\")" for table in tables)
    with self.connection.cursor() as cursor:
        cursor.execute(asked)
        # Entries of the audit trail are never deleted, says a trigger.
        return [
            f'TRUNCATE "{table}" CASCADE' if table == "core_auditentry" else f'DELETE FROM "{table}"'
            for (table,) in cursor.fetchall()
        ]


REAL_FLUSH = DatabaseOperations.sql_flush
DatabaseOperations.sql_flush = delete_what_is_there  # type: ignore[method-assign]

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("sluice", deadline=None, max_examples=examples(USUAL))
hypothesis.settings.load_profile("sluice")
