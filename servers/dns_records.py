"""The DNS records that a domain must publish, and the facts that its checks compare with."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.fields.json import KT

from core.errors import NotFound
from dnschecks import dkim, dmarc
from ippools.models import IPPoolMember
from ippools.public_addresses import BOUND_AND_PUBLIC, seen
from servers.models import Domain, IPPoolRule
from servers.pool_rules import concerns_sender_domain

VERIFICATION_PREFIX = "postal-verify"
# Where nothing is known to send yet: the hosts that receive for the domain are the best guess.
GUESSED_TERMS = ["a", "mx"]
DMARC_PROPOSAL = "v=DMARC1; p=none"
MX_PRIORITY = 10
# What the check of DMARC learns (in `dns_answers`): the policy that receivers use, "" for none, and the domain's own record.
IN_FORCE, PUBLISHED = "in_force", "published"


@dataclass(frozen=True, slots=True)
class Sending:
    """A sending address and its HELO name."""

    address: str
    helo: str


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected DNS records of a domain."""

    name: str
    verification_text: str
    dkim_name: str
    dkim_public_key: str
    mx_hosts: tuple[str, ...]
    return_path_name: str
    return_path_host: str
    dmarc_name: str
    # The record to publish. Empty: none, because a domain above has one that counts, or may have one.
    dmarc_text: str
    # Every address that mail from the domain may leave by.
    sendings: tuple[Sending, ...]
    # The name of the SPF record that covers them; empty: none.
    spf_include: str


@dataclass(frozen=True, slots=True)
class DNSRecord:
    """One record to publish. Names and hosts have no last dot; `short_name` is relative to the domain, `@` for itself."""

    purpose: str
    type: str
    name: str
    short_name: str
    value: str
    priority: int | None = None


def expected_of(domain: Domain) -> Expected:
    """Return the expected records of one domain; raises NotFound if it has been deleted."""
    for expected in expected_of_many([domain.pk]).values():
        return expected
    raise NotFound("The domain could not be found with the provided name")


def expected_of_many(
    ids: Sequence[int], *, joining: Mapping[int, Sequence[Sending]] | None = None
) -> dict[int, Expected]:
    """Return the expected records of each of these domains, with three queries.

    `joining` are addresses, by pool, that are in no pool yet: the records are those with them.
    """
    learned = {name: KT(f"dns_answers__dmarc__{name}") for name in (IN_FORCE, PUBLISHED)}
    domains = (
        Domain.objects.filter(pk__in=ids)
        .select_related("server")
        .defer("dns_answers", "dkim_private_key")
        .annotate(**learned)
    )
    rules_of_server, rules_of_organization = _rules(domains)
    pools = {
        domain.pk: frozenset(
            _pool_ids(
                domain,
                rules_of_server[domain.server_id] + rules_of_organization[domain.server.organization_id],
            )
        )
        for domain in domains
    }
    members = _members({pool_id for pool_ids in pools.values() for pool_id in pool_ids})
    # Thousands of domains share a few sets of pools.
    sendings = {
        pool_ids: tuple(
            dict.fromkeys(
                (
                    *_sendings(pool_ids, members),
                    *(each for pool in sorted(pool_ids) for each in (joining or {}).get(pool, ())),
                )
            )
        )
        for pool_ids in set(pools.values())
    }
    return {domain.pk: _expected(domain, sendings[pools[domain.pk]]) for domain in domains}


def records_of(expected: Expected) -> list[DNSRecord]:
    """Return the records to publish, the proof of ownership first."""
    name = expected.name
    records = [
        DNSRecord("verification", "TXT", name, "@", expected.verification_text),
        DNSRecord("spf", "TXT", name, "@", spf_text(expected)),
        DNSRecord("dkim", "TXT", expected.dkim_name, _short(expected.dkim_name, name), dkim_text(expected)),
        DNSRecord(
            "return_path",
            "CNAME",
            expected.return_path_name,
            _short(expected.return_path_name, name),
            expected.return_path_host,
        ),
    ]
    records += [DNSRecord("mx", "MX", name, "@", host, MX_PRIORITY) for host in expected.mx_hosts]
    if expected.dmarc_text:
        short = _short(expected.dmarc_name, name)
        records.append(DNSRecord("dmarc", "TXT", expected.dmarc_name, short, expected.dmarc_text))
    return records


def spf_text(expected: Expected) -> str:
    """Return the SPF record to publish, for a domain that has none yet."""
    return " ".join(["v=spf1", *spf_terms(expected, [each.address for each in expected.sendings]), "~all"])


def spf_terms(expected: Expected, addresses: Iterable[str]) -> list[str]:
    """Return the SPF terms for these addresses: the platform's include, or those of the addresses themselves."""
    return [f"include:{expected.spf_include}"] if expected.spf_include else address_terms(addresses)


def address_terms(addresses: Iterable[str]) -> list[str]:
    """Return the SPF terms of these addresses; adjacent addresses as one network."""
    found = [ipaddress.ip_address(each) for each in addresses]
    if not found:
        return GUESSED_TERMS
    four = ipaddress.collapse_addresses(ipaddress.IPv4Network(each) for each in found if each.version == 4)
    six = ipaddress.collapse_addresses(ipaddress.IPv6Network(each) for each in found if each.version == 6)
    return [f"ip4:{_network(each)}" for each in four] + [f"ip6:{_network(each)}" for each in six]


def dkim_text(expected: Expected) -> str:
    """Return the DKIM record to publish."""
    return dkim.record_for(expected.dkim_public_key)


def _network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _expected(domain: Domain, sendings: tuple[Sending, ...]) -> Expected:
    name = domain.name
    return Expected(
        name=name,
        verification_text=f"{VERIFICATION_PREFIX} {domain.verification_token}",
        dkim_name=f"postal-{domain.dkim_identifier}._domainkey.{name}",
        dkim_public_key=domain.dkim_public_key,
        mx_hosts=tuple(_host(each) for each in domain.custom_mx_records or settings.SLUICE_MX_HOSTS),
        return_path_name=f"rp.{name}",
        return_path_host=_host(settings.SLUICE_RETURN_PATH_HOST),
        dmarc_name=f"_dmarc.{name}",
        dmarc_text=_dmarc_text(domain),
        sendings=sendings,
        spf_include=_host(settings.SLUICE_SPF_INCLUDE),
    )


def strictness(policy: str) -> int:
    """Return the rank of a policy, by its name or its record; 0 for the weakest, and without a policy."""
    if policy not in dmarc.POLICIES:
        try:
            policy = dmarc.parse(policy).p
        except dmarc.BadRecord:
            return 0
    return dmarc.POLICIES.index(policy)


def _dmarc_text(domain: Any) -> str:
    """Return the DMARC record to publish, never weaker than the current policy; "" if none is needed.

    `in_force` None: not known before the first check. Then a name that may be a subdomain's gets none.
    """
    in_force, published = domain.in_force, domain.published or ""
    if domain.dmarc_record:
        return domain.dmarc_record if strictness(domain.dmarc_record) >= strictness(in_force or "") else published
    if published:
        return str(published)
    if in_force or (in_force is None and domain.name.count(".") > 1):
        return ""
    return DMARC_PROPOSAL


def _host(text: str) -> str:
    return text.lower().removesuffix(".")


def _short(name: str, domain: str) -> str:
    return name.removesuffix(f".{domain}")


def _rules(domains: Iterable[Domain]) -> tuple[Mapping[int, list[IPPoolRule]], Mapping[int, list[IPPoolRule]]]:
    servers = {domain.server_id for domain in domains}
    organizations = {domain.server.organization_id for domain in domains}
    of_server: dict[int, list[IPPoolRule]] = defaultdict(list)
    of_organization: dict[int, list[IPPoolRule]] = defaultdict(list)
    for rule in IPPoolRule.objects.filter(Q(server__in=servers) | Q(organization__in=organizations)):
        if rule.server_id is not None:
            of_server[rule.server_id].append(rule)
        elif rule.organization_id is not None:
            of_organization[rule.organization_id].append(rule)
    return of_server, of_organization


def _pool_ids(domain: Domain, rules: Iterable[IPPoolRule]) -> set[int]:
    pool_ids = {rule.pool_id for rule in rules if concerns_sender_domain(rule, domain.name)}
    if domain.server.ip_pool_id is not None:
        pool_ids.add(domain.server.ip_pool_id)
    return pool_ids


def _members(pool_ids: Iterable[int]) -> dict[int, list[tuple[int, str, tuple[str, ...]]]]:
    """Return the addresses of each pool: id, HELO name, and what the world sees of it."""
    members: dict[int, list[tuple[int, str, tuple[str, ...]]]] = defaultdict(list)
    columns = (f"ip_address__{each}" for each in ("hostname", *BOUND_AND_PUBLIC))
    rows = IPPoolMember.objects.filter(pool__in=list(pool_ids)).values_list("pool_id", "ip_address_id", *columns)
    for pool_id, pk, hostname, *addresses in rows:
        members[pool_id].append((pk, hostname, seen(*addresses)))
    return members


def _sendings(
    pool_ids: Iterable[int], members: Mapping[int, list[tuple[int, str, tuple[str, ...]]]]
) -> tuple[Sending, ...]:
    rows = sorted({row for pool_id in pool_ids for row in members[pool_id]})
    # Several addresses behind NAT may be seen as one.
    return tuple(dict.fromkeys(Sending(address, hostname) for _, hostname, addresses in rows for address in addresses))
