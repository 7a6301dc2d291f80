"""What an event may say: from parsed JSON to rows that can be stored, or the reason why not."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings

from stats import buckets, kinds
from stats.directory import NOT_AN_ADDRESS, Directory, ServerEntry
from stats.eventkeys import MILLISECONDS_A_DAY, MILLISECONDS_A_MINUTE, event_key
from stats.mailboxes import MAX_LENGTH, NotAMailbox, domain_of, parse
from stats.storage import Row

MAX_IDENTIFIER_LENGTH = 128
MOST_DAYS = 40
AHEAD = datetime.timedelta(days=1)
_MICROSECONDS = 1000
_from_iso = datetime.datetime.fromisoformat
# A server's id, and what it calls something.
type Name = tuple[int, str]
# Mailboxes and domains whose meaning is kept: it depends on nothing but the text.
_REMEMBERED = 50_000


class Refusal(NamedTuple):
    """An event that was not taken: its position in what was sent, a code for programs and a sentence for people."""

    position: int
    code: str
    message: str


class NotTaken(Exception):
    """This will say why one event is refused."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class LookUpFirst(Exception):
    """The event names something that the directory was not asked for yet; it has been noted down."""


@dataclass(slots=True)
class Reading:
    """What became of some events."""

    # By event key, in the order of arrival.
    rows: dict[bytes, Row] = field(default_factory=dict)
    # The position of the event that each row came from.
    positions: dict[bytes, int] = field(default_factory=dict)
    # Positions of events whose key came before in the same reading.
    repeated: list[tuple[int, bytes]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def read(events: Sequence[Any], directory: Directory, *, now: datetime.datetime) -> Reading:
    """Check events, and look up whom they are about.

    Nothing is taken for granted about their shape. More than 40 distinct days at once are refused from the 41st on, in the
    order of the events.
    """
    return _Reader(directory, now).read(events)


class _Reader:
    """Reads in rounds: an event that names something not looked up yet waits until all such names are looked up at once."""

    def __init__(self, directory: Directory, now: datetime.datetime) -> None:
        self._directory = directory
        # The directory's own dictionaries, which it fills: a look into them is what an event costs, so it goes by no detour.
        self._servers, self._addresses, self._mailboxes = directory.servers, directory.addresses, directory.mailboxes
        self._own = directory.own_server()
        self._oldest = _milliseconds(now - datetime.timedelta(days=settings.SLUICE_EVENT_MAX_AGE))
        self._newest = _milliseconds(now + AHEAD)
        self._days: set[int] = set()
        # Domains of recipients as written, to their provider; None: refused.
        self._recipients: dict[str, int | None] = {"": 0}
        self._wanted_servers: set[str] = set()
        self._wanted_addresses: set[str] = set()
        self._wanted_domains: set[Name] = set()
        self._wanted_senders: set[Name] = set()

    def read(self, events: Sequence[Any]) -> Reading:
        reading = Reading()
        self._directory.forget_much()
        self._look_up_before(events)
        waiting: Sequence[int] = range(len(events))
        while waiting:
            again = []
            for index in waiting:
                try:
                    row = self._row(events[index])
                except LookUpFirst:
                    again.append(index)
                except NotTaken as reason:
                    reading.refused.append(Refusal(index, reason.code, reason.message))
                else:
                    self._keep(row, index, reading)
            self._look_up()
            waiting = again
        return reading

    def _look_up_before(self, events: Sequence[Any]) -> None:
        """Look up what can be seen without checking anything: else each event with a new name would be read twice."""
        dicts = [event for event in events if type(event) is dict]
        if not self._servers:
            self._wanted_servers |= {name for event in dicts if type(name := event.get("server")) is str and name}
            self._wanted_addresses |= {ip for event in dicts if type(ip := event.get("ip")) is str}
            self._look_up()
        servers, mailboxes = self._servers, self._mailboxes
        new = {
            pair
            for event in dicts
            if type(mailbox := event.get("from")) is str
            if (server := servers.get(name) if type(name := event.get("server")) is str else self._own)
            if (pair := (server.id, mailbox)) not in mailboxes
            if len(mailbox) <= MAX_LENGTH and event.get("domain") is None
        }
        named: dict[Name, tuple[Name, Name]] = {}
        for pair in new:
            sender, domain = _mailbox(pair[1]) or ("", "")
            if sender:
                named[pair] = (pair[0], domain), (pair[0], sender)
        domains, senders = self._directory.domains, self._directory.senders
        self._wanted_domains |= {of_domain for of_domain, _ in named.values() if of_domain not in domains}
        self._wanted_senders |= {of_sender for _, of_sender in named.values() if of_sender not in senders}
        self._look_up()
        for pair, (of_domain, of_sender) in named.items():
            mailboxes[pair] = domains[of_domain], senders[of_sender]

    def _keep(self, row: Row, index: int, reading: Reading) -> None:
        """Of events with one key the first counts, even where it had to wait for its look-ups."""
        key = row[0]
        earlier = reading.positions.get(key)
        if earlier is None or index < earlier:
            reading.rows[key], reading.positions[key] = row, index
        if earlier is not None:
            reading.repeated.append((max(index, earlier), key))

    def _row(self, event: Any) -> Row:
        """Return the event's row; all names that have to be looked up are noted before LookUpFirst is raised.

        What was seen before is found here, by one look into a dictionary; everything else, wrong values included, is left to
        a method. That halves the time, and this is where most of the time of ingestion goes.
        """
        if type(event) is not dict:
            if isinstance(event, NotTaken):
                # Whoever read the event could not make anything of it.
                raise event
            raise NotTaken("invalid_event", "An event must be a JSON object")
        get = event.get
        identifier = get("id")
        if type(identifier) is not str or not 0 < len(identifier) <= MAX_IDENTIFIER_LENGTH:
            raise NotTaken("invalid_id", f"id must be a string of 1 to {MAX_IDENTIFIER_LENGTH} characters")
        word = get("type")
        kind = kinds.NUMBERS.get(word) if type(word) is str else None
        if kind is None:
            raise NotTaken("unknown_type", f"type must be one of {', '.join(kinds.COLUMNS)}")
        at = self._moment(get("at"))
        name, ip, recipient, mailbox, domain = get("server"), get("ip"), get("to"), get("from"), get("domain")
        server = self._servers.get(name) if type(name) is str else None
        if server is None:
            server = self._server(name)
        address = 0 if ip is None else self._addresses.get(ip) if type(ip) is str else None
        if address is None or address < 0:
            address = self._address(ip)
        provider = self._provider(recipient)
        ids = self._mailboxes.get((server.id, mailbox)) if domain is None and type(mailbox) is str else None
        if ids is None:
            ids = self._sender(server.id, mailbox, domain)
        if address is None or ids is None:
            raise LookUpFirst
        key = event_key(at, server.uuid, identifier)
        return key, at // MILLISECONDS_A_MINUTE, server.id, address, ids[0], ids[1], provider, kind

    def _moment(self, at: Any) -> int:
        """Return the milliseconds since 1970, cut off, as the key holds them."""
        if type(at) is str:
            try:
                since = _from_iso(at) - buckets.EPOCH
            except ValueError:
                raise NotTaken("invalid_at", "at must be a time in ISO 8601, or unix seconds") from None
            except TypeError:
                # A time without an offset has no difference from one that has.
                raise NotTaken("no_offset", "at must have an offset from UTC, or Z") from None
            milliseconds = since.days * MILLISECONDS_A_DAY + since.seconds * 1000 + since.microseconds // _MICROSECONDS
        elif type(at) is int or (type(at) is float and -1e15 < at < 1e15):
            # A float of seconds is a little off (1.001 is less than 1001 milliseconds): rounded to microseconds it says what
            # the same moment in ISO 8601 does, and what is cut off is the same, so that a replay in either is a duplicate.
            milliseconds = round(at * 1_000_000) // _MICROSECONDS
        else:
            raise NotTaken("invalid_at", "at must be a time in ISO 8601, or unix seconds")
        day = milliseconds // MILLISECONDS_A_DAY
        if not self._oldest <= milliseconds <= self._newest:
            if milliseconds < self._oldest:
                raise NotTaken("too_old", f"at is more than {settings.SLUICE_EVENT_MAX_AGE} days ago")
            raise NotTaken("in_future", "at is more than a day ahead")
        if day not in self._days:
            if len(self._days) >= MOST_DAYS:
                raise NotTaken(
                    "too_many_days", f"A batch may have events of {MOST_DAYS} days: send this one again later"
                )
            self._days.add(day)
        return milliseconds

    def _server(self, name: Any) -> ServerEntry:
        if name is None and self._own is not None:
            return self._own
        if type(name) is not str or not name:
            raise NotTaken("unknown_server", "server must be the UUID or the SMTP user of a server")
        try:
            entry = self._servers[name]
        except KeyError:
            self._wanted_servers.add(name)
            raise LookUpFirst from None
        if entry is None:
            raise NotTaken("unknown_server", "The server could not be found")
        return entry

    def _address(self, ip: Any) -> int | None:
        """Return the address's id, 0 for none, None where it has to be looked up."""
        if ip is None:
            return 0
        if type(ip) is not str:
            raise NotTaken("invalid_ip", "ip must be an IP address as text")
        try:
            address = self._addresses[ip]
        except KeyError:
            self._wanted_addresses.add(ip)
            return None
        if address is None:
            raise NotTaken("unknown_ip", "ip is not an address of a pool of the server's organization")
        if address == NOT_AN_ADDRESS:
            raise NotTaken("invalid_ip", "ip must be an IP address as text")
        return address

    def _provider(self, recipient: Any) -> int:
        """Return the provider of a recipient, of whom only the domain matters: who it was is not kept."""
        if recipient is None:
            return 0
        if type(recipient) is not str or len(recipient) > MAX_LENGTH:
            raise NotTaken("invalid_to", "to must be a mailbox address")
        local, _, name = recipient.rpartition("@")
        try:
            provider = self._recipients[name]
        except KeyError:
            domain = domain_of(name)
            provider = None if domain is None else self._directory.providers.of(domain)
            self._recipients[name] = provider
        if provider is None or (recipient and not (local and name)):
            raise NotTaken("invalid_to", "to must be a mailbox address")
        return provider

    def _sender(self, server: int, mailbox: Any, name: Any) -> tuple[int, int] | None:
        """Return the ids of domain and sender, 0 for none; None where they have to be looked up."""
        sender = domain = ""
        if mailbox is not None:
            parsed = _mailbox(mailbox) if type(mailbox) is str and len(mailbox) <= MAX_LENGTH else None
            if parsed is None:
                raise NotTaken("invalid_from", "from must be a mailbox address")
            sender, domain = parsed
        if name is not None:
            # Texts that are surely too long are not looked at: what has been read is remembered.
            named = domain_of(name) if type(name) is str and len(name) <= MAX_LENGTH else None
            if named is None and name != "":
                raise NotTaken("invalid_domain", "domain must be a domain name")
            domain = named or domain
        domain_id = self._number(self._directory.domains, self._wanted_domains, server, domain)
        sender_id = self._number(self._directory.senders, self._wanted_senders, server, sender)
        if domain_id is None or sender_id is None:
            return None
        if name is None and mailbox is not None:
            self._mailboxes[server, mailbox] = domain_id, sender_id
        return domain_id, sender_id

    def _number(self, known: dict[Name, int], wanted: set[Name], server: int, name: str) -> int | None:
        if not name:
            return 0
        number = known.get((server, name))
        if number is None:
            wanted.add((server, name))
        return number

    def _look_up(self) -> None:
        if self._wanted_servers:
            self._directory.find_servers(self._wanted_servers)
        if self._wanted_addresses:
            self._directory.find_addresses(self._wanted_addresses)
        if self._wanted_domains:
            self._directory.find_domains(self._wanted_domains)
        if self._wanted_senders:
            self._directory.find_senders(self._wanted_senders)
        for wanted in (self._wanted_servers, self._wanted_addresses, self._wanted_domains, self._wanted_senders):
            wanted.clear()


def _milliseconds(moment: datetime.datetime) -> int:
    since = moment - buckets.EPOCH
    return since.days * MILLISECONDS_A_DAY + since.seconds * 1000 + since.microseconds // _MICROSECONDS


@lru_cache(_REMEMBERED)
def _mailbox(text: str) -> tuple[str, str] | None:
    if not text:
        # The null sender of a bounce.
        return "", ""
    try:
        return parse(text)
    except NotAMailbox:
        return None
