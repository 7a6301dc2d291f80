"""Start-up refuses where the database holds secrets that the keys cannot open."""

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.utils import timezone

from config import checks
from core.audit import Actor
from servers import provisioning
from servers.models import Credential

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


@pytest.fixture
def old_key(settings) -> str:
    """A server whose keys are stored under a key that the settings name."""
    key = Fernet.generate_key().decode()
    settings.SLUICE_ENCRYPTION_KEYS = [key]
    actor = Actor.system()
    organization = provisioning.create_organization(at=timezone.now(), name="Acme", actor=actor)
    provisioning.create_server(organization=organization, name="Mail", actor=actor)
    assert Credential.objects.exclude(key_ciphertext="").exists()
    return key


def test_it_starts_with_the_key_that_wrote_them(old_key: str) -> None:
    assert list(checks.unreadable_secrets()) == []
    checks.refuse_unreadable_secrets()


def test_it_starts_with_a_newer_key_before_it(settings, old_key: str) -> None:
    settings.SLUICE_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), old_key]
    assert list(checks.unreadable_secrets()) == []


def test_it_refuses_without_the_key(settings, old_key: str) -> None:
    settings.SLUICE_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SystemExit) as refusal:
        checks.refuse_unreadable_secrets()
    assert (
        "- The database holds secrets (credentials, key_ciphertext) that no key of SLUICE_ENCRYPTION_KEYS decrypts."
        in str(refusal.value)
    )
    assert checks.REMEDY in str(refusal.value)


def test_it_looks_at_the_newest_too(settings, old_key: str) -> None:
    """An old key that went before its secrets were written anew: the oldest may be well, the newest not, or both ways."""
    newest = Credential.objects.order_by("pk").last()
    newest.key_ciphertext = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    newest.save()
    assert len(list(checks.unreadable_secrets())) == 1


def test_the_check_command_says_so(settings, old_key: str) -> None:
    settings.SLUICE_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SystemCheckError, match=r"sluice\.E001"):
        call_command("check", databases=["default"])
    call_command("check")
