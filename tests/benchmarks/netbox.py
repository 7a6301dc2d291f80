"""The same work by Sluice and by NetBox, on one PostgreSQL and Valkey: processor time of the web process a request, and memory.

Runs where SLUICE_NETBOX names the folder of an installed NetBox 4.6, as its own upgrade.sh leaves it (`netbox/manage.py` and
`venv/bin/python`); without it there is nothing to compare with. Both have 5,000 IP addresses and are served by gunicorn with
one worker on one core; each request is made in turns of both, and the median of five turns counts.
"""

import http.client
import itertools
import json
import os
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from core.audit import Actor
from core.models import User
from core.tokens import create_token
from ippools.models import IPAddress
from tests.benchmarks import netbox_server
from tests.benchmarks.panel_data import enlarge
from tests.benchmarks.ratios import Ratio
from throttling.models import ThrottlingTemplate
from tools import panel, processes

FOLDER = "SLUICE_NETBOX"
ROUNDS = 5
# Requests of a turn: some tenths of a second of the slower one's processor time, which is told in nanoseconds.
TURN = 40
ADDRESS = "10.88.10.1"

type Send = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of request, of both; `goal` is how many times ours NetBox's must cost."""

    name: str
    ours: Send
    theirs: Send
    goal: float | None = None


@dataclass(frozen=True)
class Site:
    """A web server and how its requests are made."""

    port: int
    server: processes.Server
    headers: Mapping[str, str]
    cookie: str

    def worker(self) -> psutil.Process:
        """Return the one process that answers."""
        (worker,) = psutil.Process(self.server.pid).children()
        return worker

    def seconds(self) -> float:
        """Return the processor time of the worker so far (Linux: its clock's id is made of the process's)."""
        return time.clock_gettime((~self.worker().pid << 3) | 2)

    def sender(self, method: str, path: str, body: Callable[[], object] | None = None) -> Send:
        """Return a function that makes a request of the API over a connection that stays open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": "localhost", "Content-Type": "application/json", **self.headers}

        def send() -> None:
            sent = None if body is None else json.dumps(body())
            status, text = _exchange(connection, method, path, sent, headers)
            assert status in (200, 201), (method, path, status, text[:1000])

        return send

    def page(self, path: str) -> Send:
        """Return a function that opens a page as a person who has signed in."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

        def send() -> None:
            status, text = _exchange(connection, "GET", path, None, {"Host": "localhost", "Cookie": self.cookie})
            assert status == 200, (path, status, text[:1000])
            # An address, and no page to sign in.
            assert b"10.88." in text, path

        return send


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """Make a request, once more where the server had closed the connection since the last one."""
    for is_last in (False, True):
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if is_last:
                raise
        else:
            return answer.status, answer.read()
    raise AssertionError("unreachable")


def measure() -> Iterator[Ratio]:
    """Yield milliseconds of both, and how many times ours NetBox's is."""
    installed = os.environ.get(FOLDER, "")
    if not installed:
        print(f"Skipped: {FOLDER} does not name the folder of an installed NetBox.", flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="sluice-netbox-") as name:
        folder = Path(name)
        yield from compared(netbox_server.installed(Path(installed), folder), filled(folder), folder)


def compared(netbox: netbox_server.Installed, own: tuple[str, str], folder: Path) -> Iterator[Ratio]:
    """Run both web servers and yield the figures; `own` is what `filled` returned."""
    ports = {"PORT": str(processes.free_port()), "WEB_CONCURRENCY": "1", "SECURE_SSL_REDIRECT": "false"}
    with (
        _one_core(),
        panel.serving({**os.environ, **ports}, folder / "sluice.log") as web,
        netbox_server.serving(netbox, folder / "netbox.log") as (port, server),
        _other_core(),
    ):
        sluice = Site(web.port, web.web, {"Authorization": own[0]}, own[1])
        theirs = Site(port, server, {"Authorization": netbox.authorization}, netbox.cookie)
        for each in _compared(sluice, theirs, netbox):
            yield from _told(each, sluice, theirs)
        resident = [site.worker().memory_info().rss / 2**20 for site in (sluice, theirs)]
    yield Ratio("memory of the worker, MiB: Sluice", resident[0])
    yield Ratio("memory of the worker, MiB: NetBox", resident[1])


def _compared(sluice: Site, theirs: Site, netbox: netbox_server.Installed) -> Iterator[Compared]:
    """Yield what is compared, like for like."""
    address, template = IPAddress.objects.get(ipv4=ADDRESS), ThrottlingTemplate.objects.get(is_default=True)
    number = itertools.count(1)
    greenarrow, ipam = "/ga/api/v3/eng", "/api/ipam/ip-addresses/"

    def octets() -> str:
        each = next(number)
        return f"10.99.{each // 250}.{each % 250 + 1}"

    def ours() -> object:
        ip = octets()
        record = {"name": f"new-{ip}", "ip": ip, "hostname": f"new-{next(number)}.tenant.example"}
        return {"ip_address": {**record, "redirect": None, "throttling_template": {"id": template.pk}, "rules": []}}

    def new_of_theirs() -> object:
        return {
            "address": f"{octets()}/24",
            "dns_name": f"new-{next(number)}.tenant.example",
            "tenant": netbox.tenant_id,
        }

    def changed() -> str:
        return f"mx2500-{next(number)}.tenant.example"

    yield Compared(
        "small authenticated request: an empty list; authentication-check",
        sluice.sender("GET", f"{greenarrow}/relay_servers"),
        theirs.sender("GET", "/api/authentication-check/"),
        3,
    )
    yield Compared(
        "list of 100 addresses, id and name",
        sluice.sender("GET", f"{greenarrow}/ip_addresses"),
        theirs.sender("GET", f"{ipam}?limit=100&fields=id,dns_name"),
    )
    yield Compared(
        "one address",
        sluice.sender("GET", f"{greenarrow}/ip_addresses/{address.pk}"),
        theirs.sender("GET", f"{ipam}{netbox.address_id}/"),
    )
    yield Compared(
        "change of an address: its host name",
        sluice.sender(
            "PUT", f"{greenarrow}/ip_addresses/{address.pk}", lambda: {"ip_address": {"hostname": changed()}}
        ),
        theirs.sender("PATCH", f"{ipam}{netbox.address_id}/", lambda: {"dns_name": changed()}),
    )
    yield Compared(
        "creation of an address",
        sluice.sender("POST", f"{greenarrow}/ip_addresses", ours),
        theirs.sender("POST", ipam, new_of_theirs),
        3,
    )
    yield Compared(
        "HTML list of addresses, 50 rows",
        sluice.page("/admin/ippools/ipaddress/"),
        theirs.page("/ipam/ip-addresses/?per_page=50"),
        6,
    )
    yield Compared(
        "HTML page of an address",
        sluice.page(f"/admin/ippools/ipaddress/{address.pk}/change/"),
        theirs.page(f"/ipam/ip-addresses/{netbox.address_id}/"),
        1.5,
    )


def _told(each: Compared, sluice: Site, theirs: Site) -> Iterator[Ratio]:
    for send in (each.ours, each.theirs):
        for _ in range(TURN // 4):
            send()
    costs = [(_cost(sluice, each.ours), _cost(theirs, each.theirs)) for _ in range(ROUNDS)]
    yield Ratio(f"{each.name}: ms of Sluice", statistics.median(ours for ours, _ in costs))
    yield Ratio(f"{each.name}: ms of NetBox", statistics.median(of_theirs for _, of_theirs in costs))
    yield Ratio(f"{each.name}: NetBox ÷ Sluice", statistics.median(t / o for o, t in costs), each.goal)


def _cost(site: Site, send: Send) -> float:
    """Return the worker's milliseconds of processor time a request."""
    began = site.seconds()
    for _ in range(TURN):
        send()
    return (site.seconds() - began) / TURN * 1000


def filled(folder: Path) -> tuple[str, str]:
    """Fill the database of this benchmark; return the headers of an API client and of a person who has signed in."""
    call_command("collectstatic", interactive=False, verbosity=0)
    with (folder / "demo.log").open("w") as said:
        call_command("load_demo", "--in-production", verbosity=0, stdout=said)
    enlarge(now=timezone.now())
    user = User.objects.create_user("bench", password=None, is_staff=True, is_superuser=True)
    token = create_token(user=user, name="bench", expires_at=None, at=timezone.now(), actor=Actor.system())
    client = Client()
    client.force_login(user)
    basic = b64encode(f"bench:{token.key}".encode()).decode()
    return f"Basic {basic}", f"sluice_session={client.cookies['sluice_session'].value}"


@contextmanager
def _one_core() -> Iterator[None]:
    """Have the processes that are started meanwhile run on the last core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _other_core() -> Iterator[None]:
    """Leave that core to them."""
    os.sched_setaffinity(0, set(range(max(os.sched_getaffinity(0)))) or {0})
    yield
