"""The platform's keys: one is made however many ask at once, a new one is published before it signs, old ones go."""

import base64
import datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from core.models import AuditEntry
from stats.intake.sources import postal
from tests.cast import ANN, NOW
from tests.races import at_once, in_the_open
from webhooks.models import SigningKey
from webhooks.signing import KEPT, OVERLAP, forget_expired, key_set, published, rotate_key, signer

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
BODY = b'{"event":"MessageSent"}'
SECOND = datetime.timedelta(seconds=1)


def test_it_signs_as_postal_does() -> None:
    headers = signer(at=NOW).headers(BODY)
    key = SigningKey.objects.get()
    public = load_der_public_key(base64.b64decode(key.public_key))
    assert headers.keys() == {"X-Postal-Signature", "X-Postal-Signature-256", "X-Postal-Signature-KID"}
    assert headers["X-Postal-Signature-KID"] == key.kid
    public.verify(base64.b64decode(headers["X-Postal-Signature"]), BODY, padding.PKCS1v15(), hashes.SHA1())
    public.verify(base64.b64decode(headers["X-Postal-Signature-256"]), BODY, padding.PKCS1v15(), hashes.SHA256())


def test_a_reader_of_postals_webhooks_takes_it() -> None:
    headers = signer(at=NOW).headers(BODY)
    key = SigningKey.objects.get().public_key
    postal.verify(BODY, headers, key)
    with pytest.raises(postal.BadSignature):
        postal.verify(BODY + b" ", headers, key)


def test_the_private_key_is_stored_encrypted_and_is_in_no_trail() -> None:
    signer(at=NOW)
    key = SigningKey.objects.get()
    assert "PRIVATE KEY" not in key.private_key
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.before, entry.after) == (
        "signing_key.created",
        None,
        {"kid": key.kid, "signs_from": NOW.isoformat()},
    )


@in_the_open
def test_of_many_who_ask_first_one_makes_the_key() -> None:
    kids = at_once(*[lambda: signer(at=NOW).kid] * 4)
    assert kids == [SigningKey.objects.get().kid] * 4


def test_a_key_set_has_the_public_numbers() -> None:
    key = signer(at=NOW)
    (published_key,) = key_set(published(at=NOW))["keys"]
    numbers = key.key.public_key().public_numbers()
    n, e = (int.from_bytes(base64.urlsafe_b64decode(published_key.pop(name) + "=="), "big") for name in ("n", "e"))
    assert (n, e) == (numbers.n, numbers.e)
    assert rsa.RSAPublicNumbers(e, n).public_key().key_size == 2048
    assert published_key == {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.kid}


def test_a_new_key_is_published_before_it_signs_and_the_old_one_after_it_has() -> None:
    old = signer(at=NOW).kid
    new = rotate_key(at=NOW, actor=ANN).kid
    assert rotate_key(at=NOW + SECOND, actor=ANN).kid == new

    def kids(at: datetime.datetime) -> list[str]:
        return [each.kid for each in published(at=at)]

    assert kids(NOW) == kids(NOW + OVERLAP + KEPT - SECOND) == [old, new]
    assert signer(at=NOW + OVERLAP - SECOND).kid == old
    assert signer(at=NOW + OVERLAP).kid == new
    assert kids(NOW + OVERLAP + KEPT) == [new]
    assert forget_expired(at=NOW + OVERLAP + KEPT - SECOND) == 0
    assert forget_expired(at=NOW + OVERLAP + KEPT) == 1
    assert SigningKey.objects.get().kid == new


def test_the_first_key_signs_at_once_when_it_is_made_by_rotation() -> None:
    assert rotate_key(at=NOW, actor=ANN).kid == signer(at=NOW).kid
