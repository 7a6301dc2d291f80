"""Everything that answers a GET, found in the URL configuration: the panel's pages, and the reads of both dialects.

A new endpoint joins by being there; where it has no request in tests/fuzz/corpus.py it fails here.
"""

import base64
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory

from core.audit import Actor
from core.models import User
from core.tokens import create_token
from servers.credentials import create_credential
from servers.models import Server
from tests.api.postal.endpoints import ENDPOINTS
from tests.fuzz import corpus
from tests.panel.urls import addresses, looks
from tests.trust.test_tenants import GREENARROW

# An organization or a domain is named by one of several parameters, none of which is required by itself.
NAMED = ("domains/dns_records", "organizations/statistics", "organizations/ip_allocation")
# Files are no pages: they hold all that a list shows, and are read in batches, so their cost grows with their rows.
FILES = ("_export", "_usage", "_export_rules", "_zone")
SYSTEM = Actor.system()


@dataclass(frozen=True)
class Asked:
    """One request: who asks, and for what."""

    who: str
    name: str
    path: str
    client: Client = field(repr=False)
    is_record: bool = False
    # Whether there is a bound of its growth.
    has_goal: bool = True
    # Whether it is asked again while what it sums up is kept.
    is_kept: bool = False

    @property
    def is_api(self) -> bool:
        return not self.path.startswith("/admin/")

    def __str__(self) -> str:
        return f"{self.who}: {self.name}"


def pages(who: str, person: User, own: dict[type[Model], Model], *, is_largest: bool = False) -> list[Asked]:
    """Return every page of the panel, of the same records whatever else there is by now.

    `is_largest`: these records are the organization's that has a tenth of everything. What a member sees of it is told
    without a goal, and of the platform's staff only the pages of its records are told, and so.
    """
    client = Client(SERVER_NAME="localhost")
    client.force_login(person)
    request = RequestFactory().get("/")
    request.user = person

    def record_of(label: str) -> object:
        model = apps.get_model(label)
        if (found := own.get(model)) is not None:
            return found
        # The first ones are the demo's. Of what hangs on a server, that server's.
        seen = admin.site._registry[model].get_queryset(request).order_by("pk")
        mine = seen.filter(server=own[Server]) if any(each.name == "server" for each in model._meta.fields) else seen
        return mine.first() or seen.first() or model._default_manager.order_by("pk").first()

    records = {each.name for each in addresses() if each.has_record}
    found = []
    for name, path in looks(record_of).items():
        if is_largest and person.is_superuser and name not in records:
            continue
        has_goal = not name.endswith(FILES) and not is_largest
        found.append(Asked(who, name, path, client, is_record=name in records, has_goal=has_goal))
        if name == "index" and not is_largest:
            found[-1] = replace(found[-1], is_kept=True)
            found.append(Asked(who, f"{name}, summed up anew", path, client, has_goal=False))
    return found


def greenarrow(person: User, own: dict[type[Model], Model], now: datetime.datetime) -> Iterator[Asked]:
    """Yield every GET of GreenArrow's dialect, with HTTP Basic and a token."""
    token = create_token(user=person, name="bench", expires_at=None, at=now, actor=SYSTEM).key
    header = "Basic " + base64.b64encode(f"{person.username}:{token}".encode()).decode()
    client = Client(SERVER_NAME="localhost", headers={"Authorization": header})
    models = {kind: _model_of(table) for kind, table in corpus.TABLES.items()}
    ids = {kind: str((own.get(model) or model._default_manager.order_by("pk")[0]).pk) for kind, model in models.items()}
    for endpoint in GREENARROW:
        if "get" in endpoint.verbs:
            for seed in _seeds(endpoint.route, corpus.greenarrow()):
                path = _filled(seed.path, ids)
                query = {name: value for name, value in seed.query.items() if not name.startswith("page")}
                is_record = "<" in endpoint.route
                # Of a list, its first page; what is computed of a record says of what.
                if not (is_record and query):
                    yield Asked("GreenArrow", endpoint.route, path, client, is_record=is_record)
                if query:
                    told = f"{endpoint.route}?{'&'.join(query)}"
                    yield Asked("GreenArrow", told, f"{path}?{urlencode(query)}", client, is_record=is_record)


def postal(who: str, server: Server, *, is_largest: bool) -> Iterator[Asked]:
    """Yield every read of Postal's dialect with a key of the server: by its own defaults, and with all parameters.

    Of the organization that has a tenth of everything (`is_largest`) it is told without a goal.
    """
    key = create_credential(server=server, kind="api", name="bench", actor=SYSTEM).key
    client = Client(SERVER_NAME="localhost", headers={"X-Server-API-Key": key})
    uuids: dict[str, str] = {"server": str(server.uuid), "organization": str(server.organization.uuid)}
    for kind, table in corpus.UUID_TABLES.items():
        model = _model_of(table)
        if kind != "server" and (first := model._default_manager.filter(**_of(kind, server)).order_by("pk").first()):
            uuids[kind] = str(first.uuid)
    domain = server.domains.order_by("pk")[0].name
    for endpoint in ENDPOINTS:
        if "GET" not in endpoint.verbs or endpoint.operation.is_change:
            continue
        required = {each.field_name for each in endpoint.parameters if each.required}
        for seed in _seeds(f"api/v1/{endpoint.route}", corpus.postal()):
            query = {name: _filled(value, uuids) for name, value in seed.query.items()}
            if "domain_name" in query:
                query["domain_name"] = domain
            if "addresses" in query:
                query["addresses"] = "roger@example.com"
            needed = query if endpoint.route in NAMED else {n: v for n, v in query.items() if n in required}
            path = _filled(seed.path, uuids)
            for name, asked in {"": needed, " with all": query}.items():
                if not any("{" in value for value in asked.values()):
                    told = f"{endpoint.route}{name}"
                    yield Asked(who, told, f"{path}?{urlencode(asked)}", client, has_goal=not is_largest)


def _seeds(route: str, seeds: list[corpus.Seed]) -> list[corpus.Seed]:
    pattern = re.sub(r"<[^>]+>", "[^/]+", f"/{route}")
    found = [seed for seed in seeds if seed.method == "GET" and re.fullmatch(pattern, seed.path)]
    assert found, f"add GET {route} to tests/fuzz/corpus.py"
    return found


def _of(kind: str, server: Server) -> dict[str, object]:
    return {"organization": server.organization} if kind == "organization" else {"server": server}


def _filled(text: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], found[0]), text)


def _model_of(table: str) -> type[Model]:
    return next(model for model in apps.get_models() if model._meta.db_table == table)
