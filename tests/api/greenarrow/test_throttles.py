"""/ip_addresses/{id}/throttles and /throttles_in_backoff"""

import datetime

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ippools import caps
from tests.api.greenarrow.conftest import SYSTEM
from tests.words import ip_addresses, templates
from throttling.limits import CapKind


def rule(*domains, connections=1, messages=2):
    return {"domains": list(domains), "max_concurrent_connections": connections, "max_messages_per_hour": messages}


def test_every_rule_that_can_apply_is_listed(call, template, address):
    # The address takes all of hidden.com for itself: the template's second rule can never win, its third one can.
    ip_addresses.update(address.pk, {"rules_new": [rule("[*.]hidden.com")]}, actor=SYSTEM)
    rules = [
        rule("*.example.com", connections=0, messages=9),
        rule("a.hidden.com", "*.hidden.com"),
        rule("x.com", "hidden.com"),
    ]
    templates.update(template.pk, {"rules_new": rules}, actor=SYSTEM)
    own = list(address.rules.rules.order_by("pk").values_list("pk", flat=True))
    inherited = list(template.rules.rules.order_by("pk").values_list("pk", flat=True))
    data = call.data("GET", f"ip_addresses/{address.pk}/throttles")
    assert data["pagination"] == {
        "page": 0,
        "per_page": 100,
        "num_pages": 1,
        "num_records": 5,
        "next_page_token": None,
    }
    quiet = {
        "in_backoff": False,
        "backoff_reason": None,
        "backoff_began_at": None,
        "backoff_ends_at": None,
        "backoff_max_messages_per_hour": None,
        "backoff_max_concurrent_connections": None,
    }
    of_address = {"id": address.pk, "name": "ipaddr-1"}
    assert data["throttles"][0] == {
        "id": (address.pk << 32) + own[0],
        "ip_address": of_address,
        "throttling_rule": {"type": "ip_address", "id": own[0], "ip_address": of_address},
        "normal_max_messages_per_hour": 70,
        "normal_max_concurrent_connections": 2,
        "domains": ["ip1-domain1.com", "ip1-domain2.com"],
        **quiet,
    }
    assert data["throttles"][3] == {
        "id": (address.pk << 32) + inherited[0],
        "ip_address": of_address,
        "throttling_rule": {
            "type": "throttling_template",
            "id": inherited[0],
            "throttling_template": {"id": template.pk, "name": "Basic Throttling Template"},
        },
        "normal_max_messages_per_hour": 9,
        "normal_max_concurrent_connections": 0,
        "domains": ["*.example.com"],
        **quiet,
    }
    assert [each["throttling_rule"]["id"] for each in data["throttles"]] == [*own, inherited[0], inherited[2]]


def test_throttles_page(call, template, address):
    templates.update(template.pk, {"rules_new": [rule(f"t{n}.example") for n in range(250)]}, actor=SYSTEM)
    url = f"ip_addresses/{address.pk}/throttles"
    pages = [call.data("GET", url)]
    while token := pages[-1]["pagination"]["next_page_token"]:
        pages.append(call.data("GET", f"{url}?page_token={token}"))
    assert [len(page["throttles"]) for page in pages] == [100, 100, 52]
    assert pages[1] == call.data("GET", f"{url}?page=1")
    assert len({each["id"] for page in pages for each in page["throttles"]}) == 252


def test_it_costs_five_queries(call, template, address):
    """The token's user, its memberships, the address with its template, the rules of both, their domains."""
    templates.update(template.pk, {"rules_new": [rule(f"t{n}.example") for n in range(20)]}, actor=SYSTEM)
    url = f"ip_addresses/{address.pk}/throttles"
    call.data("GET", url)
    with CaptureQueriesContext(connection) as queries:
        call.data("GET", url)
    assert len(queries) == 6


def test_nothing_has_backed_off(call, address):
    assert call.data("GET", "throttles_in_backoff") == {
        "throttles": [],
        "pagination": {"page": 0, "per_page": 100, "num_pages": 0, "num_records": 0, "next_page_token": None},
    }


def test_a_throttle_that_has_backed_off_is_shown_everywhere(call, address):
    ip_addresses.update(
        address.pk, {"rules_new": [rule("gmail.com", connections=20, messages=1_000), rule("b.com")]}, actor=SYSTEM
    )
    limited = address.rules.rules.get(domains__pattern="gmail.com")
    now = timezone.now().replace(microsecond=0)
    until = now + datetime.timedelta(hours=1)
    caps.begin(
        address_id=address.pk, kind=CapKind.THROTTLE_PROGRAM, rule_id=limited.pk, reason="refused", at=now, until=until,
        max_messages_per_hour=250, actor=SYSTEM,
    )  # fmt: skip
    backed_off = {
        "id": (address.pk << 32) + limited.pk,
        "ip_address": {"id": address.pk, "name": address.name},
        "throttling_rule": {
            "type": "ip_address",
            "id": limited.pk,
            "ip_address": {"id": address.pk, "name": address.name},
        },
        "normal_max_messages_per_hour": 1_000,
        "normal_max_concurrent_connections": 20,
        "domains": ["gmail.com"],
        "in_backoff": True,
        "backoff_reason": "throttle_program",
        "backoff_began_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "backoff_ends_at": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "backoff_max_messages_per_hour": 250,
        "backoff_max_concurrent_connections": 20,
    }
    assert call.data("GET", "throttles_in_backoff")["throttles"] == [backed_off]
    listed = call.data("GET", f"ip_addresses/{address.pk}/throttles")["throttles"]
    assert [each for each in listed if each["in_backoff"]] == [backed_off]
    [limits] = call.data("GET", f"ip_addresses/{address.pk}/effective_limits?domain=gmail.com")["effective_limits"]
    assert (limits["max_messages_per_hour"], limits["max_concurrent_connections"]) == (250, 20)
    assert limits["decided_by"] == {
        "max_concurrent_connections": "ip_address",
        "max_messages_per_hour": "throttle_program",
    }
    assert limits["trace"][-1] == {
        "type": "cap",
        "cap": "throttle_program",
        "max_messages_per_hour": 250,
        "until": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
