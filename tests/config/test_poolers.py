"""A pooler that gives each transaction another session is noticed; what needs sessions of its own does not start behind it."""

import itertools
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from config import checks, poolers, production
from config import settings as settings_module
from config.celery import prepare_beat


class Session:
    """A connection of a pooler: its number is made up, and who answers is whoever is free."""

    def __init__(self, answers: Iterator[int], number: int) -> None:
        self.info = SimpleNamespace(backend_pid=number)
        self._answers = answers

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, sql: str) -> SimpleNamespace:
        return SimpleNamespace(fetchone=lambda: (next(self._answers),))


def shared(*answers: Iterator[int], number: int = 4_711) -> bool:
    left = iter(answers)
    return poolers.are_shared(lambda: Session(next(left), number))


def test_sessions_that_are_shared_are_noticed() -> None:
    both = itertools.repeat(1)
    assert shared(both, both)
    # Of a busy pooler, each gets whichever is free.
    assert shared(itertools.cycle([1, 2]), itertools.cycle([3, 4]))
    # pgbouncer's `pool_mode = session`.
    assert not shared(itertools.repeat(1), itertools.repeat(2))
    # PostgreSQL itself says its own number, and is asked no more.
    assert not shared(itertools.repeat(4_711))


@contextmanager
def transaction_pooler(params: dict[str, object]) -> Iterator[int]:
    """Run a pooler of one session on a port, which it gives by turns to everybody who asks something."""
    with psycopg.connect(**params, autocommit=True) as server, socket.create_server(("127.0.0.1", 0)) as door:
        lock = threading.Lock()

        def serve(client: socket.socket) -> None:
            with client, client.makefile("rb") as given:
                while True:
                    size, code = struct.unpack("!ii", given.read(8))
                    given.read(size - 8)
                    if code == 196_608:
                        break
                    # TLS and the like.
                    client.sendall(b"N")
                client.sendall(message(b"R", struct.pack("!i", 0)))
                for name, value in {b"client_encoding": b"UTF8", b"server_version": b"15.0"}.items():
                    client.sendall(message(b"S", name + b"\0" + value + b"\0"))
                client.sendall(message(b"K", struct.pack("!ii", 1, 2)) + message(b"Z", b"I"))
                while (kind := given.read(1)) and kind == b"Q":
                    sql = given.read(struct.unpack("!i", given.read(4))[0] - 4).rstrip(b"\0").decode()
                    with lock:
                        row = server.execute(sql).fetchone()  # type: ignore[call-overload]  # the test's own text
                    text = str(row[0] if row else "").encode()
                    column = b"a\0" + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0)
                    client.sendall(
                        message(b"T", struct.pack("!h", 1) + column)
                        + message(b"D", struct.pack("!hi", 1, len(text)) + text)
                        + message(b"C", b"SELECT 1\0")
                        + message(b"Z", b"I")
                    )

        def accept() -> None:
            while True:
                try:
                    client, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=[client], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield door.getsockname()[1]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


@pytest.mark.server
@pytest.mark.storage
@pytest.mark.django_db
def test_behind_a_pooler_of_transactions_neither_web_nor_beat_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("it is of PostgreSQL")
    own = connection.get_connection_params()
    params = {name: own[name] for name in ("dbname", "user", "password", "host", "port") if name in own}
    with_pool = {"default": {"OPTIONS": {"pool": {"max_size": 8}}}}
    monkeypatch.setattr(checks, "settings", SimpleNamespace(DATABASES=with_pool))
    call_command("check", databases=["default"])
    assert not poolers.shares_sessions("default")
    with transaction_pooler(params) as port:
        through = {"host": "127.0.0.1", "port": port, "dbname": "any", "user": "any", "sslmode": "disable"}
        created = SimpleNamespace(get_connection_params=lambda: dict(through))
        monkeypatch.setattr(poolers.connections, "create_connection", lambda alias: created)
        assert poolers.shares_sessions("default")
        with pytest.raises(SystemCheckError, match=r"sluice\.E002") as refusal:
            call_command("check", databases=["default"])
        assert "Set SLUICE_DATABASE_POOL=0" in str(refusal.value)
        assert refusal.value.args[0].count("sluice.E002") == 1
        with pytest.raises(SystemExit) as ended:
            prepare_beat()
        assert "Give beat a DATABASE_URL of its own" in str(ended.value)
        del with_pool["default"]["OPTIONS"]["pool"]
        assert checks.check_sessions(["default"]) == []


def test_every_database_of_the_settings_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = {"OPTIONS": {"pool": {"max_size": 8}}}
    aliases = re.findall(
        r'DATABASES(?:\["(\w+)"\]| = {"(\w+)": production)', Path(settings_module.__file__).read_text()
    )
    assert {first or second for first, second in aliases} == {"default", "replica", "stats"}
    monkeypatch.setattr(
        checks, "settings", SimpleNamespace(DATABASES={first or second: pool for first, second in aliases})
    )
    monkeypatch.setattr(poolers, "shares_sessions", lambda alias: True)
    said = [each.msg.partition(" ")[0] for each in checks.check_sessions(["default"])]
    assert said == ["DATABASE_URL", "DATABASE_REPLICA_URL", "STATS_DATABASE_URL"]


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise psycopg.OperationalError

    monkeypatch.setattr(poolers.psycopg, "connect", refuse)
    monkeypatch.setattr(
        poolers.connections, "create_connection", lambda alias: SimpleNamespace(get_connection_params=dict)
    )
    assert not poolers.shares_sessions("default")


def test_without_a_pool_no_cursor_outlives_its_transaction() -> None:
    parsed = {"ENGINE": "django.db.backends.postgresql", "HOST": "db"}
    assert production.database(dict(parsed), pool_size=0)["DISABLE_SERVER_SIDE_CURSORS"]
    assert "DISABLE_SERVER_SIDE_CURSORS" not in production.database(dict(parsed), pool_size=8)
