"""Whose address counts as the client's, behind proxies that are trusted and others that are not."""

import pytest
from django.test import RequestFactory

from core.clients import client_address

TRUSTED = ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        pytest.param("198.51.100.7", "", "198.51.100.7", id="no proxy"),
        pytest.param("198.51.100.7", "192.0.2.1", "198.51.100.7", id="a stranger forges the header"),
        pytest.param("10.1.1.1", "192.0.2.1", "192.0.2.1", id="one trusted proxy"),
        pytest.param("10.1.1.1", "203.0.113.9, 192.0.2.1", "192.0.2.1", id="the client forges a hop"),
        pytest.param("10.1.1.1", "192.0.2.1, 10.2.2.2", "192.0.2.1", id="two trusted proxies"),
        pytest.param("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3", id="all are trusted: the first"),
        pytest.param("10.1.1.1", "", "10.1.1.1", id="a proxy that says nothing"),
        pytest.param("10.1.1.1", "rubbish", "10.1.1.1", id="a proxy that says rubbish"),
        pytest.param("10.1.1.1", "rubbish, 192.0.2.1", "192.0.2.1", id="rubbish beyond the client"),
        pytest.param("::ffff:10.1.1.1", "192.0.2.1", "192.0.2.1", id="an IPv4 proxy on a dual-stack socket"),
        pytest.param("2001:db8::1", "2001:db9::5", "2001:db9::5", id="IPv6"),
        pytest.param("10.1.1.1", "192.0.2.1:51324", "192.0.2.1", id="with a port"),
        pytest.param("10.1.1.1", "192.0.2.1:1, 10.2.2.2:2", "192.0.2.1", id="two with a port"),
        pytest.param("10.1.1.1", "[2001:db9::5]:51324", "2001:db9::5", id="IPv6 with a port"),
        pytest.param("10.1.1.1", "[2001:db9::5]", "2001:db9::5", id="IPv6 in brackets"),
        pytest.param("10.1.1.1", "192.0.2.1:1:2", "10.1.1.1", id="rubbish with colons"),
        pytest.param("", "192.0.2.1", "", id="a Unix socket"),
    ],
)
def test_it_believes_only_trusted_proxies(settings, remote: str, forwarded: str, expected: str) -> None:
    settings.SLUICE_TRUSTED_PROXIES = TRUSTED
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, **headers)
    assert client_address(request) == expected


def test_it_believes_nobody_by_default() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="192.0.2.1")
    assert client_address(request) == "127.0.0.1"
