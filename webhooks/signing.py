"""The platform's signing keys: made at first use, rotated with overlap, published as a JSON Web Key Set."""

import base64
import datetime
import hashlib
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.db import transaction

from core.atomic_acts import atomic_act
from core.audit import Actor, record
from core.encryption import decrypt, encrypt
from core.locks import advisory
from webhooks.models import SigningKey

BITS = 2048
# How long a new key is published before it signs: receivers keep a key set for a while.
OVERLAP = datetime.timedelta(hours=24)
# How long a key stays published after it has signed for the last time.
KEPT = datetime.timedelta(days=7)
_LOCK = "webhooks.signing_key"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that is ready to sign. It may be used by several threads."""

    kid: str
    key: rsa.RSAPrivateKey

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the headers that sign this body, as Postal's have it."""
        return {
            "X-Postal-Signature": self._sign(body, hashes.SHA1()),  # noqa: S303 - Postal: what its older clients verify
            "X-Postal-Signature-256": self._sign(body, hashes.SHA256()),
            "X-Postal-Signature-KID": self.kid,
        }

    def _sign(self, body: bytes, algorithm: hashes.HashAlgorithm) -> str:
        return base64.b64encode(self.key.sign(body, padding.PKCS1v15(), algorithm)).decode()


def signer(*, at: datetime.datetime) -> Signer:
    """Return the key that signs at this time; makes the first one where there is none."""
    found = SigningKey.objects.signing(at).first() or ensure_key(at=at)
    key = serialization.load_pem_private_key(decrypt(found.private_key).encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("a signing key is an RSA key")
    return Signer(found.kid, key)


def published(*, at: datetime.datetime) -> list[SigningKey]:
    """Return the keys that receivers may meet, oldest first; makes the first one where there is none."""
    return list(SigningKey.objects.published(at)) or [ensure_key(at=at)]


def ensure_key(*, at: datetime.datetime) -> SigningKey:
    """Return the key that signs; of several callers at once one makes it, and the others find it."""
    with transaction.atomic():
        advisory(_LOCK)
        found = SigningKey.objects.signing(at).first()
        return found or _make(at, at, Actor.system())


@atomic_act
def rotate_key(*, at: datetime.datetime, actor: Actor, overlap: datetime.timedelta = OVERLAP) -> SigningKey:
    """Make a new key that signs after `overlap`, and let those before it expire some days after that.

    While one waits to sign, it is returned: rotating twice makes one key.
    """
    advisory(_LOCK)
    before = list(SigningKey.objects.published(at))
    coming = [each for each in before if each.signs_from > at]
    if coming:
        return coming[-1]
    signs_from = at + overlap if before else at
    SigningKey.objects.filter(pk__in=[each.pk for each in before], expires_at=None).update(expires_at=signs_from + KEPT)
    return _make(at, signs_from, actor)


def forget_expired(*, at: datetime.datetime) -> int:
    """Delete the keys that are no longer published, and return how many there were."""
    return SigningKey.objects.filter(expires_at__lte=at).delete()[0]


def key_set(keys: list[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """Return the public keys as a JSON Web Key Set (RFC 7517)."""
    return {"keys": [{**_members(_public(each)), "use": "sig", "alg": "RS256", "kid": each.kid} for each in keys]}


def _make(at: datetime.datetime, signs_from: datetime.datetime, actor: Actor) -> SigningKey:
    private = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    public = private.public_key()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = SigningKey.objects.create(
        kid=_thumbprint(public),
        private_key=encrypt(pem.decode()),
        public_key=base64.b64encode(der).decode(),
        created_at=at,
        signs_from=signs_from,
    )
    record(
        actor=actor, act="signing_key.created", target=key, after={"kid": key.kid, "signs_from": signs_from.isoformat()}
    )
    return key


def _public(key: SigningKey) -> rsa.RSAPublicKey:
    loaded = serialization.load_der_public_key(base64.b64decode(key.public_key))
    if not isinstance(loaded, rsa.RSAPublicKey):
        raise TypeError("a signing key is an RSA key")
    return loaded


def _members(key: rsa.RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"kty": "RSA", "n": _base64url(numbers.n), "e": _base64url(numbers.e)}


def _base64url(number: int) -> str:
    return _unpadded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _thumbprint(key: rsa.RSAPublicKey) -> str:
    canonical = json.dumps(_members(key), separators=(",", ":"), sort_keys=True)
    return _unpadded(hashlib.sha256(canonical.encode()).digest())
