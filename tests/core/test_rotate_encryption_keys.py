"""`rotate_encryption_keys`: after it, the older keys may go."""

import io
import json

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.utils import timezone

from core.audit import Actor
from core.encryption import ciphertext_fields, decrypt
from servers import provisioning
from servers.models import Credential

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def secrets(settings) -> dict[int, str]:
    """Keys of two servers, stored under the old key."""
    settings.SLUICE_ENCRYPTION_KEYS = [OLD]
    actor = Actor.system()
    organization = provisioning.create_organization(at=timezone.now(), name="Acme", actor=actor)
    for name in ("Mail", "Receipts"):
        provisioning.create_server(organization=organization, name=name, actor=actor)
    stored = dict(Credential.objects.exclude(key_ciphertext="").values_list("pk", "key_ciphertext"))
    assert len(stored) == 4
    return {pk: decrypt(ciphertext) for pk, ciphertext in stored.items()}


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rotate_encryption_keys", *arguments, stdout=out)
    return out.getvalue()


def test_it_works(settings, secrets: dict[int, str]) -> None:
    settings.SLUICE_ENCRYPTION_KEYS = [NEW, OLD]
    assert json.loads(run("--json")) == {"secrets": 4}
    settings.SLUICE_ENCRYPTION_KEYS = [NEW]
    now = dict(Credential.objects.values_list("pk", "key_ciphertext"))
    assert {pk: decrypt(now[pk]) for pk in secrets} == secrets


def test_it_may_run_again(settings, secrets: dict[int, str]) -> None:
    settings.SLUICE_ENCRYPTION_KEYS = [NEW, OLD]
    run()
    settings.SLUICE_ENCRYPTION_KEYS = [NEW]
    assert run() == "4 secrets are encrypted with the newest key.\n"


def test_it_rejects_a_secret_that_no_key_opens(settings, secrets: dict[int, str]) -> None:
    settings.SLUICE_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(CommandError, match="No key of SLUICE_ENCRYPTION_KEYS"):
        run()


def test_it_walks_every_column_of_ciphertext() -> None:
    assert {f"{model._meta.label}.{name}" for model, name in ciphertext_fields()} >= {
        "servers.Credential.key_ciphertext",
        "servers.Domain.dkim_private_key",
    }
