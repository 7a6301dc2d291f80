"""Forms call the acts of the API: what those do is done, and what they refuse stands at its field."""

import base64
import hashlib
import re

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry, User
from servers import people
from servers.models import Domain, IPPoolRule, Organization, Route, Server, Webhook
from servers.pools import create_pool
from servers.provisioning import create_organization, suspend_organization
from tests.panel.conftest import NOW, SYSTEM, sign_in
from tests.panel.posting import YES, add, change, errors, last

# --- Organizations ---------------------------------------------------------------------------------------------------


def test_an_organization_is_made_by_the_platform(acme, platform, root):
    data = {"name": "Initech", "permalink": "", "time_zone": "Europe/Berlin"}
    assert add(root, "servers_organization", data).status_code == 302
    made = Organization.objects.get(name="Initech")
    assert (made.permalink, made.time_zone, made.allow_keyless_create) == ("initech", "Europe/Berlin", False)
    assert AuditEntry.objects.filter(act="organization.created", target_id=str(made.pk), actor_label="root").exists()
    assert errors(add(root, "servers_organization", {**data, "name": "ÀCME", "permalink": "acme"})) == {
        "permalink": ["Has already been taken"]
    }
    assert add(sign_in(acme.owner), "servers_organization", data).status_code == 403


def test_an_owner_does_not_open_keyless_creation(acme, platform):
    data = {"name": "Acme", "permalink": "acme", "time_zone": "UTC", "allow_keyless_create": "on"}
    assert change(sign_in(acme.owner), acme.organization, {**data, "name": "Acme & Co"}).status_code == 302
    acme.organization.refresh_from_db()
    assert (acme.organization.name, acme.organization.allow_keyless_create) == ("Acme & Co", False)


def test_quotas_are_the_platforms_to_give_and_the_organizations_to_read(acme, platform, root):
    data = {"name": "Acme", "permalink": "acme", "time_zone": "UTC"}
    assert change(root, acme.organization, {**data, "max_servers": "1", "max_domains": ""}).status_code == 302
    acme.organization.refresh_from_db()
    assert (acme.organization.max_servers, acme.organization.max_domains) == (1, None)
    owner = sign_in(acme.owner)
    assert change(owner, acme.organization, {**data, "max_servers": "1000"}).status_code == 302
    acme.organization.refresh_from_db()
    assert acme.organization.max_servers == 1
    url = reverse("admin:servers_organization_change", args=[acme.organization.pk])
    assert "Of at most 1 servers" in owner.get(url).content.decode()
    too_many = change(root, acme.organization, {**data, "max_servers": str(2**31)})
    assert errors(too_many) == {"max_servers": ["Must be from 0 to 2147483647"]}


def test_only_the_platform_suspends_an_organization(acme, platform, root):
    data = {**YES, "reason": "Unpaid"}
    assert change(sign_in(acme.owner), acme.organization, data, "suspend").status_code == 403
    assert change(root, acme.organization, data, "suspend").status_code == 302
    acme.organization.refresh_from_db()
    assert acme.organization.suspension_reason == "Unpaid"
    assert change(root, acme.organization, YES, "resume").status_code == 302
    acme.organization.refresh_from_db()
    assert acme.organization.suspended_at is None


def test_an_organization_that_never_had_a_server_is_deleted_by_the_platform(acme, platform, root):
    empty = create_organization(at=timezone.now(), name="Mistake", actor=SYSTEM)
    people.add_person(organization=empty, username="mia", role="owner", actor=SYSTEM)
    owner = sign_in(User.objects.get(username="mia"))
    assert change(owner, empty, {"post": "yes"}, "delete").status_code == 403
    assert change(sign_in(platform.staff), empty, {"post": "yes"}, "delete").status_code == 403
    page = root.get(reverse("admin:servers_organization_delete", args=[empty.pk])).content.decode()
    assert "Its memberships are deleted" in page
    assert change(root, empty, {"post": "yes"}, "delete").status_code == 302
    assert not Organization.objects.filter(pk=empty.pk).exists()
    assert last() == ("organization.deleted", "root", empty.pk)


def test_an_organization_that_had_servers_says_why_it_is_kept(acme, platform, root):
    for response in (
        root.get(reverse("admin:servers_organization_delete", args=[acme.organization.pk])),
        change(root, acme.organization, {"post": "yes"}, "delete"),
    ):
        text = response.content.decode()
        assert "Acme cannot be deleted" in text
        assert "It has had servers (Acme server)." in text
        assert "suspend it" in text
        assert "It has made IP pools (Acme pool): delete them first." in text
    assert Organization.objects.filter(pk=acme.organization.pk).exists()


# --- Servers ---------------------------------------------------------------------------------------------------------


def test_a_server_comes_with_its_keys(acme, platform):
    data = {"organization": acme.organization.pk, "name": "New", "mode": "live", "auto_assign": "on"}
    assert add(sign_in(acme.operator), "servers_server", data).status_code == 302
    server = Server.objects.get(name="New")
    assert (server.permalink, server.ip_pool) == ("new", acme.pool)
    assert sorted(server.credentials.values_list("kind", flat=True)) == ["api", "smtp"]
    again = add(sign_in(acme.operator), "servers_server", {**data, "name": "NEW"})
    assert errors(again) == {"name": ["Has already been taken"]}


def test_a_pool_of_others_is_no_choice(acme, globex, platform, root):
    data = {"name": "Acme server", "mode": "live", "ip_pool": globex.pool.pk}
    assert set(errors(change(sign_in(acme.owner), acme.server, data))) == {"ip_pool"}
    # Nor for the platform's staff, who see it.
    assert set(errors(change(root, acme.server, data))) == {"ip_pool"}
    made = add(root, "servers_server", {**data, "organization": acme.organization.pk, "name": "Other"})
    assert made.status_code == 200
    assert not Server.objects.filter(name="Other").exists()


def test_saving_without_a_change_writes_nothing(acme, platform):
    audited = AuditEntry.objects.count()
    data = {"name": "Acme server", "mode": "live", "ip_pool": acme.pool.pk}
    assert change(sign_in(acme.owner), acme.server, data).status_code == 302
    assert AuditEntry.objects.count() == audited


def test_suspending_wants_a_reason_and_a_time_to_come(acme, platform):
    client = sign_in(acme.operator)
    assert change(client, acme.server, YES, "suspend").context["form"].errors == {"reason": ["This field is required."]}
    past = {**YES, "reason": "Spam", "until_0": "2001-01-01", "until_1": "00:00"}
    assert change(client, acme.server, past, "suspend").context["form"].errors == {"until": ["Must be in the future"]}
    assert change(client, acme.server, {**YES, "reason": "Spam"}, "suspend").status_code == 302
    acme.server.refresh_from_db()
    assert acme.server.suspension_reason == "Spam"
    assert last() == ("server.suspended", "Acme-operator", acme.organization.pk)
    assert change(client, acme.server, YES, "resume").status_code == 302
    assert change(sign_in(platform.staff), acme.server, {**YES, "reason": "Complaints"}, "suspend").status_code == 302
    refused = change(client, acme.server, YES, "resume").context["form"].errors
    assert refused == {"__all__": ["The platform suspended this server, so only the platform can resume it"]}


def test_a_deleted_server_can_be_restored_and_nothing_else(acme, platform):
    client = sign_in(acme.owner)
    assert change(client, acme.server, {"post": "yes"}, "delete").status_code == 302
    acme.server.refresh_from_db()
    assert acme.server.deleted_at is not None
    assert change(client, acme.server, {"name": "x", "mode": "live"}).status_code == 403
    listing = reverse("admin:servers_server_changelist")
    assert client.get(listing).context["cl"].result_list == []
    assert client.get(listing, {"state": "deleted"}).context["cl"].result_list == [acme.server]
    assert change(client, acme.server, YES, "restore_deleted").status_code == 302
    acme.server.refresh_from_db()
    assert acme.server.deleted_at is None


def test_the_mode_is_switched_by_a_button(acme, platform):
    client = sign_in(acme.operator)
    assert change(client, acme.server, YES, "switch_to_development").status_code == 302
    acme.server.refresh_from_db()
    assert acme.server.mode == "development"
    assert change(client, acme.server, YES, "switch_to_live").status_code == 302


# --- Parts of servers ------------------------------------------------------------------------------------------------


def test_a_webhook_is_told_of_what_is_chosen(acme, platform):
    client = sign_in(acme.operator)
    data = {"server": acme.server.pk, "name": "Bounces", "url": "https://a.example/x", "events": ["MessageBounced"]}
    assert add(client, "servers_webhook", data).status_code == 302
    hook = Webhook.objects.get(name="Bounces")
    assert (hook.events, hook.enabled, hook.sign) == (["MessageBounced"], False, False)
    assert set(errors(add(client, "servers_webhook", {**data, "events": ["Nothing"], "url": "x y"}))) == {
        "events",
        "url",
    }
    assert change(client, hook, {"post": "yes"}, "delete").status_code == 302
    assert last()[0] == "webhook.deleted"


def test_a_route_has_an_endpoint_exactly_when_it_delivers_to_one(acme, globex, platform):
    client = sign_in(acme.operator)
    data = {"server": acme.server.pk, "name": "support", "mode": "endpoint", "endpoint": ""}
    assert set(errors(add(client, "servers_route", data))) == {"endpoint"}
    assert set(errors(add(client, "servers_route", {**data, "mode": "hold", "endpoint": "https://x.example"}))) == {
        "endpoint"
    }
    assert add(client, "servers_route", {**data, "endpoint": "https://x.example"}).status_code == 302
    route = Route.objects.get(name="support")
    assert errors(add(client, "servers_route", {**data, "mode": "accept"})) == {"name": ["Has already been taken"]}
    assert set(errors(change(client, route, {**data, "mode": "accept", "domain": globex.domain.pk}))) == {"domain"}


def test_a_pool_rule_has_one_owner_and_a_condition(acme, platform):
    client = sign_in(acme.operator)
    data = {"server": acme.server.pk, "pool": acme.pool.pk, "to_conditions": "Someone+tag@Example.com\nb.example"}
    assert add(client, "servers_ippoolrule", data).status_code == 302
    rule = IPPoolRule.objects.latest("pk")
    assert rule.to_conditions == "someone@example.com\nb.example"
    both = {**data, "organization": acme.organization.pk}
    assert set(errors(add(client, "servers_ippoolrule", both))) == {"server"}
    assert errors(add(client, "servers_ippoolrule", {**data, "to_conditions": "not one"})) == {
        "to_conditions": ["Is neither an e-mail address nor a domain"]
    }
    empty = {**data, "to_conditions": ""}
    assert errors(add(client, "servers_ippoolrule", empty)) == {"__all__": ["A pool rule needs at least one condition"]}


def test_a_domain_comes_with_its_records(acme, platform):
    client = sign_in(acme.operator)
    response = add(client, "servers_domain", {"server": acme.server.pk, "name": "Mail.Example.ORG"})
    domain = acme.server.domains.get(name="mail.example.org")
    assert response.headers["Location"] == reverse("admin:servers_domain_change", args=[domain.pk])
    shown = client.get(response.headers["Location"])
    assert [each["label"] for each in shown.context["records"]][:4] == [
        "Proof of ownership",
        "SPF",
        "DKIM",
        "Return path",
    ]
    zone = client.get(reverse("admin:servers_domain_zone", args=[domain.pk])).content.decode()
    assert f"postal-verify {domain.verification_token}" in zone
    bad = add(client, "servers_domain", {"server": acme.server.pk, "name": "no domain"})
    assert bad.context["form"].errors == {"name": ["Is not a domain name"]}
    wrong = change(client, domain, {"custom_mx_records": "mx.example.org\nnot a host", "dmarc_record": "x"})
    assert set(errors(wrong)) == {"custom_mx_records", "dmarc_record"}
    right = {"custom_mx_records": "mx.example.org", "dmarc_record": "v=DMARC1; p=reject", "outgoing": "on"}
    assert change(client, domain, right).status_code == 302
    domain.refresh_from_db()
    assert (domain.custom_mx_records, domain.dmarc_record, domain.incoming) == (
        ["mx.example.org"],
        "v=DMARC1; p=reject",
        False,
    )


# --- Ways out --------------------------------------------------------------------------------------------------------


def test_a_relay_keeps_its_password_unless_it_is_told_to_forget_it(platform, root):
    from core.encryption import decrypt

    data = {
        "name": "relay-1",
        "source_ip": "203.0.113.8",
        "source_hostname": "out.example.com",
        "destination_hostname": "relay.example.com",
        "destination_port": 2525,
        "destination_username": "me",
        "password": "secret word",
        "max_concurrent_connections": 5,
        "max_messages_per_hour": 0,
    }
    relay = platform.relay
    assert change(root, relay, data).status_code == 302
    relay.refresh_from_db()
    assert (relay.destination_port, decrypt(relay.destination_password)) == (2525, "secret word")
    assert "secret word" not in str(AuditEntry.objects.latest("pk").after)
    assert change(root, relay, {**data, "password": "", "destination_port": 26}).status_code == 302
    relay.refresh_from_db()
    assert decrypt(relay.destination_password) == "secret word"
    assert b"secret word" not in root.get(reverse("admin:ippools_relayserver_change", args=[relay.pk])).content
    assert change(root, relay, {**data, "password": "", "forget_password": "on"}).status_code == 302
    relay.refresh_from_db()
    assert relay.destination_password is None
    wrong = {**data, "source_hostname": "-x-", "destination_port": 0}
    assert set(errors(change(root, relay, wrong))) == {"source_hostname", "destination_port"}


def test_a_routing_rule_is_written_as_weights_and_names(platform, root):
    data = {
        "name": "split",
        "randomization_type": "random",
        "deliver_through": "3 spare\n1.5 relay-1",
        "overrides-TOTAL_FORMS": 1,
        "overrides-INITIAL_FORMS": 0,
        "overrides-0-domains": "gmail.example",
        "overrides-0-randomization_type": "message_constant",
        "overrides-0-deliver_through": "relay-1",
    }
    rule = platform.routing_rule
    assert change(root, rule, data).status_code == 302
    targets = [(str(each.virtual_mta), float(each.portion_of_mail)) for each in rule.targets.filter(override=None)]
    assert targets == [("spare", 3.0), ("relay-1", 1.5)]
    form = root.get(reverse("admin:ippools_routingrule_change", args=[rule.pk])).context["adminform"].form
    assert form.initial["deliver_through"] == "3 spare\n1.5 relay-1"
    assert form.overrides.initial[0]["deliver_through"] == "1 relay-1"
    data |= {"overrides-INITIAL_FORMS": 1, "overrides-0-id": form.overrides.initial[0]["id"]}
    assert set(errors(change(root, rule, {**data, "deliver_through": "1 nobody"}))) == {"deliver_through"}
    bad = change(root, rule, {**data, "overrides-0-domains": "no domain!"}).context["adminform"].form
    assert set(bad.overrides.forms[0].errors) == {"domains"}


def test_the_default_way_out_is_chosen(platform, root):
    url = reverse("admin:ippools_virtualmta_make_default", args=[platform.relay.pk])
    assert root.post(url, YES).status_code == 302
    platform.relay.refresh_from_db()
    assert platform.relay.is_default


# --- Grants -----------------------------------------------------------------------------------------------------------


def test_a_grant_that_servers_need_is_not_withdrawn(acme, platform, root):
    grant = acme.organization.organization_pools.get(pool=acme.pool)
    page = change(root, grant, {"post": "yes"}, "delete").content.decode()
    assert "Servers of the organization send by this pool." in page
    assert 'name="post"' not in page
    assert acme.organization.organization_pools.filter(pk=grant.pk).exists()
    spare = create_pool(organization=acme.organization, name="Spare", ips=[], actor=SYSTEM).pool
    grant = acme.organization.organization_pools.get(pool=spare)
    assert change(root, grant, {"post": "yes"}, "delete").status_code == 302
    assert not acme.organization.organization_pools.filter(pool=spare).exists()


# --- What every page does --------------------------------------------------------------------------------------------


def test_times_are_shown_in_the_viewers_zone(acme, platform):
    suspend_organization(organization=acme.organization, reason="x", at=NOW, actor=SYSTEM)
    url = reverse("admin:servers_organization_change", args=[acme.organization.pk])
    User.objects.filter(pk=acme.owner.pk).update(time_zone="Asia/Tokyo")
    assert ", 19:30" in sign_in(acme.owner).get(url).content.decode()
    assert ", 10:30" in sign_in(acme.operator).get(url).content.decode()


def test_pages_allow_nothing_from_outside():
    policy = Client().get("/admin/login/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "http" not in policy
    strict = Client().get("/nowhere").headers["Content-Security-Policy"]
    assert "unsafe" not in strict


def test_a_page_that_says_what_went_wrong_keeps_its_own_style():
    response = Client().get("/nowhere")
    [style] = re.findall(r"<style>(.*?)</style>", response.content.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response.status_code == 404
    assert response.headers["Content-Security-Policy"].endswith(f"style-src 'self' 'sha256-{digest}'")
    assert "sha256" not in Client().get("/api/docs/").headers["Content-Security-Policy"]


def test_the_search_finds_by_what_people_paste(acme, globex, platform, root):
    url = reverse("admin:search")
    asked = {
        "acme serv": "Acme server",
        "acme-server": "Acme server",
        str(acme.server.uuid): "Acme server",
        "192.0.2.1": "192.0.2.1",
        "spare.example": "203.0.113.7",
        "acme.example": "acme.example",
        acme.credential.key_prefix: "Acme key (API)",
        "Careful": "Careful",
        "Acme-ow": "Acme-owner",
        # Anywhere in a name; organization/server; a mailbox's domain; a network; a rule's domain; a page.
        "me serv": "Acme server",
        "acme/acme-s": "Acme server",
        "somebody@acme.example": "acme.example",
        "cme.exam": "acme.example",
        "192.0.2.0/30": "192.0.2.1",
        "mail.example": "Careful",
        "ip addr": "IP addresses",
        "usage": "Usage",
    }
    Domain.objects.create(
        server=acme.server,
        name="xn--bcher-kva.example",
        verification_token="t",
        dkim_identifier="d",
        dkim_public_key="p",
    )
    asked["bücher.example"] = asked["BÜCHER.example"] = "xn--bcher-kva.example"
    for text, found in asked.items():
        assert found in [result.title for result in root.get(url, {"s": text}).context["results"]], text
    foreign = [globex.credential.key_prefix, str(globex.server.uuid), "198.51.100.1", "globex.example", "Careful"]
    for text in [
        *foreign,
        "globex/",
        "198.51.100.0/24",
        "info@globex.example",
        "x" * 300,
        "10.0.0.0/0",
        "/",
        "@",
        "a/b/c",
    ]:
        assert sign_in(acme.owner).get(url, {"s": text}).context["results"] == [], text
    # In the page it is a list, by its address a page; Enter goes to the first.
    within = root.get(url, {"s": "acme serv"}, headers={"HX-Request": "true"}).content.decode()
    assert ("<html" in within, 'data-asked="acme serv"' in within) == (False, True)
    assert "<html" in root.get(url).content.decode()
    gone = root.get(url, {"s": "acme serv", "go": "1"})
    assert gone.headers["Location"] == reverse("admin:servers_server_change", args=[acme.server.pk])
