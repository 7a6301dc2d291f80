"""Create, change, delete and verify domains."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.crypto import get_random_string, salted_hmac

from core.acts import locked, save_change
from core.audit import Actor, record, snapshot
from core.encryption import encrypt
from core.errors import Conflict, Fault, Invalid, NotFound
from dnschecks import dkim, dmarc
from dnschecks.checked import DNSStatus
from dnschecks.resolver import CHECK_TIMEOUT, QUESTION_TIMEOUT, Resolver
from dnschecks.slots import slot
from servers import quotas, verifications
from servers.dns_records import VERIFICATION_PREFIX
from servers.domain_checks import check_domain, record_verification
from servers.locks import lock_organization_of, lock_server
from servers.models import Domain, DomainKey, Organization, Server
from throttling.domains import NotADomain, domain_name

# The longest name below a domain, postal-IDENT._domainkey., must fit in 253 characters too.
LONGEST_NAME = 220
MOST_MX_RECORDS = 20
LONGEST_DMARC_RECORD = 1_000
TOKEN_LENGTH = 32
DKIM_IDENTIFIER_LENGTH = 6
_PRINTABLE = re.compile(r"[ -~]*")


class ProvenElsewhere(Conflict):
    """Another organization has verified the name, and this one's verification record is missing."""

    def __init__(self, name: str, verification_string: str) -> None:
        self.name = name
        self.verification_string = verification_string
        super().__init__(
            f"{name} has been verified by another organization. If it is yours, publish the TXT record "
            f"“{verification_string}” at {name} and try again."
        )


@dataclass(frozen=True, slots=True)
class CreatedDomain:
    """The domain, and whether the server had it already."""

    domain: Domain
    already_exists: bool


def normalized(name: str) -> str:
    """Return a domain's name as stored, lower-case A-labels; raises Invalid."""
    if not name.strip():
        raise Invalid(Fault("name", "is required"))
    try:
        stored = domain_name(name.strip())
    except NotADomain:
        raise Invalid(Fault("name", "is not a domain name")) from None
    if "." not in stored:
        raise Invalid(Fault("name", "is not a domain name"))
    if len(stored) > LONGEST_NAME:
        raise Invalid(Fault("name", f"is too long (maximum is {LONGEST_NAME} characters)"))
    return stored


def find_domain(server: Server, name: str) -> Domain:
    """Return the server's domain of this name, however it is written; raises NotFound."""
    try:
        stored = normalized(name)
    except Invalid:
        stored = ""
    domain = Domain.objects.select_related("server__organization").filter(server=server, name=stored).first()
    if domain is None:
        raise NotFound("The domain could not be found with the provided name")
    return domain


def verification_string(domain: Domain) -> str:
    """Return the text of the TXT record that verifies the domain."""
    return f"{VERIFICATION_PREFIX} {domain.verification_token}"


def verification_token(organization: Organization, name: str) -> str:
    """Return an organization's verification token of a name: constant, so that it can be published beforehand."""
    return salted_hmac("servers.domains.verification", f"{organization.uuid} {name}", algorithm="sha256").hexdigest()[
        :TOKEN_LENGTH
    ]


def create_domain(
    *,
    server: Server,
    name: str,
    at: datetime.datetime,
    actor: Actor,
    custom_mx_records: Sequence[Any] = (),
    dmarc_record: str = "",
) -> CreatedDomain:
    """Add a domain to the server, with its DKIM key and verification token; one that is there is returned as it is.

    Key, selector and token belong to the organization and the name: a domain that is deleted and added again has the same.

    It is not verified by being created. A name that another organization has proven is ProvenElsewhere, until the TXT record
    proves it for this one: then DNS is asked, so this must not be called inside a transaction, and TooManyChecks may be raised.
    """
    name = normalized(name)
    existing = _existing(server, name)
    if existing is not None:
        return CreatedDomain(existing, already_exists=True)
    organization = server.organization
    # Slow where it is made anew, so before the lock.
    key = DomainKey.objects.filter(organization=organization, name=name).first() or _new_key(organization, name)
    domain = Domain(server=server, name=name, verification_token=key.verification_token)
    _take(domain, custom_mx_records, dmarc_record)
    is_claimed = _is_proven_elsewhere(organization, name)
    if is_claimed and not _is_published(domain, asked_by=organization.pk):
        raise ProvenElsewhere(name, verification_string(domain))
    with transaction.atomic():
        holder = lock_organization_of(server)
        lock_server(server)
        existing = _existing(server, name)
        if existing is not None:
            return CreatedDomain(existing, already_exists=True)
        if not is_claimed and _is_proven_elsewhere(organization, name):
            raise ProvenElsewhere(name, verification_string(domain))
        quotas.refuse_beyond(holder, "max_domains")
        _copy(_kept(key), domain)
        domain.save(force_insert=True)
        _record(actor, "domain.created", domain, after=_snapshot(domain))
        if is_claimed:
            domain.verified_at = record_verification(domain, is_verified=True, at=at, actor=actor)
            domain.verification_status = DNSStatus.OK
            domain.save(update_fields=["verified_at", "verification_status"])
    return CreatedDomain(domain, already_exists=False)


@transaction.atomic
def change_domain(
    *,
    domain: Domain,
    actor: Actor,
    custom_mx_records: Sequence[Any] | None = None,
    dmarc_record: str | None = None,
    outgoing: bool | None = None,
    incoming: bool | None = None,
) -> Domain:
    """Change the domain's expected records or use; None keeps a value. It is checked again soon."""
    changed = _locked(domain)
    before = _snapshot(changed)
    _take(
        changed,
        changed.custom_mx_records if custom_mx_records is None else custom_mx_records,
        changed.dmarc_record if dmarc_record is None else dmarc_record,
    )
    changed.outgoing = changed.outgoing if outgoing is None else outgoing
    changed.incoming = changed.incoming if incoming is None else incoming
    changed.dns_next_check_at, changed.dns_streak = None, 0
    save_change(
        changed,
        before,
        act="domain.changed",
        actor=actor,
        organization_id=changed.server.organization_id,
        unrecorded=["dns_next_check_at", "dns_streak"],
        document=_snapshot,
    )
    return changed


@transaction.atomic
def delete_domain(*, domain: Domain, at: datetime.datetime, actor: Actor) -> Domain:
    """Delete the domain and return what it was.

    Its counts, what it has in DNS (DomainKey) and when it was verified (DomainVerification) are kept.
    """
    deleted = _locked(domain)
    if deleted.dkim_private_key:
        key = DomainKey(organization=deleted.server.organization, name=deleted.name)
        _copy(deleted, key)
        _kept(key)
    _record(actor, "domain.deleted", deleted, before=_snapshot(deleted))
    verifications.end(deleted, at=at)
    Domain.objects.filter(pk=deleted.pk).delete()
    return deleted


def verify_domain(*, domain: Domain, actor: Actor, seconds: float = CHECK_TIMEOUT) -> Domain:
    """Check DNS now and return the domain with the results; `is_verified` says whether the TXT record was found.

    When DNS could not be asked, the domain keeps what it was, with the reason in its errors. Not inside a transaction.
    """
    return check_domain(domain, actor=actor, seconds=seconds)


def _existing(server: Server, name: str) -> Domain | None:
    return Domain.objects.select_related("server__organization").filter(server=server, name=name).first()


_PUBLISHED = ("verification_token", "dkim_identifier", "dkim_private_key", "dkim_public_key")


def _new_key(organization: Organization, name: str) -> DomainKey:
    pair = dkim.make_key_pair()
    return DomainKey(
        organization=organization,
        name=name,
        verification_token=verification_token(organization, name),
        dkim_identifier=get_random_string(DKIM_IDENTIFIER_LENGTH, "abcdefghjkmnpqrstuvwxyz23456789"),
        dkim_private_key=encrypt(pair.private_pem),
        dkim_public_key=pair.public,
    )


def _kept(key: DomainKey) -> DomainKey:
    """Return the organization's key for the name: this one, unless another was kept before it."""
    if key.pk is not None:
        return key
    values = {column: getattr(key, column) for column in _PUBLISHED}
    return DomainKey.objects.get_or_create(organization=key.organization, name=key.name, defaults=values)[0]


def _copy(source: Domain | DomainKey, target: Domain | DomainKey) -> None:
    for column in _PUBLISHED:
        setattr(target, column, getattr(source, column))


def _is_published(domain: Domain, *, asked_by: int) -> bool:
    with slot(asked_by):
        return verification_string(domain) in Resolver(time_limit=QUESTION_TIMEOUT).ask(domain.name, "TXT").texts


def _is_proven_elsewhere(organization: Organization, name: str) -> bool:
    return Domain.objects.living().verified().named(name).exclude(server__organization=organization).exists()


def _take(domain: Domain, custom_mx_records: Sequence[Any], dmarc_record: str) -> None:
    faults: list[Fault] = []
    hosts: dict[str, None] = {}
    if len(custom_mx_records) > MOST_MX_RECORDS:
        faults.append(Fault("custom_mx_records", f"has too many hosts (maximum is {MOST_MX_RECORDS})"))
    for index, host in enumerate(custom_mx_records[:MOST_MX_RECORDS]):
        try:
            hosts[domain_name(host.strip() if isinstance(host, str) else "")] = None
        except NotADomain:
            faults.append(Fault(f"custom_mx_records[{index}]", "is not a host name"))
    text = dmarc_record.strip()
    if text:
        try:
            if len(text) > LONGEST_DMARC_RECORD or not _PRINTABLE.fullmatch(text):
                raise dmarc.BadRecord(f"it is not printable ASCII of at most {LONGEST_DMARC_RECORD} characters")
            dmarc.parse(text)
        except dmarc.BadRecord as error:
            faults.append(Fault("dmarc_record", f"is not a DMARC record: {error}"))
    if faults:
        raise Invalid(*faults)
    domain.custom_mx_records, domain.dmarc_record = list(hosts), text


def _locked(domain: Domain) -> Domain:
    return locked(Domain.objects.select_related("server__organization"), domain.pk)


def _snapshot(domain: Domain) -> dict[str, Any]:
    # Results of checks are not configuration, and answers are long.
    written = ("_status", "_error")
    columns = snapshot(domain)
    return {name: value for name, value in columns.items() if not (name.startswith("dns_") or name.endswith(written))}


def _record(actor: Actor, act: str, domain: Domain, **states: Any) -> None:
    record(actor=actor, act=act, target=domain, organization_id=domain.server.organization_id, **states)
