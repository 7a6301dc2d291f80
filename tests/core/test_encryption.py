"""core.encryption: secrets at rest, and their rotation."""

import pytest
from cryptography.fernet import Fernet, InvalidToken

from core.encryption import UnreadableCiphertext, ciphertext_fields, decrypt, encrypt, rotate
from servers.models import Credential
from tests.factories import CredentialFactory, DomainFactory, RelayServerFactory

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def keys(settings):
    def use(*keys):
        settings.SLUICE_ENCRYPTION_KEYS = list(keys)

    use(OLD)
    return use


@pytest.mark.parametrize("text", ["", "secret", "ключ 🔑", "x" * 10_000])
def test_it_works(keys, text):
    ciphertext = encrypt(text)
    assert decrypt(ciphertext) == text
    assert ciphertext.isascii()
    assert encrypt(text) != ciphertext


def test_the_newest_key_encrypts_and_every_one_decrypts(keys):
    before = encrypt("secret")
    keys(NEW, OLD)
    assert decrypt(before) == "secret"
    after = encrypt("secret")
    assert Fernet(NEW).decrypt(after) == b"secret"
    with pytest.raises(InvalidToken):
        Fernet(OLD).decrypt(after)


@pytest.mark.parametrize("ciphertext", ["", "secret", "gAAAAA", "é"])
def test_it_rejects_what_no_key_opens(keys, ciphertext):
    with pytest.raises(UnreadableCiphertext):
        decrypt(ciphertext)
    foreign = Fernet(NEW).encrypt(b"secret").decode()
    with pytest.raises(UnreadableCiphertext):
        decrypt(foreign)


def test_it_knows_every_column_of_secrets():
    assert [(model.__name__, name) for model, name in ciphertext_fields()] == [
        ("Channel", "sealed_target"),
        ("RelayServer", "destination_password"),
        ("Credential", "key_ciphertext"),
        ("Domain", "dkim_private_key"),
        ("DomainKey", "dkim_private_key"),
        ("PlatformKey", "secret"),
        ("Suppression", "address"),
        ("SigningKey", "private_key"),
    ]


@pytest.mark.storage
@pytest.mark.django_db
def test_rotation_rewrites_every_secret_and_nothing_else(keys):
    credentials = [CredentialFactory(key=f"key-{number}" + "x" * 20) for number in range(5)]
    network = CredentialFactory(
        kind="smtp_ip", key_digest=None, key_prefix="", key_ciphertext="", network="192.0.2.0/24"
    )
    domain = DomainFactory(dkim_private_key=encrypt("dkim"))
    relay = RelayServerFactory(destination_password=encrypt("relay"))
    open_relay = RelayServerFactory()

    keys(NEW, OLD)
    assert rotate(batch_size=2) == 7

    keys(NEW)
    for number, credential in enumerate(credentials):
        credential.refresh_from_db()
        assert decrypt(credential.key_ciphertext) == f"key-{number}" + "x" * 20
    for each in (domain, relay, network, open_relay):
        each.refresh_from_db()
    assert decrypt(domain.dkim_private_key) == "dkim"
    assert decrypt(relay.destination_password) == "relay"
    assert (network.key_ciphertext, open_relay.destination_password) == ("", None)


@pytest.mark.django_db
def test_rotation_keeps_a_secret_that_changes_meanwhile(keys, monkeypatch):
    credential = CredentialFactory()
    fresh = encrypt("newer")

    def changing_decrypt(ciphertext):
        Credential.objects.update(key_ciphertext=fresh)
        return decrypt(ciphertext)

    monkeypatch.setattr("core.encryption.decrypt", changing_decrypt)
    assert rotate() == 0
    credential.refresh_from_db()
    assert credential.key_ciphertext == fresh


@pytest.mark.django_db
def test_rotation_stops_at_a_secret_that_no_key_opens(keys):
    CredentialFactory()
    keys(NEW)
    with pytest.raises(UnreadableCiphertext):
        rotate()
