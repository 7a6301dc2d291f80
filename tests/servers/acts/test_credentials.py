"""servers.credentials: keys made, rotated, held, revealed, deleted."""

import datetime

import pytest

from core import keys
from core.audit import snapshot
from core.encryption import decrypt
from core.errors import Conflict, Invalid, NotFound
from servers.access import InvalidKey, authenticate_key
from servers.credentials import (
    create_credential,
    create_network_credential,
    delete_credential,
    hold_credential,
    release_credential,
    reveal_key,
    rotate_credential,
)
from servers.models import Credential
from servers.provisioning import delete_server
from tests.cast import ANN, NOW, SYSTEM, last_entry, written_by

pytestmark = pytest.mark.django_db
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def credential(acme):
    return create_credential(server=acme.server, kind="api", name="Newsletter", actor=SYSTEM).credential


def test_it_works(acme):
    made = create_credential(
        server=acme.server,
        kind="api",
        name=" Newsletter ",
        can_manage_organization=True,
        expires_at=NOW + HOUR,
        actor=ANN,
    )
    stored = Credential.objects.get(pk=made.credential.pk)
    assert len(made.key) == 32
    assert made.key.isalnum()
    assert (stored.server, stored.kind, stored.name, stored.network) == (acme.server, "api", "Newsletter", "")
    assert (stored.is_default, stored.can_manage_organization, stored.expires_at) == (False, True, NOW + HOUR)
    assert (stored.key_prefix, stored.key_digest) == (made.key[:6], keys.digest(made.key))
    assert decrypt(stored.key_ciphertext) == made.key
    assert (stored.held_at, stored.last_used_at) == (None, None)
    assert authenticate_key(made.key, at=NOW).credential_id == stored.pk
    assert written_by(ANN) == [("credential.created", "Newsletter (API)", acme.organization.pk)]
    assert (last_entry().before, last_entry().after) == (None, snapshot(stored))
    assert made.key not in str(last_entry().after)


def test_every_key_is_another(acme):
    made = [create_credential(server=acme.server, kind="smtp", name="K", actor=SYSTEM).key for _ in range(20)]
    assert len(set(made)) == 20


def test_an_smtp_key_opens_no_api(acme):
    made = create_credential(server=acme.server, kind="smtp", name="K", actor=SYSTEM)
    with pytest.raises(InvalidKey):
        authenticate_key(made.key, at=NOW)


@pytest.mark.parametrize(
    ("text", "network"),
    [("192.0.2.0/24", "192.0.2.0/24"), (" 192.0.2.7 ", "192.0.2.7/32"), ("2001:DB8::/32", "2001:db8::/32")],
)
def test_a_network_needs_no_key(acme, text, network):
    made = create_network_credential(server=acme.server, name="Office", network=text, at=NOW, actor=ANN)
    stored = Credential.objects.get(pk=made.pk)
    assert (stored.kind, stored.network, stored.key_digest, stored.key_prefix) == ("smtp_ip", network, None, "")
    assert written_by(ANN) == [("credential.created", "Office (SMTP-IP)", acme.organization.pk)]
    for act in (rotate_credential, reveal_key):
        with pytest.raises(Conflict, match="has no key"):
            act(credential=stored, actor=ANN)


@pytest.mark.parametrize(
    "network",
    ["", "example.com", "192.0.2.1/24", "192.0.2.0/33", "fe80::%eth0/64", "::1%" + "x" * 99, "\x00", "１.1.1.1"],
)
def test_it_rejects_what_is_no_network(acme, network):
    with pytest.raises(Invalid, match=r"^network must be a network such as 192\.0\.2\.0/24$"):
        create_network_credential(server=acme.server, name="Office", network=network, at=NOW, actor=ANN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": " "}, "name is required"),
        ({"name": "\x00"}, "name must not contain control characters"),
        ({"name": "x" * 201}, "name is too long (maximum is 200 characters)"),
        ({"kind": "smtp_ip"}, "kind must be api or smtp"),
        ({"kind": "API"}, "kind must be api or smtp"),
    ],
    ids=str,
)
def test_it_rejects(acme, change, message):
    with pytest.raises(Invalid) as refusal:
        create_credential(**{"server": acme.server, "kind": "api", "name": "K", "actor": ANN} | change)
    assert refusal.value.message == message
    assert written_by(ANN) == []


@pytest.mark.storage
def test_a_rotated_key_stops_at_once(acme, globex):
    credential = acme.server.credentials.get(kind="api")
    before = snapshot(credential)
    rotated = rotate_credential(credential=credential, actor=ANN)
    stored = Credential.objects.get(pk=credential.pk)
    assert rotated.key != acme.key
    assert decrypt(stored.key_ciphertext) == rotated.key
    assert snapshot(stored) == snapshot(rotated.credential) == before | {"key_prefix": rotated.key[:6]}
    with pytest.raises(InvalidKey):
        authenticate_key(acme.key, at=NOW)
    assert authenticate_key(rotated.key, at=NOW).credential_id == credential.pk
    assert authenticate_key(globex.key, at=NOW).server_id == globex.server.pk
    assert written_by(ANN) == [("credential.rotated", "Default API key (API)", acme.organization.pk)]
    assert rotated.key not in str(last_entry().after)


def test_a_held_key_works_again_when_released(acme):
    credential = acme.server.credentials.get(kind="api")
    assert hold_credential(credential=credential, at=NOW, actor=ANN).held_at == NOW
    with pytest.raises(InvalidKey):
        authenticate_key(acme.key, at=NOW)
    # Again changes nothing, also not since when.
    assert hold_credential(credential=credential, at=NOW + HOUR, actor=ANN).held_at == NOW
    assert list(Credential.objects.usable(NOW).filter(server=acme.server, kind="api")) == []

    assert release_credential(credential=credential, actor=ANN).held_at is None
    assert release_credential(credential=credential, actor=ANN).held_at is None
    assert authenticate_key(acme.key, at=NOW).credential_id == credential.pk
    assert [act for act, _, _ in written_by(ANN)] == ["credential.held", "credential.released"]


def test_a_key_is_revealed_to_those_who_are_written_down(credential):
    made = rotate_credential(credential=credential, actor=SYSTEM)
    # The caller's copy is from before the rotation.
    assert reveal_key(credential=credential, actor=ANN) == made.key
    assert written_by(ANN) == [("credential.revealed", "Newsletter (API)", credential.server.organization_id)]
    assert (last_entry().before, last_entry().after) == (None, None)


def test_a_deleted_credentials_key_stops_at_once(acme):
    credential = acme.server.credentials.get(kind="api")
    before = snapshot(credential)
    delete_credential(credential=credential, actor=ANN)
    with pytest.raises(InvalidKey):
        authenticate_key(acme.key, at=NOW)
    assert written_by(ANN) == [("credential.deleted", "Default API key (API)", acme.organization.pk)]
    assert (last_entry().before, last_entry().after) == (before, None)
    assert [each.kind for each in acme.server.credentials.all()] == ["smtp"]


@pytest.mark.parametrize("gone", ["credential", "server"])
def test_what_is_gone_is_not_found(acme, credential, gone):
    if gone == "server":
        delete_server(server=acme.server, at=NOW, actor=SYSTEM)
        for create in (
            lambda: create_credential(server=acme.server, kind="api", name="K", actor=ANN),
            lambda: create_network_credential(server=acme.server, name="K", network="192.0.2.0/24", at=NOW, actor=ANN),
        ):
            with pytest.raises(NotFound, match="server could not be found"):
                create()
    else:
        Credential.objects.filter(pk=credential.pk).delete()
    for act in (
        lambda: rotate_credential(credential=credential, actor=ANN),
        lambda: hold_credential(credential=credential, at=NOW, actor=ANN),
        lambda: release_credential(credential=credential, actor=ANN),
        lambda: reveal_key(credential=credential, actor=ANN),
        lambda: delete_credential(credential=credential, actor=ANN),
    ):
        with pytest.raises(NotFound, match="credential could not be found"):
            act()
    assert written_by(ANN) == []
