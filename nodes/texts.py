"""Stores texts of compiled policies once, compressed, by their SHA-256."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping

from core import sql_lists
from nodes.models import PolicyText


def digest_of(text: bytes) -> str:
    """Return the digest by which a text is found."""
    return hashlib.sha256(text).hexdigest()


def store(texts: Iterable[bytes]) -> None:
    """Store new texts."""
    by_digest = {digest_of(text): text for text in texts}
    held = PolicyText.objects.filter(digest__in=sql_lists.texts(by_digest)).values_list("digest", flat=True)
    fresh = sorted(by_digest.keys() - set(held))
    # Two publications may bring the same text at once; it is the same.
    PolicyText.objects.bulk_create(
        (PolicyText(digest=digest, body=zlib.compress(by_digest[digest], 6)) for digest in fresh),
        ignore_conflicts=True,
        batch_size=100,
    )


def load(digests: Iterable[str]) -> Mapping[str, bytes]:
    """Return the texts with these digests, by one query."""
    rows = PolicyText.objects.filter(digest__in=sql_lists.texts(set(digests))).values_list("digest", "body")
    return {digest: zlib.decompress(bytes(body)) for digest, body in rows}
