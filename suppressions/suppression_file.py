"""Suppression lists as CSV files: import, with every fault named by its line, and export."""

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from core import ends
from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.csv_table import Row, plain
from core.encryption import decrypt
from core.errors import Fault, Invalid, QuotaExceeded
from servers.models import Organization, Server
from suppressions import lists
from suppressions.addresses import MOST_INTERNATIONAL, NotAnAddress, entered, masked, normalized, pasted
from suppressions.keys import Keys
from suppressions.lists import Entry
from suppressions.models import Reason, Suppression, SuppressionList

COLUMNS = ("organization", "server", "address", "expires_at")
# What a file may have beside them and what it says of the row: that of PowerMTA's accounting files, of event logs, of contacts.
STATES = ("type", "status", "event", "code", "dsnaction")
# Mailgun's, of what somebody has unsubscribed from. Beside a state they are those of a contact.
TAGS = "tags"
READ = (*COLUMNS, *STATES, TAGS)
EXPORTED = (
    "organization", "server", "address", "masked_address", "reason", "event", "suppressed_by", "suppressed_at", "expires_at",
)  # fmt: skip
# What the lists of SES, SendGrid, Mailgun, Postmark, GreenArrow and PowerMTA call the address, as plain names.
ALIASES = dict.fromkeys(
    (
        "email", "emailaddress", "mail", "mailaddress", "recipient", "recipientaddress", "recipientemail", "rcpt",
        "suppressedaddress", "suppressedemail",
    ),
    "address",
)  # fmt: skip
# Of a file that was exported here, and of their lists, what an import does not set.
PASSED_OVER = (
    *(name for name in EXPORTED if name not in READ),
    "added", "added at", "bounced at", "created", "created at", "created on", "date", "date added", "description",
    "error", "id", "ip", "last update time", "list", "message id", "notes", "origin", "source", "stream",
    "subject", "suppression reason", "suppressed on", "tag", "timestamp", "updated", "updated at",
    # Of PowerMTA's accounting files.
    "time logged", "time queued", "orig", "orcpt", "dsn status", "dsn diag", "dsn mta", "bounce cat", "src type",
    "src mta", "dlv type", "dlv source ip", "dlv destination ip", "dlv esmtp available", "dlv size", "vmta", "vmta pool",
    "job id", "env id", "queue", "repeat count", "format", "user string", "report id", "feedback type",
)  # fmt: skip
# Whose rows are of deliveries, too: PowerMTA's, by the letters of a bounce, a late bounce and a feedback loop.
BOUNCES = ("b", "rb", "f")
# The words, as plain names, by which the vendors say that they send no more mail to an address. Lists of contacts have others
# in the same columns: active, subscribed, unconfirmed, delivered, soft bounce, blocked (SendGrid: for now).
SUPPRESSED = frozenset(
    (
        "abuse", "blacklisted", "blocklisted", "bounce", "bounced", "cleaned", "complained", "complaint", "donotcontact",
        "donotmail", "dropped", "hardbounce", "hardbounced", "junk", "markedasspam", "optedout", "optout", "permanentbounce",
        "permanentfail", "reportedspam", "spam", "spamcomplaint", "spamreport", "suppressed", "undeliverable", "unsubscribe",
        "unsubscribed",
    )
)  # fmt: skip
# SparkPost's words for the kind of mail that it sends no more of to an address.
PARTIAL = frozenset(("transactional", "nontransactional"))
# Tags as a list or as text; this one is for all messages.
_TAG = re.compile(r"[^\[\]\"',;|\s]+")
_EVERY_TAG = "*"
# A reply of SMTP that is final, or its enhanced code (RFC 3463); SendGrid's and Mailgun's lists have them.
_FINAL = re.compile(r"5\d\d|5\.\d{1,3}\.\d{1,3}", re.ASCII)
MOST_ROWS = 20_000
# Rows of a file that is exported, the newest.
MOST_EXPORTED = 100_000
_INTERNATIONAL = 5 * MOST_INTERNATIONAL


@dataclass(frozen=True, slots=True)
class Imported:
    """How many addresses a file suppressed, and how many of its addresses were suppressed already."""

    added: int
    present: int


@atomic_act
def import_rows(
    rows: Sequence[Row], *, organizations: QuerySet[Organization], at: datetime.datetime, actor: Actor
) -> Imported:
    """Suppress the addresses of a file, in some of these organizations. All or nothing.

    Raises Invalid with a fault for each line that is refused (`line 3.address`), and QuotaExceeded. An empty organization
    stands for the only one that there is, an empty server for all of the organization's.
    """
    if len(rows) > MOST_ROWS:
        line = rows[MOST_ROWS].line
        raise Invalid(Fault(f"line {line}", f"is over the limit: a file can have {MOST_ROWS:,} rows"))
    reader = _Reader(rows, organizations, at)
    entries = [entry for row in rows if (entry := reader.entry(row)) is not None]
    if reader.faults:
        raise Invalid(*reader.faults)
    added = present = 0
    if entries:
        held = lists.held({entry.organization_id for entry in entries})
        sizes = {pk: of.number for pk, of in held.items()}
        written = lists.write(entries, held, Keys.ensured(at=at), at=at, actor_label=actor.label)
        if written.beyond:
            raise QuotaExceeded("An organization of the file has as many suppressions as the platform allows")
        added, present = written.added, written.present
        for pk, of in held.items():
            _record(of, of.number - sizes[pk], actor)
    return Imported(added, present)


def _record(of: SuppressionList, changes: int, actor: Actor) -> None:
    if changes:
        after = {"changes": changes, "reason": Reason.IMPORT.value}
        record(actor=actor, act="suppression.imported", target=of, after=after, organization_id=of.pk)


class _BadCell(Exception):
    def __init__(self, column: str, message: str) -> None:
        self.column, self.message = column, message
        super().__init__(message)


class _Reader:
    """Reads the rows of a file, and collects their faults."""

    def __init__(self, rows: Sequence[Row], organizations: QuerySet[Organization], at: datetime.datetime) -> None:
        self.faults: list[Fault] = []
        self._at = at
        self._characters = 0
        named = {row.code("organization") for row in rows} - {""}
        self._organizations = {each.permalink: each for each in organizations.filter(permalink__in=sorted(named))}
        if any(not row.code("organization") for row in rows):
            # Two tell that the choice is not clear.
            only = list(organizations.order_by("pk")[:2])
            if len(only) == 1:
                self._organizations[""] = only[0]
        servers = Server.objects.living().filter(
            organization__in=[each.pk for each in self._organizations.values()],
            permalink__in=sorted({row.code("server") for row in rows} - {""}),
        )
        self._servers: Mapping[tuple[int, str], int] = {
            (organization, permalink): pk
            for organization, permalink, pk in servers.values_list("organization_id", "permalink", "pk")
        }

    def entry(self, row: Row) -> Entry | None:
        """Return what a row suppresses; None where it is refused."""
        try:
            return self._read(row)
        except _BadCell as bad:
            self.faults.append(Fault(f"line {row.line}.{bad.column}", bad.message))
            return None

    def _read(self, row: Row) -> Entry:
        named = row.code("organization")
        organization = self._organizations.get(named)
        if organization is None:
            raise _BadCell("organization", "could not be found" if named else "is required")
        server = self._servers.get((organization.pk, row.code("server")))
        if server is None and row.code("server"):
            raise _BadCell("server", "could not be found")
        expires_at = _moment(row.code("expires_at"))
        for fault in ends.faults_of("expires_at", expires_at, at=self._at):
            raise _BadCell(fault.path, fault.message)
        if not row.code("address") and row.text("masked_address"):
            # Before its other columns, whose refusals say how to import the row all the same.
            raise _BadCell("address", "is required, and this organization's addresses are not kept")
        exported = _as_exported(row)
        for column in STATES:
            # Exported here, the event is the id of the one that suppressed the address, in the words of its source.
            if not (exported and column == "event") and not _is_suppressed(column, row.code(column)):
                raise _BadCell(column, _not_suppressed(column, row.code(column)))
        tags = row.code(TAGS)
        if tags and _EVERY_TAG not in _TAG.findall(tags) and not any(map(row.code, STATES)):
            raise _BadCell(TAGS, _not_suppressed(TAGS, tags))
        address = exported or self._address(row.code("address"))
        return Entry(organization.pk, organization.uuid, server, address, Reason.IMPORT, expires_at)

    def _address(self, text: str) -> str:
        text = pasted(text)
        domain = text.rpartition("@")[2]
        self._characters += 0 if domain.isascii() else len(domain)
        if self._characters > _INTERNATIONAL:
            raise _BadCell("address", "is over the limit: import fewer domains that are not ASCII at once")
        try:
            return entered(text)
        except NotAnAddress:
            raise _BadCell("address", "must be an e-mail address") from None


def _as_exported(row: Row) -> str | None:
    """Return the address of a row that was exported here; None of another row.

    Events name recipients as they are, and some look like several addresses, or like a link: beside its own mask, such a text
    is one address.
    """
    text = row.text("address")
    # Domains are exported as A-labels.
    if not row.text("masked_address") or not text.rpartition("@")[2].isascii():
        return None
    try:
        address = normalized(text)
    except NotAnAddress:
        return None
    return address if masked(address) == row.text("masked_address") else None


def _is_suppressed(column: str, text: str) -> bool:
    """Whether a cell that says what became of an address lets it be suppressed; an empty one says nothing."""
    if column == "code":
        # Of a list of bounces, where Mailgun has codes of its own; a log has those of deliveries too.
        return not text.startswith("2")
    if not text or plain(text) in SUPPRESSED or _FINAL.match(text):
        return True
    # PowerMTA's letters; and its word for a bounce, which elsewhere is for what is tried again, too.
    return (column == "type" and text.lower() in BOUNCES) or (column == "dsnaction" and text == "failed")


def _not_suppressed(column: str, text: str) -> str:
    if column == TAGS or plain(text) in PARTIAL:
        return (
            f"is “{text[:40]}”: the address is suppressed for that kind of mail alone, and here it would be for all mail. Leave"
            " out the row, or empty the cell to suppress the address all the same"
        )
    return (
        f"is “{text[:40]}”, which does not say that the address is suppressed: leave out the row, or empty the cell to suppress"
        " the address all the same"
    )


def _moment(text: str) -> datetime.datetime | None:
    """Return the time that a cell names, a date's midnight in UTC; None where it is empty. Raises _BadCell."""
    if not text:
        return None
    try:
        # It reads dates too.
        found = datetime.datetime.fromisoformat(text)
        return found.astimezone(datetime.UTC) if found.tzinfo else found.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        # The last hours of the year 9999 are after it in UTC.
        raise _BadCell("expires_at", "must be a date or time, such as 2027-01-31") from None


def rows_of(suppressions: QuerySet[Suppression]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each of the newest entries; the address where it is kept."""
    chosen = suppressions.select_related("organization", "server").order_by("-pk")[:MOST_EXPORTED]
    for each in chosen.iterator(chunk_size=2_000):
        yield (
            each.organization.permalink,
            each.server.permalink if each.server else "",
            decrypt(each.address) if each.address else "",
            each.masked,
            each.reason,
            each.event_id,
            each.actor_label,
            each.created_at.isoformat(),
            each.expires_at.isoformat() if each.expires_at else "",
        )
