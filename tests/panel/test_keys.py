"""Keys and passwords: shown once, later only to somebody who asks, which is written down; never anywhere else."""

import json

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse

from core.encryption import decrypt
from core.keys import digest
from core.models import ApiToken, AuditEntry, User
from servers import client_networks
from servers.models import Credential, Membership
from stats.models import EventSource, IngestToken
from tests.panel.conftest import NOW, sign_in

YES = {"_form_submitted": "on"}


def act_url(credential, name):
    return reverse(f"admin:servers_credential_{name}", args=[credential.pk])


def is_nowhere(secret):
    """Whether the secret is neither in the audit trail nor in a session."""
    trail = json.dumps(list(AuditEntry.objects.values("before", "after", "target_label", "actor_label")))
    sessions = [session.get_decoded() for session in Session.objects.all()]
    return secret not in trail and secret not in json.dumps(sessions)


def test_a_new_key_is_shown_once(acme, platform):
    client = sign_in(acme.operator)
    posted = {"server": acme.server.pk, "kind": "api", "name": "App"}
    response = client.post(reverse("admin:servers_credential_add"), posted)
    credential = Credential.objects.get(name="App")
    key = decrypt(credential.key_ciphertext)
    assert response.context["secrets"] == {"Key": key}
    assert key.encode() in response.content
    assert "no-store" in response.headers["Cache-Control"]
    assert key.encode() not in client.get(act_url(credential, "change")).content
    assert is_nowhere(key)


def test_revealing_is_asked_for_and_written_down(acme, platform):
    client = sign_in(acme.owner)
    key = decrypt(acme.credential.key_ciphertext)
    assert key.encode() not in client.get(act_url(acme.credential, "reveal")).content
    response = client.post(act_url(acme.credential, "reveal"), YES)
    assert response.context["secrets"] == {"Key": key}
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.actor_label, entry.target_id) == (
        "credential.revealed",
        "Acme-owner",
        str(acme.credential.pk),
    )
    assert is_nowhere(key)


def test_an_analyst_reveals_nothing(acme, platform):
    client = sign_in(acme.analyst)
    for name in ("reveal", "rotate", "hold"):
        assert client.get(act_url(acme.credential, name)).status_code == 403
        assert client.post(act_url(acme.credential, name), YES).status_code == 403
    acme.credential.refresh_from_db()
    assert acme.credential.held_at is None


def test_rotating_gives_another_key(acme, platform):
    before = decrypt(acme.credential.key_ciphertext)
    response = sign_in(acme.operator).post(act_url(acme.credential, "rotate"), {**YES, "overlap": "0"})
    acme.credential.refresh_from_db()
    after = decrypt(acme.credential.key_ciphertext)
    assert (response.context["secrets"], acme.credential.key_digest) == ({"New key": after}, digest(after))
    assert before != after


def test_after_rotating_the_dialog_has_the_key_and_done_and_nothing_else(acme, platform):
    client = sign_in(acme.operator)
    page = reverse("admin:servers_server_change", args=[acme.server.pk])
    within = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}
    response = client.post(act_url(acme.credential, "rotate"), {**YES, "overlap": "4"}, headers=within)
    # The whole dialog is replaced, not the part between its title and its buttons.
    assert [response.headers[f"HX-{name}"] for name in ("Retarget", "Reselect", "Reswap")] == [
        "#dialog",
        "#dialog",
        "outerHTML",
    ]
    content = response.content.decode()
    assert 'id="dialog"' in content
    assert "<form" not in content
    # Done leads to where the dialog was opened, here the server's page; never to another site.
    assert f'href="{page}"' in content
    for elsewhere in ("http://x/y", "http://["):
        response = client.post(
            act_url(acme.credential, "rotate"), YES | {"overlap": "0"}, headers=within | {"HX-Current-URL": elsewhere}
        )
        assert f'href="{act_url(acme.credential, "change")}"' in response.content.decode()
    # What is left of the old key's time is its state.
    assert "until " in client.get(page).content.decode()


def test_holding_and_releasing(acme, platform):
    client = sign_in(acme.operator)
    assert client.post(act_url(acme.credential, "hold"), YES).status_code == 302
    acme.credential.refresh_from_db()
    assert acme.credential.held_at is not None
    assert client.post(act_url(acme.credential, "release"), YES, headers={"HX-Request": "true"}).headers[
        "HX-Redirect"
    ] == reverse("admin:servers_credential_change", args=[acme.credential.pk])
    acme.credential.refresh_from_db()
    assert acme.credential.held_at is None


def test_a_new_person_gets_a_password_once(acme, platform):
    client = sign_in(platform.superuser)
    posted = {"organization": acme.organization.pk, "username": "newcomer", "role": "operator"}
    response = client.post(reverse("admin:servers_membership_add"), posted)
    password = response.context["secrets"]["Password"]
    assert User.objects.get(username="newcomer").check_password(password)
    assert Membership.objects.get(user__username="newcomer").role == "operator"
    assert is_nowhere(password)


def test_the_last_owner_stays(acme, platform):
    client = sign_in(acme.owner)
    membership = acme.organization.memberships.get(user=acme.owner)
    url = reverse("admin:servers_membership_change", args=[membership.pk])
    form = client.post(url, {"role": "analyst"}).context["adminform"].form
    assert form.non_field_errors() == ["The organization would have no owner: give another member the role owner first"]
    client.post(reverse("admin:servers_membership_delete", args=[membership.pk]), {"post": "yes"})
    membership.refresh_from_db()
    assert membership.role == "owner"


@pytest.mark.parametrize("model", [ApiToken, IngestToken])
def test_tokens_are_shown_once_and_revoked(model, platform, root):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    posted = {"name": "fresh"} | ({"user": platform.superuser.pk} if model is ApiToken else {})
    [key] = root.post(reverse(f"{name}_add"), posted).context["secrets"].values()
    token = model.objects.get(name="fresh")
    assert token.key_digest == digest(key)
    assert is_nowhere(key)
    assert root.post(reverse(f"{name}_revoke", args=[token.pk]), YES).status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_an_event_source_is_made_mapped_rotated_and_revoked(acme, platform, root):
    name = "admin:stats_eventsource"
    posted = {"name": "fresh", "format": "kumomta", "time_zone": "UTC", "default_server": acme.server.pk}
    [token] = root.post(reverse(f"{name}_add"), posted).context["secrets"].values()
    source = EventSource.objects.get(name="fresh")
    assert (source.key_digest, source.default_server) == (digest(token), acme.server)
    mapping = {"text": "pool-a", "server": f"{acme.organization.permalink}/{acme.server.permalink}"} | YES
    assert root.post(reverse(f"{name}_map_text", args=[source.pk]), mapping).status_code == 302
    page = root.get(reverse(f"{name}_change", args=[source.pk])).content.decode()
    assert "pool-a → " in page
    assert token not in page
    assert (
        "The server nobody could not be found"
        in root.post(reverse(f"{name}_map_text", args=[source.pk]), mapping | {"server": "nobody"}).content.decode()
    )
    assert root.post(reverse(f"{name}_map_text", args=[source.pk]), mapping | {"server": ""}).status_code == 302
    assert source.mappings.count() == 0
    [rotated] = root.post(reverse(f"{name}_rotate", args=[source.pk]), YES).context["secrets"].values()
    assert root.post(reverse(f"{name}_revoke", args=[source.pk]), YES).status_code == 302
    source.refresh_from_db()
    assert (source.key_digest, source.revoked_at is None) == (digest(rotated), False)
    changed = {"name": "fresh", "time_zone": "Europe/Berlin", "is_active": "on", "default_server": ""}
    assert root.post(reverse(f"{name}_change", args=[source.pk]), changed).status_code == 302
    source.refresh_from_db()
    assert (source.time_zone, source.default_server, source.format) == ("Europe/Berlin", None, "kumomta")
    assert is_nowhere(token)
    assert is_nowhere(rotated)


def test_staff_make_tokens_for_themselves_alone(acme, platform):
    client = sign_in(platform.staff)
    response = client.post(reverse("admin:core_apitoken_add"), {"name": "mine", "user": platform.superuser.pk})
    assert "user" in response.context["adminform"].form.errors
    assert client.post(reverse("admin:core_apitoken_add"), {"name": "mine", "user": platform.staff.pk}).context[
        "secrets"
    ]


def test_of_networks_of_two_organizations_the_page_tells_and_the_platform_decides(acme, globex, platform, root):
    for tenant in (acme, globex):
        Credential.objects.create(server=tenant.server, kind="smtp_ip", name="Office", network="198.51.100.0/24")
    client_networks.settle(at=NOW)
    theirs = acme.server.credentials.get(kind="smtp_ip")
    owner = sign_in(acme.owner)
    page = owner.get(reverse("admin:servers_credential_changelist"), {"alert": "network_contested"}).content.decode()
    assert "overlaps another’s" in page
    assert "lobex" not in page
    share = act_url(theirs, "share")
    assert (
        "Allow the overlap"
        not in owner.get(reverse("admin:servers_credential_change", args=[theirs.pk])).content.decode()
    )
    assert owner.post(share, YES).status_code == 403
    theirs.refresh_from_db()
    assert (theirs.is_contested, theirs.shares_network) == (True, False)
    assert root.post(share, YES).status_code == 302
    theirs.refresh_from_db()
    assert (theirs.is_contested, theirs.shares_network) == (False, True)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.organization_id) == ("credential.changed", acme.organization.pk)
    assert not Credential.objects.filter(is_contested=True).exists()
