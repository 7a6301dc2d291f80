"""Every example of GreenArrow's page on IP addresses, in its order, by HTTP over a socket.

The page's ids are of the vendor's machine: here they are those that the records got. An address also has
`delivery_paused`, which is newer than the page. Everything else is as printed, whole.
"""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from core.models import User
from core.tokens import create_token
from tests.api.greenarrow.conftest import SYSTEM, basic
from tests.races import in_the_open
from tests.words import ip_addresses, relay_servers, templates
from throttling.models import ThrottleProgram

pytestmark = [pytest.mark.server, in_the_open]


def rule(rule_id, domains, connections, messages, program=None):
    return {
        "id": rule_id,
        "domains": domains,
        "max_concurrent_connections": connections,
        "max_messages_per_hour": messages,
        "throttle_program": program,
    }


RULES_GIVEN = [
    {"domains": ["ip1-domain1.com", "ip1-domain2.com"], "max_concurrent_connections": 2, "max_messages_per_hour": 70},
    {"domains": ["ip1-domain3.com", "ip1-domain4.com"], "max_concurrent_connections": 0, "max_messages_per_hour": 20},
]


def rules_shown(ids):
    first, second = ids
    return [
        rule(first, ["ip1-domain1.com", "ip1-domain2.com"], 2, 70),
        rule(second, ["ip1-domain3.com", "ip1-domain4.com"], 0, 20),
    ]


@pytest.fixture
def http_call(live_server):
    user = User.objects.create(username="operator", api_level="yes")
    token = create_token(user=user, name="contract", expires_at=None, at=timezone.now(), actor=SYSTEM).key
    address = urlsplit(live_server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)

    def call(method, path, payload=None):
        headers = {"Authorization": basic("operator", token)}
        body = None if payload is None else json.dumps(payload)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        envelope = json.loads(response.read())
        assert list(envelope) == ["success", "data", "error_code", "error_messages"]
        assert envelope["success"] is True
        assert envelope["error_code"] is None
        assert envelope["error_messages"] is None
        return envelope["data"]

    yield call
    connection.close()


def make(name, ip, hostname, template, rules=()):
    return ip_addresses.create(
        {
            "name": name,
            "ipv4": ip,
            "hostname": hostname,
            "throttling_template": {"id": template.pk},
            "rules": list(rules),
        },
        actor=SYSTEM,
    )


def test_every_example_in_order(http_call):
    template = templates.create(
        {
            "name": "Basic Throttling Template",
            "default": {"max_concurrent_connections": 0, "max_messages_per_hour": 0},
        },
        actor=SYSTEM,
    )
    shown = {"id": template.pk, "name": "Basic Throttling Template"}
    no_default = {"max_concurrent_connections": None, "max_messages_per_hour": None}
    first = make("ipaddr-1", "10.0.0.28", "hostname-28.com", template, RULES_GIVEN)
    second = make("ipaddr-2", "10.0.0.29", "hostname-29.com", template)
    third = make("ipaddr-3", "10.0.0.34", "hostname-34.com", template, RULES_GIVEN)

    # Get a list of IP addresses
    assert http_call("GET", "/ga/api/v3/eng/ip_addresses") == {
        "ip_addresses": [
            {"id": first.pk, "name": "ipaddr-1"},
            {"id": second.pk, "name": "ipaddr-2"},
            {"id": third.pk, "name": "ipaddr-3"},
        ],
        "pagination": {"page": 0, "per_page": 100, "num_pages": 1, "num_records": 3, "next_page_token": None},
    }

    # Get details on a single IP address
    assert http_call("GET", f"/ga/api/v3/eng/ip_addresses/{first.pk}") == {
        "ip_address": {
            "id": first.pk,
            "name": "ipaddr-1",
            "ip": "10.0.0.28",
            "hostname": "hostname-28.com",
            "redirect": None,
            "throttling_template": shown,
            "rules": rules_shown(first.rules.rules.order_by("pk").values_list("pk", flat=True)),
            "default": no_default,
            "delivery_paused": False,
        }
    }

    # Create an IP address
    relay = relay_servers.create(
        {
            "name": "relay-1",
            "source_ip": {"ip": "10.0.0.1", "hostname": "out.example.com"},
            "destination": {"hostname": "relay.example.com", "port": 25},
            "throttle_limits": {"max_concurrent_connections": 0, "max_messages_per_hour": 0},
        },
        actor=SYSTEM,
    )
    backoff = {"id": ThrottleProgram.objects.get(is_builtin=True).pk, "name": "Automatic Backoff"}
    data = http_call(
        "POST",
        "/ga/api/v3/eng/ip_addresses",
        {
            "ip_address": {
                "name": "ipaddr-4",
                "ip": "127.0.0.9",
                "hostname": "new-ip-example.com",
                "throttling_template": {"name": "Basic Throttling Template"},
                "redirect": {"id": relay.pk},
                "rules": [
                    {
                        "domains": ["example-2.com", "example-1.com"],
                        "max_concurrent_connections": 2,
                        "max_messages_per_hour": 0,
                        "throttle_program": {"id": backoff["id"], "name": "this name doesn't exist"},
                    },
                    {
                        "domains": ["example-6.com", "example-7.com"],
                        "max_concurrent_connections": 0,
                        "max_messages_per_hour": 500,
                        "throttle_program": {"name": "Automatic Backoff"},
                    },
                ],
                "default": {"max_concurrent_connections": 1, "max_messages_per_hour": None},
            }
        },
    )
    fourth = data["ip_address"]["id"]
    rule_ids = [each["id"] for each in data["ip_address"]["rules"]]
    assert rule_ids == sorted(set(rule_ids))
    assert data == {
        "ip_address": {
            "id": fourth,
            "name": "ipaddr-4",
            "ip": "127.0.0.9",
            "hostname": "new-ip-example.com",
            "redirect": {"type": "relay_server", "id": relay.pk, "name": "relay-1"},
            "throttling_template": shown,
            "rules": [
                rule(rule_ids[0], ["example-2.com", "example-1.com"], 2, 0, backoff),
                rule(rule_ids[1], ["example-6.com", "example-7.com"], 0, 500, backoff),
            ],
            "default": {"max_concurrent_connections": 1, "max_messages_per_hour": None},
            "delivery_paused": False,
        }
    }
    assert http_call("GET", f"/ga/api/v3/eng/ip_addresses/{fourth}") == data

    # Update an IP address
    data = http_call(
        "PUT",
        f"/ga/api/v3/eng/ip_addresses/{third.pk}",
        {
            "ip_address": {
                "name": "ipaddr-new-name",
                "rules_new": [
                    {
                        "domains": ["new-rule-domain.com"],
                        "max_concurrent_connections": 7,
                        "max_messages_per_hour": 1056,
                    }
                ],
            }
        },
    )
    ids = list(third.rules.rules.order_by("pk").values_list("pk", flat=True))
    assert data == {
        "ip_address": {
            "id": third.pk,
            "name": "ipaddr-new-name",
            "ip": "10.0.0.34",
            "hostname": "hostname-34.com",
            "redirect": None,
            "throttling_template": shown,
            "rules": [*rules_shown(ids[:2]), rule(ids[2], ["new-rule-domain.com"], 7, 1056)],
            "default": no_default,
            "delivery_paused": False,
        }
    }

    # Delete an IP address
    assert http_call("DELETE", f"/ga/api/v3/eng/ip_addresses/{fourth}") == {}

    # Create a throttling rule
    data = http_call(
        "POST",
        f"/ga/api/v3/eng/ip_addresses/{second.pk}/throttling_rules",
        {
            "throttling_rule": {
                "domains": ["new-domain-1.com", "new-domain-2.com"],
                "throttle_program": {"name": "Automatic Backoff"},
                "max_concurrent_connections": 7,
                "max_messages_per_hour": 9,
            }
        },
    )
    rule_id = second.rules.rules.get().pk
    assert data == {"throttling_rule": rule(rule_id, ["new-domain-1.com", "new-domain-2.com"], 7, 9, backoff)}

    # Update a throttling rule: of an address that has none with a program, as the page's answer shows.
    plain = http_call(
        "POST",
        f"/ga/api/v3/eng/ip_addresses/{first.pk}/throttling_rules",
        {"throttling_rule": {"domains": ["old.com"], "max_concurrent_connections": 1, "max_messages_per_hour": 1}},
    )["throttling_rule"]["id"]
    assert http_call(
        "PUT",
        f"/ga/api/v3/eng/ip_addresses/{first.pk}/throttling_rules/{plain}",
        {
            "throttling_rule": {
                "domains": ["new-domain-1.com", "new-domain-2.com"],
                "max_concurrent_connections": 7,
                "max_messages_per_hour": 9,
            }
        },
    ) == {"throttling_rule": rule(plain, ["new-domain-1.com", "new-domain-2.com"], 7, 9)}

    # Delete a throttling rule
    assert http_call("DELETE", f"/ga/api/v3/eng/ip_addresses/{first.pk}/throttling_rules/{plain}") == {}
    assert plain not in first.rules.rules.values_list("pk", flat=True)
