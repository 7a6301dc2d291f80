"""`make demo-mta`: a private Postfix sends invented mail, and the running panel shows what becomes of it.

Postfix, its agent, the receivers and their DNS run in a network namespace that has nothing but a loopback, so no mail leaves
this machine. The panel is the one that runs on this machine (`make run`), with its data folder.
"""

import argparse
import contextlib
import random
import signal
import smtplib
import sys
import time
import urllib.request
from collections import Counter
from typing import Any, NamedTuple

import django
from django.utils import timezone
from dnslib import MX, QTYPE, RR, A

from tests.mta.demo_history import ADDRESSES, KINDS, RECEIVERS, SENDER, SERVER, kind_of, report_yesterday
from tests.mta.machine import Machine, state_folder, why_not
from tests.mta.namespace import CannotBeMade, namespace
from tests.mta.reach import reachable
from tests.mta.receivers import SINK, Act, Names, Receivers, Sink, Verdict

# Whose only 5xx replies are that there is no such mailbox; how long the panel and the node may take to know it, and how many
# messages go to such mailboxes again.
UNKNOWN = ("gmail.com", "yahoo.com")
SECONDS_TO_SUPPRESS, SHARE_OF_UNKNOWN = 12, 0.05
PER_SECOND = 4
EVERY = 10.0


class Made(NamedTuple):
    """What the demonstration needs of the panel: a node's key, a server's SMTP password, and pages to look at."""

    key: str
    password: str
    pages: dict[str, str]


class InventedReceivers(Sink):
    """Answers for each receiver in its own words. Who has been deferred once is taken the next time."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self._deferred: set[str] = set()

    def verdict(self, source: str, sender: str, to: str) -> Verdict:
        drawn = self._random.random()
        for share, reply in RECEIVERS.get(to.rpartition("@")[2], (0, []))[1]:
            if drawn < share and not (reply.startswith("4") and to in self._deferred):
                if reply.startswith("4"):
                    self._deferred.add(to)
                return Verdict(int(reply[:3]), reply)
            drawn -= share
        return Verdict(250, "250 2.1.5 Ok")


class InventedNames(Names):
    """Every receiver's mail server is the sink, at an address of the namespace's loopback."""

    def resolve(self, request: Any, handler: Any) -> Any:
        name = str(request.q.qname).rstrip(".").lower()
        kind = QTYPE[request.q.qtype]
        domain = name.removeprefix("mx.")
        if domain not in RECEIVERS:
            return super().resolve(request, handler)
        reply = request.reply()
        if name == domain and kind == "MX":
            reply.add_answer(RR(request.q.qname, QTYPE.MX, rdata=MX(f"mx.{domain}", 10), ttl=60))
        elif name != domain and kind == "A":
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(SINK), ttl=60))
        return reply


def prepare(url: str) -> Made:
    """Make organization, pool, template, server and node in the panel's database, or find those of an earlier run."""
    from core.audit import Actor
    from ippools.addresses import NewAddress, create_many
    from ippools.models import IPAddress
    from nodes import publishing
    from nodes.models import Node
    from nodes.nodes import change_node, create_node, rotate_key
    from servers.credentials import reveal_key
    from servers.models import Organization
    from servers.pools import add_members, create_pool, pools_of
    from servers.provisioning import create_organization, create_server
    from throttling import templates
    from throttling.models import ThrottlingTemplate

    actor = Actor.of_command("demo-mta")
    organization = Organization.objects.filter(permalink="lighthouse").first() or create_organization(
        at=timezone.now(), name="Lighthouse Mail", permalink="lighthouse", actor=actor
    )
    template = ThrottlingTemplate.objects.filter(name="Lighthouse").first() or templates.create(
        name="Lighthouse",
        max_concurrent_connections=10,
        max_messages_per_hour=0,
        rules=[
            {"domains": ["gmail.com"], "max_concurrent_connections": 10, "max_messages_per_hour": 7200},
            {"domains": ["yahoo.com"], "max_concurrent_connections": 5, "max_messages_per_hour": 3600},
        ],
        actor=actor,
    )
    addresses = list(IPAddress.objects.filter(ipv4__in=ADDRESSES).order_by("pk")) or create_many(
        [NewAddress(ipv4=ip, hostname=host, template=template) for ip, host in ADDRESSES.items()],
        actor=actor,
        organization_id=organization.pk,
    )
    pool = pools_of(organization).filter(name="Lighthouse News").first()
    if pool is None:
        pool = create_pool(organization=organization, name="Lighthouse News", ips=[], actor=actor).pool
        add_members(pool=pool, addresses=addresses, actor=actor, organization_id=organization.pk)
    server = create_server(organization=organization, name="News", pool=pool, actor=actor)
    node = Node.objects.filter(name="lighthouse-mta").first()
    if node is None:
        key = create_node(name="lighthouse-mta", kind="postfix", addresses=list(ADDRESSES), actor=actor).key
    else:
        change_node(node=node, addresses=list(ADDRESSES), actor=actor)
        key = rotate_key(node=node, actor=actor).key
    node = Node.objects.get(name="lighthouse-mta")
    if node.revision_id is None:
        # Where changes are published by hand, the node has a policy to begin with.
        publishing.publish(actor=actor, now=timezone.now())
    report_yesterday(server.server, template, now=timezone.now())
    pages = {
        "Server": f"{url}/admin/servers/server/{server.server.pk}/change/",
        "Address": f"{url}/admin/ippools/ipaddress/{addresses[0].pk}/change/",
        "Template": f"{url}/admin/throttling/throttlingtemplate/{template.pk}/change/",
        "Node": f"{url}/admin/nodes/node/{node.pk}/change/",
        "Revisions": f"{url}/admin/nodes/revision/",
    }
    return Made(key, reveal_key(credential=server.smtp_credential, actor=actor), pages)


def counted() -> Counter[str]:
    """Return how many events of the demonstration's server are stored, by type."""
    from django.db.models import Count

    from servers.models import Server
    from stats.kinds import Kind
    from stats.models import Event

    server = Server.objects.living().get(organization__permalink="lighthouse", permalink="news")
    rows = Event.objects.filter(server_id=server.pk).values_list("kind").annotate(Count("kind"))
    return Counter({Kind(kind).label: number for kind, number in rows})


def send(machine: Machine, password: str, number: int, chance: random.Random) -> int:
    """Submit so many messages at the pace of the demonstration; return how many Postfix stopped.

    Some are written to readers whose mailboxes do not exist, as the receivers have said before: the panel has suppressed them.
    """
    domains = list(RECEIVERS)
    weights = [weight for weight, _ in RECEIVERS.values()]
    stopped = 0
    with machine.session(SERVER, password) as client:
        for _ in range(number):
            to = f"reader{chance.randrange(10**9)}@{chance.choices(domains, weights)[0]}"
            if chance.random() < SHARE_OF_UNKNOWN:
                to = next((act.to for act in machine.sink.record.acts if is_unknown(act)), to)
            try:
                client.sendmail(SENDER, [to], "Subject: This week\r\nFrom: news@lighthouse.example\r\n\r\nHello.\r\n")
            except smtplib.SMTPRecipientsRefused:
                stopped += 1
            time.sleep(1 / PER_SECOND)
    return stopped


def is_unknown(act: Act) -> bool:
    """Tell whether a receiver said that the mailbox does not exist, and the node may know it by now."""
    return act.code >= 500 and act.domain in UNKNOWN and act.at < time.time() - SECONDS_TO_SUPPRESS


HEADING = "          " + "".join(f"{domain:>15}" for domain in RECEIVERS) + "".join(f"{ip:>16}" for ip in ADDRESSES)


def line(machine: Machine, since: float) -> str:
    """Return what the receivers saw since then: accepted, deferred and bounced by receiver; answers by sending address."""
    outcomes: dict[str, list[int]] = {domain: [0, 0, 0] for domain in RECEIVERS}
    sources: Counter[str] = Counter()
    for act in machine.sink.record.acts:
        if act.at >= since and act.domain in outcomes:
            outcomes[act.domain][KINDS.index(kind_of(act.code))] += 1
            sources[act.source] += 1
    shown = "".join("{:>15}".format("{}/{}/{}".format(*each)) for each in outcomes.values())
    return f"{time.strftime('%H:%M:%S')}  {shown}" + "".join(f"{sources[ip]:>16}" for ip in ADDRESSES)


def main() -> int:
    """Run until Ctrl-C, or with `--messages N` until that many are sent and counted."""
    parser = argparse.ArgumentParser(prog="make demo-mta", description=__doc__)
    parser.add_argument("--url", default="http://localhost:8000", help="the running panel")
    parser.add_argument("--messages", type=int, help="end after so many, when the panel has counted them all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--prepare", action="store_true", help="only make its records in the panel, and yesterday's mail"
    )
    options = parser.parse_args()
    if options.prepare:
        django.setup()
        prepare(options.url)
        return 0
    if reason := why_not("postfix"):
        print(f"The demonstration cannot run: {reason}.", file=sys.stderr)
        return 1
    try:
        urllib.request.urlopen(f"{options.url}/healthz", timeout=10).close()
    except OSError as error:
        print(f"No panel answers at {options.url} ({error}). Start it with `make run` first.", file=sys.stderr)
        return 1
    # However it is ended, Postfix ends with it.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    django.setup()
    try:
        with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
            inside = stack.enter_context(namespace())
            inside.add_addresses(list(ADDRESSES))
            receivers = Receivers(inside, InventedReceivers(options.seed), InventedNames())
            machine = Machine(inside, "postfix", stack.enter_context(state_folder()), receivers)
            stack.callback(machine.close)
            machine.url = stack.enter_context(reachable(inside, options.url))
            run(machine, options.url, options.messages, random.Random(options.seed))
    except CannotBeMade as error:
        print(f"The demonstration cannot run: {error}.", file=sys.stderr)
        return 1
    return 0


def run(machine: Machine, url: str, messages: int | None, chance: random.Random) -> None:
    """Make the node, wait for its policy, and send."""
    made = prepare(url)
    machine.key_file.write_text(made.key)
    before = counted()
    machine.start_agent()
    machine.until(lambda: (machine.state / "policy.json").exists(), 60, "the first policy")
    machine.until(machine.answers, 60, "Postfix")
    print("Postfix runs by the panel's policy. Look at these pages:")
    for name, page in made.pages.items():
        print(f"  {name:11}{page}")
    print(
        f"Every {EVERY:.0f} seconds, what the receivers answered (accepted/deferred/bounced), and to which address."
        + ("" if messages else " Ctrl-C ends it.")
    )
    print(HEADING, flush=True)
    sent = stopped = 0
    while messages is None or sent < messages:
        began = time.time()
        part = int(PER_SECOND * EVERY) if messages is None else min(int(PER_SECOND * EVERY), messages - sent)
        stopped_now = send(machine, made.password, part, chance)
        stopped += stopped_now
        sent += part - stopped_now
        print(line(machine, began), flush=True)

    def agrees() -> bool:
        acts = [act for act in machine.sink.record.acts if act.sender]
        seen = Counter(kind_of(act.code) for act in acts)
        new = counted() - before
        is_quiet = not acts or acts[-1].at < time.time() - 5
        has_counted = new["incoming"] == sent and new["held"] == stopped
        return is_quiet and has_counted and all(new[kind] == seen[kind] for kind in KINDS)

    machine.until(agrees, 120, "agreement of receivers and panel")
    new = counted() - before
    print(
        f"{sent} messages: {new['sent']} sent, {new['deferred']} deferrals, {new['bounced']} bounced. "
        f"{stopped} more to suppressed recipients were stopped. The receivers and the panel counted the same."
    )


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main())
