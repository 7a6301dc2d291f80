"""The demo's records, created by the functions that the panel and the API call. Existing records are not changed."""

import datetime
import ipaddress
import secrets
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import Permission
from django.db import transaction

from config.demo import cast, dns, routing, suppressions
from core.audit import Actor, record, snapshot
from core.encryption import encrypt
from core.models import User
from core.names import fold
from core.references import Reference
from dnschecks.checked import DNSStatus
from ippools import ip_addresses
from ippools.addresses import NewAddress, create_many
from ippools.models import AddressIdentity, IPAddress, IPPool
from servers import credentials, provisioning
from servers.domains import verification_token
from servers.models import Credential, Domain, DomainVerification, Membership, Organization, OrganizationPool, Server
from servers.pools import add_members, grant_pool
from throttling import templates
from throttling.drafts import RuleFields
from throttling.models import ThrottleProgram, ThrottlingTemplate

ACTOR = Actor.of_command("load_demo")
DAY = datetime.timedelta(days=1)
YEAR = datetime.timedelta(days=366)
NEVER = 100 * YEAR


def make(*, now: datetime.datetime) -> None:
    """Create missing records; idempotent."""
    with transaction.atomic():
        made_templates = {row["name"]: _template(row) for row in cast.TEMPLATES}
        organizations = {row.permalink: _organization(row, now) for row in cast.ORGANIZATIONS}
        for person in cast.PEOPLE:
            _person(person, organizations)
        pools = {row.name: _pool(row, organizations, made_templates, now) for row in cast.POOLS}
    for row in cast.SERVERS:
        # Each is a transaction of its own, so that on SQLite others come to write in between.
        with transaction.atomic():
            _server(row, organizations[row.organization], pools[row.pool], now)
    with transaction.atomic():
        routing.make(servers(), ACTOR)
        suppressions.make(servers(), ACTOR, now=now)
        _pause(cast.PAUSED_ADDRESS, now)
        # After the pools and rules that the SPF records follow from.
        dns.make(list(Domain.objects.filter(server__in=servers().values())), now=now)


def servers() -> dict[tuple[str, str], Server]:
    """Return the demo's servers by organization's permalink and name."""
    wanted = {(row.organization, row.name) for row in cast.SERVERS}
    found = Server.objects.living().select_related("organization")
    return {key: each for each in found if (key := (each.organization.permalink, each.name)) in wanted}


def _template(row: dict[str, Any]) -> ThrottlingTemplate:
    existing = ThrottlingTemplate.objects.filter(name_key=fold(row["name"])).first()
    if existing is not None:
        return existing
    program = ThrottleProgram.objects.filter(is_builtin=True).order_by("pk").first()
    rules = [
        RuleFields(
            domains=domains,
            max_concurrent_connections=connections,
            max_messages_per_hour=messages,
            throttle_program=None if program is None else Reference(program.pk),
        )
        for domains, connections, messages in row["rules"]
    ]
    return templates.create(actor=ACTOR, name=row["name"], rules=rules, **row["default"])


def _organization(row: cast.OrganizationRow, now: datetime.datetime) -> Organization:
    existing = Organization.objects.filter(permalink=row.permalink).first()
    if existing is not None:
        return existing
    made = provisioning.create_organization(
        at=now, name=row.name, permalink=row.permalink, time_zone=row.time_zone, actor=ACTOR
    )
    Organization.objects.filter(pk=made.pk).update(created_at=now - YEAR)
    return made


def _person(row: cast.PersonRow, organizations: dict[str, Organization]) -> None:
    if User.objects.filter(username=row.username).exists():
        return
    first, _, last = row.name.partition(" ")
    user = User(
        username=row.username, first_name=first, last_name=last, email=f"{row.username}@sluice.example",
        is_staff=True, time_zone=row.time_zone,
    )  # fmt: skip
    # No password: `make reset-password WHO=…` gives one.
    user.set_unusable_password()
    user.save()
    record(actor=ACTOR, act="user.created", target=user, after=snapshot(user))
    if not row.organization:
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label__in=("core", "throttling", "ippools", "servers", "stats"))
        )
        return
    organization = organizations[row.organization]
    membership = Membership.objects.create(user=user, organization=organization, role=row.role)
    record(
        actor=ACTOR, act="membership.created", target=membership, after=snapshot(membership),
        organization_id=organization.pk,
    )  # fmt: skip


def _pool(
    row: cast.PoolRow,
    organizations: dict[str, Organization],
    made_templates: dict[str, ThrottlingTemplate],
    now: datetime.datetime,
) -> IPPool:
    owner = organizations.get(row.organization)
    namespace = None if owner is None else owner.uuid
    pool = IPPool.objects.filter(namespace=namespace, name_key=fold(row.name)).first()
    if pool is None:
        is_default = row.is_default and not IPPool.objects.filter(namespace=namespace, is_default=True).exists()
        pool = IPPool.objects.create(namespace=namespace, name=row.name, is_default=is_default)
        owner_id = None if owner is None else owner.pk
        record(actor=ACTOR, act="ip_pool.created", target=pool, after=snapshot(pool), organization_id=owner_id)
        addresses = _addresses(row, owner_id, made_templates[row.template], now)
        add_members(pool=pool, addresses=addresses, actor=ACTOR, organization_id=owner_id)
        IPPool.objects.filter(pk=pool.pk).update(created_at=now - YEAR)
    using = organizations.keys() if row.is_default else {row.organization, *row.granted} - {""}
    for permalink in sorted(using):
        grant_pool(organization=organizations[permalink], pool=pool, actor=ACTOR)
    return pool


def _addresses(
    row: cast.PoolRow, organization_id: int | None, template: ThrottlingTemplate, now: datetime.datetime
) -> list[IPAddress]:
    there = {each.ipv4: each for each in IPAddress.objects.filter(ipv4__in=row.ips)}
    fresh = [
        NewAddress(
            ipv4=ip,
            ipv6=f"2001:db8:{ip.split('.')[0]}:{ip.split('.')[2]}::{ip.split('.')[3]}",
            hostname=f"{row.name.split()[0].lower()}-{number}.{row.domain}",
            template=template,
            priority=100 if number <= 4 else 80,
        )
        for number, ip in enumerate(row.ips, start=1)
        if ip not in there
    ]
    made = create_many(fresh, actor=ACTOR, organization_id=organization_id)
    AddressIdentity.objects.bulk_create(_identity(address, now) for address in made)
    return [*there.values(), *made]


def _identity(address: IPAddress, now: datetime.datetime) -> AddressIdentity:
    """Return invented check results: all OK, except for the address with delivery problems, which has no PTR record."""
    found = AddressIdentity(
        ip_address=address, names=[address.hostname], dns_checked_at=now, dns_next_check_at=now + NEVER,
        ptr_status=DNSStatus.OK, fcrdns_status=DNSStatus.OK, helo_status=DNSStatus.OK,
    )  # fmt: skip
    if address.ipv4 == cast.TROUBLED_ADDRESS:
        pointer = ipaddress.ip_address(address.ipv4).reverse_pointer
        found.names, found.ptr_status, found.fcrdns_status = [], DNSStatus.MISSING, DNSStatus.MISSING
        found.ptr_error = (
            f"{address.ipv4} has no name. Have its network's owner publish {pointer}. PTR {address.hostname}."
        )
        found.fcrdns_error = f"{address.ipv4} has no name that could be confirmed."
        found.broken_since = now - DAY
    return found


def _server(row: cast.ServerRow, organization: Organization, pool: IPPool, now: datetime.datetime) -> None:
    if Server.objects.living().filter(organization=organization, name_key=fold(row.name)).exists():
        return
    if not OrganizationPool.objects.filter(organization=organization, pool=pool).exists():
        grant_pool(organization=organization, pool=pool, actor=ACTOR)
    server = provisioning.create_server(
        organization=organization, name=row.name, mode=row.mode, pool=pool, actor=ACTOR
    ).server
    if row.send_limit is not None:
        provisioning.change_server(server=server, send_limit=row.send_limit, actor=ACTOR)
    credentials.create_credential(server=server, kind=Credential.Kind.SMTP, name="Mail merge", actor=ACTOR)
    if row.rhythm == "shop":
        old = credentials.create_credential(server=server, kind=Credential.Kind.API, name="Old shop", actor=ACTOR)
        credentials.hold_credential(credential=old.credential, at=now, actor=ACTOR)
    for name in row.domains:
        _domain(name, server, row.failing.get(name, ""), now)
    if row.suspension:
        provisioning.suspend_server(
            server=server,
            reason=row.suspension,
            at=now - datetime.timedelta(days=2),
            until=now + datetime.timedelta(days=5),
            actor=ACTOR,
        )
    Server.objects.filter(pk=server.pk).update(created_at=now - YEAR)


def _domain(name: str, server: Server, failing: str, now: datetime.datetime) -> None:
    # The real act asks DNS, where `.example` does not exist: the demo writes what a check would have found.
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    domain = Domain.objects.create(
        server=server,
        name=name,
        verification_token=verification_token(server.organization, name),
        verified_at=now - YEAR,
        verification_status=DNSStatus.OK,
        dkim_identifier=secrets.token_hex(3),
        dkim_private_key=encrypt(private.decode()),
        dkim_public_key="".join(public.decode().splitlines()[1:-1]),
        spf_status="ok",
        dkim_status="invalid" if failing == "dkim" else "ok",
        dkim_error="The key in DNS is not this domain's: mail is signed by a key that nobody can verify"
        if failing == "dkim"
        else "",
        mx_status="ok",
        return_path_status="missing" if failing == "dkim" else "ok",
        return_path_error=f"There is no CNAME record at rp.{name}" if failing == "dkim" else "",
        dmarc_status="ok",
        dns_checked_at=now,
        # Real DNS knows no `.example`: a check would say that all of them fail. So none is planned, whatever changes.
        dns_next_check_at=now + NEVER,
    )
    DomainVerification.objects.create(server=server, name=name, since=now - YEAR)
    record(
        actor=ACTOR, act="domain.created", target=domain, after=snapshot(domain),
        organization_id=server.organization_id,
    )  # fmt: skip


def _pause(ipv4: str, now: datetime.datetime) -> None:
    address = IPAddress.objects.filter(ipv4=ipv4, delivery_paused=False).first()
    if address is not None:
        ip_addresses.change(address.pk, delivery_paused=True, actor=ACTOR)
