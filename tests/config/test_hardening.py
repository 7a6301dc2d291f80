"""What every answer carries, how long a session lives, and that a changed SECRET_KEY signs nobody out too early."""

import io

import pytest
from django.test import Client

from core.models import User

PASSWORD = "correct horse battery"
FACES = {
    "the panel": "/admin/login/",
    "Postal's dialect": "/api/v1/servers/list",
    "GreenArrow's dialect": "/ga/api/v3/eng/ip_addresses",
    "an unknown URL": "/nothing",
    "an unknown URL of a dialect": "/api/v1/nothing",
}


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator", "operator@example.com", PASSWORD)


def signed_in(operator: User) -> Client:
    client = Client()
    answer = client.post("/admin/login/", {"username": "operator", "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("path", FACES.values(), ids=FACES)
def test_every_face_answers_with_secure_headers(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors" in policy
    assert len(answer["X-Request-ID"]) == 36


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["a" * 5_000, "line\\nbreak", "../../etc", "12345678-1234-1234-1234-123456789abc"])
def test_a_request_s_id_is_our_own_whatever_the_client_sends(client: Client, given: str) -> None:
    answer = client.get("/api/v1/servers/list", headers={"X-Request-ID": given, "X-Correlation-ID": given})
    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 36


def test_cookies_are_for_the_server_alone(operator: User, settings) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    client = signed_in(operator)
    session = client.cookies["sluice_session"]
    assert (session["httponly"], session["secure"], session["samesite"]) == (True, True, "Lax")
    assert client.cookies["sluice_csrf"]["secure"] is True
    assert 0 < session["max-age"] <= 14 * 86_400


def test_a_session_is_new_after_signing_in_and_gone_after_signing_out(operator: User) -> None:
    client = Client()
    client.cookies["sluice_session"] = "x" * 32
    client.post("/admin/login/", {"username": "operator", "password": PASSWORD})
    key = client.cookies["sluice_session"].value
    assert key != "x" * 32
    client.post("/admin/logout/")
    stolen = Client()
    stolen.cookies["sluice_session"] = key
    assert stolen.get("/admin/").status_code == 302


def test_a_new_password_ends_other_sessions(operator: User) -> None:
    client = signed_in(operator)
    assert client.get("/admin/").status_code == 200
    operator.set_password("another horse battery")
    operator.save()
    assert client.get("/admin/").status_code == 302


def test_a_new_secret_key_keeps_sessions_while_the_old_one_is_named(operator: User, settings) -> None:
    client = signed_in(operator)
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 60, [old]
    assert client.get("/admin/").status_code == 200
    # It was signed anew by that request: the old key may go.
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get("/admin/").status_code == 200


def test_a_new_secret_key_alone_signs_out_and_loses_nothing_else(acme, operator: User, settings) -> None:
    client = signed_in(operator)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 60, []
    assert client.get("/admin/").status_code == 302
    assert signed_in(operator).get("/admin/").status_code == 200
    answer = client.post(
        "/api/v1/servers/list", "{}", content_type="application/json", headers={"X-Server-API-Key": acme.key}
    )
    assert answer.json()["status"] == "success"


@pytest.mark.django_db
def test_a_form_larger_than_the_limit_is_refused(client: Client) -> None:
    answer = client.post("/admin/login/", {"username": "x" * 3_000_000, "password": "y"})
    assert answer.status_code == 400


class Spool(io.RawIOBase):
    """A file of zeros that counts what was read of it."""

    def __init__(self, size: int) -> None:
        self.size, self.left = size, size

    def read(self, count: int = -1) -> bytes:
        wanted = self.left if count < 0 else min(count, self.left)
        self.left -= wanted
        return b"0" * wanted


@pytest.mark.django_db
def test_a_file_that_anybody_sends_is_refused_before_it_is_read(client: Client) -> None:
    size = 1024 * 1024 * 1024
    sent = Spool(size)
    environment = {
        "wsgi.input": sent,
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "CONTENT_LENGTH": str(size),
    }
    answer = client.generic("POST", "/admin/login/", **environment)
    assert answer.status_code == 400
    assert sent.left == size
