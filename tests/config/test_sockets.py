"""A test reaches no network unless it says so."""

import socket

import pytest


def test_it_refuses_a_connection() -> None:
    with socket.socket() as client, pytest.raises(Exception, match="marked `server`"):
        client.connect(("127.0.0.1", 9))


def test_it_refuses_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, pytest.raises(Exception, match="marked `server`"):
        client.sendto(b"x", ("127.0.0.1", 9))


@pytest.mark.server
def test_it_lets_a_marked_test_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        assert client.getpeername() == server.getsockname()
