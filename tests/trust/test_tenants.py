"""No key reads or changes what is another tenant's, and none can tell a foreign record from one that does not exist.

A matrix over every endpoint of both dialects, found in the URL configuration: in every parameter that can name a record stands
the id of a foreign one, then one that nobody has. Both answers must be equal (bar `time`, and the id where it is echoed), come
by the same statements, show nothing of the other tenant and leave every row of theirs as it was.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from api.greenarrow.urls import urlpatterns
from api.greenarrow.views import GreenArrowViewSet
from api.postal.fields import Flag, Identifier, Items, Moment, Names, Text, Whole
from core.models import User
from core.tokens import create_token
from ippools.models import IPAddress
from servers.models import Domain, Membership
from servers.provisioning import create_server
from stats.intake import known_names
from tests.api.greenarrow.conftest import basic
from tests.api.postal.endpoints import ENDPOINTS
from tests.cast import SYSTEM, make_pool
from tests.dns_server import LocalDNS
from tests.factories import DeliveryFactory, FormerPermalinkFactory, WebhookFactory
from tests.watched import digest

pytestmark = pytest.mark.django_db

# Beside what an endpoint declares: names that stand for a record somewhere, which mean nothing where they are not declared.
NAMES_OF_RECORDS = {
    "id", "uuid", "name", "server", "server_id", "server_uuid", "organization", "organization_id", "organization_uuid",
    "ip_pool", "ip_pool_id", "pool_id", "domain", "domain_id", "domain_name", "credential_id", "api_key", "ip", "ips",
}  # fmt: skip
# By contract an address that is only in others' pools is a warning of its own, and an unknown one is made.
TOLD_BY_CONTRACT = {("api/v1/servers/ip_pools/create", "ips")}


@dataclass(frozen=True)
class Endpoint:
    """A URL of a dialect, as the configuration has it."""

    route: str
    view: type
    verbs: tuple[str, ...] = ()

    def url(self, name: str = "nothing.example", pk: int = 1) -> str:
        return "/" + re.sub(r"<record_id:\w+>", str(pk), re.sub(r"<str:\w+>", name, self.route))

    def __str__(self) -> str:
        return self.route


def endpoints(base: type) -> list[Endpoint]:
    """Return every URL whose view is of this dialect."""

    def walk(patterns: list[Any], before: str) -> Iterator[Endpoint]:
        for each in patterns:
            route = before + str(each.pattern)
            if isinstance(each, URLResolver):
                yield from walk(each.url_patterns, route)
            elif isinstance(each, URLPattern):
                # Django's views and rest framework's viewsets each say it in their own way.
                view = getattr(each.callback, "view_class", None) or getattr(each.callback, "cls", object)
                if issubclass(view, base):
                    yield Endpoint(route, view, tuple(getattr(each.callback, "actions", {})))

    return list(walk(get_resolver().url_patterns, ""))


GREENARROW = endpoints(GreenArrowViewSet)
ACTIONS = [(Endpoint(f"api/v1/{each.route}", each.view), each) for each in ENDPOINTS]
POSTAL = [endpoint for endpoint, _ in ACTIONS]
ASKS_DNS = "api/v1/domains/verify"
IN_BODIES = [
    pytest.param(*each, id=each[0].route, marks=[pytest.mark.server] if each[0].route == ASKS_DNS else [])
    for each in ACTIONS
    if each[1].takes_parameters
]


def test_the_matrix_is_whole():
    """The tests below try a new endpoint by themselves."""
    assert len(POSTAL) > 20
    assert {each.route for each in GREENARROW} == {f"ga/api/v3/eng/{each.pattern}" for each in urlpatterns}


# --- the cast and what is compared -------------------------------------------------------------------------------------


@pytest.fixture
def theirs(globex, acme) -> dict[str, list[Any]]:
    """What globex has, by the kind of value that would name it."""
    pool = make_pool(globex.organization, "Globex Pool", "198.51.100.9")
    domain = Domain.objects.create(
        server=globex.server, name="globex.example", verification_token="t", dkim_identifier="d", dkim_public_key="p"
    )
    # So that acme has something of each kind too: an answer of nothing would prove nothing.
    make_pool(acme.organization, "Acme Pool", "192.0.2.9")
    create_server(organization=acme.organization, name="Second", actor=SYSTEM)
    Domain.objects.create(
        server=acme.server, name="acme.example", verification_token="t", dkim_identifier="d", dkim_public_key="p"
    )
    hook = WebhookFactory(server=globex.server, name="Globex Hook", url="https://hooks.globex.example/")
    told = DeliveryFactory(webhook=hook, body='{"event":"MessageSent","to":"u@globex.example"}')
    DeliveryFactory(webhook=WebhookFactory(server=acme.server))
    FormerPermalinkFactory(organization=globex.organization, permalink="globex-was")
    address = IPAddress.objects.get(ipv4="198.51.100.9")
    return {
        "uuid": [str(each.uuid) for each in (globex.organization, globex.server, pool, domain, hook, told)],
        # The pool's: it is the only kind that Postal's dialect takes by number.
        "id": [pool.pk],
        "address": [address.pk],
        "name": [
            "Globex", "Globex Server", "Globex Pool", "globex.example", "globex", "globex/globex-server",
            "globex-was/globex-server",
        ],
        "ip": ["198.51.100.9"],
    }  # fmt: skip


@pytest.fixture(autouse=True)
def names(request, settings) -> Iterator[None]:
    """Where DNS is asked, a server that knows no name and says so: for one that is silent each question would wait."""
    if not request.node.get_closest_marker("server"):
        yield
        return
    with LocalDNS() as dns:
        settings.SLUICE_DNS_SERVERS = [dns.address]
        yield


# As long as the foreign ones, and nobody's.
UNKNOWN = {"uuid": str(uuid.UUID(int=7, version=4)), "name": "Nobodys Thing", "ip": "198.51.100.77"}


def unknown_like(kind: str, foreign: Any) -> Any:
    if kind == "id":
        return foreign + 5_000_000
    if "/" in str(foreign):
        return "nobody/nobodys-server"
    return "nobody.example" if foreign == "globex.example" else UNKNOWN[kind]


def asked(send: Callable[[], Any], value: Any) -> tuple[Any, list[str]]:
    """Return the answer and its statements, without literals; whatever was done is undone, so that the next begins alike."""
    with transaction.atomic():
        with CaptureQueriesContext(connection) as captured:
            response = send()
        transaction.set_rollback(True)
    text = re.sub(rb'"time":[0-9.e-]+', b'"time":0', response.content).decode()
    # Where a refusal says again what was asked for. (A short number would be found in any uuid: only as a whole string.)
    text = text.replace(value if isinstance(value, str) else f'"{value}"', "<given>")
    return (response.status_code, text), [_statement(query["sql"]) for query in captured]


def _statement(sql: str) -> str:
    return re.sub(r"\b\d+\b|\bs\d+_x\d+\b", "?", re.sub(r"'(?:[^']|'')*'", "?", sql))


def shape(answer: tuple[int, str]) -> Any:
    """Return what two answers about two new records have in common: the status, and every key."""

    def keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: keys(each) for name, each in value.items()}
        return [keys(each) for each in value] if isinstance(value, list) else type(value).__name__

    envelope = json.loads(answer[1])
    return answer[0], envelope["status"], keys(envelope["data"])


# --- Postal's dialect --------------------------------------------------------------------------------------------------


def kinds_of(parameter: Any) -> list[str]:
    """Return which kinds of value can name a record in this parameter; None: in one that nobody declared."""
    match parameter:
        case Identifier():
            return ["uuid", "name"]
        case Whole():
            return ["id"] if parameter.field_name.endswith("_id") else []
        case Items() | Names():
            return ["ip", "name"]
        case Text():
            return ["name", "uuid"]
        case Flag() | Moment():
            return []
    return ["uuid", "id", "name", "ip"]


def sensible(tenant: Any, action: Any) -> dict[str, Any]:
    """Return the parameters that an endpoint cannot do without."""
    values: dict[str, Any] = {"organization_uuid": str(tenant.organization.uuid), "domain_name": "acme.example"}
    for parameter in action.parameters:
        name = parameter.field_name
        if parameter.required and name not in values:
            match parameter:
                case Moment():
                    values[name] = "2025-01-01"
                case Items():
                    values[name] = ["192.0.2.77"]
                case Text(field_name="mode"):
                    values[name] = "Live"
                case _:
                    values[name] = "acme.example"
    return values


@pytest.mark.parametrize(("endpoint", "action"), IN_BODIES)
def test_postal_foreign_is_unknown(endpoint, action, acme, globex, theirs):
    client = Client(headers={"X-Server-API-Key": acme.key})
    declared = {each.field_name: each for each in action.parameters}
    foreign_rows = digest()
    secrets = [*theirs["uuid"], *theirs["name"][1:4], "Globex", *theirs["ip"], globex.key]
    compared = 0
    # A name that is not declared is ignored, whatever it holds: all of them at once, with one value of each kind.
    ignored = sorted(NAMES_OF_RECORDS - declared.keys())
    for names in (ignored, *([name] for name in declared if (endpoint.route, name) not in TOLD_BY_CONTRACT)):
        parameter = declared.get(names[0])
        for kind in kinds_of(parameter):
            for foreign in theirs[kind] if parameter else theirs[kind][:1]:
                answers = []
                for value in (foreign, unknown_like(kind, foreign)):
                    given = sensible(acme, action)
                    if names == ["domain_id"]:
                        del given["domain_name"]
                    given |= dict.fromkeys(names, [value] if isinstance(parameter, Items | Names) else value)
                    url = endpoint.url(name=str(value)) if "<str:" in endpoint.route else endpoint.url()
                    answer, statements = asked(
                        lambda url=url, given=given: client.post(url, given, content_type="application/json"), value
                    )
                    answers.append((answer, statements))
                    if value == foreign:
                        assert [each for each in secrets if each != foreign and each in answer[1]] == [], (
                            names,
                            answer,
                        )
                (foreign_answer, foreign_sql), (unknown_answer, unknown_sql) = answers
                where = (endpoint.route, names, foreign)
                if action.operation.is_change and '"status":"success"' in foreign_answer[1]:
                    # Each made a record of acme's own, with an id and keys of its own.
                    assert shape(foreign_answer) == shape(unknown_answer), where
                else:
                    assert foreign_answer == unknown_answer, where
                assert foreign_sql == unknown_sql, where
                compared += 1
    assert compared >= 4
    assert digest() == foreign_rows


def test_events_of_a_foreign_server_are_those_of_none(acme, globex, theirs):
    client = Client(headers={"X-Server-API-Key": acme.key})
    before = digest()
    at = int(timezone.now().timestamp())

    def report(name, value):
        # What one request has learned of the sender, the next does not look up again.
        known_names.forget()
        event = {"id": "m", "type": "sent", "at": at, "from": "a@acme.example", name: value}
        return client.post("/api/v1/events", [event], content_type="application/json")

    for name, kinds in (("server", ("uuid", "name")), ("ip", ("ip",))):
        for kind in kinds:
            for foreign in theirs[kind]:
                values = (foreign, unknown_like(kind, foreign))
                answers = [asked(lambda value=value, name=name: report(name, value), value) for value in values]
                assert answers[0] == answers[1], (name, foreign)
                assert '"accepted":0' in answers[0][0][1]
    assert digest() == before


# --- GreenArrow's dialect ----------------------------------------------------------------------------------------------


@pytest.fixture
def employee(globex) -> str:
    """The Authorization of somebody of acme's: an owner, whose API level is that of every tenant's people, none."""
    user = User.objects.create(username="acme-owner", is_staff=True)
    Membership.objects.create(user=user, organization=globex.organization, role="owner")
    token = create_token(user=user, name="t", expires_at=None, at=timezone.now(), actor=SYSTEM)
    return basic("acme-owner", token.key)


@pytest.mark.parametrize("endpoint", GREENARROW, ids=str)
def test_greenarrow_is_the_platforms(endpoint, acme, theirs, employee):
    """To a tenant's people, and to a server's key, every record of every kind is the same closed door."""
    before = digest()
    verbs = sorted(endpoint.verbs)
    for headers, status in (
        ({"Authorization": employee}, 403),
        ({"X-Server-API-Key": acme.key}, 401),
        ({}, 401),
    ):
        client = Client(headers=headers)
        for verb in verbs:
            answers = [
                asked(
                    lambda pk=pk, verb=verb, client=client: client.generic(
                        verb.upper(), endpoint.url(pk=pk), b"{}", content_type="application/json"
                    ),
                    pk,
                )
                for pk in (theirs["address"][0], IPAddress.objects.get(ipv4="192.0.2.9").pk, 5_000_001)
            ]
            assert answers[0] == answers[1] == answers[2], (endpoint.route, verb)
            assert answers[0][0][0] == status, (endpoint.route, verb)
    assert digest() == before
