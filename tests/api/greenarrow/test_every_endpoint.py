"""What holds for every endpoint of the dialect. The list is `urls.py` itself: a new endpoint joins by existing."""

import ast
import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.greenarrow.filters import GreenArrowFilterSet
from api.greenarrow.urls import urlpatterns
from api.greenarrow.views import GreenArrowViewSet
from tests.api.greenarrow.conftest import Caller, basic, make_token, make_user, refusal
from tests.api.greenarrow.documented import PREFIX, operations
from tests.examples import examples

VERBS = ("get", "post", "put", "delete")
ROOT_KEYS = {
    "ip_addresses": "ip_address",
    "throttling_rules": "throttling_rule",
    "throttling_templates": "throttling_template",
    "throttle_programs": "throttle_program",
    "relay_servers": "relay_server",
    "routing_rules": "routing_rule",
    "virtual_mtas": "virtual_mta",
    "effective_limits": "effective_limits",
}


def url_of(pattern, number="999999"):
    return re.sub(r"<record_id:\w+>", number, str(pattern.pattern))


ENDPOINTS = [
    (verb.upper(), url_of(pattern), pattern.callback)
    for pattern in urlpatterns
    for verb in VERBS
    if verb in pattern.callback.actions
]
LISTS = [pattern for pattern in urlpatterns if pattern.callback.actions.get("get") == "list"]
PAGING = {"page", "page_token"}
WRITES = [(verb, url) for verb, url, _ in ENDPOINTS if verb in ("POST", "PUT")]
each_endpoint = pytest.mark.parametrize(
    ("verb", "url", "view"), ENDPOINTS, ids=[f"{verb} {url}" for verb, url, _ in ENDPOINTS]
)
each_write = pytest.mark.parametrize(("verb", "url"), WRITES, ids=[f"{verb} {url}" for verb, url in WRITES])

NOBODY = refusal(
    "not_authorized", "Authentication is required: send a user name with its password or an API token by HTTP Basic"
)


def filters_of(pattern):
    view = pattern.callback.cls
    return set(view.filterset_class.base_filters) if view.filterset_class and pattern in LISTS else set()


def root_of(url):
    return next(ROOT_KEYS[part] for part in reversed(url.split("/")) if part in ROOT_KEYS)


def texts_of(path):
    """Return the texts in a file's code: no comments, no docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    docstrings = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}
    texts = (each for each in nodes if isinstance(each, ast.Constant) and id(each) not in docstrings)
    return " ".join(str(each.value) for each in texts)


def test_the_family_is_complete():
    others = " ".join(
        texts_of(path) for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name
    )
    # The last word of each URL, with a slash where an id follows it.
    words = {re.search(r"\w+/?$", url_of(pattern, ""))[0] for pattern in urlpatterns}
    untested = sorted(word for word in words if not re.search(rf"\b{word}(?!\w)", others))
    assert not untested, (
        f"no test asks for {untested}: write tests/api/greenarrow/test_<endpoint>.py (it works, malformed, queries counted)"
    )
    roots = {view.cls.root for verb, _, view in ENDPOINTS if verb in ("POST", "PUT")}
    assert roots <= NAMES.keys(), "name the keys of a new record in NAMES, below"
    assert all(issubclass(view.cls, GreenArrowViewSet) for _, _, view in ENDPOINTS)


def test_the_page_has_every_endpoint():
    """Its table is written by hand: what is not in it was not meant to be there."""
    page = (Path(__file__).parents[3] / "docs/greenarrow.md").read_text()
    told = set(re.findall(r"^\| `/(.*?)` \| ([A-Z, ]+) \| (.*?) ?\|$", page, re.MULTILINE))
    found = set()
    for pattern in urlpatterns:
        verbs = [verb.upper() for verb in VERBS if verb in pattern.callback.actions]
        filters = sorted(filters_of(pattern))
        found.add((url_of(pattern, "{id}"), ", ".join(verbs), ", ".join(f"`{name}`" for name in filters)))
    missing, gone = sorted(found - told), sorted(told - found)
    assert not missing, f"add {missing} to the table of endpoints in docs/greenarrow.md"
    assert not gone, f"take {gone} out of the table of endpoints in docs/greenarrow.md"


@each_endpoint
def test_it_wants_credentials(db, verb, url, view):
    call = Caller(None)
    assert call(verb, url, status=401) == NOBODY
    assert call.response["WWW-Authenticate"] == 'Basic realm="Sluice", charset="UTF-8"'


@each_endpoint
def test_it_holds_the_api_level(db, verb, url, view):
    action = view.actions[verb.lower()]
    expected = {
        "yes": None,
        "read_only": None if verb == "GET" or action in view.cls.reading_posts else "Your API access is read-only",
        "stats_only": None
        if action in view.cls.statistics and verb == "GET"
        else "Your API access covers throttles only",
        "no": "You don't have API access",
    }
    for level, message in expected.items():
        user = make_user(level, level)
        call = Caller(basic(level, make_token(user)))
        response = call.client.generic(verb, f"/ga/api/v3/eng/{url}", headers={"Authorization": call.authorization})
        if message is None:
            assert response.status_code != 403
        else:
            assert (response.status_code, response.json()) == (403, refusal("forbidden", message))


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: url_of(pattern))
def test_it_refuses_other_verbs(call, pattern):
    offered = {verb for verb in VERBS if verb in pattern.callback.actions}
    for verb in {*VERBS, "patch", "options"} - offered:
        assert call(verb.upper(), url_of(pattern), status=405) == refusal(
            "invalid_request", "This URL does not answer this method"
        )


@each_endpoint
def test_a_record_that_is_not_there_is_not_found(call, verb, url, view):
    if "999999" not in url:
        return
    payload = {root_of(url): {}} if verb in ("POST", "PUT") else None
    answer = call(verb, url, payload, status=404)
    assert (answer["data"], answer["error_code"]) == (None, "not_found")


@pytest.mark.parametrize("pattern", LISTS, ids=lambda pattern: url_of(pattern))
def test_a_list_filters_by_what_its_document_says(call, monkeypatch, pattern):
    """A filter that is declared and not applied is a list of everything."""
    path, view = url_of(pattern), pattern.callback.cls
    documented = {each["name"] for each in operations()[f"{PREFIX}{path}", "get"]["parameters"]} - PAGING
    assert documented == filters_of(pattern)
    applied = set()
    monkeypatch.setattr(
        GreenArrowFilterSet, "filter_queryset", lambda self, rows: applied.update(self.data) or rows.none()
    )
    # What is listed of one record is found only where there is the record: its own test filters it.
    for name in documented if "<" not in str(pattern.pattern) else ():
        page = call.data("GET", f"{path}?{name}=x")["pagination"]
        assert (applied, page["num_records"]) == ({name}, 0), (
            f"{view.__name__}.list does not filter: answer by `page_of`"
        )
        applied.clear()


@each_write
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"other": {}}',
        b"\xff\xfe",
        b'{"a": NaN}',
        b"[" * 5000,
        b'{"a": 1e400}',
    ],
)
def test_a_body_without_the_root_key_is_an_invalid_request(call, verb, url, body):
    answer = call.raw(verb, url, body, status=400)
    assert (answer["data"], answer["error_code"]) == (None, "invalid_request")


@each_write
@pytest.mark.parametrize("value", [[], "text", 5, True, 1.5, 2**70])
def test_the_root_must_be_an_object(call, verb, url, value):
    answer = call(verb, url, {root_of(url): value}, status=422)
    # The default VirtualMTA alone may be null.
    must = "must be null or an object" if url == "virtual_mtas/default" else "must be an object"
    assert answer == refusal("validation_failed", f"{root_of(url)} {must}")


@each_write
def test_the_body_is_json_whatever_the_header_says(call, verb, url):
    body = json.dumps({root_of(url): []}).encode()
    for content_type in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert call.raw(verb, url, body, content_type=content_type, status=422)["error_code"] == "validation_failed"


def test_a_body_beyond_a_mebibyte_is_refused(call):
    answer = call.raw("POST", "ip_addresses", b" " * (1024 * 1024 + 1), status=413)
    assert answer == refusal("invalid_request", "The request's body must not be larger than 1 MiB")


@pytest.mark.parametrize(
    "path", ["", "nothing", "ip_addresses/", "ip_addresses/x", "ip_addresses/1/x", "ip_addresses/0"]
)
def test_an_unknown_url_answers_in_the_dialect(call, path):
    assert call("GET", path, status=404) == refusal("not_found", "There is nothing at this URL")


def test_an_id_beyond_every_record_is_no_url(call):
    for number in (2**63, 10**18 * 9 + 10**18 - 1, 10**40):
        call("GET", f"ip_addresses/{number}", status=404)


def test_accept_changes_nothing(call):
    for accept in ("text/html", "application/xml", "nonsense"):
        assert call.raw("GET", "ip_addresses", Accept=accept)["success"] is True


# --- Odd values in every place ------------------------------------------------------------------------------------------

ODD = [None, True, False, 0, -1, 2**31, 2**63, 2**70, 1.5, 1e308, "", " ", "text", "5", "\U0001f600", "x" * 5000, [], [None],
       [[]], [{}], {}, {"id": None}, {"id": 2**70}, {"id": "x"}, {"id": []}, {"name": 5}, {"name": ""}, {"id": -1}]  # fmt: skip
NAMES = {
    "ip_address": ["name", "ip", "hostname", "redirect", "throttling_template", "rules", "rules_new", "default",
                   "delivery_paused"],
    "throttling_rule": ["domains", "max_concurrent_connections", "max_messages_per_hour", "throttle_program"],
    "throttling_template": ["name", "rules", "rules_new", "default"],
    "throttle_program": ["name", "backoff", "triggers"],
    "relay_server": ["name", "source_ip", "destination", "throttle_limits", "redirect"],
    "routing_rule": ["name", "domain_overrides", "default"],
    "virtual_mta": ["id", "name"],
}  # fmt: skip
INNER = ["id", "name", "domains", "max_concurrent_connections", "max_messages_per_hour", "throttle_program", "mode", "value",
         "ip", "hostname", "port", "username", "password", "randomization_type", "deliver_through", "virtual_mta",
         "portion_of_mail", "failure_rate", "deferral_rate", "return_after"]  # fmt: skip

odd = st.recursive(
    st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(("verb", "root"), list(itertools.product(["POST", "PUT"], sorted(NAMES))))
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.data())
def test_odd_values_are_refused_in_words(call, address, verb, root, choice):
    values = choice.draw(st.dictionaries(st.sampled_from(NAMES[root]), odd, max_size=5))
    path = {
        "ip_address": f"ip_addresses/{address.pk}",
        "throttling_rule": f"ip_addresses/{address.pk}/throttling_rules/{address.rules.rules.first().pk}",
        "throttling_template": f"throttling_templates/{address.template_id}",
        "throttle_program": "throttle_programs/1",
        "relay_server": "relay_servers/999999",
        "routing_rule": "routing_rules/999999",
        "virtual_mta": "virtual_mtas/default",
    }[root]
    if verb == "POST":
        path = path.rpartition("/")[0]
    response = call.client.generic(
        verb,
        f"/ga/api/v3/eng/{path}",
        json.dumps({root: values}).encode(),
        content_type="application/json",
        headers={"Authorization": call.authorization},
    )
    assert response.status_code in (200, 403, 404, 405, 422), response.content
    assert response.json()["success"] == (response.status_code == 200)
