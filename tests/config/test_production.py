"""Production refuses to start half-configured, with a sentence that names the variable."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import production

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
WHOLE = {
    "DATABASE_URL": "postgres://sluice:secret@127.0.0.1:5432/sluice",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SECRET_KEY": "Vb2nq8Zr5tXw0yLkHs7cPd4fGj1mQa9uEoIiRvTxYzNhBgCwDk",
    "ALLOWED_HOSTS": "panel.example",
    # Fixed: the names of parametrized tests must be the same in every process.
    "SLUICE_ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"k" * 32).decode(),
}


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**surroundings, **variables}, capture_output=True, text=True, check=False
    )


def test_it_starts_with_everything_set() -> None:
    assert list(production.refusals(WHOLE)) == []


def test_the_embedded_default_needs_nothing() -> None:
    assert list(production.refusals({})) == []


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DATABASE_URL", "sqlite:///x", "DATABASE_URL must name a PostgreSQL database"),
        ("DATABASE_REPLICA_URL", "sqlite:///x", "DATABASE_REPLICA_URL must name a PostgreSQL database"),
        ("STATS_DATABASE_URL", "sqlite:///x", "STATS_DATABASE_URL must name a PostgreSQL database"),
        # Whoever signs in, and whatever the options are.
        (
            "STATS_DATABASE_URL",
            "postgresql://other:x@127.0.0.1:5432/sluice?sslmode=require",
            "STATS_DATABASE_URL names the database of DATABASE_URL",
        ),
        ("SECRET_KEY", "", "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "SECRET_KEY is too easy to guess"),
        ("SECRET_KEY", "a" * 60, "SECRET_KEY is too easy to guess"),
        ("SECRET_KEY", "django-insecure-" + WHOLE["SECRET_KEY"], "SECRET_KEY is too easy to guess"),
        ("ALLOWED_HOSTS", "", "ALLOWED_HOSTS is not set"),
        ("ALLOWED_HOSTS", " , ", "ALLOWED_HOSTS is not set"),
        ("ALLOWED_HOSTS", "panel.example, *", "ALLOWED_HOSTS must not be *"),
        ("REDIS_URL", "", "REDIS_URL is not set"),
        ("REDIS_URL", "127.0.0.1:6379", "REDIS_URL must begin with redis://, rediss:// or sentinel://"),
        ("REDIS_URL", "sentinel://one:26379/0", "REDIS_URL cannot be read (it ends with ?master="),
        ("REDIS_URL", "sentinel:///0?master=x", "REDIS_URL cannot be read (it names no Sentinel)"),
        ("DATABASE_URL", "postgres://a:b@one,two:5433/c", "DATABASE_URL must give a port with each of its hosts"),
        ("SLUICE_ENCRYPTION_KEYS", "", "SLUICE_ENCRYPTION_KEYS is not set"),
        ("SLUICE_ENCRYPTION_KEYS", "rubbish", "SLUICE_ENCRYPTION_KEYS: key 1 is not a Fernet key"),
        (
            "SLUICE_ENCRYPTION_KEYS",
            WHOLE["SLUICE_ENCRYPTION_KEYS"] + ",rubbish",
            "SLUICE_ENCRYPTION_KEYS: key 2 is not a Fernet key",
        ),
        ("SLUICE_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "SLUICE_TRUSTED_PROXIES: proxy is not an IP address or network"),
        (
            "SECURE_PROXY_SSL_HEADER",
            "X-Forwarded-Proto",
            "SECURE_PROXY_SSL_HEADER is trusted only from the networks of SLUICE_TRUSTED_PROXIES",
        ),
        ("DEBUG", "true", "DEBUG must not be on in production"),
    ],
)
def test_it_rejects_what_is_missing_or_unsafe(variable: str, value: str, sentence: str) -> None:
    [told] = production.refusals({**WHOLE, variable: value})
    assert told.startswith(sentence)


def test_a_second_database_needs_the_first() -> None:
    [told] = production.refusals({"STATS_DATABASE_URL": "postgres://sluice:secret@127.0.0.1:5433/stats"})
    assert told == "STATS_DATABASE_URL names a database beside that of DATABASE_URL, which is not set."


def test_it_names_all_that_is_missing_at_once_and_no_traceback() -> None:
    result = manage("check", DATABASE_URL=WHOLE["DATABASE_URL"])
    assert (result.returncode, result.stdout) == (1, "")
    head, *sentences = result.stderr.strip().splitlines()
    assert head == "Sluice does not start:"
    assert [sentence.split()[1] for sentence in sentences] == [
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "REDIS_URL",
        "SLUICE_ENCRYPTION_KEYS",
    ]


def test_its_settings_are_safe(tmp_path: Path) -> None:
    script = (
        "import django.conf; s = django.conf.settings; print(s.DEBUG, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, "
        "s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS, s.SECURE_PROXY_SSL_HEADER, s.ALLOWED_HOSTS, "
        "s.DATABASES['default']['OPTIONS']['pool']['max_size'], s.CELERY_BROKER_TRANSPORT_OPTIONS, s.CELERY_TASK_ACKS_LATE)"
    )
    result = manage(
        "shell",
        "--no-imports",
        "--command",
        script,
        **WHOLE,
        SLUICE_DATA_DIR=str(tmp_path / "var"),
        SECURE_PROXY_SSL_HEADER="X-Forwarded-Proto",
        SLUICE_TRUSTED_PROXIES="10.0.0.0/8",
        SLUICE_WEB_THREADS="12",
    )
    assert result.stdout.strip() == (
        "False True True True 3600 ('HTTP_X_FORWARDED_PROTO', 'https') ['panel.example'] 12 "
        "{'visibility_timeout': 21600, 'socket_connect_timeout': 5, 'socket_timeout': 10} True"
    ), result.stderr
    # Production's secrets come from the environment: none are made.
    assert not (tmp_path / "var").exists()


def test_every_command_works_with_nothing_set(tmp_path: Path) -> None:
    result = manage("check", "--database", "default", SLUICE_DATA_DIR=str(tmp_path / "var"))
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout
    assert (tmp_path / "var" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
