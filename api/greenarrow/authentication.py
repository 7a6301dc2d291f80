"""Authentication: HTTP Basic with a user's name, and the password or an API token of the user."""

import base64
import binascii

from django.contrib.auth.hashers import check_password, make_password
from django.core.cache import cache
from django.utils.crypto import salted_hmac
from redis.exceptions import RedisError

from api.problems import RETRY_AFTER, Code, Declined, decline
from api.requests import Authentication, DialectRequest
from core import lockout, password_checks
from core.clients import client_address
from core.compiled import Compiled
from core.lockout import LockedOut, Secret
from core.models import ApiToken, User
from core.texts import is_storable
from core.tokens import token_of
from servers.models import Membership
from servers.required_factors import standing_of

CHALLENGE = 'Basic realm="Sluice", charset="UTF-8"'
# Seconds for which a password that was right need not be hashed again (which takes 100 ms and more).
REMEMBERED_FOR = 60
_MEMBERSHIP = Compiled((int,), lambda user_id: Membership.objects.filter(user_id=user_id).values_list("pk")[:1])

NOBODY = "Authentication is required: send a user name with its password or an API token by HTTP Basic"
WRONG = "The user name, password or API token is not valid"
SECOND_FACTOR = "This user signs in with a second factor: use an API token as the password"
# Of a superuser who is a member, too.
FACTOR_REQUIRED = "The user's organization requires a second factor: use an API token as the password"
LOCKED_OUT = "Too many wrong passwords: try again later, or use an API token as the password"


class Basic(Authentication):
    """`request.user` is the User, and `request.auth` the ApiToken, or None where a password was given."""

    challenge = CHALLENGE

    def identify(self, request: DialectRequest) -> tuple[User, ApiToken | None]:
        """Return who is asking. By a token, one query; by a password, two, and its hash once a minute."""
        username, password = _credentials(request.META.get("HTTP_AUTHORIZATION"))
        token = token_of(username=username, key=password, at=request.now)
        if token is not None:
            return token.user, token
        try:
            return _by_password(username, password, client_address(request._request)), None
        except (RedisError, OSError) as exc:
            # Without the counts of failures no password is looked at; tokens still work.
            raise decline(Code.UNAVAILABLE, retry_after=RETRY_AFTER) from exc


def level_of(user: User) -> str:
    """Return what the user may do by this API: it is the platform's, so people of organizations have no access."""
    # A superuser may do everything, as in the panel: `createsuperuser` asks for no API level.
    if user.is_superuser:
        return User.ApiLevel.YES
    return user.api_level if _MEMBERSHIP.first(user.pk) is None else User.ApiLevel.NO


def _credentials(header: str | None) -> tuple[str, str]:
    scheme, _, encoded = (header or "").partition(" ")
    if not header or scheme.lower() != "basic":
        raise decline(Code.NOT_AUTHENTICATED, NOBODY, authenticate=CHALLENGE)
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong() from None
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        # Clients from before RFC 7617.
        text = decoded.decode("latin-1")
    username, colon, password = text.partition(":")
    if not colon:
        raise _wrong()
    return username, password


def _by_password(username: str, password: str, address: str) -> User:
    try:
        user = lockout.guess(
            Secret.PASSWORD, username=username, address=address, look=lambda: _user_with(username, password, address)
        )
    except LockedOut:
        raise decline(Code.TOO_MANY, LOCKED_OUT, retry_after=lockout.LOCKED_FOR) from None
    if user is None:
        raise _wrong()
    standing = standing_of(user)
    if standing.is_set_up or standing.is_required:
        text = SECOND_FACTOR if standing.is_set_up else FACTOR_REQUIRED
        raise decline(Code.WRONG_CREDENTIALS, text, authenticate=CHALLENGE)
    return user


def _user_with(username: str, password: str, address: str) -> User | None:
    user = User.objects.filter(username=username, is_active=True).first() if is_storable(username) else None
    if user is None:
        # As slow as for a user that exists: how long it takes must not tell who does.
        said = f"\x00{username}\x00{password}"
        password_checks.once(_key(said), address, lambda: bool(make_password(password)))
        return None
    return user if _is_right(user, password, address) else None


def _is_right(user: User, password: str, address: str) -> bool:
    """Check the password, or find that it was right within the last minute.

    The cache knows neither: its key is made with the secret key from both and from the stored hash, so that a changed
    password is not remembered.
    """
    key = _key(f"{user.pk}\x00{user.password}\x00{password}")
    if cache.get(key):
        return True
    if not password_checks.once(key, address, lambda: check_password(password, user.password)):
        return False
    cache.set(key, True, timeout=REMEMBERED_FOR)
    return True


def _key(said: str) -> str:
    return f"password:{salted_hmac('api.greenarrow.authentication', said, algorithm='sha256').hexdigest()}"


def _wrong() -> Declined:
    return decline(Code.WRONG_CREDENTIALS, WRONG, authenticate=CHALLENGE)
