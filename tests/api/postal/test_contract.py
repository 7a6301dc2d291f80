"""What holds for every endpoint. The suite walks the URLs: a new endpoint joins by existing."""

import datetime
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api.bodies import MEBIBYTE
from api.postal.fields import Flag, Items, Moment, Names, Text, Whole
from api.postal.renderers import ip_pools_renderer
from servers.models import Credential, Server
from tests.api.postal.conftest import NO_KEY, NOW, SUSPENDED, WRONG_KEY, error, make_pool
from tests.api.postal.endpoints import ENDPOINTS, Endpoint
from tests.watched import watching

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
# `events` takes no parameters but events: tests/api/postal/test_events.py holds it to the same rules.
PATHS = {each.path: each for each in ENDPOINTS if each.takes_parameters}


def paths() -> list[str]:
    return sorted(PATHS)


def reads() -> list[str]:
    return sorted(path for path, endpoint in PATHS.items() if not endpoint.operation.is_change)


def with_parameters() -> list[str]:
    """Those that take parameters, which is all but `events`: its body is a stream of records, with tests of its own."""
    return paths()


@pytest.fixture
def unchanged(acme, globex):
    """Fail where anything in the database has changed by the test's end."""
    with watching() as watched:
        yield acme
        assert watched.is_unchanged()


def parameter_fault(path: str, message: str) -> dict:
    if PATHS[path].view.renderer is ip_pools_renderer:
        return error("ParameterError", message)
    return {"status": "parameter-error", "flags": {}, "data": {"message": message}}


def test_the_page_has_every_endpoint():
    """It is written by hand: what is not on it was not meant to be there."""
    page = (Path(__file__).parents[3] / "docs/postal.md").read_text()
    untold = [each.route for each in ENDPOINTS if not re.search(rf"[`/]{re.escape(name_of(each))}(?![\w/-])", page)]
    assert untold == [], "describe it in docs/postal.md"


def name_of(endpoint: Endpoint) -> str:
    return endpoint.route.replace("<str:name>", "NAME")


# --- who asks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", paths())
def test_it_rejects_no_key(call, unchanged, path):
    if path == "servers/create":
        # Keyless creates have their own rules.
        assert call(path, {"organization_uuid": str(unchanged.organization.uuid), "name": "A"}) == NO_KEY
    else:
        assert call(path) == NO_KEY


@pytest.mark.parametrize("path", paths())
def test_it_rejects_wrong_keys(call, unchanged, path):
    for key in (
        "",
        " ",
        "wrong",
        unchanged.key[:-1],
        unchanged.key.swapcase(),
        unchanged.key + " x",
        "\xe9\xff",
        "k" * 8000,
    ):
        assert call(path, key=key) == WRONG_KEY


@pytest.mark.parametrize("path", paths())
@pytest.mark.parametrize(
    "change",
    [{"held_at": NOW}, {"expires_at": NOW}, {"kind": "smtp", "is_default": False}],
    ids=lambda each: next(iter(each)),
)
def test_it_rejects_keys_that_no_longer_work(call, acme, path, change):
    Credential.objects.filter(server=acme.server, kind="api").update(**change)
    assert call(path, key=acme.key) == WRONG_KEY


@pytest.mark.parametrize("path", paths())
def test_it_rejects_an_smtp_key_and_a_deleted_servers_key(call, acme, path):
    acme.server.deleted_at = NOW
    acme.server.save()
    assert call(path, key=acme.key) == WRONG_KEY


@pytest.mark.parametrize("path", paths())
def test_it_rejects_the_suspended(call, acme, suspended, path):
    assert call(path, key=suspended.key) == SUSPENDED
    acme.organization.suspended_at = NOW
    acme.organization.save()
    assert call(path, key=acme.key) == SUSPENDED


@pytest.mark.parametrize("path", with_parameters())
def test_authentication_is_one_query(call, acme, path):
    call(path, key="wrong")
    for key in ("wrong", acme.key):
        Credential.objects.update(held_at=NOW)
        with CaptureQueriesContext(connection) as captured:
            call(path, key=key)
        # The credential, with its server and organization.
        assert len(captured) == 1
        assert captured[0]["sql"].startswith("SELECT")


@pytest.mark.parametrize("path", reads())
def test_a_use_is_noted_at_most_once_a_minute(call, acme, path):
    def updates():
        with CaptureQueriesContext(connection) as captured:
            call(path, key=acme.key)
        return [query["sql"] for query in captured if not query["sql"].startswith(("SELECT", "SAVEPOINT", "RELEASE"))]

    (update,) = updates()
    assert update.startswith('UPDATE "servers_credential" SET "last_used_at"')
    assert Credential.objects.get(server=acme.server, kind="api").last_used_at == NOW
    for seconds, expected in ((59, 0), (60, 1), (119, 0), (121, 1)):
        with time_machine.travel(NOW + datetime.timedelta(seconds=seconds), tick=False):
            assert len(updates()) == expected


@pytest.mark.parametrize("path", paths())
def test_a_refused_key_is_not_noted(call, acme, path):
    Credential.objects.update(held_at=NOW)
    call(path, key=acme.key)
    assert set(Credential.objects.values_list("last_used_at", flat=True)) == {None}


# --- verbs ------------------------------------------------------------------------------------------------------------

WRONG_VERB = error("MethodNotAllowed", "This URL does not answer this method")


@pytest.mark.parametrize("path", paths())
def test_it_rejects_wrong_verbs_before_it_asks_anything(call, unchanged, path, django_assert_num_queries):
    for verb in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - PATHS[path].verbs:
        with django_assert_num_queries(0):
            assert call(path, method=verb, key=unchanged.key) == WRONG_VERB


@pytest.mark.parametrize("path", reads())
def test_reads_answer_get_and_post_alike(call, acme, path):
    make_pool(acme.organization, "A", "1.1.1.1")
    assert PATHS[path].verbs == {"GET", "POST", "HEAD"}
    assert call(path, method="GET", key=acme.key) == call(path, key=acme.key)


@pytest.mark.parametrize("path", reads())
def test_reads_change_nothing(call, unchanged, path):
    call(path, key=unchanged.key)


# --- bodies -----------------------------------------------------------------------------------------------------------

BROKEN = [
    b"{", b'{"name":', b"{]", b"nul", b"NaN", b"{'a':1}", b'{"a":1e400}', b'{"a":Infinity}', b'{"name":"\\ud800"}',
    b'{"name":"\xff\xfe"}', b"\xef\xbb\xbf{}", '{"name":"x"}'.encode("utf-16"), b'{"a":' * 5000, b"\x00", b"{}{}",
    b'{"name":"\x00"}', b'{"a":01}', b'{"\\udfff":1}',
]  # fmt: skip


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_broken_json(call, unchanged, path):
    for body in BROKEN:
        answer = call.raw(path, body, key=unchanged.key)
        message = answer["data"]["message"]
        assert message.startswith("The request is not valid JSON: "), body
        assert answer == parameter_fault(path, message)


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_json_that_is_no_object(call, unchanged, path):
    for body in (b"[]", b"[1]", b"null", b"true", b"5", b"1.5", b'"text"', b'["servers"]', b"18446744073709551616"):
        assert call.raw(path, body, key=unchanged.key) == parameter_fault(
            path, "The request's body must be a JSON object"
        )


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_nul_characters(call, unchanged, path):
    expected = parameter_fault(path, "The request must not contain NUL characters")
    for body in (b'{"name":"a\\u0000"}', b'{"\\u0000":1}', b'{"a":[{"b":"\\u0000"}]}'):
        assert call.raw(path, body, key=unchanged.key) == expected
        assert call.raw(path, b"params=" + quote(body).encode(), key=unchanged.key, content_type=FORM) == expected
    for query in ("name=a%00", "%00=1"):
        assert call.raw(f"{path}?{query}", key=unchanged.key) == expected


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_unknown_content_types(call, unchanged, path):
    expected = parameter_fault(
        path, "The content type must be application/json, application/x-www-form-urlencoded or multipart/form-data"
    )
    for content_type in (
        "application/xml",
        "nonsense",
        "application/jsonx",
    ):
        assert call.raw(path, b"{}", key=unchanged.key, content_type=content_type) == expected


@pytest.mark.parametrize("path", with_parameters())
def test_bodies_are_read_whole_or_refused(call, unchanged, path):
    """Each way of sending reaches the same parser, which says what it found: nothing is taken for a body without content."""
    said = parameter_fault(path, "The request's body must be a JSON object")
    for content_type in ("text/plain", "text/plain; charset=utf-8", "application/vnd.api+json", "text/json", ""):
        assert call.raw(path, b"[]", key=unchanged.key, content_type=content_type) == said

    def refusal(body, content_type="application/json", encoding=None):
        return call.raw(path, body, key=unchanged.key, content_type=content_type, encoding=encoding)

    assert refusal(gzip.compress(b"[]"), encoding="gzip") == said
    assert refusal(gzip.compress(b"[") + gzip.compress(b"]"), encoding="X-GZIP") == said
    for body, encoding, message in (
        (b"{}", "br", "The content encoding must be gzip or identity"),
        (b"{}", "gzip", "The request's body is not valid gzip"),
        (gzip.compress(b"{}")[:-3], "gzip", "The request's body is not valid gzip"),
        (gzip.compress(b"{}") + b"x", "gzip", "The request's body is not valid gzip"),
        (gzip.compress(b"") * 101, "gzip", "The request's body must not have more than 100 gzip members"),
        (gzip.compress(b"{}"), None, "The request's body is gzip, which its Content-Encoding must say"),
    ):
        assert refusal(body, encoding=encoding) == parameter_fault(path, message)
    in_params = parameter_fault(path, "params must be a JSON object")
    for disposition in ('name="params"', 'name="params"; filename="p.json"'):
        form = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n[]\r\n--b--\r\n".encode()
        assert refusal(form, "multipart/form-data; boundary=b") == in_params
        for broken in (form[:-4], form.replace(b"--b--", b""), b"{}"):
            assert refusal(broken, "multipart/form-data; boundary=b") == parameter_fault(
                path, "The multipart form is not whole"
            )
    assert refusal(form, "multipart/form-data") == parameter_fault(path, "The multipart form is not whole")
    bomb = gzip.compress(b" " * (MEBIBYTE + 1))
    answer = call.raw(path, bomb, key=unchanged.key, status=413, encoding="gzip")
    assert answer == error("RequestTooLarge", "The request's body must not be larger than 1 MiB")


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_a_large_body(call, unchanged, path):
    answer = call.raw(path, b'{"a":"' + b"x" * MEBIBYTE + b'"}', key=unchanged.key, status=413)
    assert answer == error("RequestTooLarge", "The request's body must not be larger than 1 MiB")


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_too_many_fields(call, unchanged, path, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
    expected = parameter_fault(path, "The request could not be read")
    fields = "&".join(f"a{index}=1" for index in range(1001))
    assert call.raw(f"{path}?{fields}", key=unchanged.key) == expected
    assert call.raw(path, fields.encode(), key=unchanged.key, content_type=FORM) == expected


@pytest.mark.parametrize("path", with_parameters())
def test_it_rejects_broken_params(call, unchanged, path):
    for params in ("{", "[]", "null", "nonsense", "{'a':1}"):
        body = urlencode({"params": params}).encode()
        answer = call.raw(path, body, key=unchanged.key, content_type=FORM)
        message = answer["data"]["message"]
        assert message.startswith(("The request is not valid JSON: ", "params must be a JSON object"))
        assert answer == parameter_fault(path, message)


# --- parameters -------------------------------------------------------------------------------------------------------

HOSTILE = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 1.5, 1e308, -0.0, "", " ", "x", "0", "null", "true",
    "\U0001f600", "e\u0301", "\u202e", "%s%n", "'; DROP TABLE servers_server; --", "../../etc/passwd", "x" * 100_000,
    [], [None], [[]], {}, {"id": 1}, [1] * 1000, "2025-01-01", "1.1.1.1", "example.com", "*", "\ufdfa" * 200, "Live",
]  # fmt: skip


def declared(path: str) -> list[str]:
    return [parameter.field_name for parameter in PATHS[path].parameters]


def cases() -> Iterator[tuple[str, str]]:
    for path in with_parameters():
        for name in ("nobody_declared_this", *declared(path)):
            yield path, name


def good(tenant, path: str) -> dict[str, object]:
    """Return parameters that the endpoint would take."""
    # What is required as one of two.
    values = {"domain_name": "name.example", "uuid": str(tenant.organization.uuid)}
    for parameter in PATHS[path].parameters:
        if not parameter.required:
            continue
        match parameter:
            case Moment():
                values[parameter.field_name] = "2025-01-01"
            case Names():
                values[parameter.field_name] = ["roger@gmail.com"]
            case Items():
                values[parameter.field_name] = ["1.1.1.1"]
            case Text(field_name="organization_uuid"):
                values[parameter.field_name] = str(tenant.organization.uuid)
            case Text(field_name="mode"):
                values[parameter.field_name] = "Live"
            case Text():
                values[parameter.field_name] = "name.example"
    return values


def revive(tenant) -> None:
    """Bring the caller's server back: servers/delete does what it says, whatever else it is told."""
    Server.objects.filter(pk=tenant.server.pk).update(deleted_at=None)


@pytest.mark.parametrize(("path", "name"), [*cases()])
def test_hostile_values_never_crash(call, acme, globex, path, name):
    """The call fixture holds every answer to the OpenAPI document, and 500 is refused; refusals change nothing."""
    # What nobody declared is not read, whatever it is.
    for value in HOSTILE if name in declared(path) else HOSTILE[::8]:
        with watching() as watched:
            answer = call(path, good(acme, path) | {name: value}, key=acme.key)
            assert answer["status"] == "success" or watched.is_unchanged(), value
        if path == "servers/delete":
            revive(acme)


@pytest.mark.parametrize(("path", "name"), [*cases()])
def test_hostile_query_strings_never_crash(call, acme, path, name):
    for value in ("", "%", "%ff", "%ed%a0%80", "+", "a" * 5000, "%F0%9F%98%80", "1&" + name + "=true", "[]", "{}"):
        call.raw(f"{path}?{name}={value}", key=acme.key, method="GET" if "GET" in PATHS[path].verbs else "POST")
        revive(acme)


@pytest.mark.parametrize("path", [path for path in with_parameters() if PATHS[path].parameters])
def test_sources_are_merged_the_later_winning(call, acme, path):
    """Every parameter is wrong by query string, and right or wrong by body: the body decides."""
    wrong = {
        each.field_name: "[]" if isinstance(each, Flag | Whole | Moment | Items) else ""
        for each in PATHS[path].parameters
    }
    query = urlencode(wrong)
    parameters = PATHS[path].parameters
    defaults = {each.field_name: each.absent_value() for each in parameters if not each.required}
    # A flag without a default has no word for "not given".
    flags = {each.field_name: False for each in parameters if isinstance(each, Flag) and each.absent_value() is None}
    right = defaults | flags | good(acme, path)
    by_json = call(f"{path}?{query}", right, key=acme.key)
    if path == "servers/delete":
        return
    by_form = call.raw(
        f"{path}?{query}", urlencode({"params": json.dumps(right)}).encode(), key=acme.key, content_type=FORM
    )
    refused = {"parameter-error"}
    assert by_json["status"] not in refused
    assert by_json["data"].get("code") != "ParameterError"
    assert by_form["status"] not in refused
    assert by_form["data"].get("code") != "ParameterError"


@pytest.mark.parametrize("path", reads())
def test_a_key_given_twice_counts_the_last_time(call, acme, path):
    flags = [each.field_name for each in PATHS[path].parameters if isinstance(each, Flag)]
    for name in flags:
        body = f'{{"{name}": "wrong", "{name}": true}}'.encode()
        assert call.raw(path, body, key=acme.key) == call(path, {name: True}, key=acme.key)


@pytest.mark.parametrize("path", reads())
def test_curl_without_a_content_type_is_understood(call, acme, path):
    """`curl -d '{…}'` says "form"; a form never begins with a brace."""
    body = json.dumps(good(acme, path)).encode()
    expected = call.raw(path, body, key=acme.key)
    assert expected["status"] != "parameter-error"
    assert call.raw(path, body, key=acme.key, content_type=FORM) == expected
    assert call.raw(path, body, key=acme.key, content_type="") == expected
    assert call.raw(path, body, key=acme.key, content_type="Application/JSON; charset=utf-8") == expected
