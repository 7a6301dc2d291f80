"""What an event may say: from parsed JSON to rows that can be stored, or the reason why not."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings

from stats import kinds
from stats.counts import buckets
from stats.intake.directory import NOT_AN_ADDRESS, Directory, Name, Said, ServerEntry
from stats.intake.mailboxes import MAX_LENGTH, NotAMailbox, domain_of, parse
from stats.ledger.keys import MILLISECONDS_A_DAY, MILLISECONDS_A_MINUTE, event_key
from stats.ledger.storage import Row

MAX_IDENTIFIER_LENGTH = 128
MOST_DAYS = 40
AHEAD = datetime.timedelta(days=1)
_MICROSECONDS = 1000
_from_iso = datetime.datetime.fromisoformat


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
    """The event is about a server or address that the directory was not asked for yet; it has been noted down."""


class Unnumbered(NamedTuple):
    """A row that lacks the numbers of its domain and sender, which are met for the first time."""

    position: int
    row: Row
    domain: Name | None
    sender: Name | None
    server: ServerEntry
    said: Said


@dataclass(slots=True)
class Reading:
    """What became of some events."""

    # By event key.
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
        self._servers, self._addresses, self._own = directory.servers, directory.addresses, directory.own
        self._oldest = _milliseconds(now - datetime.timedelta(days=settings.SLUICE_EVENT_MAX_AGE))
        self._newest = _milliseconds(now + AHEAD)
        self._days: set[int] = set()
        # Domains of recipients as written, to their provider; None: refused.
        self._recipients: dict[str, int | None] = {"": 0}
        self._wanted_servers: set[str] = set()
        self._wanted_addresses: set[str] = set()
        self._unnumbered: list[Unnumbered] = []

    def read(self, events: Sequence[Any]) -> Reading:
        reading = Reading()
        rows, positions = reading.rows, reading.positions
        self._directory.forget_much()
        if not (self._servers or self._addresses):
            self._look_up_before(events)
        waiting: Sequence[int] = range(len(events))
        while waiting:
            again = []
            for index in waiting:
                try:
                    row = self._row(events[index], index)
                except LookUpFirst:
                    again.append(index)
                except NotTaken as reason:
                    reading.refused.append(Refusal(index, reason.code, reason.message))
                else:
                    if row is None:
                        continue
                    key = row[0]
                    if key in positions:
                        self._keep_first(row, index, reading)
                    else:
                        rows[key], positions[key] = row, index
            self._look_up()
            waiting = again
        if self._unnumbered:
            self._number(reading)
        return reading

    def _look_up_before(self, events: Sequence[Any]) -> None:
        """Look up what can be seen without checking anything: else each event would be read twice."""
        dicts = [event for event in events if type(event) is dict]
        self._wanted_servers = {name for event in dicts if type(name := event.get("server")) is str and name}
        self._wanted_addresses = {ip for event in dicts if type(ip := event.get("ip")) is str}
        self._look_up()

    def _look_up(self) -> None:
        if self._wanted_servers:
            self._directory.find_servers(self._wanted_servers)
            self._wanted_servers.clear()
        if self._wanted_addresses:
            self._directory.find_addresses(self._wanted_addresses)
            self._wanted_addresses.clear()

    def _number(self, reading: Reading) -> None:
        """Number the domains and senders that were met for the first time, all at once, and keep the rows that had to wait."""
        domains = self._directory.number_domains(each.domain for each in self._unnumbered if each.domain)
        senders = self._directory.number_senders(each.sender for each in self._unnumbered if each.sender)
        for position, row, domain, sender, server, said in self._unnumbered:
            ids = domains[domain] if domain else 0, senders[sender] if sender else 0
            server.senders[said] = ids
            self._keep_first((*row[:4], *ids, *row[6:]), position, reading)
        self._unnumbered.clear()

    @staticmethod
    def _keep_first(row: Row, index: int, reading: Reading) -> None:
        """Of events with one key the first counts, even where it had to wait for its look-ups."""
        key = row[0]
        earlier = reading.positions.get(key)
        if earlier is None or index < earlier:
            reading.rows[key], reading.positions[key] = row, index
        if earlier is not None:
            reading.repeated.append((max(index, earlier), key))

    def _row(self, event: Any, position: int) -> Row | None:
        """Return the event's row, None where it waits for numbers; raises LookUpFirst, to be called again, and NotTaken.

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
        name, ip, mailbox, domain = get("server"), get("ip"), get("from"), get("domain")
        server = self._servers.get(name) if type(name) is str else None
        if server is None:
            server = self._server(name)
        address = 0 if ip is None else self._addresses.get(ip) if type(ip) is str else None
        if address is None or address < 0:
            address = self._address(ip)
        provider = self._provider(get("to"))
        said = mailbox if domain is None else (mailbox, domain)
        try:
            ids = server.senders.get(said)
        except TypeError:
            # A list or an object, which is no key of a dictionary.
            ids = None
        key, minute = event_key(at, server.uuid, identifier), at // MILLISECONDS_A_MINUTE
        if ids is None:
            row = key, minute, server.id, address, 0, 0, provider, kind
            self._unnumbered.append(Unnumbered(position, row, *self._sender(server.id, mailbox, domain), server, said))
            return None
        return key, minute, server.id, address, ids[0], ids[1], provider, kind

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

    def _address(self, ip: Any) -> int:
        """Return the address's id, 0 for none."""
        if ip is None:
            return 0
        if type(ip) is not str:
            raise NotTaken("invalid_ip", "ip must be an IP address as text")
        try:
            address = self._addresses[ip]
        except KeyError:
            self._wanted_addresses.add(ip)
            raise LookUpFirst from None
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

    def _sender(self, server: int, mailbox: Any, name: Any) -> tuple[Name | None, Name | None]:
        """Return the domain and the sender that mail came from. A domain in so many words wins over the mailbox's."""
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
        return (server, domain) if domain else None, (server, sender) if sender else None


def _milliseconds(moment: datetime.datetime) -> int:
    since = moment - buckets.EPOCH
    return since.days * MILLISECONDS_A_DAY + since.seconds * 1000 + since.microseconds // _MICROSECONDS


def _mailbox(text: str) -> tuple[str, str] | None:
    if not text:
        # The null sender of a bounce.
        return "", ""
    try:
        return parse(text)
    except NotAMailbox:
        return None
