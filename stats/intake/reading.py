"""Validates events: from parsed JSON to rows, or the reason for refusal.

Three passes over the events of a batch: what can be checked alone is checked and the names are collected; the names are
looked up, all at once; the rows are built.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from stats import kinds
from stats.intake import details
from stats.intake.details import Details
from stats.intake.directory import NOT_AN_ADDRESS, Directory, ServerEntry
from stats.intake.explanations import NOTHING, reply_of
from stats.intake.known_names import SenderKey
from stats.intake.mailboxes import MAX_LENGTH, NotAMailbox, domain_of, parse
from stats.intake.recipients import NOBODY, Recipient
from stats.intake.remarks import EventRefused, Remark
from stats.intake.tenures import Holders
from stats.intake.throttles import UNKNOWN
from stats.intake.timestamps import Timestamps
from stats.ledger.keys import MILLISECONDS_A_MINUTE, event_key
from stats.ledger.row import Row, is_same
from stats.reasons import Reason

MAX_IDENTIFIER_LENGTH = 128
_NO_TEXTS = {
    "server": ("unknown_server", "server must be the UUID or the SMTP user of a server"),
    "ip": ("invalid_ip", "ip must be an IP address as text"),
    "domain": ("invalid_domain", "domain must be a domain name"),
}
_NO_SERVER = ("unknown_server", "server is left out: it must be the UUID or the SMTP user of a server")
_NUMBER_OF = kinds.NUMBERS.get
_NO_SENDER = ("invalid_from", "from is left out: it must be a mailbox address")
_NO_RECIPIENT = ("invalid_to", "to is left out: it must be a mailbox address")


# An event whose own fields are checked, until its names are looked up: its position, id, kind, milliseconds, server, address,
# sender, recipient, the recipient's domain as written, and optional fields. A plain tuple: to make a named one takes as long
# as a tenth of all that reading does.
type PendingEvent = tuple[int, str, int, int, str | None, str | None, SenderKey, str, str, Details]
_AT: Final = 3
_SERVER: Final = 4
_IP: Final = 5
_SENDER: Final = 6
_DOMAIN: Final = 8


@dataclass(slots=True)
class Reading:
    """The outcome of some events."""

    # By event key.
    rows: dict[bytes, Row] = field(default_factory=dict)
    # The position of the event that each row came from.
    positions: dict[bytes, int] = field(default_factory=dict)
    # Positions of events whose key came before in the same reading: with the same content, and with other content.
    repeated: list[tuple[int, bytes]] = field(default_factory=list)
    contradicting: list[tuple[int, bytes]] = field(default_factory=list)
    ignored: int = 0
    warnings: list[Remark] = field(default_factory=list)
    refused: list[Remark] = field(default_factory=list)


def read(events: Sequence[Any], directory: Directory, *, now: datetime.datetime) -> Reading:
    """Validate events, and look up their servers, addresses and domains.

    Nothing is taken for granted about their shape. More than 40 distinct days at once are refused from the 41st on, in the
    order of the events.
    """
    directory.evict()
    reading = Reading()
    noted = _collect(events, reading, Timestamps(now))
    _look_up_names(noted, directory)
    _build(noted, directory, reading)
    return reading


# --- The first pass: each event by itself ------------------------------------------------------------------------------


def _collect(events: Sequence[Any], reading: Reading, timestamps: Timestamps) -> list[PendingEvent]:
    noted = []
    for position, event in enumerate(events):
        try:
            each = _note(event, position, reading, timestamps)
        except EventRefused as reason:
            reading.refused.append(Remark(position, reason.code, reason.message))
        else:
            if each is None:
                reading.ignored += 1
            else:
                noted.append(each)
    return noted


def _note(event: Any, position: int, reading: Reading, timestamps: Timestamps) -> PendingEvent | None:
    """Check what can be checked of one event alone; None where it is of a type that is not counted. Raises EventRefused."""
    if type(event) is not dict:
        raise _no_object(event)
    get = event.get
    word = get("type")
    kind = _NUMBER_OF(word) if type(word) is str else None
    if kind is None:
        if word == kinds.IGNORED:
            return None
        raise EventRefused("unknown_type", f"type must be one of {', '.join(kinds.COLUMNS)}")
    identifier = get("id")
    if type(identifier) is not str or not 0 < len(identifier) <= MAX_IDENTIFIER_LENGTH:
        raise EventRefused("invalid_id", f"id must be a string of 1 to {MAX_IDENTIFIER_LENGTH} characters")
    at = timestamps.read(get("at"))
    server, ip, domain, mailbox = get("server"), get("ip"), get("domain"), get("from")
    if (
        (server is not None and (type(server) is not str or not server))
        or (ip is not None and type(ip) is not str)
        or (domain is not None and type(domain) is not str)
    ):
        raise _no_text(server, ip)
    if mailbox is not None and type(mailbox) is not str:
        _warn(reading, position, *_NO_SENDER)
        mailbox = None
    to = get("to")
    if to is None:
        to = ""
    elif type(to) is not str or to[:1] == "<":
        to = _odd_recipient(to, position, reading)
    explained = details.NONE
    if not details.FIELDS.isdisjoint(event):
        explained = details.read(event, partial(_warn, reading, position))
    sender_key = mailbox if domain is None else (mailbox, domain)
    return position, identifier, kind, at, server, ip, sender_key, to, to.rpartition("@")[2], explained


def _no_text(server: Any, ip: Any) -> EventRefused:
    """Return why an event is refused whose server, address or domain is not a text."""
    if server is not None and (type(server) is not str or not server):
        return EventRefused(*_NO_TEXTS["server"])
    if ip is not None and type(ip) is not str:
        return EventRefused(*_NO_TEXTS["ip"])
    return EventRefused(*_NO_TEXTS["domain"])


def _no_object(event: Any) -> EventRefused:
    """Return why something that is not a JSON object is refused."""
    # The reader could not parse the event.
    return event if isinstance(event, EventRefused) else EventRefused("invalid_event", "An event must be a JSON object")


def _odd_recipient(to: Any, position: int, reading: Reading) -> str:
    """Return a recipient without its angle brackets; empty if it is no text."""
    if type(to) is not str:
        _warn(reading, position, *_NO_RECIPIENT)
        return ""
    if to[-1:] == ">":
        _warn(reading, position, "invalid_to", "to is read without its angle brackets")
        return to[1:-1]
    return to


def _warn(reading: Reading, position: int, code: str, message: str) -> None:
    reading.warnings.append(Remark(position, code, message))


# --- The second pass: names --------------------------------------------------------------------------------------------


def _look_up_names(noted: Sequence[PendingEvent], directory: Directory) -> None:
    """Look up all unknown names of the events, in a constant number of queries."""
    servers, addresses, recipients = directory.servers, directory.addresses, directory.recipients
    directory.find_servers({name for each in noted if (name := each[_SERVER]) is not None and name not in servers})
    directory.find_addresses({ip for each in noted if (ip := each[_IP]) is not None and ip not in addresses})
    recipients.find({name for each in noted if (name := each[_DOMAIN]) not in recipients.known and name})
    directory.explanations.find(
        reply
        for _, _, kind, _, _, _, _, _, domain, explained in noted
        if explained is not details.NONE
        and kind in kinds.EXPLAINED
        and (reply := reply_of(explained, _provider(domain, directory))) is not None
    )
    directory.throttles.load(
        {address for each in noted if (ip := each[_IP]) and (address := addresses[ip]) and address > 0}
    )
    entries: dict[int, ServerEntry] = {}
    unknown: set[tuple[int, SenderKey]] = set()
    own = directory.own
    for each in noted:
        name, sender = each[_SERVER], each[_SENDER]
        server = own if name is None else servers[name]
        if isinstance(server, Holders):
            server = server.at(each[_AT])
        # By id: one server may be called by several names.
        if server is not None and sender not in server.senders:
            entries[server.id] = server
            unknown.add((server.id, sender))
    if unknown:
        _number_senders(unknown, entries, directory)


def _provider(domain: str, directory: Directory) -> int:
    recipient = directory.recipients.known[domain] if domain else None
    return recipient.provider if recipient else NOBODY.provider


def _number_senders(unknown: set[tuple[int, SenderKey]], entries: dict[int, ServerEntry], directory: Directory) -> None:
    """Assign numbers to new senders: domain and mailbox."""
    read_ = {(server, sender_key): _read_sender(sender_key) for server, sender_key in unknown}
    senders = directory.number_senders(
        (server, sender.mailbox) for (server, _), sender in read_.items() if sender.mailbox
    )
    domains = directory.number_domains(
        (server, sender.domain) for (server, _), sender in read_.items() if sender.domain
    )
    for (server, sender_key), sender in read_.items():
        entries[server].senders[sender_key] = (
            domains[server, sender.domain] if sender.domain else 0,
            senders[server, sender.mailbox] if sender.mailbox else 0,
            sender.problem,
            sender.warning,
        )


class _ParsedSender(NamedTuple):
    mailbox: str
    domain: str
    # Why the event is refused, or what is left out of it.
    problem: str = ""
    warning: str = ""


def _read_sender(sender_key: SenderKey) -> _ParsedSender:
    """Parse an event's sender. An explicit domain takes precedence over the mailbox's."""
    text: str | None
    text, name = sender_key if isinstance(sender_key, tuple) else (sender_key, None)
    mailbox = domain = warning = ""
    if text is not None:
        if text[:1] == "<" and text[-1:] == ">":
            text, warning = text[1:-1], "from is read without its angle brackets"
        if text:
            try:
                mailbox, domain = parse(text)
            except NotAMailbox:
                warning = _NO_SENDER[1]
    if name is not None:
        named = domain_of(name)
        if named is None and name != "":
            return _ParsedSender("", "", problem="domain must be a domain name")
        domain = named or domain
    return _ParsedSender(mailbox, domain, warning=warning)


# --- The third pass: rows ----------------------------------------------------------------------------------------------


def _build(noted: Sequence[PendingEvent], directory: Directory, reading: Reading) -> None:
    rows, positions = reading.rows, reading.positions
    for each in noted:
        try:
            row = _row(each, directory, reading)
        except EventRefused as reason:
            reading.refused.append(Remark(each[0], reason.code, reason.message))
            continue
        key = row[0]
        if key not in rows:
            rows[key], positions[key] = row, each[0]
        elif is_same(row, rows[key]):
            reading.repeated.append((each[0], key))
        else:
            reading.contradicting.append((each[0], key))


def _row(noted: PendingEvent, directory: Directory, reading: Reading) -> Row:
    """Return the row of an event whose names are looked up. Raises EventRefused."""
    position, identifier, kind, at, name, ip, sender_key, to, to_domain, explained = noted
    server = directory.own if name is None else directory.servers[name]
    if isinstance(server, Holders):
        server = server.at(at)
    if server is None:
        if name is None:
            raise EventRefused(*_NO_SERVER)
        raise EventRefused("unknown_server", "The server could not be found")
    address = _address(ip, directory) if ip is not None else 0
    domain, sender, problem, warning = server.senders[sender_key]
    if problem:
        raise EventRefused("invalid_domain", problem)
    if warning:
        _warn(reading, position, "invalid_from", warning)
    recipient = NOBODY
    if to:
        recipient, to = _recipient(to, to_domain, position, directory, reading)
    reason = NOTHING
    if explained is not details.NONE and kind in kinds.EXPLAINED:
        reply = reply_of(explained, _provider(to_domain, directory))
        if reply is not None:
            reason = directory.explanations.known[reply]
            if kind not in kinds.REPLIED and reason.reason != Reason.SUPPRESSED:
                reason = NOTHING
    return (
        event_key(at, server.uuid, kind, identifier, to),
        at // MILLISECONDS_A_MINUTE,
        server.id,
        address,
        domain,
        sender,
        recipient.provider,
        kind,
        reason.reason,
        details.power_of_two(explained.seconds),
        reason.signature,
        recipient.id,
        _rule(address, recipient, explained.rule, position, directory, reading),
    )


def _recipient(to: str, name: str, position: int, directory: Directory, reading: Reading) -> tuple[Recipient, str]:
    """Return the recipient's domain, and the recipient as a part of the event's identity.

    Of a recipient that cannot be read the text itself is part of it: two of one message stay two.
    """
    recipient = directory.recipients.known[name] if name else None
    local = to[: -len(name) - 1] if name else ""
    if recipient is None or not local or len(to) > MAX_LENGTH:
        _warn(reading, position, *_NO_RECIPIENT)
        return NOBODY, to
    return recipient, f"{local.lower()}@{recipient.domain}"


def _address(ip: str, directory: Directory) -> int:
    address = directory.addresses[ip]
    if address is None:
        raise EventRefused("unknown_ip", "ip is not an address of a pool of the server's organization")
    if address == NOT_AN_ADDRESS:
        raise EventRefused(*_NO_TEXTS["ip"])
    return address


def _rule(
    address: int, recipient: Recipient, named: int | None, position: int, directory: Directory, reading: Reading
) -> int:
    """Return the event's throttling rule, else the one for the recipient's domain, else UNKNOWN."""
    rules = directory.throttles.by_address.get(address)
    if rules is None:
        return UNKNOWN
    if named is not None:
        if named in rules.ids:
            return named
        _warn(reading, position, "invalid_rule", "rule is left out: the address has no rule with this id")
    return UNKNOWN if recipient is NOBODY else rules.of(recipient.domain)
