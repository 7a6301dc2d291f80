"""Event sources as records: made, changed, rotated, revoked and mapped, by acts and by the command."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.management import CommandError, call_command

from core.errors import Invalid, NotFound
from core.keys import digest
from core.models import AuditEntry
from stats.intake import event_sources
from stats.models import EventSource, SourceMapping
from tests.stats.conftest import ACTOR, NOW, Tenant

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    call_command("event_source", *words, "--json")
    return json.loads(capsys.readouterr().out)


def test_it_works(acme: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(
        capsys, "make", "Node 1", "--format", "postfix", "--server", acme.smtp_user, "--time-zone", "Europe/Berlin"
    )
    source = EventSource.objects.get()
    assert made == {
        "id": source.pk,
        "name": "Node 1",
        "format": "postfix",
        "token": made["token"],
        "url": f"/api/v1/events/{made['token']}",
    }
    assert (source.key_digest, source.default_server, source.time_zone) == (
        digest(made["token"]),
        acme.server,
        "Europe/Berlin",
    )
    run(capsys, "map", "node 1", "pool-a", acme.smtp_user)
    listed = run(capsys, "list")
    assert made["token"] not in json.dumps(listed)
    assert listed == {
        "event_sources": [
            {
                "id": source.pk,
                "name": "Node 1",
                "format": "postfix",
                "time_zone": "Europe/Berlin",
                "tenant_field": "",
                "default_server": "acme/mailer",
                "mappings": {"pool-a": str(acme.server.uuid)},
                "state": "active",
                "key_prefix": made["token"][:6],
                "last_delivery_at": None,
                "last_event_at": None,
            }
        ]
    }
    rotated = run(capsys, "rotate", "Node 1")
    assert rotated["token"] != made["token"]
    assert event_sources.find_source(made["token"], at=NOW) is None
    assert event_sources.find_source(rotated["token"], at=NOW) == source
    assert run(capsys, "revoke", "Node 1")["state"] == "revoked"
    assert event_sources.find_source(rotated["token"], at=NOW) is None
    assert event_sources.find_source(run(capsys, "rotate", "Node 1")["token"], at=NOW) == source
    run(capsys, "unmap", "Node 1", "pool-a")
    assert SourceMapping.objects.count() == 0
    acts = list(AuditEntry.objects.filter(act__contains="source").order_by("pk").values_list("act", flat=True))
    assert acts == [
        "event_source.created",
        "source_mapping.set",
        "event_source.rotated",
        "event_source.revoked",
        "event_source.rotated",
        "source_mapping.removed",
    ]
    trail = json.dumps(list(AuditEntry.objects.values("before", "after")))
    assert made["token"] not in trail
    assert digest(made["token"]) not in trail


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["make", "x", "--format", "nonsense"], "invalid choice"),
        (["make", "x", "--format", "native", "--server", "acme/none"], "The server acme/none could not be found"),
        (["make", "x", "--format", "native", "--time-zone", "Nowhere/At"], "time_zone must be"),
        (["make", " ", "--format", "native"], "name must be"),
        (["rotate", "none"], "The event source none could not be found"),
        (["map", "none", "a", "acme/mailer"], "The event source"),
        (["unmap", "taken", "a"], "could not be found"),
        (["make", "TAKEN", "--format", "native"], "name has already been taken"),
        (["make", "x", "--format", "native", "--verification-key", "/nowhere"], "No such file"),
    ],
)
def test_the_command_rejects(acme: Tenant, words: list[str], says: str) -> None:
    event_sources.make_source(name="Taken", format="native", actor=ACTOR)
    with pytest.raises(CommandError, match=says):
        call_command("event_source", *words)
    assert EventSource.objects.count() == 1


def test_what_a_key_cannot_be(tmp_path: Path) -> None:
    for kind in ("postal", "ses", "sendgrid", "native"):
        with pytest.raises(Invalid, match="verification_key cannot be used"):
            event_sources.make_source(name=kind, format=kind, verification_key="no key", actor=ACTOR)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_key_that_is_not_text_is_refused(tmp_path: Path, encoding: str) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes("-----BEGIN PUBLIC KEY----- é".encode(encoding))
    with pytest.raises(CommandError, match=r"key\.pem is not text in UTF-8: a key or certificate is needed as PEM"):
        call_command("event_source", "make", "x", "--format", "postal", "--verification-key", str(key))


def test_a_key_can_have_what_windows_adds(tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = tmp_path / "key.pem"
    key.write_bytes(b"\xef\xbb\xbf" + pem.replace(b"\n", b"\r\n"))
    call_command("event_source", "make", "x", "--format", "sendgrid", "--verification-key", str(key))
    assert EventSource.objects.get().verification_key


def test_it_is_changed_and_switched_off() -> None:
    made = event_sources.make_source(name="Old", format="native", actor=ACTOR)
    event_sources.make_source(name="Other", format="native", actor=ACTOR)
    changed = event_sources.change_source(source=made.source, name="New", is_active=False, actor=ACTOR)
    assert (changed.name, event_sources.source_named("NEW"), event_sources.find_source(made.token, at=NOW)) == (
        "New",
        changed,
        None,
    )
    with pytest.raises(Invalid, match="already been taken"):
        event_sources.change_source(source=changed, name="other", actor=ACTOR)
    with pytest.raises(NotFound):
        event_sources.source_named("Old")
    entries = AuditEntry.objects.filter(act="event_source.changed")
    assert entries.count() == 1
    event_sources.change_source(source=changed, name="New", actor=ACTOR)
    assert entries.count() == 1


@pytest.mark.parametrize("text", ["", " ", "x" * 256, "a\x00b"])
def test_what_a_mapped_text_cannot_be(acme: Tenant, text: str) -> None:
    source = event_sources.make_source(name="Old", format="native", actor=ACTOR).source
    with pytest.raises(Invalid, match="text must be"):
        event_sources.map_text(source=source, text=text, server=acme.server, actor=ACTOR)
