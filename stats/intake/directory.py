"""Resolves the names in events to records, in bulk, with a cache for one run of ingestion."""

import datetime
import ipaddress
import socket
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db.models import QuerySet

from core import sql_lists
from ippools.models import IPAddress
from servers.models import Server
from servers.pools import addresses_of
from stats.counts import buckets
from stats.intake import reported_names, tenures
from stats.intake.explanations import Explanations
from stats.intake.known_names import MOST_REMEMBERED, KnownNames, KnownSender, SenderKey
from stats.intake.numbering import Name, number
from stats.intake.recipients import Recipients
from stats.intake.tenures import Holders
from stats.intake.throttles import Throttles
from stats.models import Sender, SenderDomain, Subject

# Stand for the id of an address: counted for the server alone; refused.
UNKNOWN = 0
NOT_AN_ADDRESS = -1


@dataclass(frozen=True, slots=True)
class Reporter:
    """The reporter of events: a server, for itself only, or the platform (None), for any.

    A machine of the platform's reports for some servers and by some addresses only; None there means any. What a source
    reports is counted by itself (stats.intake.source_counts).
    """

    server: Server | None = None
    servers: QuerySet[Server] | None = None
    addresses: QuerySet[IPAddress] | None = None
    is_source: bool = False
    # What it is and what it is called; of one of the platform's it is remembered by which names it names servers.
    name: str = ""


@dataclass(slots=True)
class ServerEntry:
    id: int
    # The uuid's bytes: part of the event key.
    uuid: bytes
    # What its events have said of their sender.
    senders: dict[SenderKey, KnownSender] = field(compare=False)


class Directory:
    """Dictionaries from texts as written to records; None for unknown texts. Missing texts have not been looked up.

    A directory ages: what is made, moved or deleted after it was asked is not seen. Use one for seconds, not for hours.
    `names` outlive it; without them it begins with none.
    """

    def __init__(self, reporter: Reporter, *, now: datetime.datetime, names: KnownNames | None = None) -> None:
        self.reporter = reporter
        self._names = names or KnownNames()
        # One that has not meant the same server at all times is known by its holders.
        self.servers: dict[str, ServerEntry | Holders[ServerEntry] | None] = {}
        # By text: the id; UNKNOWN where the platform names one that is not ours; None where a server may not name it.
        self.addresses: dict[str, int | None] = {}
        self.throttles = Throttles()
        self.recipients = Recipients(self._names.recipients, today=buckets.day_of(now))
        self.explanations = Explanations(self.recipients.providers.names, today=buckets.day_of(now))
        self._today = buckets.day_of(now)
        self._entries: dict[int, ServerEntry] = {}
        self._labels: dict[tuple[int, int], str] = {}
        self._noted_servers: set[int] = set()
        # Names (two permalinks) of servers that were found and are not noted yet.
        self._named: set[tuple[str, str]] = set()
        self._noted_addresses: set[int] = set()
        # The server that reports for itself.
        self.own = self._own_server()

    def evict(self) -> None:
        """Clear large caches, so that a run of any length takes bounded memory."""
        for known in (self.servers, self.addresses):
            if len(known) > MOST_REMEMBERED:
                known.clear()
        if len(self.recipients.known) > MOST_REMEMBERED:
            # Texts that are no domains have no number, and are not among the names.
            self.recipients.begin_anew(self._names.recipients)
        self.explanations.evict()
        if self._names.is_large():
            # Others may be at those.
            self._names = KnownNames()
            self.recipients.begin_anew(self._names.recipients)
            for entry in self._entries.values():
                entry.senders = self._names.senders.setdefault(entry.id, {})

    # --- Servers and addresses ---------------------------------------------------------------------------------------

    def _own_server(self) -> ServerEntry | None:
        server = self.reporter.server
        if server is None:
            return None
        return self._enter(server.pk, server.uuid, server.organization.permalink, server.permalink)

    def find_servers(self, names: Collection[str]) -> None:
        """Look up servers by uuid, or by the user name of their SMTP credentials (`organization/server`).

        The platform may report for a deleted server by its uuid: mail that was under way goes on bouncing. A user name means
        who had it at the event's time.
        """
        if not names:
            return
        self.servers.update(dict.fromkeys(names))
        # Both are ASCII; what is not need not be shown to the database, which may refuse to read it.
        plain = [name for name in names if name.isascii() and name.isprintable()]
        uuids = {name: parsed for name in plain if (parsed := _uuid(name))}
        if uuids:
            columns = ("pk", "uuid", "organization__permalink", "permalink")
            found = self._reported(Server.objects.filter(uuid__in=uuids.values())).values_list(*columns)
            entries = {row[1]: self._enter(*row) for row in found}
            self.servers.update((name, entries.get(parsed)) for name, parsed in uuids.items())
        if users := {name: (parts[0], parts[2]) for name in plain if (parts := name.partition("/"))[1]}:
            self._find_by_users(users)

    def _reported(self, servers: QuerySet[Server]) -> QuerySet[Server]:
        """Return those of the servers that this reporter may name."""
        if self.reporter.server is not None:
            servers = servers.filter(pk=self.reporter.server.pk)
        if self.reporter.servers is not None:
            servers = servers.filter(pk__in=self.reporter.servers.values("pk"))
        return servers

    def _find_by_users(self, users: dict[str, tuple[str, str]]) -> None:
        found, rows = tenures.find(set(users.values()), only=self.reporter.server)
        # Each holder of a name has its own time, whether or not another holder may be named.
        reported = set(rows)
        if self.reporter.servers is not None:
            named = Server.objects.filter(pk__in=sql_lists.ids(rows))
            reported = set(self._reported(named).values_list("pk", flat=True))
        entries = {pk: self._enter(*row) for pk, row in rows.items() if pk in reported}
        if self.reporter.name:
            self._named |= found.keys() & set(users.values())
        for name, user in users.items():
            held = found.get(user, ())
            if len(held) == 1 and held[0].is_whole:
                self.servers[name] = entries.get(held[0].server)
            elif known := tuple((each, entries[each.server]) for each in held if each.server in reported):
                self.servers[name] = Holders(known)

    def find_addresses(self, names: Collection[str]) -> None:
        """Look up IP addresses of either version; invalid text becomes NOT_AN_ADDRESS."""
        if not names:
            return
        canonical = {name: _canonical_ip(name) for name in names}
        rows = (
            IPAddress.objects.all() if self.reporter.server is None else addresses_of(self.reporter.server.organization)
        )
        if self.reporter.addresses is not None:
            rows = rows.filter(pk__in=self.reporter.addresses.values("pk"))
        found: dict[str, int] = {}
        texts = {ip for ip in canonical.values() if ip}
        for column, wanted in (
            ("ipv4", {ip for ip in texts if ":" not in ip}),
            ("ipv6", {ip for ip in texts if ":" in ip}),
        ):
            if wanted:
                matching = rows.filter(**{f"{column}__in": sql_lists.addresses(wanted)})
                for pk, ip, label in matching.values_list("pk", column, "ipv4"):
                    # PostgreSQL and Python shorten an IPv6 address alike but for rare forms.
                    found[ip if column == "ipv4" else str(ipaddress.ip_address(ip))] = pk
                    self._labels[Subject.Kind.ADDRESS, pk] = label
        unknown = UNKNOWN if self.reporter.server is None else None
        for name, ip in canonical.items():
            self.addresses[name] = NOT_AN_ADDRESS if ip is None else found.get(ip, unknown)

    # --- Domains and senders -----------------------------------------------------------------------------------------

    def number_domains(self, names: Iterable[Name]) -> dict[Name, int]:
        """Return the numbers of sender domains of servers, including new ones, as the dictionary of all cached ones."""
        number(SenderDomain, names, self._names.domains, today=self._today)
        return self._names.domains

    def number_senders(self, names: Iterable[Name]) -> dict[Name, int]:
        """Return the numbers of sender mailboxes of servers, including new ones. The caller caches them."""
        known: dict[Name, int] = {}
        number(Sender, names, known, today=self._today)
        return known

    # --- Subjects ----------------------------------------------------------------------------------------------------

    def note_subjects(self, server_ids: set[int], address_ids: set[int]) -> None:
        """Store the names of servers and addresses, for the time after their deletion."""
        servers, addresses = server_ids - self._noted_servers, address_ids - self._noted_addresses
        if not servers and not addresses:
            return
        wanted = {(int(Subject.Kind.SERVER), each) for each in servers}
        wanted |= {(int(Subject.Kind.ADDRESS), each) for each in addresses if each}
        known = Subject.objects.filter(object_id__in=sql_lists.ids(each for _, each in wanted))
        labels = {(kind, each): label for kind, each, label in known.values_list("kind", "object_id", "label")}
        changed = [
            Subject(kind=kind, object_id=each, label=self._labels[kind, each][:200])
            for kind, each in sorted(wanted)
            if labels.get((kind, each)) != self._labels[kind, each][:200]
        ]
        Subject.objects.bulk_create(
            changed, update_conflicts=True, unique_fields=["kind", "object_id"], update_fields=["label"]
        )
        self._noted_servers |= servers
        self._noted_addresses |= addresses

    def note_names(self) -> None:
        """Write down by which names servers were found."""
        if self._named:
            reported_names.note(self._named, reporter=self.reporter.name, today=self._today)
            self._named.clear()

    def _enter(self, pk: int, uuid_: uuid.UUID, organization: str, permalink: str) -> ServerEntry:
        """Return the server's entry, one for all its names."""
        self._labels[Subject.Kind.SERVER, pk] = f"{organization}/{permalink}"
        if pk not in self._entries:
            self._entries[pk] = ServerEntry(pk, uuid_.bytes, self._names.senders.setdefault(pk, {}))
        return self._entries[pk]


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _canonical_ip(text: str) -> str | None:
    """Return an address as it is stored, or None if it is invalid."""
    try:
        # Nearly all are IPv4, of which there is one way to write it; ipaddress takes ten times as long.
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        pass
    else:
        return text
    try:
        ip = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    # A zone (%eth0) names an interface of one machine, not an address.
    return None if ip.scope_id else str(ip.ipv4_mapped or ip)
