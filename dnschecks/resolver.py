"""The DNS resolver: queries and their outcomes.

A `Resolver` is one check's view of DNS: it asks each question once, within one time limit, and never raises for what DNS did.
The outcome says whether the answer is a fact about the domain or a failure of the resolver: a check may act on facts only.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
from django.conf import settings
from dns.rdata import Rdata

from dnschecks.bounded_server import BoundedServer, Budget
from dnschecks.name_servers import server_of

# Fits one unfragmented UDP packet on any path (DNS flag day 2020); longer answers come truncated, and TCP is used.
UDP_PAYLOAD = 1232
# One try at one server, and all tries for one question, in seconds.
TRY_TIMEOUT = 2.0
QUESTION_TIMEOUT = 5.0
# Everything that one check asks, in seconds, and how many of a processor it may take: what answers hold is the zone's choice.
CHECK_TIMEOUT = 15.0
MOST_WORK = 4.0
CHAIN_LIMIT = 10
# Records of a set that a raw answer shows.
MOST_SHOWN = 100


class Outcome(StrEnum):
    """The outcome of a query. The first four are results, the others are failures."""

    FOUND = "found"
    NO_DATA = "no data"
    NO_NAME = "no such name"
    CNAME_LOOP = "CNAME loop"
    TIMEOUT = "time-out"
    SERVER_FAILURE = "server failure"
    UNREACHABLE = "unreachable"


FAILURES = frozenset({Outcome.TIMEOUT, Outcome.SERVER_FAILURE, Outcome.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one query. `raw` is the answer in master-file form, CNAMEs included; `detail` explains a failure.

    `alias` is the target of a CNAME at the name itself, `end` that of the last of a chain; "" if there is none.
    """

    name: str
    rdtype: str
    outcome: Outcome
    records: tuple[Rdata, ...] = ()
    raw: str = ""
    detail: str = ""
    alias: str = ""
    end: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the resolver failed."""
        return self.outcome in FAILURES

    @property
    def texts(self) -> list[str]:
        """The TXT records, the strings of each joined without a blank (RFC 7208, 3.3), one character for each byte."""
        return [b"".join(each.strings).decode("latin-1") for each in self.records]  # type: ignore[attr-defined]

    @property
    def addresses(self) -> list[str]:
        """The A or AAAA records."""
        return [each.address for each in self.records]  # type: ignore[attr-defined]

    @property
    def targets(self) -> list[str]:
        """The names that CNAME or PTR records point to, lower-case, without the last dot."""
        return [host_text(each.target) for each in self.records]  # type: ignore[attr-defined]

    @property
    def exchanges(self) -> list[tuple[int, str]]:
        """The MX records as (preference, host), the preferred first. A null MX (RFC 7505) has the host ""."""
        return sorted((each.preference, host_text(each.exchange)) for each in self.records)  # type: ignore[attr-defined]

    def describe(self) -> str:
        """Return the raw answer, or in brackets the reason why there is none."""
        if self.raw:
            return self.raw
        return f"({self.name} {self.rdtype}: {self.outcome}{', ' + self.detail if self.detail else ''})"


class Resolver:
    """The DNS resolver of one check, with its cache and time limit. Not thread-safe: each check creates its own, in its thread.

    `servers` are the `address` or `address:port` to ask; None: those of SLUICE_DNS_SERVERS, and where that is empty, the
    system's.
    """

    def __init__(
        self,
        servers: Iterable[str] | None = None,
        *,
        time_limit: float = CHECK_TIMEOUT,
        question_timeout: float = QUESTION_TIMEOUT,
    ) -> None:
        self.deadline = time.monotonic() + time_limit
        self.work_until = time.thread_time() + MOST_WORK
        self.time_limit = time_limit
        self.question_timeout = question_timeout
        self.answers: dict[tuple[str, str], Answer] = {}
        self._stub = _stub(list(settings.SLUICE_DNS_SERVERS if servers is None else servers))

    def remaining(self) -> float:
        """Return the seconds that are left of the time limit, never less than 0; 0 also after too much work."""
        return max(0.0, self.deadline - time.monotonic()) if time.thread_time() < self.work_until else 0.0

    def ask(self, name: str, rdtype: str) -> Answer:
        """Ask for the records of one type at a name (A-labels; a last dot is ignored), and follow CNAMEs.

        A name that DNS cannot carry (a label over 63 bytes, an empty one, more than 255 in all) does not exist.
        """
        key = name.lower().removesuffix("."), rdtype
        if key not in self.answers:
            self.answers[key] = self._follow(*key)
        return self.answers[key]

    def _follow(self, name: str, rdtype: str) -> Answer:
        # Recursive servers follow CNAMEs; one that is only authoritative leaves the last step to us.
        raw: list[str] = []
        visited: set[str] = set()
        current, alias, end = name, "", ""
        while True:
            visited.add(current)
            answer, next_name = self._once(current, rdtype)
            alias, end = alias or answer.alias, answer.end or end
            if answer.raw:
                raw.append(answer.raw)
            if next_name is None:
                return Answer(name, rdtype, answer.outcome, answer.records, "\n".join(raw), answer.detail, alias, end)
            if next_name in visited or len(visited) > CHAIN_LIMIT:
                return Answer(name, rdtype, Outcome.CNAME_LOOP, raw="\n".join(raw), alias=alias, end=end)
            current = next_name

    def _once(self, name: str, rdtype: str) -> tuple[Answer, str | None]:
        """Send one query. The second result is the name to query next, None if the answer is complete."""
        try:
            question = _dns_name(name)
        except dns.exception.DNSException:
            return Answer(name, rdtype, Outcome.NO_NAME, detail="not a name that DNS can carry"), None
        left = self.remaining()
        if not left:
            return Answer(name, rdtype, Outcome.TIMEOUT, detail=self.limit_reached()), None
        if not self._stub.nameservers:
            return Answer(name, rdtype, Outcome.UNREACHABLE, detail="no DNS server is configured"), None
        try:
            found = self._stub.resolve(
                question, rdtype, raise_on_no_answer=False, search=False, lifetime=min(left, self.question_timeout)
            )
        except dns.resolver.NXDOMAIN as error:
            # dnspython 2.9 gives this method no types.
            response = error.response(question)  # type: ignore[no-untyped-call]
            alias, end = _aliases(question, rdtype, response)
            return Answer(name, rdtype, Outcome.NO_NAME, raw=_raw(response), alias=alias, end=end), None
        except dns.resolver.LifetimeTimeout:
            detail = "no answer in time" if self.remaining() else self.limit_reached()
            return Answer(name, rdtype, Outcome.TIMEOUT, detail=detail), None
        except dns.resolver.NoNameservers as error:
            return _failure(name, rdtype, error), None
        except (dns.exception.DNSException, OSError) as error:
            return Answer(name, rdtype, Outcome.SERVER_FAILURE, detail=_sentence(error)), None
        raw, (alias, end) = _raw(found.response), _aliases(question, rdtype, found.response)
        if found.rrset is not None:
            return Answer(name, rdtype, Outcome.FOUND, tuple(found.rrset), raw, alias=alias, end=end), None
        target = host_text(found.canonical_name)
        server_followed = bool(found.response.flags & dns.flags.RA)
        if target == name or server_followed:
            return Answer(name, rdtype, Outcome.NO_DATA, raw=raw, alias=alias, end=end), None
        return Answer(name, rdtype, Outcome.NO_DATA, raw=raw, alias=alias, end=end), target

    def limit_reached(self) -> str:
        """Return which limit ended the check."""
        if time.thread_time() >= self.work_until:
            return f"the check's limit of {MOST_WORK:g} seconds of work was reached"
        return f"the check's time limit of {self.time_limit:g} seconds was reached"


def host_text(name: dns.name.Name) -> str:
    """Return a name as hosts are written here: lower-case, without the last dot."""
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _stub(servers: list[str]) -> dns.resolver.Resolver:
    budget = Budget()
    if servers:
        stub = dns.resolver.Resolver(configure=False)
        stub.nameservers = [BoundedServer(*server_of(each), budget) for each in servers]
    else:
        try:
            stub = dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            stub = dns.resolver.Resolver(configure=False)
        stub.nameservers = [
            BoundedServer(each, stub.port, budget) for each in stub.nameservers if isinstance(each, str)
        ]
    stub.timeout = TRY_TIMEOUT
    stub.use_edns(0, 0, UDP_PAYLOAD)
    return stub


def _dns_name(text: str) -> dns.name.Name:
    # Built from labels, not parsed: in an SPF macro's result a backslash is a byte like any other.
    return dns.name.Name([*(label.encode("utf-8") for label in text.split(".")), b""])


def _aliases(question: dns.name.Name, rdtype: str, response: dns.message.Message) -> tuple[str, str]:
    """Return the first and the last target of the CNAMEs that begin at the name; "" and "" if there is none."""
    targets = {each.name: each[0].target for each in response.answer if each.rdtype == dns.rdatatype.CNAME}
    found: list[str] = []
    while rdtype != "CNAME" and question in targets:
        # Without it, so that a loop ends.
        question = targets.pop(question)
        found.append(host_text(question))
    return (found[0], found[-1]) if found else ("", "")


def _raw(response: dns.message.Message) -> str:
    return "\n".join(map(_shown, response.answer))


def _shown(records: dns.rrset.RRset) -> str:
    if len(records) <= MOST_SHOWN:
        return records.to_text()
    first = dns.rrset.from_rdata_list(records.name, records.ttl, list(records)[:MOST_SHOWN])
    return f"{first.to_text()}\n; {len(records) - MOST_SHOWN:,} more"


def _failure(name: str, rdtype: str, error: dns.resolver.NoNameservers) -> Answer:
    failures = error.kwargs.get("errors") or []
    for *_, problem, response in reversed(failures):
        if isinstance(problem, dns.message.ChainTooLong):
            return Answer(name, rdtype, Outcome.CNAME_LOOP, raw=_raw(response) if response else "")
    for address, _, port, problem, response in reversed(failures):
        where = f"{_bare(address)} port {port}"
        if response is not None and response.rcode() != dns.rcode.NOERROR:
            detail = f"{dns.rcode.to_text(response.rcode())} from {where}"
            return Answer(name, rdtype, Outcome.SERVER_FAILURE, detail=detail)
        if isinstance(problem, OSError):
            return Answer(name, rdtype, Outcome.UNREACHABLE, detail=f"{where}: {problem.strerror or problem}")
        return Answer(name, rdtype, Outcome.SERVER_FAILURE, detail=f"{where}: {_sentence(problem)}")
    return Answer(name, rdtype, Outcome.UNREACHABLE, detail="no DNS server answered")


def _bare(server: object) -> str:
    # dnspython writes `Do53:192.0.2.53@53`.
    return str(server).removeprefix("Do53:").rpartition("@")[0] or str(server)


def _sentence(problem: object) -> str:
    return str(problem) or type(problem).__name__
