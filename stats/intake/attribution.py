"""Attributes events of a source to a server and an address, where the event does not name them in native form.

In this order: a tenant that the event names; the source's mapping of its texts; the sender's domain, where exactly one server
had it verified at the event's time; the source's default server. A tenant that is named and unknown is never replaced, unless
the mapping has its own name: MTAs that were there before Sluice call their customers otherwise.
"""

from collections.abc import Sequence
from typing import Any

from core import sql_lists
from core.names import fold
from ippools.models import IPAddress
from stats.intake import address_names, timestamps, verified_domains
from stats.intake.address_names import Bearers
from stats.intake.mailboxes import domain_of
from stats.intake.remarks import EventRefused, Remark
from stats.intake.sources import Event
from stats.intake.verified_domains import Owners
from stats.models import EventSource, SourceMapping

_UNKNOWN_VMTA = "unknown_vmta"


class Attribution:
    """The look-ups of one source, cached for one run of ingestion."""

    def __init__(self, source: EventSource) -> None:
        self._default = str(source.default_server.uuid) if source.default_server else None
        self._mapping = {
            text: str(uuid)
            for text, uuid in SourceMapping.objects.filter(source=source).values_list("text", "server__uuid")
        }
        self._domains: dict[str, str | Owners | None] = {}
        self._by_id: dict[int, str | None] = {}
        self._by_name: dict[str, str | Bearers | None] = {}

    def resolve(self, events: Sequence[Event]) -> tuple[list[Any], list[Remark]]:
        """Return the native events with server and address, and the warnings by position."""
        self._look_up(events)
        warnings: list[Remark] = []
        natives = []
        for position, event in enumerate(events):
            fields = event.fields
            if type(fields) is not dict:
                natives.append(fields)
                continue
            named = fields.get("server")
            if named is None:
                if (server := self._server_of(event)) is not None:
                    fields["server"] = server
            elif self._mapping and type(named) is str and "/" not in named:
                fields["server"] = self._mapping.get(named, named)
            if fields.get("ip") is None and (event.vmta_id is not None or event.vmta):
                ip = self._address_of(event)
                if ip is None:
                    message = f"The event counts without an address: {_called(event)} is not an IP address of ours"
                    warnings.append(Remark(position, _UNKNOWN_VMTA, message))
                else:
                    fields["ip"] = ip
            warnings += [Remark(position, warn.code, warn.message) for warn in event.warnings]
            natives.append(fields)
        return natives, warnings

    def _server_of(self, event: Event) -> str | None:
        for text in event.texts:
            if text in self._mapping:
                return self._mapping[text]
        found = self._domains.get(_domain(event))
        return (_at(event, found) if isinstance(found, Owners) else found) or self._default

    def _address_of(self, event: Event) -> str | None:
        if event.vmta_id is not None:
            return self._by_id.get(event.vmta_id)
        found = self._by_name.get(event.vmta)
        return _at(event, found) if isinstance(found, Bearers) else found

    def _look_up(self, events: Sequence[Event]) -> None:
        nameless = [event for event in events if type(event.fields) is dict and event.fields.get("server") is None]
        domains = {domain for event in nameless if (domain := _domain(event))} - self._domains.keys()
        if domains:
            self._domains |= verified_domains.find(domains)
        unaddressed = [event for event in events if type(event.fields) is dict and event.fields.get("ip") is None]
        ids = {event.vmta_id for event in unaddressed if event.vmta_id is not None} - self._by_id.keys()
        if ids:
            storable = [each for each in ids if 0 < each < 2**63]
            rows = IPAddress.objects.filter(pk__in=sql_lists.ids(storable)).values_list("pk", "ipv4")
            self._by_id |= dict.fromkeys(ids) | dict(rows)
        names = {event.vmta for event in unaddressed if event.vmta} - self._by_name.keys()
        if names:
            folded = {name: fold(name) for name in names if name.isprintable()}
            found = address_names.find(set(folded.values()))
            self._by_name |= {name: found.get(folded.get(name, "")) for name in names}


def _domain(event: Event) -> str:
    """Return the sender's domain as a lower-case A-label, or the empty text."""
    mailbox = event.fields.get("from")
    text = mailbox.rpartition("@")[2] if type(mailbox) is str and "@" in mailbox else event.domain
    return (domain_of(text.strip("<>")) or "") if text else ""


def _at(event: Event, owners: Owners | Bearers) -> str | None:
    try:
        return owners.at(timestamps.parse(event.fields.get("at")))
    except EventRefused:
        # It is refused for its time.
        return None


def _called(event: Event) -> str:
    return f"VirtualMTA {event.vmta_id}" if event.vmta_id is not None else f"VirtualMTA {event.vmta[:100]}"
