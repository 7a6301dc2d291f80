"""The outcomes of readers (events, ignored records, refusals), and functions for parsing their values."""

import datetime
import hashlib
import re
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, NamedTuple, Protocol

# Recipients of one record.
MOST_RECIPIENTS = 5_000
# A time in numbers is of seconds, or of milliseconds where it is so large that seconds would be after the year 5000.
_MILLISECONDS_FROM = 1e11
_LATEST = 1e14
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_from_iso = datetime.datetime.fromisoformat
_sha256 = hashlib.sha256
_ANGLES = re.compile(r"\s*<(.*)>\s*", re.DOTALL)
_NAMED = re.compile(r'(?:[^<>"]|"(?:[^"\\]|\\.)*")*<([^<>"\s]*|"(?:[^"\\]|\\.)*"@[^<>"\s]+)>\s*')
_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?")


class Settings(NamedTuple):
    """The settings of a source for its reader. `now` is used only for the year of a log without years."""

    time_zone: str = "UTC"
    tenant_field: str = ""
    now: float = 0.0
    # Most unpacked bytes of all streams; None: any number.
    limit: int | None = None
    # Syslog names of Postfix, other than Sluice's own, that are names of VirtualMTAs.
    vmtas: frozenset[str] = frozenset()


class Warn(NamedTuple):
    """A warning about an event, which counts nevertheless."""

    code: str
    message: str


class Event(NamedTuple):
    """A native event, and the texts that identify its server and address. See CONTRIBUTING, or docs/adding-a-source.md."""

    index: int  # type: ignore[assignment]  # of a tuple it is a method, which nobody calls here
    fields: dict[str, Any]
    stream: int = 0
    vmta: str = ""
    vmta_id: int | None = None
    texts: tuple[str, ...] = ()
    domain: str = ""
    warnings: tuple[Warn, ...] = ()


class Ignored(NamedTuple):
    """A record that is not counted, with the source's own name of its type."""

    index: int  # type: ignore[assignment]  # of a tuple it is a method, which nobody calls here
    word: str
    stream: int = 0
    detail: str = ""


class Refused(NamedTuple):
    """A record that could not be parsed: a code for programs, a sentence for people."""

    index: int  # type: ignore[assignment]  # of a tuple it is a method, which nobody calls here
    code: str
    message: str
    stream: int = 0


type Outcome = Event | Ignored | Refused


class Reader(Protocol):
    """Reads the streams of a source. Stateful readers continue from their state."""

    def read(self, streams: Iterable[IO[bytes]]) -> Iterator[Outcome]:
        """Yield the outcome of each record."""

    def finish(self) -> Iterator[Outcome]:
        """Yield held events."""

    def state(self) -> dict[str, Any] | None:
        """Return the state for the next streams, or None."""


class BadSignature(Exception):
    """The request is not signed with the source's key; it is refused as a whole."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class BadKey(ValueError):
    """The text is not a valid key or certificate of the format."""


class TooLarge(Exception):
    """The streams hold more bytes, unpacked, than their limit."""


class Unreadable(Exception):
    """The reason why one record is refused."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


type Found = list[Event | Ignored]
# Maps one parsed record; raises Unreadable.
type Mapping_ = Callable[[int, Any, Settings], Found]


class RecordReader:
    """A stateless reader: each record is mapped independently."""

    def __init__(
        self,
        settings: Settings,
        records: Callable[[IO[bytes]], Iterator[tuple[int, Any]]],
        mapping: "Mapping_",
        opened: Callable[[IO[bytes], int | None], IO[bytes]],
    ) -> None:
        self._settings, self._records, self._map, self._open = settings, records, mapping, opened

    def read(self, streams: Iterable[IO[bytes]]) -> Iterator[Outcome]:
        """Yield the outcome of each record; an unreadable record is refused alone."""
        for number, stream in enumerate(streams):
            for index, record in self._records(self._open(stream, self._settings.limit)):
                if type(record) is Refused:
                    yield record._replace(stream=number) if number else record
                    continue
                try:
                    outcomes = self._map(index, record, self._settings)
                except Unreadable as reason:
                    yield Refused(index, reason.code, reason.message, number)
                    continue
                if number:
                    yield from (outcome._replace(stream=number) for outcome in outcomes)
                else:
                    yield from outcomes

    def finish(self) -> Iterator[Outcome]:
        """Yield nothing."""
        return iter(())

    def state(self) -> None:
        """Return None: records are independent."""


def digest(*parts: Any) -> str:
    """Return 20 hexadecimal digits of the parts: the part of an id that distinguishes events of one message."""
    whole = parts[0] if len(parts) == 1 else "\0".join(map(str, parts))
    return _sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    return value if type(value) is dict else {}


def text(value: Any) -> str:
    """Return the value if it is text, or a number as text; else the empty text."""
    if type(value) is str:
        return value
    return str(value) if type(value) in (int, float) else ""


def each_of(value: Any) -> list[Any]:
    """Return the recipients of a record, of which each has an event; [None] where they are no list, or an empty one.

    Raises Unreadable where they are more than any service names at once: as events they take five hundred times their bytes.
    """
    if type(value) is not list or not value:
        return [None]
    if len(value) > MOST_RECIPIENTS:
        raise Unreadable("too_many_recipients", f"A record must not have more than {MOST_RECIPIENTS:,} recipients")
    return value


def record_of(value: Any) -> dict[str, Any]:
    """Return the record; raises Unreadable if it is not a JSON object."""
    if type(value) is not dict:
        raise Unreadable("invalid_event", "A record must be a JSON object")
    return value


def identifier(value: Any, name: str) -> str:
    """Return an id; raises Unreadable."""
    found = text(value)
    if not found or len(found) > 100:
        raise Unreadable("invalid_id", f"{name} must be a text of 1 to 100 characters")
    return found


def moment(value: Any, name: str, zone: str = "") -> datetime.datetime:
    """Return a time, in UTC; raises Unreadable. Numbers are seconds since 1970, or milliseconds by magnitude.

    A text without an offset is in `zone`; without a zone it cannot be read.
    """
    if type(value) is str:
        try:
            at = _from_iso(value[:-1] + "Z" if value[-1:] == "z" else value)
        except ValueError:
            said = value.strip()
            if not (said.isascii() and said.replace(".", "", 1).isdecimal()):
                raise Unreadable("invalid_at", f"{name} must be a time with an offset from UTC") from None
            value = float(said)
        else:
            if at.tzinfo is None:
                if not zone:
                    raise Unreadable("no_offset", f"{name} must have an offset from UTC, or Z")
                at = at.replace(tzinfo=zoneinfo.ZoneInfo(zone))
            if at.tzinfo is datetime.UTC:
                return at
            try:
                return at.astimezone(datetime.UTC)
            except OverflowError:
                raise Unreadable("invalid_at", f"{name} is out of the calendar") from None
    if type(value) in (int, float) and 0 <= value < _LATEST:
        # Rounded to microseconds a float of seconds says what the same moment in RFC 3339 does.
        whole = value / 1000 if value >= _MILLISECONDS_FROM else value
        return EPOCH + datetime.timedelta(microseconds=round(whole * 1_000_000))
    raise Unreadable("invalid_at", f"{name} must be a time, or seconds since 1970")


def stamp(at: datetime.datetime) -> str:
    """Return a UTC time in the format of native events: RFC 3339, truncated to milliseconds."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def earlier(value: Any, zone: str = "") -> datetime.datetime | None:
    """Return the time in an optional field, or None."""
    try:
        return moment(value, "", zone)
    except Unreadable:
        return None


def mailbox(value: Any) -> str | None:
    """Return an address without angle brackets and display name, or None."""
    if type(value) is not str:
        return None
    if "<" in value:
        found = _ANGLES.fullmatch(value) or _NAMED.fullmatch(value)
        if found:
            return found[1]
    return value.strip()


def host(value: Any) -> str:
    """Return the IP address of `192.0.2.1:25` or `[2001:db8::1]:25`, or the empty text."""
    if type(value) is not str:
        return ""
    before, _, after = value.partition(":")
    if after.isdecimal():
        return before
    found = _PORT.fullmatch(value)
    if found:
        return found[1] or found[2]
    return value if ":" in value and "[" not in value else ""


def path(record: Mapping[str, Any], where: str) -> str:
    """Return the text at a path into a record, as `meta.tenant`; the empty text where there is none.

    Names that hold dots themselves are found too, a list gives its first member, and a list of `{"name": …, "value": …}`
    (headers) is looked through by name, in any case.
    """
    if not where:
        return ""
    return _at(record, where)


def tenant(settings: Settings, default: tuple[str, ...], *records: Mapping[str, Any]) -> str | None:
    """Return the tenant in one of the records, at the path of the settings, else at the format's own; or None.

    SendGrid lays unique arguments flat into the event, so `unique_args.tenant` is found as `tenant`, too.
    """
    where = settings.tenant_field
    if not where:
        return _walk(records[0], default) if default else None
    for name in (where, where.partition(".")[2] if where.startswith(("unique_args.", "custom_args.")) else ""):
        for record in records:
            if name and (found := path(record, name)):
                return found
    return None


def _walk(value: Any, names: tuple[str, ...]) -> str | None:
    """Return the text at the names, which are the format's own; of a list its first member."""
    for name in names:
        if type(value) is not dict:
            return None
        value = value.get(name)
    if type(value) is list and value:
        value = value[0]
    return text(value) or None


def _at(value: Any, where: str) -> str:
    if type(value) is list:
        if where and value and type(value[0]) is dict:
            return _header(value, where)
        return _at(value[0], where) if value else ""
    if not where:
        return text(value)
    if type(value) is not dict:
        return ""
    if where in value:
        return _at(value[where], "")
    for name in value:
        if where.startswith(f"{name}.") and (found := _at(value[name], where[len(name) + 1 :])):
            return found
    return next((_at(each, "") for name, each in value.items() if name.lower() == where.lower()), "")


def _header(headers: list[Any], name: str) -> str:
    named = (each for each in headers if type(each) is dict and text(each.get("name")).lower() == name.lower())
    return next((text(each.get("value")) for each in named), "")
