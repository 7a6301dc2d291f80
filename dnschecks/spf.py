"""Evaluates SPF: check_host() of RFC 7208.

Why this is not a library: docs/decisions/0013-spf-evaluation.md. The published test suite holds it (tests/core/rfc7208).
"""

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dnschecks.resolver import Answer, Resolver
from dnschecks.spf_macros import BadMacro, MacroString, explanation
from dnschecks.spf_record import BadRecord, Mechanism, Qualifier, Record, is_record, parse

# 4.6.4
MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
MAX_MX_HOSTS = 10
MAX_PTR_NAMES = 10
# The value of the macro %{r} without a receiving host.
RECEIVER = "unknown"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Result(StrEnum):
    """The results of check_host() (2.6)."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_RESULTS = {
    Qualifier.PASS: Result.PASS,
    Qualifier.FAIL: Result.FAIL,
    Qualifier.SOFTFAIL: Result.SOFTFAIL,
    Qualifier.NEUTRAL: Result.NEUTRAL,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The SPF result of one address.

    `term` is the term of the domain's own record that decided, or broke; `reason` explains an error or the lack of a record.
    """

    result: Result
    term: str = ""
    reason: str = ""
    lookups: int = 0
    void_lookups: int = 0
    explanation: str | None = None


class _Broken(Exception):
    """The evaluation ends with an error, whatever the rest of the record says."""

    def __init__(self, result: Result, reason: str) -> None:
        self.result = result
        super().__init__(reason)


def evaluate(address: str, *, sender: str, resolver: Resolver, helo: str = "") -> Verdict:
    """Return the SPF result of mail from `sender` (an address, or a domain: its postmaster), sent by the address.

    Several evaluations may share a resolver and so its answers: the limits on look-ups hold for each. What the resolver could
    not learn makes a temperror, and so does the end of its time limit. Raises ValueError where `address` is none.
    """
    ip = ipaddress.ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return _Evaluation(mapped or ip, sender or helo, helo, resolver).verdict()


def is_domain(name: str) -> bool:
    """Whether check_host() may begin with this name: several labels, none empty or over 63 bytes (4.3)."""
    labels = name.removesuffix(".").split(".")
    return len(labels) > 1 and len(name) <= 254 and all(0 < len(each.encode()) < 64 for each in labels)


class _Evaluation:
    """One address against one domain, with its counts of look-ups."""

    def __init__(self, ip: Address, sender: str, helo: str, resolver: Resolver) -> None:
        local_part, _, self.sender_domain = sender.rpartition("@")
        self.local_part = local_part or "postmaster"
        self.ip = ip
        self.helo = helo
        self.resolver = resolver
        self.lookups = 0
        self.void_lookups = 0
        self.term = ""
        self.depth = 0
        # What macros stand for; one letter may occur thousands of times in a record.
        self.values: dict[tuple[str, str], str] = {}

    def verdict(self) -> Verdict:
        said: str | None = None
        reason = ""
        try:
            result, domain, record = self._check_host(self.sender_domain)
            if result is Result.NONE:
                reason = f"{domain} has no SPF record" if is_domain(domain) else f"“{domain}” is not a domain name"
            if result is Result.FAIL and record is not None and record.exp is not None:
                said = self._explanation(record.exp, domain)
        except _Broken as error:
            result, reason = error.result, str(error)
        return Verdict(result, self.term, reason, self.lookups, self.void_lookups, said)

    def _check_host(self, domain: str) -> tuple[Result, str, Record | None]:
        """Return the result, and the domain and record that gave it (after redirects another than at first)."""
        if not is_domain(domain):
            return Result.NONE, domain, None
        record = self._record(domain)
        if record is None:
            return Result.NONE, domain, None
        for mechanism in record.mechanisms:
            self._at(mechanism.text)
            if not self.resolver.remaining():
                raise _Broken(Result.TEMPERROR, self.resolver.limit_reached())
            if self._matches(mechanism, domain):
                return _RESULTS[mechanism.qualifier], domain, record
        if record.redirect is None:
            self._at("")
            return Result.NEUTRAL, domain, record
        self._at(f"redirect={record.redirect.text}")
        self._count_lookup()
        target = self._name(record.redirect, domain)
        # A redirected record's terms are not the domain's own: the redirect decided.
        self.depth += 1
        outcome = self._check_host(target)
        self.depth -= 1
        if outcome[0] is Result.NONE:
            raise _Broken(Result.PERMERROR, f"{domain} redirects to {target}, which has no SPF record")
        return outcome

    def _record(self, domain: str) -> Record | None:
        answer = self._ask(domain, "TXT")
        found = [text for text in answer.texts if is_record(text)]
        if len(found) > 1:
            raise _Broken(Result.PERMERROR, f"{domain} has {len(found)} SPF records, and only one is allowed")
        if not found:
            return None
        try:
            return parse(found[0])
        except BadRecord as error:
            raise _Broken(Result.PERMERROR, f"the SPF record of {domain} is malformed: {error}") from None

    def _matches(self, mechanism: Mechanism, domain: str) -> bool:
        match mechanism.name:
            case "all":
                return True
            case "ip4" | "ip6":
                return mechanism.network is not None and self.ip in mechanism.network
        self._count_lookup()
        target = domain if mechanism.target is None else self._name(mechanism.target, domain)
        match mechanism.name:
            case "include":
                return self._is_included(target, domain)
            case "a":
                return self._is_address_of(target, mechanism)
            case "mx":
                return self._is_mail_host_of(target, mechanism)
            case "exists":
                return bool(self._ask(target, "A", counts=True).records)
            case _:
                return any(_is_within(name, target) for name in self._validated_names(may_fail=False))

    def _is_included(self, target: str, domain: str) -> bool:
        self.depth += 1
        result, *_ = self._check_host(target)
        self.depth -= 1
        if result is Result.NONE:
            raise _Broken(Result.PERMERROR, f"{domain} includes {target}, which has no SPF record")
        return result is Result.PASS

    def _is_address_of(self, name: str, mechanism: Mechanism) -> bool:
        rdtype, length = ("A", mechanism.ipv4_length) if self.ip.version == 4 else ("AAAA", mechanism.ipv6_length)
        found = self._ask(name, rdtype, counts=True).addresses
        network = ipaddress.ip_network((self.ip.packed, length), strict=False)
        return any(ipaddress.ip_address(each) in network for each in found)

    def _is_mail_host_of(self, name: str, mechanism: Mechanism) -> bool:
        hosts = [host for _, host in self._ask(name, "MX", counts=True).exchanges if host]
        if len(hosts) > MAX_MX_HOSTS:
            raise _Broken(Result.PERMERROR, f"{name} has more than {MAX_MX_HOSTS} MX records")
        return any(self._is_address_of(host, mechanism) for host in hosts)

    def _validated_names(self, *, may_fail: bool) -> list[str]:
        """Return the names of the address that have it as their address too (5.5); a DNS failure makes them fewer."""
        rdtype = "A" if self.ip.version == 4 else "AAAA"
        names = self._ask(self.ip.reverse_pointer, "PTR", counts=not may_fail, may_fail=True).targets[:MAX_PTR_NAMES]
        return [
            name
            for name in names
            if any(
                ipaddress.ip_address(each) == self.ip
                for each in self._ask(name, rdtype, counts=not may_fail, may_fail=True).addresses
            )
        ]

    def _ask(self, name: str, rdtype: str, *, counts: bool = False, may_fail: bool = False) -> Answer:
        """Ask; `counts`: an answer that holds nothing counts as void. `may_fail`: a failure is an empty answer."""
        answer = self.resolver.ask(name, rdtype)
        if answer.is_failure and not may_fail:
            raise _Broken(Result.TEMPERROR, answer.describe())
        if counts and not answer.records and not answer.is_failure:
            self.void_lookups += 1
            if self.void_lookups > MAX_VOID_LOOKUPS:
                raise _Broken(
                    Result.PERMERROR, f"more than {MAX_VOID_LOOKUPS} names it asks for do not exist, the last is {name}"
                )
        return answer

    def _count_lookup(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise _Broken(Result.PERMERROR, f"it needs more than {MAX_LOOKUPS} DNS look-ups")

    def _at(self, term: str) -> None:
        if self.depth == 0:
            self.term = term

    def _explanation(self, exp: MacroString, domain: str) -> str | None:
        answer = self.resolver.ask(self._name(exp, domain), "TXT")
        if len(answer.records) != 1:
            return None
        try:
            return explanation(answer.texts[0]).expand(lambda letter: self._value(letter, domain))
        except BadMacro:
            return None

    def _name(self, target: MacroString, domain: str) -> str:
        return target.expand_to_name(lambda letter: self._value(letter, domain))

    def _value(self, letter: str, domain: str) -> str:
        if (letter, domain) not in self.values:
            self.values[letter, domain] = self._read_value(letter, domain)
        return self.values[letter, domain]

    def _read_value(self, letter: str, domain: str) -> str:
        is_ipv4 = self.ip.version == 4
        values: dict[str, Callable[[], str]] = {
            "s": lambda: f"{self.local_part}@{self.sender_domain}",
            "l": lambda: self.local_part,
            "o": lambda: self.sender_domain,
            "d": lambda: domain,
            "i": lambda: str(self.ip) if is_ipv4 else ".".join(self.ip.packed.hex().upper()),
            "p": lambda: self._best_name(domain),
            "v": lambda: "in-addr" if is_ipv4 else "ip6",
            "h": lambda: self.helo,
            "c": lambda: str(self.ip),
            "r": lambda: RECEIVER,
            "t": lambda: str(int(time.time())),
        }
        return values[letter]()

    def _best_name(self, domain: str) -> str:
        names = self._validated_names(may_fail=True)
        same = [name for name in names if name == domain.lower()]
        below = [name for name in names if _is_within(name, domain)]
        return next(iter(same + below + names), "unknown")


def _is_within(name: str, domain: str) -> bool:
    domain = domain.lower().removesuffix(".")
    return name == domain or name.endswith(f".{domain}")
