"""The charset of a Content-Type: it may name any codec of Python's, and changes nothing but what is refused."""

import gzip

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from config.wsgi import application

FORM = "application/x-www-form-urlencoded"
# `base64` is a codec that makes no text.
CODECS = ["utf-16", "utf-7", "base64", "iso-8859-1"]
PLACES = [reverse("admin:login"), "/nothing/", "/admin/nothing/"]


def status_of(environ):
    """Return the status by the application that gunicorn serves: the test client makes requests of its own."""
    answers = []
    response = application(dict(environ), lambda status, headers, exc_info=None: answers.append(status))
    response.close()
    return answers[0]


@pytest.fixture
def client():
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    # With it, a form is read for the token that goes with it.
    client.cookies["sluice_csrf"] = "a" * 32
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("charset", [*CODECS, "unknown"])
def test_a_form_in_another_encoding_is_a_bad_request(path, charset, client):
    for kind in (FORM, "multipart/form-data; boundary=x"):
        assert client.generic("POST", path, b"a=b", f"{kind}; charset={charset}").status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "us-ascii"])
def test_a_form_in_utf_8_is_read(charset, client):
    response = client.generic("POST", reverse("admin:login"), b"a=b", f"{FORM}; charset={charset}")
    # It was looked at, and has no token.
    assert response.status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("path", PLACES)
def test_a_form_whose_length_is_not_said_is_refused_and_not_read_as_empty(path, client):
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    response = client.generic("POST", path, b"a=b", FORM, **chunked)
    assert response.status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    ("body", "kind", "encoding"),
    [
        (gzip.compress(b"a=b", mtime=0), FORM, "gzip"),
        (b"a=b", FORM, "deflate"),
        (b'{"a": "b"}', "application/json", "identity"),
        (b"a=b", "text/plain", "identity"),
        (b"a=b", "", "identity"),
    ],
)
def test_a_form_that_is_packed_or_of_another_type_is_refused_and_not_read_as_empty(path, body, kind, encoding, client):
    response = client.generic("POST", path, body, kind, headers={"content-encoding": encoding})
    assert response.status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("charset", [*CODECS, "unknown"])
def test_an_address_is_utf_8_whatever_the_charset(charset):
    for path in (*PLACES, "/api/v1/servers/show", "/ga/api/v3/eng/ip_addresses", "/api/node/v1/policy", "/api/docs/"):
        environ = RequestFactory().get(f"{path}?q=%C3%A9&script=1").environ
        other = environ | {"CONTENT_TYPE": f"text/plain; charset={charset}"}
        assert status_of(environ) == status_of(other)
        assert application.request_class(other).GET["q"] == "é"


@pytest.mark.django_db
@pytest.mark.parametrize("charset", CODECS)
def test_the_apis_read_their_bodies_as_before(charset, client):
    response = client.generic("POST", "/api/v1/servers/show", b"params={}", f"{FORM}; charset={charset}")
    assert (response.status_code, response.json()["data"]["code"]) == (200, "AccessDenied")
