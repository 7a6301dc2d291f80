"""Organizations have servers of the same name, with keys and domains of the same name: who sees all can tell them apart."""

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.urls import reverse

from core.errors import Conflict
from servers import pools as ip_pools
from servers import provisioning
from servers.credentials import create_credential
from servers.domains import create_domain
from servers.models import Credential, Server
from tests.panel.conftest import NOW, SYSTEM, sign_in

BOTH = ["Mailer (Acme)", "Mailer (Globex)"]


@pytest.fixture
def twins(acme, globex) -> list[Server]:
    owners = [each.organization for each in (acme, globex)]
    made = [provisioning.create_server(organization=each, name="Mailer", actor=SYSTEM).server for each in owners]
    for server in made:
        create_credential(server=server, kind="smtp", name="Shop", actor=SYSTEM)
        create_domain(server=server, name="twins.example", at=NOW, actor=SYSTEM)
    return made


def shown(client, model, action, records):
    data = {"action": action, ACTION_CHECKBOX_NAME: [each.pk for each in records]}
    return client.post(reverse(f"admin:servers_{model}_changelist"), data).context["shown"]


def test_a_confirmation_of_many_says_whose_they_are(twins, root):
    assert shown(root, "server", "suspend_servers", twins) == BOTH
    keys = Credential.objects.filter(name="Shop")
    assert shown(root, "credential", "hold_credentials", keys) == [f"Shop (SMTP) of {each}" for each in BOTH]


def test_so_does_what_could_not_be_done(twins, root, monkeypatch):
    def refuse(*_, **__):
        raise Conflict("Not now")

    monkeypatch.setattr(provisioning, "resume_server", refuse)
    Server.objects.filter(name="Mailer").update(suspended_at=NOW)
    data = {"action": "resume_servers", ACTION_CHECKBOX_NAME: [each.pk for each in twins], "confirmed": "1"}
    answer = root.post(reverse("admin:servers_server_changelist"), data, follow=True)
    assert [str(each) for each in answer.context["messages"]] == [f"{each}: Not now" for each in BOTH]


def test_so_does_the_search(twins, root):
    for text, title, noun in (("twins.example", "twins.example", "domain"), ("Mailer", "Mailer", "server")):
        found = root.get(reverse("admin:search"), {"s": text}).context["results"]
        described = [each.description for each in found if each.title == title]
        assert described == [f"{noun} · {each}" for each in (BOTH if noun == "domain" else ("Acme", "Globex"))]


@pytest.fixture
def pools(acme, globex):
    """Return a pool of the platform's, one of each of two organizations, and a granted one, all of the same name."""
    made = [ip_pools.create_platform_pool(name="Main", is_default=False, actor=SYSTEM)]
    owners = [each.organization for each in (acme, globex)]
    made += [ip_pools.create_pool(organization=each, name="Main", ips=[], actor=SYSTEM).pool for each in owners]
    ip_pools.grant_pool(organization=acme.organization, pool=made[2], actor=SYSTEM)
    return made


def looked_up(client):
    query = {"app_label": "servers", "model_name": "server", "field_name": "ip_pool", "term": "Main"}
    return sorted(each["text"] for each in client.get(reverse("admin:autocomplete"), query).json()["results"])


def searched(client):
    found = client.get(reverse("admin:search"), {"s": "Main"}).context["results"]
    return sorted(each.description for each in found if each.title == "Main")


def test_pools_say_whose_they_are_to_who_may_know_it(pools, root, acme):
    assert looked_up(root) == ["Main", "Main (Acme)", "Main (Globex)"]
    assert searched(root) == ["IP pool", "IP pool · Acme", "IP pool · Globex"]
    owner = sign_in(acme.owner)
    # A granted one may be anybody's.
    assert looked_up(owner) == ["Main", "Main (Acme)"]
    assert searched(owner) == ["IP pool", "IP pool · Acme"]
    listed = owner.get(reverse("admin:ippools_ippool_changelist")).content.decode()
    assert "Another" in listed
    assert "Globex" not in listed
