"""GET /ip_addresses/{id}/effective_limits: which limits hold, and why."""

from urllib.parse import quote

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.greenarrow.conftest import SYSTEM, refusal
from tests.words import ip_addresses, templates
from throttling.models import ThrottleProgram


def rule(*domains, connections=1, messages=2, **more):
    return {
        "domains": list(domains),
        "max_concurrent_connections": connections,
        "max_messages_per_hour": messages,
        **more,
    }


def limits(call, address, *domains):
    query = "&".join(f"domain={quote(each)}" for each in domains)
    return call.data("GET", f"ip_addresses/{address.pk}/effective_limits?{query}")


def test_why_an_address_may_send_70_messages_an_hour_to_second_web_example_com(call, address, template):
    backoff = ThrottleProgram.objects.get()
    own = [rule("[*.]web.example.com", connections=2, messages=70, throttle_program={"id": backoff.pk})]
    ip_addresses.update(address.pk, {"rules_new": own}, actor=SYSTEM)
    templates.update(template.pk, {"rules_new": [rule("second.web.example.com", messages=9)]}, actor=SYSTEM)
    rule_id = address.rules.rules.order_by("-pk").first().pk
    assert limits(call, address, "Second.WEB.example.com") == {
        "ip_address": {"id": address.pk, "name": "ipaddr-1"},
        "throttling_template": {"id": template.pk, "name": "Basic Throttling Template"},
        "effective_limits": [
            {
                "domain": "second.web.example.com",
                "max_concurrent_connections": 2,
                "max_messages_per_hour": 70,
                "throttle_program": {"id": backoff.pk, "name": "Automatic Backoff"},
                "throttling_rule": {
                    "type": "ip_address",
                    "id": rule_id,
                    "ip_address": {"id": address.pk, "name": "ipaddr-1"},
                    "domain": "[*.]web.example.com",
                },
                "decided_by": {"max_concurrent_connections": "ip_address", "max_messages_per_hour": "ip_address"},
                "trace": [
                    {"type": "ip_address", "domain": "second.web.example.com", "throttling_rule": None},
                    {"type": "ip_address", "domain": "[*.]second.web.example.com", "throttling_rule": None},
                    {"type": "ip_address", "domain": "*.web.example.com", "throttling_rule": None},
                    {"type": "ip_address", "domain": "[*.]web.example.com", "throttling_rule": {"id": rule_id}},
                ],
            }
        ],
    }


def test_the_template_s_rule_and_the_defaults(call, address, template):
    templates.update(template.pk, {"rules_new": [rule("*.com", messages=9)]}, actor=SYSTEM)
    ip_addresses.update(address.pk, {"default": {"max_messages_per_hour": 0}}, actor=SYSTEM)
    inherited = template.rules.rules.get().pk
    by_rule, by_default = limits(call, address, "example.com", "org")["effective_limits"]
    assert by_rule["throttling_rule"] == {
        "type": "throttling_template",
        "id": inherited,
        "throttling_template": {"id": template.pk, "name": "Basic Throttling Template"},
        "domain": "*.com",
    }
    assert by_rule["max_messages_per_hour"] == 9
    assert by_default == {
        "domain": "org",
        "max_concurrent_connections": 10,
        "max_messages_per_hour": 0,
        "throttle_program": None,
        "throttling_rule": None,
        "decided_by": {"max_concurrent_connections": "throttling_template", "max_messages_per_hour": "ip_address"},
        "trace": [
            {"type": "ip_address", "domain": "org", "throttling_rule": None},
            {"type": "ip_address", "domain": "[*.]org", "throttling_rule": None},
            {"type": "throttling_template", "domain": "org", "throttling_rule": None},
            {"type": "throttling_template", "domain": "[*.]org", "throttling_rule": None},
        ],
    }


def test_many_domains_in_one_call_cost_as_much_as_one(call, address):
    """The token's user, its memberships, the address with its template, the rules of both, their domains."""
    domains = [f"d{n}.example" for n in range(999)] + ["ip1-domain1.com"]
    limits(call, address, "a.example")
    with CaptureQueriesContext(connection) as queries:
        found = call.data("GET", f"ip_addresses/{address.pk}/effective_limits?domain={','.join(domains)}")
    assert len(queries) == 6
    assert [each["domain"] for each in found["effective_limits"]] == domains
    assert found["effective_limits"][-1]["max_messages_per_hour"] == 70


def test_bad_domains_are_all_named(call, address):
    answer = call(
        "GET", f"ip_addresses/{address.pk}/effective_limits?domain=a.com,x%20y&domain=*.a.com&domain=", status=422
    )
    assert answer == refusal(
        "validation_failed",
        'domain[1] "x y" is not a valid domain name',
        'domain[2] "*.a.com" is not a valid domain name',
        'domain[3] "" is not a valid domain name',
    )


def test_a_call_without_domains_or_with_too_many_is_refused(call, address):
    url = f"ip_addresses/{address.pk}/effective_limits"
    assert call("GET", url, status=400) == refusal(
        "invalid_request", "domain is required: give it once for each domain"
    )
    too_many = "must not be given for more than 1000 domains"
    assert call("GET", f"{url}?domain={','.join(['a.com'] * 1001)}", status=422) == refusal(
        "validation_failed", f"domain {too_many}"
    )
    for domains, fault in (
        (["a.com"] * 1001, f"domains {too_many}"),
        ([], "domains must contain at least one domain name"),
        ("a.com", "domains must be an array"),
        (None, "domains must be an array"),
        ([5], "domains[0] must be a string"),
    ):
        assert call.faults("POST", url, {"effective_limits": {"domains": domains}}) == [fault]
    assert call.faults("POST", url, {"effective_limits": {}}) == ["domains is required"]


def test_domains_of_many_labels_are_refused(call, address):
    """Each label is two lines of the answer, which was eighty megabytes for a request of two hundred kilobytes."""
    url = f"ip_addresses/{address.pk}/effective_limits"
    long = ["a." * 100 + f"d{number}.example" for number in range(99)]
    assert call.faults("POST", url, {"effective_limits": {"domains": long}}) == [
        "domains must not have more than 10,000 labels in all"
    ]
    assert call("POST", url, {"effective_limits": {"domains": long[:98]}})["success"]
    usual = [f"mail{number}.eu.example.com" for number in range(1_000)]
    assert call("POST", url, {"effective_limits": {"domains": usual}})["success"]


def test_a_post_takes_more_domains_than_a_url_holds(call, address):
    domains = [f"{'long' * 10}.d{n}.example" for n in range(999)] + ["IP1-domain1.com"]
    found = call.data("POST", f"ip_addresses/{address.pk}/effective_limits", {"effective_limits": {"domains": domains}})
    assert [each["domain"] for each in found["effective_limits"]] == [each.lower() for each in domains]
    assert found["effective_limits"][-1] == limits(call, address, "ip1-domain1.com")["effective_limits"][0]
