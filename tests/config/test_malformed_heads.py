"""A head that gunicorn cannot read reaches the program by its address, so that Django refuses it in the dialect's words."""

import pytest

from tests.config.test_web_worker import answer, connect, serving

pytestmark = [pytest.mark.server, pytest.mark.live]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("heads")) as (port, _):
        yield port


@pytest.mark.parametrize(
    ("head", "address"),
    [
        (b"nonsense", "/"),
        (b"GET  HTTP/1.1", "/"),
        (b"GET /api/v1/servers/list", "/api/v1/servers/list"),
        (b"GET /ga/api/v3/eng/ip_addresses HTTP/9.x", "/ga/api/v3/eng/ip_addresses"),
        (b"g\xe9t /api/v1/servers/list HTTP/1.1", "/api/v1/servers/list"),
        (b"GET /\xe9 HTTP/1.1", "/"),
        (b"GET /admin/ HTTP/1.1\r\nno colon", "/admin/"),
        (b"GET /admin/ HTTP/1.1\r\nA b: c", "/admin/"),
        (b"GET /admin/ HTTP/1.1\r\nA: b\r\n c", "/admin/"),
        (b"POST /admin/ HTTP/1.1\r\nContent-Length: x", "/admin/"),
        (b"POST /admin/ HTTP/1.1\r\nTransfer-Encoding: odd", "/admin/"),
    ],
)
def test_it_works(port, head, address):
    with connect(port) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert answer(sock) == (400, address)


def test_the_next_request_is_answered(port):
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(sock)[0] == 200
        # Of a connection that is kept.
        sock.sendall(b"GET /api/v1/servers/list\r\n\r\n")
        assert answer(sock) == (400, "/api/v1/servers/list")
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(sock)[0] == 200
