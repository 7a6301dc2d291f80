"""Adding addresses to a pool: the preview says what bounds them, their names, where others are, and whose SPF changes."""

import html
import re

import pytest
from django.urls import reverse

from ippools.models import IPAddress, WarmUp
from servers.dns_records import expected_of, spf_text
from servers.models import Domain
from servers.pool_rules import create_rule
from servers.pools import create_platform_pool, grant_pool
from servers.provisioning import create_server
from tests.factories import IPAddressFactory
from tests.panel.conftest import SYSTEM, sign_in
from throttling.models import ThrottlingTemplate, WarmUpPlan


def url(pool):
    return reverse("admin:ippools_ippool_add_addresses", args=[pool.pk])


def look(client, pool, text, **more):
    return client.post(url(pool), {"addresses": text, "look": "1", **more})


def words(response):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split()).replace(" .", ".")


def default_template():
    return ThrottlingTemplate.objects.get(is_default=True)


def chosen(template=None, plan="none"):
    return {"template": (template or default_template()).pk, "plan": plan}


def test_a_template_and_a_plan_are_chosen(acme, platform, root):
    plan = WarmUpPlan.objects.order_by("pk")[0]
    given = chosen(platform.template, str(plan.pk))
    text = words(look(root, platform.pool, "192.0.2.40-41", **given))
    assert "New addresses get the template Careful: 10 connections, 100 messages per hour" in text
    assert f"2 addresses are warmed up by {plan}, from {plan.days[0]}" in text
    assert not IPAddress.objects.filter(ipv4="192.0.2.40").exists()
    response = root.post(url(platform.pool), {"addresses": "192.0.2.40-41", "add": "1", **given})
    assert response.status_code == 302
    made = IPAddress.objects.filter(ipv4__in=["192.0.2.40", "192.0.2.41"])
    assert {each.template_id for each in made} == {platform.template.pk}
    assert WarmUp.objects.active().filter(address__in=made, plan=plan).count() == 2


def test_of_many_templates_the_default_is_proposed_and_no_other_read(platform, root):
    page = root.get(url(platform.pool)).content.decode()
    select = re.search(r'<select[^>]*name="template".*?</select>', page, re.DOTALL)[0]
    assert re.findall(r'<option value="([^"]*)"', select) == [str(default_template().pk)]
    assert "autocomplete.js" in page
    # A choice that was sent is shown again, and what is no id is a wrong choice.
    shown = look(root, platform.pool, "192.0.2.40", template=platform.template.pk, plan="none").content.decode()
    assert f'<option value="{platform.template.pk}" selected' in shown
    assert (
        "Select a valid choice" in look(root, platform.pool, "192.0.2.40", template="x", plan="none").content.decode()
    )


def test_a_plan_is_proposed_so_that_a_cold_address_is_never_unlimited_by_oversight(platform, root):
    page = root.get(url(platform.pool)).content.decode()
    select = re.search(r'<select[^>]*name="plan".*?</select>', page, re.DOTALL)[0]
    first = re.findall(r'<option value="([^"]*)"', select)[0]
    assert first == str(WarmUpPlan.objects.order_by("pk")[0].pk)
    # Nothing is added where nothing was chosen.
    response = root.post(url(platform.pool), {"addresses": "192.0.2.40", "add": "1"})
    assert response.status_code == 200
    assert not IPAddress.objects.filter(ipv4="192.0.2.40").exists()


def test_an_address_that_sends_for_another_pool_is_not_slowed_down_to_a_plans_first_day(acme, platform, root):
    plan = WarmUpPlan.objects.order_by("pk")[0]
    other = create_platform_pool(name="Second", actor=SYSTEM)
    given = chosen(platform.template, str(plan.pk))
    used = acme.address
    WarmUp.objects.all().delete()
    text = words(look(root, other, f"{used.ipv4} 192.0.2.40", **given))
    assert f"1 address is warmed up by {plan}" in text
    assert "Those that send for another pool already go on as they do." in text
    assert "and go on as they do: they are not warmed up." in words(look(root, other, used.ipv4, **given))
    root.post(url(other), {"addresses": f"{used.ipv4} 192.0.2.40", "add": "1", **given})
    assert [each.address.ipv4 for each in WarmUp.objects.active()] == ["192.0.2.40"]


def test_without_a_plan_the_preview_warns(acme, platform, root):
    rules = default_template().rules
    rules.max_messages_per_hour = 0
    rules.save()
    assert "they send as much as they get from the first message on" in words(
        look(root, platform.pool, "192.0.2.40", **chosen())
    )
    text = words(look(root, platform.pool, "192.0.2.40", **chosen(platform.template)))
    assert "they send as much as the template allows" in text
    # People of an organization choose neither, and are told the same.
    page = look(sign_in(acme.operator), acme.pool, "192.0.2.40")
    assert {"template", "plan"} & set(page.context["form"].fields) == set()
    assert "they send as much as they get from the first message on" in words(page)


def test_new_addresses_are_listed_with_their_host_names(acme, platform):
    text = words(look(sign_in(acme.operator), acme.pool, "192.0.2.40-41"))
    assert "192.0.2.40 192-0-2-40.acme.postal 192.0.2.41 192-0-2-41.acme.postal" in text


def test_it_says_where_a_refused_address_is_to_those_who_may_know(acme, globex, platform, root):
    given = {**chosen(), "addresses": globex.address.ipv4}
    assert f"{globex.address.ipv4} is in Globex pool of Globex already" in words(
        look(root, acme.pool, globex.address.ipv4, **given)
    )
    text = words(look(sign_in(acme.operator), acme.pool, globex.address.ipv4))
    assert f"{globex.address.ipv4} has already been taken" in text
    assert "Globex" not in text


def test_existing_addresses_are_listed_with_their_pools(acme, platform, root):
    text = words(look(root, platform.pool, f"{acme.address.ipv4} {platform.address.ipv4}", **chosen()))
    assert f"{acme.address.ipv4} also in Acme pool of Acme" in text
    assert f"{platform.address.ipv4} in no pool" in text


@pytest.mark.storage
def test_it_says_which_spf_records_change_and_to_what(acme, globex, platform, root):
    Domain.objects.filter(pk=acme.domain.pk).update(
        dns_answers={"spf": {"answer": 'acme.example. 300 IN TXT "v=spf1 include:other.example ip4:192.0.2.1 -all"'}}
    )
    page = look(root, acme.pool, "192.0.2.40 10.0.0.9", **chosen())
    [shown] = page.context["spf_changes"]
    assert shown["domain"].name == "acme.example"
    # An existing record is completed; an address that receivers cannot see is in none.
    assert shown["value"] == "v=spf1 ip4:192.0.2.40 include:other.example ip4:192.0.2.1 -all"
    assert "acme.example Acme v=spf1" in words(page)
    # It is what the domain's page asks for afterwards.
    root.post(url(acme.pool), {"addresses": "192.0.2.40", "add": "1", **chosen()})
    assert "ip4:192.0.2.40" in spf_text(expected_of(Domain.objects.get(pk=acme.domain.pk)))
    assert look(root, acme.pool, "10.0.0.10", **chosen()).context["spf_changes"] == []


def test_it_says_which_addresses_receivers_do_not_see(platform, root):
    IPAddressFactory(ipv4="10.0.0.12", public_ipv4="192.0.2.60")
    IPAddressFactory(ipv4="10.0.0.13")
    text = words(look(root, platform.pool, "10.0.0.11-13 192.0.2.40", **chosen()))
    assert "Not visible to receivers 10.0.0.11 , 10.0.0.13 : not public." in text
    assert "Not visible" not in words(look(root, platform.pool, "192.0.2.40 10.0.0.12", **chosen()))


def test_people_see_their_own_domains_and_an_include_changes_none(acme, globex, platform, root, settings):
    for tenant in (acme, globex):
        grant_pool(organization=tenant.organization, pool=platform.pool, actor=SYSTEM)
        server = create_server(organization=tenant.organization, name="Shared", pool=platform.pool, actor=SYSTEM).server
        Domain.objects.create(server=server, name=f"shared.{tenant.domain.name}", dkim_public_key="p")
    found = look(root, platform.pool, "192.0.2.40", **chosen()).context["spf_changes"]
    assert [each["domain"].name for each in found] == ["shared.acme.example", "shared.globex.example"]
    settings.SLUICE_SPF_INCLUDE = "spf.example.net"
    text = words(look(root, platform.pool, "192.0.2.40", **chosen()))
    assert "No domain’s record changes: 2 domains include spf.example.net. Add the addresses to its record." in text
    settings.SLUICE_SPF_INCLUDE = ""
    # A rule sends mail of another server by the pool, and nobody is told of other customers' domains.
    grant_pool(organization=globex.organization, pool=acme.pool, actor=SYSTEM)
    create_rule(owner=globex.server, pool=acme.pool, to_conditions=["x.example"], actor=SYSTEM)
    for client, more, wanted in (
        (root, chosen(), ["acme.example", "globex.example"]),
        (sign_in(acme.operator), {}, ["acme.example"]),
    ):
        found = look(client, acme.pool, "192.0.2.40", **more).context["spf_changes"]
        assert [each["domain"].name for each in found] == wanted


def test_an_empty_pool_of_nobody_changes_nothing(platform, root):
    pool = create_platform_pool(name="Spare", actor=SYSTEM)
    assert "No domain’s record changes." in words(look(root, pool, "192.0.2.40", **chosen()))
