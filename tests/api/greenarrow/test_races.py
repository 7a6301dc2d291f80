"""Acts at the same moment: what each promises alone holds for all together, and nobody gets a crash for an answer."""

import pytest

from core.errors import Conflict, Invalid, NotFound
from ippools.models import IPAddress, VirtualMTA
from tests.api.greenarrow.conftest import SYSTEM
from tests.api.greenarrow.test_relay_servers import RELAY
from tests.races import at_once, in_the_open
from tests.words import ip_addresses, programs, relay_servers, routing_rules, rules, templates, virtual_mtas
from throttling.models import Rule, RuleDomain, RuleSet, ThrottleProgram, ThrottlingTemplate

pytestmark = [pytest.mark.storage, in_the_open]

THREADS = 8


def rule(*domains, **changes):
    return {"domains": list(domains), "max_concurrent_connections": 1, "max_messages_per_hour": 2, **changes}


def values_of(number, template, **changes):
    return {
        "name": f"ipaddr-{number}",
        "ipv4": f"10.0.0.{number}",
        "hostname": "h.example.com",
        "throttling_template": {"id": template.pk},
        **changes,
    }


def said(results):
    """Return what the refusals say; anything else that was raised fails the test."""
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, (Invalid, NotFound, Conflict)):
            raise result
    return sorted(result.message for result in results if isinstance(result, Exception))


def test_no_set_gets_more_than_250_rules(address):
    ip_addresses.update(address.pk, {"rules_new": [rule(f"d{n}.example") for n in range(243)]}, actor=SYSTEM)
    results = at_once(
        *(lambda n=n: rules.create(address, rule(f"more{n}.example"), actor=SYSTEM) for n in range(THREADS))
    )
    assert said(results) == ["There can be at most 250 throttling rules"] * (THREADS - 5)
    assert Rule.objects.filter(rule_set=address.rules_id).count() == 250


def test_a_domain_goes_to_one_rule(address):
    results = at_once(
        *(
            lambda n=n: rules.create(address, rule("Same.example", f"d{n}.example"), actor=SYSTEM)
            for n in range(THREADS)
        )
    )
    assert said(results) == ['domains[0] "Same.example" has already been taken'] * (THREADS - 1)
    assert RuleDomain.objects.filter(rule_set=address.rules_id, pattern="same.example").count() == 1


def test_whole_updates_and_single_rules_meet_in_one_set(address):
    def whole(n):
        ip_addresses.update(address.pk, {"rules_new": [rule("same.example")], "name": f"n{n}"}, actor=SYSTEM)

    def single(n):
        rules.create(address, rule("same.example"), actor=SYSTEM)

    results = at_once(*(lambda n=n: (whole if n % 2 else single)(n) for n in range(THREADS)))
    assert len(said(results)) == THREADS - 1
    assert RuleDomain.objects.filter(pattern="same.example").count() == 1


def test_a_name_goes_to_one_virtual_mta_of_any_kind(template):
    def make(n):
        if n % 2:
            return relay_servers.create({**RELAY, "name": "SAME"}, actor=SYSTEM)
        return ip_addresses.create(values_of(n, template, name="Same"), actor=SYSTEM)

    results = at_once(*(lambda n=n: make(n) for n in range(THREADS)))
    assert said(results) == ["name has already been taken"] * (THREADS - 1)
    assert VirtualMTA.objects.count() == 1


def test_an_ip_goes_to_one_address(template):
    results = at_once(
        *(
            lambda n=n: ip_addresses.create(values_of(n, template, ipv4="10.9.9.9"), actor=SYSTEM)
            for n in range(THREADS)
        )
    )
    assert said(results) == ["ipv4 has already been taken"] * (THREADS - 1)
    assert (IPAddress.objects.count(), RuleSet.objects.filter(kind="address").count()) == (1, 1)


def test_names_of_templates_and_programs_are_unique():
    default = {"max_concurrent_connections": 0, "max_messages_per_hour": 0}
    results = at_once(
        *(lambda n=n: templates.create({"name": n, "default": default}, actor=SYSTEM) for n in ("Same", "SAME") * 4)
    )
    assert said(results) == ["name has already been taken"] * (THREADS - 1)
    assert ThrottlingTemplate.objects.filter(name_key="same").count() == 1
    backoff = {"mode": "fixed", "value": 1}
    program = {
        "name": "Same",
        "backoff": {"max_concurrent_connections": backoff, "max_messages_per_hour": backoff, "return_after": 1},
        "triggers": {"failure_rate": 1},
    }
    results = at_once(*(lambda: programs.create(program, actor=SYSTEM) for _ in range(THREADS)))
    assert said(results) == ["name has already been taken"] * (THREADS - 1)


def test_two_redirects_do_not_close_a_loop(template):
    made = [ip_addresses.create(values_of(n, template), actor=SYSTEM) for n in range(4)]
    results = at_once(
        *(
            lambda n=n: ip_addresses.update(made[n].pk, {"redirect": {"id": made[(n + 1) % 4].pk}}, actor=SYSTEM)
            for n in range(4)
        )
    )
    assert said(results) == ["redirect must not make a loop"]
    assert VirtualMTA.objects.exclude(redirect=None).count() == 3


def test_a_redirect_and_a_route_do_not_close_a_loop(template):
    address = ip_addresses.create(values_of(1, template), actor=SYSTEM)
    other = ip_addresses.create(values_of(2, template), actor=SYSTEM)
    through = {
        "randomization_type": "random",
        "deliver_through": [{"virtual_mta": {"id": other.pk}, "portion_of_mail": 1}],
    }
    route = routing_rules.create({"name": "route", "default": through}, actor=SYSTEM)
    back = {"deliver_through": [{"virtual_mta": {"id": address.pk}, "portion_of_mail": 1}]}
    results = at_once(
        lambda: ip_addresses.update(address.pk, {"redirect": {"id": route.pk}}, actor=SYSTEM),
        lambda: routing_rules.update(route.pk, {"default": back}, actor=SYSTEM),
    )
    assert len(said(results)) == 1


def test_a_program_is_used_or_deleted(address):
    backoff = {"mode": "fixed", "value": 1}
    for _ in range(3):
        program = programs.create(
            {
                "name": "Short-lived",
                "backoff": {"max_concurrent_connections": backoff, "max_messages_per_hour": backoff, "return_after": 1},
                "triggers": {"failure_rate": 1},
            },
            actor=SYSTEM,
        )
        used = rule("used.example", throttle_program={"id": program.pk})
        results = at_once(
            lambda: programs.delete(program.pk, actor=SYSTEM),  # noqa: B023 - called within the turn
            lambda: rules.create(address, used, actor=SYSTEM),  # noqa: B023
        )
        assert len(said(results)) == 1
        assert (
            ThrottleProgram.objects.filter(pk=program.pk).exists()
            == Rule.objects.filter(throttle_program=program.pk).exists()
        )
        Rule.objects.filter(throttle_program=program.pk).delete()
        ThrottleProgram.objects.filter(pk=program.pk).delete()


def test_a_template_is_used_or_deleted():
    default = {"max_concurrent_connections": 0, "max_messages_per_hour": 0}
    for n in range(3):
        template = templates.create({"name": f"T{n}", "default": default}, actor=SYSTEM)
        results = at_once(
            lambda: templates.delete(template.pk, actor=SYSTEM),  # noqa: B023 - called within the turn
            lambda: ip_addresses.create(values_of(n, template), actor=SYSTEM),  # noqa: B023
        )
        assert len(said(results)) == 1


def test_an_address_is_deleted_while_rules_are_added(address):
    results = at_once(
        lambda: ip_addresses.delete(address.pk, actor=SYSTEM),
        *(lambda n=n: rules.create(address, rule(f"d{n}.example"), actor=SYSTEM) for n in range(4)),
    )
    said(results)
    assert not IPAddress.objects.exists()
    assert (Rule.objects.count(), RuleDomain.objects.count()) == (0, 0)
    assert not RuleSet.objects.filter(kind="address").exists()


def test_a_template_s_rules_and_its_deletion(template):
    results = at_once(
        lambda: templates.delete(template.pk, actor=SYSTEM),
        *(
            lambda n=n: templates.update(template.pk, {"rules_new": [rule(f"d{n}.example")]}, actor=SYSTEM)
            for n in range(4)
        ),
    )
    said(results)
    assert not Rule.objects.exists()


def test_one_default_virtual_mta(template):
    made = [ip_addresses.create(values_of(n, template), actor=SYSTEM) for n in range(4)]
    results = at_once(
        *(
            lambda n=n: virtual_mtas.choose_default({"virtual_mta": {"id": made[n % 4].pk}}, actor=SYSTEM)
            for n in range(THREADS)
        )
    )
    assert said(results) == []
    assert VirtualMTA.objects.filter(is_default=True).count() == 1
