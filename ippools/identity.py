"""The DNS identity of an address: PTR record, forward-confirmed name (FCrDNS) and HELO name.

Receivers distrust an address without a name, one whose name leads elsewhere, and one that says HELO with a name not its own.
"""

import datetime
import ipaddress
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import DateTimeField, ExpressionWrapper, F, OuterRef, Subquery
from django.db.models.expressions import Combinable

from core.atomic_acts import atomic_act
from core.errors import NotFound
from dnschecks.checked import DNSCheckedQuerySet, DNSStatus
from dnschecks.findings import Finding, Findings, failed, invalid, missing, moot, ok
from dnschecks.resolver import CHECK_TIMEOUT, Answer, Resolver
from dnschecks.sweep import Swept, check_now, make_due, sweep
from dnschecks.wildcards import is_of_wildcard
from ippools.models import AddressIdentity, IPAddress, IPPoolMember
from ippools.public_addresses import BOUND_AND_PUBLIC, hidden, seen

CHECKS = ("ptr", "fcrdns", "helo")
# More names than this say nothing more (RFC 7208, 4.6.4, has the same bound).
MAX_NAMES = 10
# A check that ended so soon after a change may have begun before it.
CHECKED_MEANWHILE = datetime.timedelta(seconds=2 * CHECK_TIMEOUT)
# No address is checked less often (dnschecks.schedule), so what changed before that is known to every check.
REMEMBERED = datetime.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Identity:
    """The values to check: the public addresses (none to two), and their HELO name.

    `hidden` are bound addresses that it cannot see.
    """

    addresses: tuple[str, ...]
    hostname: str
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Name:
    """The name of one address as DNS has it."""

    address: str
    answer: Answer

    @property
    def names(self) -> list[str]:
        return [] if self.answer.is_failure else self.answer.targets[:MAX_NAMES]


def examine(identity: Identity, resolver: Resolver) -> Findings:
    """Return a finding for each of CHECKS."""
    if not identity.addresses:
        finding = moot(
            f"{' and '.join(identity.hidden)}: not a public address, so DNS is not queried. "
            "Enter the public address that receivers see."
        )
        return dict.fromkeys(CHECKS, finding)
    named = [
        _Name(address, resolver.ask(ipaddress.ip_address(address).reverse_pointer, "PTR"))
        for address in identity.addresses
    ]
    return {
        "ptr": check_ptr(identity, named),
        "fcrdns": check_fcrdns(named, resolver),
        "helo": check_helo(identity, resolver),
    }


def check_ptr(identity: Identity, named: Sequence[_Name]) -> Finding:
    """Each address resolves to a name, and the HELO name is among them."""
    answers = [each.answer for each in named]
    for each in named:
        if each.answer.is_failure:
            continue
        owner = _owner(each.answer, identity.hostname)
        if not each.names:
            return missing(f"{each.address} has no name. {owner}", *answers)
        if identity.hostname not in each.names:
            return invalid(
                f"{each.address} is named {each.names[0]} and says HELO with {identity.hostname}. {owner}",
                *answers,
            )
    return failed(*answers) if any(each.is_failure for each in answers) else ok(*answers)


def check_fcrdns(named: Sequence[_Name], resolver: Resolver) -> Finding:
    """Each address has a name whose own address it is (RFC 8601, 3: iprev)."""
    answers: list[Answer] = []
    unknown = False
    for each in named:
        answers.append(each.answer)
        if each.answer.is_failure:
            unknown = True
            continue
        if not each.names:
            return missing(f"{each.address} has no name that could be confirmed.", *answers)
        forward = [resolver.ask(name, _rdtype(each.address)) for name in each.names]
        answers += forward
        if any(_holds(answer, each.address) for answer in forward):
            continue
        if any(answer.is_failure for answer in forward):
            unknown = True
            continue
        publish = _publish(forward[0], each.address, resolver)
        return invalid(f"{each.address} is named {each.names[0]}, which does not lead back to it. {publish}", *answers)
    return failed(*answers) if unknown else ok(*answers)


def check_helo(identity: Identity, resolver: Resolver) -> Finding:
    """The HELO name has each address (RFC 5321, 4.1.4)."""
    answers = [(address, resolver.ask(identity.hostname, _rdtype(address))) for address in identity.addresses]
    shown = [answer for _, answer in answers]
    for address, answer in answers:
        if answer.is_failure or _holds(answer, address):
            continue
        publish = _publish(answer, address, resolver)
        if not answer.records:
            return missing(f"{identity.hostname} has no {_rdtype(address)} record. {publish}", *shown)
        return invalid(f"{identity.hostname} leads to {answer.addresses[0]}, not to {address}. {publish}", *shown)
    return failed(*shown) if any(answer.is_failure for answer in shown) else ok(*shown)


def _owner(answer: Answer, hostname: str) -> str:
    """Return who publishes which PTR record. Of a network below 256 addresses, names are CNAMEs into a zone of its own
    (RFC 2317), and no record can be beside a CNAME."""
    if not answer.alias:
        return f"Have its network's owner publish {answer.name}. PTR {hostname}."
    return (
        f"{answer.name} is a CNAME to {answer.end}, so the PTR record belongs there: have the owner of that zone publish "
        f"{answer.end}. PTR {hostname}."
    )


def _publish(answer: Answer, address: str, resolver: Resolver) -> str:
    """Return which record makes a name lead to the address. Nothing can be beside a CNAME, but for a wildcard's."""
    record = f"{answer.name}. {_rdtype(address)} {address}"
    if not answer.alias or is_of_wildcard(answer, resolver):
        return f"Publish {record}"
    return f"{answer.name} is a CNAME to {answer.alias}, beside which no other record can be: replace it with {record}"


def _rdtype(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _names_in(answer: str) -> list[str]:
    # The raw answer is in master-file form: owner, TTL, class, type, target.
    rows = [line.split() for line in answer.splitlines()]
    names = [row[4].removesuffix(".").lower() for row in rows if len(row) == 5 and row[3] == "PTR"]
    return list(dict.fromkeys(names))[: 2 * MAX_NAMES]


def _holds(answer: Answer, address: str) -> bool:
    wanted = ipaddress.ip_address(address)
    return not answer.is_failure and any(ipaddress.ip_address(each) == wanted for each in answer.addresses)


# --- As rows ---------------------------------------------------------------------------------------------------------


class IdentityChecks:
    """The checks of address identities, for the sweep."""

    def rows(self) -> DNSCheckedQuerySet[AddressIdentity]:
        return AddressIdentity.objects.all()

    def owner(self) -> Combinable:
        """Return the namespace of a pool that has the address; null: the platform's."""
        pools = IPPoolMember.objects.filter(ip_address=OuterRef("pk")).order_by("pool_id")
        return Subquery(pools.values("pool__namespace")[:1])

    def plans(self, ids: Sequence[int]) -> Mapping[int, Identity]:
        rows = IPAddress.objects.filter(pk__in=ids).values_list("pk", "hostname", *BOUND_AND_PUBLIC)
        return {
            pk: Identity(seen(*addresses), hostname.lower().removesuffix("."), hidden(*addresses))
            for pk, hostname, *addresses in rows
        }

    def examine(self, plan: Identity, resolver: Resolver) -> Findings:
        return examine(plan, resolver)

    def write(self, row: AddressIdentity, findings: Findings, at: datetime.datetime) -> dict[str, Any]:
        """Store the names with the statuses, unless the check failed, and since when the identity is broken."""
        ptr = findings["ptr"]
        names = {} if ptr.is_failure else {"names": _names_in(ptr.answer)}
        known = {
            name: getattr(row, f"{name}_status") if finding.is_failure else finding.status
            for name, finding in findings.items()
        }
        return {**names, "broken_since": (row.broken_since or at) if is_broken(known) else None}


def is_broken(statuses: Mapping[str, str | None]) -> bool:
    """Whether receivers have a reason to refuse the address: it has no name, its name does not lead back to it, or its HELO
    name is not its own. A PTR name that differs from the HELO name, and is confirmed, is common and no reason."""
    wrong = (DNSStatus.MISSING, DNSStatus.INVALID)
    return statuses["ptr"] == DNSStatus.MISSING or statuses["fcrdns"] in wrong or statuses["helo"] in wrong


def check_due_addresses(*, at: datetime.datetime, seconds: float, limit: int | None = None) -> Swept:
    """Check due addresses, new ones first, until none is due or the time is over."""
    make_missing_rows()
    recheck_changed(at=at)
    return sweep(IdentityChecks(), parallel=settings.SLUICE_DNS_PARALLEL, seconds=seconds, limit=limit)


def check_address(address: IPAddress, *, asked_by: Hashable, seconds: float = CHECK_TIMEOUT) -> AddressIdentity:
    """Check the address at once and return what was found.

    Raises CheckInProgress while another check of it runs, TooManyChecks if `asked_by` has too many running checks (a worker
    then checks it soon), and NotFound if it has been deleted.
    """
    _make_row(address.pk)
    check_now(IdentityChecks(), address.pk, asked_by=asked_by, seconds=seconds)
    identity = AddressIdentity.objects.select_related("ip_address").filter(pk=address.pk).first()
    if identity is None:
        raise NotFound("The IP address could not be found")
    return identity


@atomic_act
def _make_row(address_id: int) -> None:
    """Create the identity row of the address, if the address exists and has none."""
    if IPAddress.objects.filter(pk=address_id).exists():
        AddressIdentity.objects.bulk_create([AddressIdentity(ip_address_id=address_id)], ignore_conflicts=True)


@atomic_act
def make_missing_rows() -> int:
    """Create missing identity rows of addresses, due at once. Safe with concurrent workers.

    An address that is deleted between the look and the rows makes the database refuse all of them: then it looks again.
    """
    ids = IPAddress.objects.filter(identity=None).values_list("pk", flat=True)[:5_000]
    made = AddressIdentity.objects.bulk_create(
        [AddressIdentity(ip_address_id=pk) for pk in ids], ignore_conflicts=True, batch_size=1_000
    )
    return len(made)


def recheck_changed(*, at: datetime.datetime) -> None:
    """Make due the addresses last checked before their IPv4, IPv6 or host name changed."""
    recently = AddressIdentity.objects.filter(ip_address__sender_changed_at__gte=at - REMEMBERED)
    known_at = ExpressionWrapper(F("dns_checked_at") - CHECKED_MEANWHILE, output_field=DateTimeField())
    make_due(recently.annotate(known_at=known_at).filter(known_at__lt=F("ip_address__sender_changed_at")))
