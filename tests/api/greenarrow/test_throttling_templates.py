"""/throttling_templates"""

import pytest

from ippools.addresses import NewAddress, create_many
from tests.api.greenarrow.conftest import SYSTEM, refusal, success
from throttling.models import Rule, RuleSet, ThrottleProgram, ThrottlingTemplate

ROOT = "throttling_template"
DEFAULT = {"max_concurrent_connections": 3, "max_messages_per_hour": 0}


def rule(*domains, **changes):
    return {"domains": list(domains), "max_concurrent_connections": 1, "max_messages_per_hour": 2, **changes}


def create(call, **values):
    return call.data("POST", "throttling_templates", {ROOT: {"name": "T", "default": DEFAULT, **values}})[ROOT]


def test_create_and_show(call):
    created = create(call, rules=[rule("a.com", "*.B.com", throttle_program={"name": "Automatic backoff"})])
    assert created == {
        "id": created["id"],
        "name": "T",
        "rules": [
            {
                "id": created["rules"][0]["id"],
                "domains": ["a.com", "*.b.com"],
                "max_concurrent_connections": 1,
                "max_messages_per_hour": 2,
                "throttle_program": {"id": ThrottleProgram.objects.get().pk, "name": "Automatic Backoff"},
            }
        ],
        "default": DEFAULT,
    }
    assert call("GET", f"throttling_templates/{created['id']}") == success({ROOT: created})
    assert create(call, name="U")["rules"] == []


def test_a_client_clones_a_template(call):
    original = create(call, rules=[rule("a.com"), rule("b.com", throttle_program={"name": "Automatic Backoff"})])
    clone = {
        **original,
        "name": "Clone",
        "rules": [{k: v for k, v in each.items() if k != "id"} for each in original["rules"]],
    }
    created = call.data("POST", "throttling_templates", {ROOT: clone})[ROOT]
    assert created["id"] != original["id"]
    assert [each.pop("id") for each in created["rules"]] != [each.pop("id") for each in original["rules"]]
    assert created == {**original, "id": created["id"], "name": "Clone"}


def test_create_names_every_fault(call):
    values = {"name": "!?", "default": {"max_messages_per_hour": None}, "rules": [rule("x y"), rule("A.com", "a.com")]}
    assert call.faults("POST", "throttling_templates", {ROOT: values}) == [
        "name must contain at least one letter or digit",
        "default.max_concurrent_connections is required",
        "default.max_messages_per_hour must be an integer from 0 to 2147483647",
        'rules[0].domains[0] "x y" is not a valid domain name',
        'rules[1].domains[1] "a.com" has already been taken',
    ]
    assert call.faults("POST", "throttling_templates", {ROOT: {}}) == ["name is required", "default is required"]
    assert not Rule.objects.exists()
    assert RuleSet.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", "name must be from 1 to 200 characters in length"),
        ("x" * 201, "name must be from 1 to 200 characters in length"),
        ("-_-", "name must contain at least one letter or digit"),
        ("DEFAULT", "name has already been taken"),
        ("ＤＥＦＡＵＬＴ", "name has already been taken"),
        ("a\tb", "name must not contain control characters"),
        (None, "name is required"),
        (5, "name must be a string"),
    ],
)
def test_a_bad_name(call, db, name, found):
    assert call.faults("POST", "throttling_templates", {ROOT: {"name": name, "default": DEFAULT}}) == [found]


@pytest.mark.parametrize("name", ["x" * 200, "Ünïcode", "12", "a, b # c @ d", "!1"])
def test_a_good_name(call, db, name):
    assert create(call, name=name)["name"] == name


def test_update_is_partial(call):
    created = create(call, rules=[rule("a.com")])
    url = f"throttling_templates/{created['id']}"
    assert call.data("PUT", url, {ROOT: {"default": {"max_messages_per_hour": 7}}})[ROOT] == {
        **created,
        "default": {"max_concurrent_connections": 3, "max_messages_per_hour": 7},
    }
    assert call.data("PUT", url, {ROOT: {"name": "t"}})[ROOT]["name"] == "t"
    added = call.data("PUT", url, {ROOT: {"rules_new": [rule("b.com")]}})[ROOT]["rules"]
    assert added[0] == created["rules"][0]
    assert added[1]["domains"] == ["b.com"]


def test_update_refuses_with_every_fault_and_changes_nothing(call):
    created = create(call, rules=[rule("a.com")])
    url = f"throttling_templates/{created['id']}"
    values = {"name": "Default", "default": {"max_messages_per_hour": None}, "rules": [], "rules_new": [rule("A.com")]}
    assert call.faults("PUT", url, {ROOT: values}) == [
        "name has already been taken",
        "default.max_messages_per_hour must be an integer from 0 to 2147483647",
        "rules may not be given on an update: use rules_new to add rules, and the rules' own URLs to change or delete them",
        'rules_new[0].domains[0] "A.com" has already been taken',
    ]
    assert call.data("GET", url)[ROOT] == created


def test_a_template_that_addresses_use_is_not_deleted(call, address, template):
    dependencies = [{"type": "ip_address", "id": address.pk, "name": "ipaddr-1"}]
    url = f"throttling_templates/{template.pk}"
    assert call("DELETE", url, status=409) == refusal(
        "conflict", "It is used by ip_address ipaddr-1", data={"dependencies": dependencies}
    )
    assert call.data("GET", f"{url}/used_by")["used_by"] == dependencies
    call.data("DELETE", f"ip_addresses/{address.pk}")
    assert call("DELETE", url) == success({})
    call("GET", url, status=404)
    assert not RuleSet.objects.filter(pk=template.rules_id).exists()


def test_the_default_template_is_not_deleted(call, db):
    default = ThrottlingTemplate.objects.get(is_default=True)
    assert call("DELETE", f"throttling_templates/{default.pk}", status=403) == refusal(
        "forbidden", "The default throttling template cannot be deleted"
    )
    values = {"default": {"max_messages_per_hour": 5}}
    assert call.data("PUT", f"throttling_templates/{default.pk}", {ROOT: values})[ROOT]["default"] == {
        "max_concurrent_connections": 0,
        "max_messages_per_hour": 5,
    }


def test_used_by_pages(call, template):
    made = create_many(
        [NewAddress(ipv4=f"10.0.{n // 200}.{n % 200}", hostname="h.com", template=template) for n in range(205)],
        actor=SYSTEM,
    )
    url = f"throttling_templates/{template.pk}/used_by"
    first = call.data("GET", url)
    assert first["pagination"]["num_records"] == 205
    second = call.data("GET", f"{url}?page_token={first['pagination']['next_page_token']}")
    assert second == call.data("GET", f"{url}?page=1")
    third = call.data("GET", f"{url}?page_token={second['pagination']['next_page_token']}")
    assert [row["id"] for page in (first, second, third) for row in page["used_by"]] == [each.pk for each in made]
    # A refusal names a hundred of them.
    dependencies = call("DELETE", url.removesuffix("/used_by"), status=409)["data"]["dependencies"]
    assert len(dependencies) == 100


def test_more_domains_than_are_written_at_once_are_refused(call):
    """Others who write would wait, and by the embedded database everybody would."""
    names = [f"d{number}.example" for number in range(10_001)]
    message = "must not have more than 10,000 domains in all"
    for rules in ([rule(*names)], [rule(*names[:5_000]), rule(*names[5_000:])]):
        values = {"name": "T", "default": DEFAULT, "rules": rules}
        assert call.faults("POST", "throttling_templates", {ROOT: values}) == [f"rules {message}"]
    url = f"throttling_templates/{create(call, name='U')['id']}/throttling_rules"
    assert call.faults("POST", url, {"throttling_rule": rule(*names)}) == [f"domains {message}"]


@pytest.mark.parametrize("entry", [[], {}, {"domains": []}, {"domains": ["a.com"]}, rule("a.com")], ids=str)
def test_of_more_rules_than_there_can_be_none_is_looked_at(call, entry):
    for name in ("rules", "rules_new"):
        values = {name: [entry] * 12_000}
        if name == "rules":
            values |= {"name": "T", "default": DEFAULT}
            said = call.faults("POST", "throttling_templates", {ROOT: values})
        else:
            url = f"throttling_templates/{create(call, name='U')['id']}"
            said = call.faults("PUT", url, {ROOT: values})
        assert said == [f"{name} must not make more than 250 rules"]


def test_a_request_of_more_values_than_any_needs_is_refused(call):
    for entry in ([], {}, 1):
        values = {"name": "T", "default": DEFAULT, "rules": [entry] * 60_000}
        answer = call("POST", "throttling_templates", {ROOT: values}, status=413)
        assert answer["error_messages"] == ["The request must not have more than 50,000 values"]
