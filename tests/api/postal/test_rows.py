"""The hot lists are plain dictionaries: they are what the serializers that document them would write, key by key."""

import json

from api.postal import rows, serializers
from servers.models import Server
from stats.reports import pool_usage
from tests.api.postal.conftest import NOW, make_pool, make_server
from tests.api.postal.counts import count_address


def as_text(value):
    return json.dumps(value)


def test_a_row_of_servers_list(acme):
    make_pool(acme.organization, "Main", "1.1.1.1")
    Server.objects.filter(pk=make_server(acme.organization, "Held").server.pk).update(
        suspended_at=NOW, suspended_until=None
    )
    found = Server.objects.filter(organization=acme.organization).with_counts()
    plain = [rows.server_row(row, NOW) for row in found.values_list(*rows.SERVER_COLUMNS)]
    for each in found:
        each.suspended = each.is_suspended(NOW)
    assert [each["suspended"] for each in plain] == [each.suspended for each in found]
    assert as_text(plain) == as_text(serializers.ServerRow(found, many=True).data)


def test_a_row_of_ip_pools(acme):
    make_pool(acme.organization, "Main", "1.1.1.1", "2.2.2.2")
    make_pool(acme.organization, "Empty")
    found = pool_usage.pools_of(acme.organization.pk)
    count_address("1.1.1.1", NOW, 7)
    pool_usage.count(found, None, NOW)
    documented = [serializers.Pool(_as_document(each)).data for each in found]
    assert as_text([rows.pool_row(each, with_stats=True) for each in found]) == as_text(documented)
    for each in documented:
        del each["stats"]
        for address in each["ip_addresses"]:
            del address["messages_sent"]
    assert as_text([rows.pool_row(each, with_stats=False) for each in found]) == as_text(documented)


def _as_document(pool):
    names = ("id", "ipv4", "ipv6", "hostname", "priority")
    addresses = [dict(zip(names, each, strict=True)) | {"messages_sent": pool.sent[each[0]]} for each in pool.addresses]
    columns = {name: getattr(pool, name) for name in ("id", "uuid", "name", "is_default", "created_at")}
    return {**columns, "ip_addresses": addresses, "stats": pool}
