"""Forwarding headers count from trusted proxies alone: SCRIPT_NAME, the scheme, the client's address."""

import runpy
from pathlib import Path

import pytest
from django.test import Client, RequestFactory
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from config.middleware import ForwardingHeaders
from core.clients import client_address

ROOT = Path(__file__).resolve().parents[2]
RAW = (
    b"GET /x/metrics HTTP/1.1\r\nHost: localhost\r\n"
    b"SCRIPT_NAME: /x\r\nPATH_INFO: /metrics\r\nX-Forwarded-Proto: https\r\n\r\n"
)


@pytest.fixture
def gunicorn_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    """gunicorn's configuration, as it reads our file."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    config = Config()
    for name, value in runpy.run_path(str(ROOT / "config" / "gunicorn.py")).items():
        if name in config.settings:
            config.set(name, value)
    return config


def test_gunicorn_believes_nobody(gunicorn_config: Config) -> None:
    request = Request(gunicorn_config, IterUnreader([RAW]), ("127.0.0.1", 50000))
    assert request.scheme == "http"
    assert [name for name, _ in request.headers if name in ("SCRIPT_NAME", "PATH_INFO")] == []


def seen_behind(settings, trusted: list[str], peer: str) -> dict[str, str]:
    settings.SLUICE_TRUSTED_PROXIES = trusted
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_SCHEME", "https")
    headers = {
        "X-Forwarded-For": "192.0.2.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=192.0.2.9",
        "X-Scheme": "https",
    }
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    ForwardingHeaders(lambda request: None)(request)
    return {
        "address": client_address(request),
        "scheme": str(request.scheme),
        "headers": ",".join(sorted(name for name in request.META if "FORWARDED" in name)),
    }


@pytest.mark.parametrize("peer", ["127.0.0.1", "198.51.100.1", ""])
def test_nobody_is_believed_unless_trusted(settings, peer: str) -> None:
    assert seen_behind(settings, ["10.0.0.0/8"], peer) == {"address": peer, "scheme": "http", "headers": ""}


def test_a_trusted_proxy_is_believed(settings) -> None:
    assert seen_behind(settings, ["10.0.0.0/8"], "10.1.2.3") == {
        "address": "192.0.2.9",
        "scheme": "https",
        "headers": "HTTP_FORWARDED,HTTP_X_FORWARDED_FOR,HTTP_X_FORWARDED_HOST,HTTP_X_FORWARDED_PROTO",
    }


@pytest.mark.django_db
def test_plain_http_is_redirected_whatever_the_client_says(settings, client: Client) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    asked = {"X-Forwarded-Proto": "https"}
    assert Client().get("/admin/login/", headers=asked).status_code == 301
    settings.SLUICE_TRUSTED_PROXIES = ["127.0.0.0/8"]
    assert Client().get("/admin/login/", headers=asked).status_code == 200
