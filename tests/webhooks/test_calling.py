"""Calls of receivers that are honest, slow, dead, redirecting, flooding, or lie about where they are."""

import datetime
import re
import socket
import ssl
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.dns_server import SILENT, LocalDNS
from tests.webhooks.receivers import Receiver, answers, drips, floods, never
from webhooks import calling
from webhooks.calling import MOST_KEPT, Outcome, call
from webhooks.resolving import Addresses, resolve

pytestmark = pytest.mark.server
BODY = b'{"event":"MessageSent"}'


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.SLUICE_WEBHOOK_NETWORKS = ["127.0.0.0/8"]


def post(url: str, timeout: float = 5.0, **headers: str) -> Outcome:
    return call(url, body=BODY, headers=headers, resolve=resolve, timeout=timeout)


def test_it_posts_the_body_as_it_is() -> None:
    with Receiver(answers(body="Danke schön".encode())) as receiver:
        assert post(f"{receiver.url}/a b?x=ü&y=%20", **{"X-One": "1"}) == Outcome(200, "Danke schön")
        (got,) = receiver.got
    assert got.head == "POST /hook/a%20b?x=%C3%BC&y=%20 HTTP/1.1"
    assert got.body == BODY
    assert got.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["X-One"] == "1"


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "299 Odd"])
def test_any_2xx_is_a_success(status: str) -> None:
    with Receiver(answers(status, b"")) as receiver:
        outcome = post(receiver.url)
    assert (outcome.status, outcome.is_success) == (int(status[:3]), True)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Ever"])
def test_redirects_are_answers_and_not_followed(status: str) -> None:
    with Receiver() as inside, Receiver(answers(status, b"there", Location=inside.url)) as receiver:
        outcome = post(receiver.url)
        assert (outcome.status, outcome.is_success, outcome.answer) == (int(status[:3]), False, "there")
        assert inside.got == []


def test_an_answer_without_end_is_read_to_its_limit() -> None:
    with Receiver(floods) as receiver:
        assert post(receiver.url) == Outcome(200, "x" * MOST_KEPT)


def test_headers_without_end_are_an_error() -> None:
    def endless(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.sendall(b"X-Very-Long: " + b"x" * 1000 + b"\r\n")

    with Receiver(endless) as receiver:
        assert post(receiver.url) == Outcome(None, error="The answer is not HTTP (HTTPException)")


@pytest.mark.parametrize("manners", [never, drips])
def test_a_slow_receiver_is_left_at_the_deadline(manners: Any) -> None:
    with Receiver(manners) as receiver:
        begun = time.monotonic()
        outcome = post(receiver.url, timeout=0.5)
        # They would go on for a minute and more.
        assert 0.5 <= time.monotonic() - begun < 20
    assert outcome == Outcome(None, error="There was no complete answer within 0.5 seconds")


def test_a_dead_receiver_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/") == Outcome(None, error="The connection was refused")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "The connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH bob@example.com\r\n", "The answer is not HTTP (BadStatusLine)"),
    ],
)
def test_what_is_no_http_is_an_error_that_repeats_nothing(said: bytes, error: str) -> None:
    with Receiver(lambda peer: peer.sendall(said)) as receiver:
        assert post(receiver.url) == Outcome(None, error=error)


def test_an_answer_of_any_bytes_can_be_stored() -> None:
    with Receiver(answers(body=b"a\0b\xff\x1b[31m\nc")) as receiver:
        assert post(receiver.url).answer == "a\ufffdb\ufffd\ufffd[31m\nc"


# --- Names ------------------------------------------------------------------------------------------------------------


def test_a_name_is_resolved_checked_and_called_under_its_name(dns: LocalDNS) -> None:
    dns.load("hook.example. 60 IN A 127.0.0.1")
    with Receiver() as receiver:
        assert post(f"http://hook.example:{receiver.port}/").is_success
        assert receiver.got[0].headers["Host"] == f"hook.example:{receiver.port}"


@pytest.mark.parametrize(
    "records",
    [
        "evil.example. 60 IN A 10.0.0.1",
        "evil.example. 60 IN A 127.0.0.1\nevil.example. 60 IN A 169.254.169.254",
        "evil.example. 60 IN A 127.0.0.1\nevil.example. 60 IN AAAA ::ffff:7f00:1",
        "evil.example. 60 IN CNAME inner.example.\ninner.example. 60 IN A 192.168.0.1",
    ],
)
def test_a_name_that_lies_about_its_address_is_not_called(dns: LocalDNS, records: str) -> None:
    dns.load(records)
    with Receiver() as receiver:
        outcome = post(f"http://evil.example:{receiver.port}/")
        assert receiver.got == []
    # Nor is it told where the platform's own network has it.
    assert outcome == Outcome(None, error="evil.example has an address that is not public")


def test_without_the_platforms_word_the_loopback_is_refused(dns: LocalDNS, settings: Any) -> None:
    settings.SLUICE_WEBHOOK_NETWORKS = []
    dns.load("hook.example. 60 IN A 127.0.0.1")
    with Receiver() as receiver:
        for host, error in (
            ("hook.example", "hook.example has an address that is not public"),
            ("127.0.0.1", "127.0.0.1 is not a public address"),
        ):
            assert post(f"http://{host}:{receiver.port}/") == Outcome(None, error=error)
        assert receiver.got == []


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(dns: LocalDNS) -> None:
    """A name whose second answer is another: between check and connection there is no second question."""
    dns.load("rebinding.example. 0 IN A 127.0.0.1")

    def and_then_moves(name: str, seconds: float) -> list[str]:
        found = resolve(name, seconds)
        dns.replace("rebinding.example. 0 IN A 127.0.0.2")
        return found

    with Receiver() as receiver:
        url = f"http://rebinding.example:{receiver.port}/"
        assert call(url, body=BODY, headers={}, resolve=and_then_moves).is_success
        assert dns.questions() == {("rebinding.example", "A"): 1, ("rebinding.example", "AAAA"): 1}


def test_a_remembered_address_is_checked_at_each_call(dns: LocalDNS, settings: Any) -> None:
    dns.load("hook.example. 60 IN A 127.0.0.1")
    memory = Addresses()
    with Receiver() as receiver:
        url = f"http://hook.example:{receiver.port}/"
        assert call(url, body=BODY, headers={}, resolve=memory.resolve).is_success
        settings.SLUICE_WEBHOOK_NETWORKS = []
        assert not call(url, body=BODY, headers={}, resolve=memory.resolve).is_success
        assert len(receiver.got) == 1
    assert dns.questions()["hook.example", "A"] == 1


def test_a_name_without_addresses_is_an_error(dns: LocalDNS) -> None:
    assert post("http://nowhere.example/") == Outcome(None, error="nowhere.example has no address: no such name")


def test_silent_dns_counts_against_the_deadline(dns: LocalDNS) -> None:
    dns.fault("slow.example", SILENT)
    outcome = post("http://slow.example/", timeout=0.5)
    assert outcome.status is None
    # Of the half second, a little was gone before.
    assert re.fullmatch(
        r"slow\.example has no address: the check's time limit of 0\.[0-5]\d* seconds was reached", outcome.error
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@127.0.0.1/", "http://user@127.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd",
        "http://127.1/", "http://0x7f.0.0.1/", "http://2130706433/", "http://[::1/", "http://a..b/", "gopher://x/",
        "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "https://", "//x/", "http://x y/", "http://a_b.example/\r\nX: y",
    ],
)  # fmt: skip
def test_other_urls_are_not_called(url: str) -> None:
    outcome = post(url)
    assert outcome.status is None
    assert outcome.error.startswith("The URL must ")


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side for hook.example, whose certificate the platform trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hook.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(cert_file))
    monkeypatch.setattr(calling, "_context", None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return context


def test_tls_is_spoken_with_the_name(tls: ssl.SSLContext, dns: LocalDNS) -> None:
    names: list[str | None] = []
    tls.sni_callback = lambda connection, name, context: names.append(name)
    dns.load("hook.example. 60 IN A 127.0.0.1")
    with Receiver(tls=tls) as receiver:
        assert post(f"https://hook.example:{receiver.port}/") == Outcome(200, "ok")
        assert receiver.got[0].headers["Host"] == f"hook.example:{receiver.port}"
    assert names == ["hook.example"]


def test_another_names_certificate_is_refused(tls: ssl.SSLContext, dns: LocalDNS) -> None:
    dns.load("other.example. 60 IN A 127.0.0.1")
    with Receiver(tls=tls) as receiver:
        outcome = post(f"https://other.example:{receiver.port}/")
        assert receiver.got == []
    assert outcome.error.startswith("The certificate was refused: Hostname mismatch")


def test_a_receiver_that_never_speaks_tls_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = post(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.5)
    assert outcome == Outcome(None, error="There was no complete answer within 0.5 seconds")
