"""How mail comes to the instance of its pool: by the front, or at once where there is one pool only."""

import datetime
import ipaddress

import agent_grammar

from nodes.policy.compiled import Fidelity
from nodes.policy.model import Deferral, Overlay, Pool, PoolRule, Suspension, Tenant
from nodes.policy.postfix import compile_policy
from tests.nodes.postfix_files import Instance
from tests.nodes.test_postfix import small


def test_one_pool_takes_mail_itself() -> None:
    files = compile_policy(small(tenants=(Tenant(1, "u1", "acme/mail", 1, 7),)), Overlay()).files

    assert {name.partition("/")[0] for name in files} == {"pool-7"}
    assert Instance(files, "pool-7").pool_of("acme/mail") == "here"
    assert Instance(files, "pool-7").pool_of("globex/mail") is None


def test_a_default_limit_for_each_domain_needs_a_front() -> None:
    """Postfix counts deliveries: a message of several recipients would count once."""
    files = compile_policy(small(default=(5, 360)), Overlay()).files

    assert {name.partition("/")[0] for name in files} == {"front", "pool-7"}
    leaving = Instance(files, "pool-7").leaving("else.where")
    assert {each.is_by_domain for each in leaving.values()} == {True}


def test_the_front_gives_each_tenant_to_its_pool() -> None:
    policy = small(
        Pool(7, "Pool", (11,)),
        Pool(8, "Other", (12,)),
        tenants=(
            Tenant(1, "u1", "acme/mail", 1, 7),
            Tenant(2, "u2", "globex/mail", 2, 8),
            Tenant(3, "u3", "acme/none", 1, None),
            Tenant(4, "u4", "acme/new", 1, 7, is_development=True),
            Tenant(5, "u5", "acme/late", 1, 7),
            Tenant(6, "u6", "globex/full", 2, 8, send_limit=5),
        ),
    )
    reason = "This server has reached its send limit of 5 messages an hour; try again after 14:00 UTC"
    overlay = Overlay(
        suspended=(Suspension("acme/late"),),
        deferred=(Deferral("globex/full", datetime.datetime(2026, 7, 27, 14, tzinfo=datetime.UTC), reason),),
    )
    compiled = compile_policy(policy, overlay)
    front = Instance(compiled.files, "front")
    # A suspension and a send limit are for a time: the client keeps its mail.
    assert compiled.files["front/tenants"].split("\n")[1:] == [
        "acme/late 450 4.7.1 This server is suspended",
        "acme/mail pool_7",
        "acme/new REJECT 5.7.1 This server is in development mode: nodes deliver no mail of it",
        "acme/none REJECT 5.7.1 This server has no IP pool",
        f"globex/full 450 4.7.1 {reason}",
        "globex/mail pool_8",
        "",
    ]

    assert [front.pool_of(tenant.name) for tenant in policy.tenants] == [
        "127.128.0.7:10025",
        "127.128.0.8:10025",
        None,
        None,
        None,
        None,
    ]
    assert compiled.files["pool-8/master.cf"].split("\n")[1].startswith("127.128.0.8:10025 inet ")


def test_pool_rules_are_tried_in_order() -> None:
    rules = (
        PoolRule(4, ("news@acme.example",), ("big.example",), 8),
        PoolRule(5, (), ("bob@else.example",), 7),
        PoolRule(6, ("acme.example",), (), 8),
    )
    policy = small(
        Pool(7, "Pool", (11,)), Pool(8, "Other", (12,)), tenants=(Tenant(1, "u1", "acme/mail", 1, None, rules),)
    )
    compiled = compile_policy(policy, Overlay())
    settings_of = Instance(compiled.files, "front").settings

    assert settings_of["rules_4_0_1"] == (
        "check_sender_access lmdb:$config_directory/rules_4_0_1_4-from,"
        " check_recipient_access lmdb:$config_directory/rules_4_0_1_5-to,"
        " check_sender_access lmdb:$config_directory/rules_4_0_1_6-from,"
        " check_client_access static:{REJECT 5.7.1 This server has no IP pool for this mail}"
    )
    assert settings_of["rules_4_0_1_4"] == "check_recipient_access lmdb:$config_directory/rules_4_0_1_4-to"
    assert compiled.files["front/rules_4_0_1_4-from"].endswith("\nnews@acme.example rules_4_0_1_4\n")
    assert compiled.files["front/rules_4_0_1_4-to"].endswith("\nbig.example pool_8\n")
    assert compiled.files["front/rules_4_0_1_6-from"].endswith("\nacme.example pool_8\n")
    assert ("pool_rules_by_message", Fidelity.NOT_ENFORCED, ("acme/mail",)) in [
        (each.code, each.fidelity, each.about) for each in compiled.fidelity
    ]


def test_a_condition_that_a_map_cannot_have_is_left_out() -> None:
    """One line that postmap warns of would stop the files of all tenants of the node."""
    odd = ('"joe@acme.example', "#joe@acme.example", "jo e@acme.example", " joe@acme.example", "jo\\e@acme.example")
    rules = (PoolRule(4, (*odd, "ann@acme.example"), ("#bob@else.example",), 8),)
    policy = small(
        Pool(7, "Pool", (11,)), Pool(8, "Other", (12,)), tenants=(Tenant(1, "u1", "acme/mail", 1, 7, rules),)
    )
    compiled = compile_policy(policy, Overlay())
    header = "# Sluice revision 812 for node mta1\n"

    assert compiled.files["front/rules_4_7_1_4-from"] == f"{header}ann@acme.example rules_4_7_1_4\n"
    # Without a recipient it never applies.
    assert compiled.files["front/rules_4_7_1_4-to"] == header
    assert ("pool_rule_conditions", Fidelity.NOT_ENFORCED, ("acme/mail",)) in [
        (each.code, each.fidelity, each.about) for each in compiled.fidelity
    ]
    sources = {tag: {"ip": each.ip, "rule": each.rule} for tag, each in compiled.sources.items()}
    agent_grammar.check(compiled.files, sources, {ipaddress.ip_address(each.ip) for each in compiled.sources.values()})
