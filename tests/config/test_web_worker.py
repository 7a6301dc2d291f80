"""Web processes with slow, broken and greedy clients: a real gunicorn with our worker, and a program of a few lines."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.web_arriving import CUT_TARGET, LONGEST_BODY, LONGEST_HEAD, MOST_CHUNKS, Arriving
from tools.processes import free_port

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib
import os

def application(environ, start_response):
    length = environ.get("CONTENT_LENGTH")
    if environ["PATH_INFO"] == "/large":
        body = b"a" * 10_000_000
    elif environ["PATH_INFO"] == "/file":
        file = open(__file__, "rb")
        start_response("200 OK", [("Content-Length", str(os.path.getsize(__file__)))])
        return environ["wsgi.file_wrapper"](file)
    elif length and int(length) > 20_000_000:
        body = b"refused"
    elif "HTTP_X_SLUICE_MALFORMED" in environ:
        start_response("400 Bad Request", [("Content-Length", str(len(environ["RAW_URI"])))])
        return [environ["RAW_URI"].encode()]
    else:
        body = environ["wsgi.input"].read()
        body = b"%d %s %d" % (len(body), hashlib.sha256(body).hexdigest().encode(), len(environ["RAW_URI"]))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
CONFIG = """
from config import web_worker
web_worker.ARRIVAL_TIMEOUT = {timeout}
web_worker.MOST_HELD = {held}
web_worker.TAKING_TIMEOUT, web_worker.MOST_WAITING = {timeout}, {waiting}
worker_class = "config.web_worker.BufferedWorker"
workers, threads, keepalive, graceful_timeout, worker_connections = 1, 2, 2, 120, 400
limit_request_line = 0
forwarded_allow_ips, forwarder_headers, secure_scheme_headers = "", "", {{}}
control_socket_disable = True
"""
NOTHING = "0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@contextlib.contextmanager
def serving(folder, *, timeout=60, held=128 * 1024 * 1024, waiting=1024 * 1024 * 1024):
    """Run the program; yield its port and process."""
    (folder / "slow_clients_program.py").write_text(PROGRAM)
    (folder / "configuration.py").write_text(CONFIG.format(timeout=timeout, held=held, waiting=waiting))
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--config", str(folder / "configuration.py"), "--bind", f"127.0.0.1:{port}",
        "slow_clients_program",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("web")) as (port, _):
        yield port


pytestmark = [pytest.mark.server, pytest.mark.live]


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def answer(sock):
    """Return the status and body of one answer."""
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response.status, response.read().decode()


def get(port, path="/"):
    with connect(port) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return answer(sock)


def test_it_works(port):
    assert get(port) == (200, f"{NOTHING} 1")


def test_half_sent_headers_and_slow_bodies_keep_nobody(port):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(port)).sendall(b"POST /admin/login/ HTTP/1.1\r\nHost: x\r\nX-")
        for _ in range(40):
            head = b"POST /admin/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na"
            stack.enter_context(connect(port)).sendall(head)
        assert [get(port) for _ in range(5)] == [(200, f"{NOTHING} 1")] * 5


# Bodies that the event loop and gunicorn may take for complete at different bytes, none of which comes to its end.
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UNFINISHED = {
    "zeros before the length": HEAD + b"Content-Length: 0000000000000000000001000\r\n\r\na",
    "a length with a blank": HEAD + b"Content-Length: 1000 \r\n\r\na",
    "a length in other digits": HEAD + b"Content-Length: \xb2\r\n\r\na",
    "more than is read ahead": HEAD + b"Content-Length: 19000000\r\n\r\na",
    "a long chunk extension": CHUNKED + b"5;" + b"a" * 2_000,
    "long trailers": CHUNKED + b"0\r\nX: " + b"a" * 70_000,
    "a chunk's size that only Python reads": CHUNKED + b"0x0\r\n\r\n1_0\r\n",
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\na",
    "no coding": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 10\r\n\r\na",
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_no_unfinished_body_keeps_a_thread(port, sent):
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(connect(port)).sendall(sent)
        assert get(port) == (200, f"{NOTHING} 1")


def slow_reader(stack, port, path="/large"):
    """Ask for an answer and take nothing of it."""
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", port))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def test_clients_that_read_slowly_keep_nobody(port):
    with contextlib.ExitStack() as stack:
        readers = [slow_reader(stack, port) for _ in range(10)]
        assert [get(port) for _ in range(5)] == [(200, f"{NOTHING} 1")] * 5
        # They have lost nothing of it, and their connection goes on.
        assert answer(readers[-1]) == (200, "a" * 10_000_000)
        readers[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(readers[-1]) == (200, f"{NOTHING} 1")


def test_an_answer_that_nobody_takes_is_ended(tmp_path):
    with serving(tmp_path, timeout=1) as (port, _), contextlib.ExitStack() as stack:
        reader = slow_reader(stack, port)
        time.sleep(4)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer(reader)
        assert get(port) == (200, f"{NOTHING} 1")


def test_the_answers_that_wait_are_bounded(tmp_path):
    with serving(tmp_path, waiting=15_000_000) as (port, _), contextlib.ExitStack() as stack:
        readers = [slow_reader(stack, port) for _ in range(4)]
        # The two threads have answered them all when they answer this.
        assert get(port) == (200, f"{NOTHING} 1")
        whole = 0
        for reader in readers:
            with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):
                assert answer(reader) == (200, "a" * 10_000_000)
                whole += 1
        assert 1 <= whole < len(readers)


def test_a_file_comes_whole(port):
    assert get(port, "/file") == (200, PROGRAM)


def test_clients_that_do_not_hang_up_keep_nobody(port):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(20)]
        for sock in clients:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for sock in clients:
            assert answer(sock) == (200, f"{NOTHING} 1")
        # gunicorn's own worker waits two seconds for each, one after the other.
        began = time.monotonic()
        assert get(port) == (200, f"{NOTHING} 1")
        assert time.monotonic() - began < 20


def test_who_sends_more_than_is_read_reads_the_answer(port):
    with connect(port) as sock:
        sock.sendall(HEAD + b"Connection: close\r\nContent-Length: 30000000\r\n\r\n")
        for _ in range(10):
            sock.sendall(b"a" * 1_000_000)
        assert answer(sock) == (200, "refused")


def test_a_body_in_a_great_many_chunks_is_cut(port):
    with connect(port) as sock:
        # Without an end, so that only the bound ends it. The program reads it, and finds that it was cut.
        sock.sendall(CHUNKED + b"1\r\na\r\n" * (MOST_CHUNKS + 1))
        assert sock.recv(100) == b""
    assert get(port) == (200, f"{NOTHING} 1")


def test_more_clients_than_connections_make_way_for_each_other(port):
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(connect(port)).sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-")
        assert get(port) == (200, f"{NOTHING} 1")


def test_a_request_in_small_pieces_arrives(port):
    with connect(port) as sock:
        for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc":
            sock.sendall(bytes([byte]))
            time.sleep(0.002)
        assert answer(sock) == (200, "3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 2")
        # The connection is kept, and the next request comes in two pieces.
        sock.sendall(b"GET /second HTTP/1.1\r\n")
        time.sleep(0.05)
        sock.sendall(b"Host: x\r\n\r\n")
        assert answer(sock) == (200, f"{NOTHING} 7")


def test_requests_sent_together_are_answered_in_their_order(port):
    with connect(port) as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /bb HTTP/1.1\r\nHost: x\r\n\r\nGET /ccc HTTP/1.1\r\nHost:")
        reader = sock.makefile("rb")

        def one():
            length = None
            while (line := reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            return reader.read(length).decode()

        assert [one(), one()] == [f"{NOTHING} 2", f"{NOTHING} 3"]
        sock.sendall(b" x\r\n\r\n")
        assert one() == f"{NOTHING} 4"


def test_a_body_in_chunks_and_one_that_waits_for_a_word(port):
    with connect(port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        time.sleep(0.05)
        sock.sendall(b"1;name=value\r\nc\r\n0\r\n\r\n")
        assert answer(sock)[1].startswith("3 ba7816bf")
    with connect(port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert answer(sock)[1].startswith("3 ba7816bf")


def test_a_large_body_comes_whole_and_a_larger_one_is_not_waited_for(port):
    body = os.urandom(16 * 1024 * 1024)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", body)
    assert connection.getresponse().read().startswith(b"16777216 ")
    connection.close()
    with connect(port) as sock:
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        assert answer(sock)[1].startswith("16777216 ")
    with connect(port) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LONGEST_BODY + 10_000_000}\r\n\r\n".encode())
        assert answer(sock) == (200, "refused")


def test_an_address_of_any_length_reaches_the_program(port):
    assert get(port, "/" + "a" * 10_000) == (200, f"{NOTHING} 10001")
    # One that is longer than all headers may be is cut, and still too long for Django.
    assert get(port, "/api/v1/" + "a" * 100_000) == (200, f"{NOTHING} {CUT_TARGET}")


@pytest.mark.parametrize("headers", [b"X-A: " + b"a" * 8_200 + b"\r\n", b"A: b\r\n" * 101], ids=["long", "many"])
def test_too_many_headers_reach_the_program_as_an_address_that_is_too_long(port, headers):
    """Which Django refuses in the dialect's words; gunicorn's own answer is a page of HTML."""
    for body in (b"", b"abc"):
        with connect(port) as sock:
            head = b"POST /api/v1/servers/list HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n" % (
                len(body),
                headers,
            )
            sock.sendall(head + body)
            assert answer(sock) == (200, f"{NOTHING} {CUT_TARGET}")
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 99 + b"X-A: " + b"a" * 8_180 + b"\r\n\r\n")
        assert answer(sock)[0] == 200


def test_a_malformed_request_is_refused(port):
    for sent in (b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"):
        with connect(port) as sock:
            sock.sendall(sent)
            assert answer(sock)[0] == 400
    with connect(port) as sock:
        # The client stops in the middle.
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1_000)
    assert get(port)[0] == 200


def test_what_does_not_arrive_in_time_is_ended(tmp_path):
    with serving(tmp_path, timeout=1) as (port, _), connect(port) as slow, connect(port) as silent:
        slow.sendall(b"GET / HTTP/1.1\r\nX-")
        assert answer(slow)[0] == 408
        assert silent.recv(10) == b""


def test_what_is_held_is_bounded(tmp_path):
    with serving(tmp_path, held=8 * 1024 * 1024) as (port, _), contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(port)) for _ in range(4)]
        for sock in slow:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"a" * 3 * 1024 * 1024)
        # The first has had the most time.
        assert answer(slow[0])[0] == 408
        assert get(port)[0] == 200


def test_who_comes_while_it_ends_is_answered_or_refused(tmp_path):
    """Where nobody listens, a proxy waits and tries again; a connection that is reset with its request is lost."""
    with serving(tmp_path) as (port, process), connect(port) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\n")
        assert get(port)[0] == 200
        process.terminate()
        with pytest.raises(ConnectionRefusedError):
            all(iter(lambda: get(port)[0] == 200, None))


def test_it_ends_at_once_beside_idle_clients(tmp_path):
    with serving(tmp_path) as (port, process), connect(port) as idle, connect(port) as kept, connect(port) as slow:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer(kept)
        slow.sendall(b"GET / HTTP/1.1\r\nX-")
        time.sleep(0.2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        # It has two minutes, which it would take for those that say nothing.
        assert time.monotonic() - began < 60
        assert idle.recv(10) == b""


HEADS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    ]
)


@settings(deadline=None)
@given(head=HEADS, cuts=st.lists(st.integers(1, 80), max_size=6))
def test_a_request_is_whole_at_its_last_byte_and_not_before(head, cuts):
    request = Arriving(b"", deadline=0)
    edges = sorted({0, *(cut for cut in cuts if cut < len(head)), len(head)})
    for first, last in pairwise(edges):
        assert not (request.held and request.is_whole())
        request.held += head[first:last]
    assert request.is_whole()
    assert bytes(request.held) == head


@settings(deadline=None)
@given(sent=st.binary(max_size=300))
def test_nothing_that_is_sent_breaks_it(sent):
    for prefix in (
        b"",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: ",
    ):
        Arriving(prefix + sent, deadline=0).is_whole()
    assert Arriving(sent.ljust(LONGEST_HEAD + 1, b"a"), deadline=0).is_whole()
