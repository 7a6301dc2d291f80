"""POST /ip_addresses: the rules and the default that come with an address, on both sides of each boundary."""

import pytest

from tests.api.greenarrow.test_ip_addresses_create import faults, made, rule


def test_domains_are_answered_as_lower_case_a_labels_in_the_order_given(call, template):
    created = made(call, rules=[rule("Z.example", "*.Bücher.example", "[*.]a.example", "B.example")])
    assert created["rules"][0]["domains"] == [
        "z.example",
        "*.xn--bcher-kva.example",
        "[*.]a.example",
        "b.example",
    ]


def test_prefixes_make_other_patterns(call, template):
    created = made(call, rules=[rule("a.example", "*.a.example"), rule("[*.]a.example")])
    assert [each["domains"] for each in created["rules"]] == [["a.example", "*.a.example"], ["[*.]a.example"]]


@pytest.mark.parametrize(
    ("domains", "found"),
    [
        (..., ["rules[0].domains is required"]),
        (None, ["rules[0].domains must be an array"]),
        ("example.com", ["rules[0].domains must be an array"]),
        ([], ["rules[0].domains must contain at least one domain name"]),
        ([5], ["rules[0].domains[0] must be a string"]),
        ([""], ['rules[0].domains[0] "" is not a valid domain name']),
        (["a.com", "a b", "c_d"], [
            'rules[0].domains[1] "a b" is not a valid domain name',
            'rules[0].domains[2] "c_d" is not a valid domain name',
        ]),
        (["a.com", "A.com."], ['rules[0].domains[1] "A.com." has already been taken']),
        (["bücher.example", "XN--bcher-KVA.example"], [
            'rules[0].domains[1] "XN--bcher-KVA.example" has already been taken'
        ]),
        (["x" * 300], [f'rules[0].domains[0] "{"x" * 100}…" is not a valid domain name']),
    ],
)  # fmt: skip
def test_bad_domains(call, template, domains, found):
    values = rule()
    if domains is ...:
        del values["domains"]
    else:
        values["domains"] = domains
    assert faults(call, rules=[values]) == found


@pytest.mark.parametrize("name", ["max_concurrent_connections", "max_messages_per_hour"])
def test_limits_of_a_rule(call, template, name):
    for number, value in enumerate((0, 1, 2**31 - 1)):
        created = made(call, name=f"x-{number}", ip=f"10.0.0.{number}", rules=[rule("a.com", **{name: value})])
        assert created["rules"][0][name] == value
    for value in (-1, 2**31, 2**63, 2**70, None, True, "1", 1.0, []):
        assert faults(call, rules=[rule("a.com", **{name: value})]) == [
            f"rules[0].{name} must be an integer from 0 to 2147483647"
        ]
    values = rule("a.com")
    del values[name]
    assert faults(call, rules=[values]) == [f"rules[0].{name} is required"]


@pytest.mark.parametrize("name", ["max_concurrent_connections", "max_messages_per_hour"])
def test_limits_of_the_default(call, template, name):
    for number, value in enumerate((None, 0, 2**31 - 1)):
        created = made(call, name=f"x-{number}", ip=f"10.0.0.{number}", default={name: value})
        assert created["default"][name] == value
    for value in (-1, 2**31, True, "1", 1.0, []):
        assert faults(call, default={name: value}) == [
            f"default.{name} must be null or an integer from 0 to 2147483647"
        ]
    for value in (None, [], 5):
        assert faults(call, default=value) == ["default must be an object"]


def test_a_throttle_program_must_exist(call, template):
    created = made(call, rules=[rule("a.com", throttle_program={"name": "AUTOMATIC backoff"}), rule("b.com")])
    assert [each["throttle_program"] and each["throttle_program"]["name"] for each in created["rules"]] == [
        "Automatic Backoff",
        None,
    ]
    assert faults(
        call, name="b", ip="1.1.1.1", rules=[rule("a.com", throttle_program={"id": 999, "name": "Automatic Backoff"})]
    ) == ["rules[0].throttle_program refers to a throttle program that does not exist"]


def test_250_rules_are_the_most(call, template):
    rules = [rule(f"d{number}.example") for number in range(250)]
    created = made(call, rules=rules)
    assert [each["domains"] for each in created["rules"]] == [each["domains"] for each in rules]
    assert faults(call, name="b", ip="1.1.1.1", rules=[*rules, rule("one-more.example")]) == [
        "rules must not make more than 250 rules"
    ]


def test_rules_of_other_types(call, template):
    for value in (None, {}, "x", 5):
        assert faults(call, rules=value) == ["rules must be an array"]
    assert faults(call, rules_new=[rule("a.com")]) == ["rules_new may be given on an update only"]
