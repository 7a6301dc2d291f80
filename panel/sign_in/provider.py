"""The OpenID provider, by Authlib. Imported only where SLUICE_OIDC_ISSUER is set."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import DjangoIntegration, DjangoOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from joserfc.errors import JoseError
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from core.errors import Busy
from core.models import User
from core.slots import Slots
from servers.provided_roles import Person

logger = structlog.get_logger(__name__)

DISCOVERY = "/.well-known/openid-configuration"
# Signatures by a key that the provider alone has. `none` has none, and HS256 one that the client could make.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
# Seconds: for an answer of the provider, between its clock and ours, and that its description and keys are kept.
TIMEOUT, LEEWAY, KEPT_FOR = 5, 60, 600
LONGEST_SUBJECT, LONGEST_ISSUER, MOST_GROUPS = 255, 500, 1_000
# Bytes of an answer (a person may be in thousands of groups), and those that are read at a time.
LONGEST_ANSWER, _PIECE = 1024 * 1024, 64 * 1024


class ProviderFault(Exception):
    """The provider is away, refused the sign-in, or answered what must not be believed; has the reason for the log."""


class TooManySignIns(Busy):
    """As many requests of this process wait for the provider as may."""


_slots = Slots(TooManySignIns)


@contextlib.contextmanager
def _waiting() -> Iterator[None]:
    """Wait for the provider in one of a quarter of the threads, at most; raises ProviderFault.

    Whoever has no account can begin a sign-in: while the provider is slow, others must not wait for it.
    """
    try:
        with _slots.taken(object(), slots=max(1, settings.SLUICE_WEB_THREADS // 4)):
            yield
    except TooManySignIns:
        raise ProviderFault("Too many requests wait for the provider") from None


class _Bounded(HTTPAdapter):
    """Reads so much of an answer at most, and for so long: the time-out of a request is that of each of its reads."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        end = time.monotonic() + TIMEOUT
        response = super().send(request, *args, **kwargs)
        found = bytearray()
        try:
            while piece := response.raw.read1(_PIECE, decode_content=True):
                found += piece
                if len(found) > LONGEST_ANSWER or time.monotonic() > end:
                    raise ProviderFault("The provider's answer is too long, or takes too long")
        except HTTPError as fault:
            raise _told(fault) from fault
        finally:
            response.close()
        response._content, response._content_consumed = bytes(found), True
        return response


class _Session(OAuth2Session):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Bounded())


class _Client(DjangoOAuth2App):
    """Authlib's client, which takes the provider's word only for what it must not be asked itself."""

    client_cls = _Session

    def load_server_metadata(self) -> Any:
        metadata = super().load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != settings.SLUICE_OIDC_ISSUER.rstrip("/"):
            # Or it would be kept.
            self.server_metadata.pop("_loaded_at")
            raise ProviderFault("The provider's description names another issuer")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in offered if each in ALGORITHMS]
        return metadata


_known: tuple[tuple[str, ...], float, _Client] | None = None


def begin(request: HttpRequest, redirect_uri: str) -> HttpResponse:
    """Send the browser to the provider; state, nonce and PKCE's verifier are kept in the session. Raises ProviderFault."""
    client = _client()
    try:
        if "_loaded_at" not in client.server_metadata:
            with _waiting():
                client.load_server_metadata()
        return client.authorize_redirect(request, redirect_uri)
    except _FAULTS as fault:
        raise _told(fault) from fault


def finish(request: HttpRequest) -> Person:
    """Return who came back from the provider. Raises ProviderFault."""
    with _waiting():
        return _finish(request)


def _finish(request: HttpRequest) -> Person:
    client = _client()
    try:
        metadata = client.load_server_metadata()
        options = {
            "iss": {"essential": True, "values": [metadata["issuer"]]},
            "aud": {"essential": True, "values": [settings.SLUICE_OIDC_CLIENT_ID]},
        }
        token = client.authorize_access_token(request, claims_options=options, leeway=LEEWAY)
        claims = dict(token.get("userinfo") or {})
        if not claims:
            raise ProviderFault("The provider sent no ID token")
        name = settings.SLUICE_OIDC_GROUPS_CLAIM
        if settings.SLUICE_OIDC_ROLES and name not in claims and metadata.get("userinfo_endpoint"):
            more = client.userinfo(token=token)
            # OpenID Connect Core 1.0, section 5.3.2: only then they are the same person's.
            if more.get("sub") != claims["sub"]:
                raise ProviderFault("The user information is another person's")
            claims = {**more, **claims}
    except _FAULTS as fault:
        raise _told(fault) from fault
    return _person(claims)


# Authlib raises RuntimeError for descriptions without an endpoint, and lets through what odd JSON leads to.
_FAULTS = (AuthlibBaseError, JoseError, RequestException, RuntimeError, ValueError, KeyError, TypeError, AttributeError)


def _client() -> _Client:
    """Return the client; its description and keys of the provider are read again after a while."""
    global _known
    asked = (settings.SLUICE_OIDC_ISSUER, settings.SLUICE_OIDC_CLIENT_ID, settings.SLUICE_OIDC_CLIENT_SECRET)
    now = time.monotonic()
    if _known is None or _known[0] != asked or now - _known[1] > KEPT_FOR:
        issuer, client_id, secret = asked
        client = _Client(
            DjangoIntegration("oidc"),
            "oidc",
            client_id=client_id,
            client_secret=secret or None,
            server_metadata_url=f"{issuer.rstrip('/')}{DISCOVERY}",
            client_kwargs={
                "scope": settings.SLUICE_OIDC_SCOPES,
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT,
            },
        )
        _known = asked, now, client
    return _known[2]


def _person(claims: dict[str, Any]) -> Person:
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if not issuer or not subject or len(subject) > LONGEST_SUBJECT or len(issuer) > LONGEST_ISSUER:
        raise ProviderFault("The ID token has no usable subject")
    groups = claims.get(settings.SLUICE_OIDC_GROUPS_CLAIM) or []
    found = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Person(
        issuer=issuer,
        subject=subject,
        username=_text(claims, "preferred_username") or _text(claims, "email") or subject,
        # One that the provider has not verified may be anybody's.
        email=_address(claims) if claims.get("email_verified") is True else "",
        first_name=_text(claims, "given_name")[:150],
        last_name=_text(claims, "family_name")[:150],
        groups=frozenset(each for each in found[:MOST_GROUPS] if isinstance(each, str)),
    )


def _address(claims: dict[str, Any]) -> str:
    """Return the e-mail address; nothing for what an account's field would not take."""
    address = _text(claims, "email")
    try:
        User._meta.get_field("email").run_validators(address)
    except ValidationError:
        return ""
    return address


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and value.isprintable() else ""


def _told(fault: Exception) -> ProviderFault:
    # Words of the provider or of a library; none of them has a token in it, but they are cut to be sure of the log.
    return fault if isinstance(fault, ProviderFault) else ProviderFault(f"{type(fault).__name__}: {str(fault)[:200]}")
