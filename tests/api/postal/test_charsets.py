"""What is sent in another charset than UTF-8 is refused at every endpoint of Postal's dialect."""

import base64
import time

import orjson
import pytest

from servers.models import Server
from tests.api.postal.test_contract import FORM, parameter_fault, with_parameters
from tests.slowness import on_this_machine


def encoded(name: str, content: bytes, more: str = "") -> bytes:
    """Return a form whose part `params` is encoded so."""
    head = f'--b\r\nContent-Disposition: form-data; name="params"{more}\r\nContent-Transfer-Encoding: {name}\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n"


def test_a_part_in_base64_is_read(call, acme):
    given = {"name": "Café", "organization_uuid": str(acme.organization.uuid)}
    body = encoded("base64", base64.b64encode(orjson.dumps(given)))
    call.raw("servers/create", body, key=acme.key, content_type="multipart/form-data; boundary=b")
    assert Server.objects.filter(organization=acme.organization, name="Café").exists()


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_what_is_not_utf_8(call, acme, path):
    """Django reads `Caf%E9` as a name that ends with a sign of replacement."""
    form, parts = (
        b"params=%7B%22name%22%3A%22Caf%E9%22%7D",
        b'--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n',
    )
    for body, content_type in (
        (form, FORM),
        (form.replace(b"%E9", b"\xe9"), FORM),
        (parts + b'{"name":"Caf\xe9"}\r\n--b--\r\n', "multipart/form-data; boundary=b"),
        (encoded("base64", base64.b64encode(b'{"name":"Caf\xe9"}')), "multipart/form-data; boundary=b"),
        (encoded("base64", base64.b64encode(b'{"name":"Caf\xe9"}'), "; filename=a"), "multipart/form-data; boundary=b"),
    ):
        said = parameter_fault(path, "The form must be UTF-8")
        assert call.raw(path, body, key=acme.key, content_type=content_type) == said
    # Django knows of base64 alone, and would store `Caf=C3=A9`.
    for name in ("quoted-printable", "x-uuencode", ""):
        assert call.raw(
            path, encoded(name, b'{"name":"Caf=C3=A9"}'), key=acme.key, content_type="multipart/form-data; boundary=b"
        ) == parameter_fault(path, "The parts of the form must not be encoded, except in base64")
    said = parameter_fault(path, "The query string must be UTF-8")
    for query in ("name=Caf%E9", "%E9=1", "name=%ED%A0%80"):
        assert call.raw(f"{path}?{query}", key=acme.key) == said
    assert list(Server.objects.filter(organization=acme.organization).values_list("pk", flat=True)) == [acme.server.pk]


def test_a_form_costs_no_more_than_its_length(call):
    """Each of 200,000 boundaries, from which no part has an end, was one to look for all others: an hour, without a key."""
    began = time.thread_time()
    for line in (b"--b\r\n", b"x--b\r\n", b"--b\r\n\r\n", b"--b\r\ncontent-transfer-encoding: base64\r\n"):
        body = line * (999_000 // len(line)) + b"--b--"
        call.raw("servers/create", body, content_type="multipart/form-data; boundary=b")
    assert time.thread_time() - began < on_this_machine(5)
