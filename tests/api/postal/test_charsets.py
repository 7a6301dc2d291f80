"""What is sent in another charset than UTF-8 is refused at every endpoint of Postal's dialect."""

import pytest

from servers.models import Server
from tests.api.postal.test_contract import FORM, parameter_fault, with_parameters


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
    ):
        said = parameter_fault(path, "The form must be UTF-8")
        assert call.raw(path, body, key=acme.key, content_type=content_type) == said
    said = parameter_fault(path, "The query string must be UTF-8")
    for query in ("name=Caf%E9", "%E9=1", "name=%ED%A0%80"):
        assert call.raw(f"{path}?{query}", key=acme.key) == said
    assert list(Server.objects.filter(organization=acme.organization).values_list("pk", flat=True)) == [acme.server.pk]
