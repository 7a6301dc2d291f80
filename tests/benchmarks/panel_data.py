"""A large platform around the demo's: 200 organizations, 2,000 servers, 5,000 addresses, and counts of ten million events.

Organizations, servers and what hangs on them are written in bulk and counts by SQL, because how they are made is not what is
measured. A tenth of all goes to the demo's own records, so that the pages that were looked at before have more to show.
"""

import datetime

from django.db import connection

from core.audit import Actor, record_creations, snapshot
from core.encryption import encrypt
from core.models import User
from ippools.addresses import NewAddress, create_many
from ippools.models import AddressIdentity, IPAddress, IPPool, IPPoolMember
from servers.models import Credential, Domain, IPPoolRule, Membership, Organization, OrganizationPool, Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from throttling.models import ThrottlingTemplate

ORGANIZATIONS, SERVERS, ADDRESSES, EVENTS = 200, 2_000, 5_000, 10_000_000
# Over so many days the events lie; on the last of them by the hour, too.
DAYS = 30
ADDRESSES_A_POOL = 10
SYSTEM = Actor.system()
# Of sent, deferred and bounced mail, of 100.
SENT, DEFERRED = 94, 4


def enlarge(*, now: datetime.datetime) -> None:
    """Fill the platform up to the sizes above."""
    organizations = _organizations()
    pools = _pools(organizations)
    _servers(organizations, pools)
    _counts(now)
    with connection.cursor() as cursor:
        # As it does by itself after a minute.
        cursor.execute("ANALYZE")


def _organizations() -> list[Organization]:
    wanted = ORGANIZATIONS - Organization.objects.count()
    Organization.objects.bulk_create(
        Organization(name=f"Tenant {number}", permalink=f"tenant-{number}") for number in range(wanted)
    )
    found = list(Organization.objects.order_by("pk"))
    people = User.objects.bulk_create(
        User(username=f"person-{number}", is_staff=True, password="!") for number in range(3 * wanted)
    )
    roles = ("owner", "operator", "analyst")
    Membership.objects.bulk_create(
        # A tenth belongs to the demo's first organization.
        Membership(
            user=person, organization=found[0 if number % 10 == 0 else number % len(found)], role=roles[number % 3]
        )
        for number, person in enumerate(people)
    )
    return found


def _pools(organizations: list[Organization]) -> list[IPPool]:
    wanted = ADDRESSES - IPAddress.objects.count()
    template = ThrottlingTemplate.objects.get(name="Large providers")
    rows = [
        NewAddress(
            ipv4=f"10.{88 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}",
            hostname=f"mx{number}.tenant.example",
            template=template,
        )
        for number in range(wanted)
    ]
    addresses = create_many(rows, actor=SYSTEM)
    AddressIdentity.objects.bulk_create(AddressIdentity(ip_address=each, ptr_status="ok") for each in addresses)
    demo = IPPool.objects.get(name="Newsletters")
    pools = IPPool.objects.bulk_create(
        IPPool(namespace=organizations[number % len(organizations)].uuid, name=f"Pool {number}")
        for number in range(wanted // ADDRESSES_A_POOL)
    )
    OrganizationPool.objects.bulk_create(
        OrganizationPool(organization=organizations[number % len(organizations)], pool=pool)
        for number, pool in enumerate(pools)
    )
    IPPoolMember.objects.bulk_create(
        IPPoolMember(pool=demo if number % 10 == 0 else pools[number % len(pools)], ip_address=address)
        for number, address in enumerate(addresses)
    )
    return list(pools)


def _servers(organizations: list[Organization], pools: list[IPPool]) -> None:
    wanted = SERVERS - Server.objects.count()
    servers = Server.objects.bulk_create(
        Server(
            organization=organizations[0 if number % 10 == 0 else number % len(organizations)],
            name=f"Server {number}",
            permalink=f"server-{number}",
            ip_pool=pools[number % len(pools)],
        )
        for number in range(wanted)
    )
    documents = [(server, snapshot(server)) for server in servers]
    record_creations(actor=SYSTEM, act="server.created", targets=documents, organization_id=organizations[0].pk)
    demo = Server.objects.get(name="Newsletter Europe")
    # A process does not start on secrets that it cannot read.
    ciphertext = encrypt("unused")
    Credential.objects.bulk_create(
        Credential(server=demo if number % 10 == 0 else server, kind="api", name=f"Key {number}", key_prefix="bench",
                   key_digest=f"{number:064d}", key_ciphertext=ciphertext)
        for number, server in enumerate(servers)
    )  # fmt: skip
    Domain.objects.bulk_create(
        Domain(server=demo if number % 10 == 0 else server, name=f"d{number}.tenant.example", dkim_public_key="p",
               spf_status="missing" if number % 50 == 0 else "ok")
        for number, server in enumerate(servers)
    )  # fmt: skip
    IPPoolRule.objects.bulk_create(
        IPPoolRule(server=demo if number % 10 == 0 else server, pool=pools[number % len(pools)], position=number,
                   to_conditions=f"d{number}.example")
        for number, server in enumerate(servers)
    )  # fmt: skip


def _counts(now: datetime.datetime) -> None:
    """Write what the fold would have written for ten million events: days, and what sums them up."""
    today, month = buckets.day_of(now), buckets.month_number(now.date())
    # The same for each.
    by_server, by_address = EVENTS // (SERVERS * DAYS), EVENTS // (ADDRESSES * DAYS)
    days = f"generate_series({today - DAYS + 1}, {today}) AS bucket"
    hours = f"generate_series({buckets.hour_of(now) - 47}, {buckets.hour_of(now)}) AS bucket"
    of_server = ("stats_servercount", "server_id", "SELECT id AS server_id FROM servers_server")
    of_address = ("stats_addresscount", "address_id", "SELECT virtualmta_ptr_id AS address_id FROM ippools_ipaddress")
    providers = f"({of_address[2]}) AS address CROSS JOIN stats_provider AS provider"
    with connection.cursor() as cursor:
        for table, key, rows in (of_server, of_address):
            number = by_server if table == of_server[0] else by_address
            tiers = [(Grain.DAY, days, number), (Grain.MONTH, f"(VALUES ({month})) AS bucket(bucket)", number * DAYS)]
            tiers.append((Grain.TOTAL, "(VALUES (0)) AS bucket(bucket)", number * DAYS))
            if table == of_server[0]:
                tiers.append((Grain.HOUR, hours, max(1, number // 24)))
            else:
                tiers.append((Grain.YEAR, f"(VALUES ({now.year})) AS bucket(bucket)", number * DAYS))
            for grain, series, most in tiers:
                cursor.execute(_insert(table, key, key, f"({rows}) AS of CROSS JOIN {series}", grain, most))
        cursor.execute("SELECT count(*) FROM stats_provider")
        (providers_total,) = cursor.fetchone()
        most = max(1, by_address // providers_total)
        cursor.execute(
            _insert(
                "stats_providercount", "address_id, provider_id", "address.address_id, provider.id",
                f"{providers} CROSS JOIN {days}", Grain.DAY, most,
            )
        )  # fmt: skip


def _insert(table: str, keys: str, columns: str, source: str, grain: Grain, number: int) -> str:
    """Return the statement that adds `number` events, of which most are sent, to each row of the source."""
    sent, deferred = number * SENT // 100, -(-number * DEFERRED // 100)
    bounced = number - sent - deferred
    return (
        f"INSERT INTO {table} (grain, bucket, {keys}, incoming, sent, deferred, bounced, held, spam, complaint, late_bounce)"
        f" SELECT {grain:d}, bucket, {columns}, 0, {sent}, {deferred}, {max(0, bounced)}, 0, 0, 0, 0 FROM {source}"
        f" ON CONFLICT (grain, bucket, {keys}) DO UPDATE SET sent = {table}.sent + excluded.sent,"
        f" deferred = {table}.deferred + excluded.deferred, bounced = {table}.bounced + excluded.bounced"
    )
