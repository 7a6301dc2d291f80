"""Rate limits for guessing secrets: passwords, second-factor codes, keys.

`guess` is the one way to look at such a secret. Ten failures for one name from one address, or a hundred from one address for
any names, lock that address out for a while; the owner of the name is not locked out elsewhere, so nobody can lock out others.
A right secret forgets the failures of its own kind alone: who knows a password may not go on guessing codes for ever.
Attempts that run at the same moment may exceed the limits by as many as there are web threads.

The counts have a cache of their own (`CACHES["lockout"]`): one that evicts entries when anybody fills it would forget them.

API keys are random and long, so nobody guesses one: wrong ones are limited only because each costs work, and a right key
works from a limited address, too. Anybody can make as many of these counts as they like, so they are kept in the common cache.
"""

import datetime
import enum
import hashlib
from collections.abc import Callable

from django.core.cache import BaseCache, cache, caches

from core.clients import network_of
from core.errors import Refused
from core.mailboxes import mailbox_of
from core.names import fold

FAILURES_OF_NAME = 10
FAILURES_OF_ADDRESS = 100
# Of one wrong key from one address (a client with an outdated key), and of any from one address.
WRONG_KEYS_OF_KEY = 600
WRONG_KEYS_OF_ADDRESS = 3_000
# E-mails with a link to one account, wherever they were asked for.
LINKS_OF_NAME = 3
# E-mails of one organization's people to others: invitations go to addresses that somebody wrote into a form.
INVITATIONS_OF_ORGANIZATION = 20
# The same in a day: an invitation that is withdrawn can be made again, and there are three hundred times five minutes in one.
DAILY_OF_NAME = 6
DAILY_OF_ORGANIZATION = 300
# Tests of alert channels by e-mail, of one organization.
DAILY_TESTS_OF_NAME = 10
DAILY_TESTS_OF_ORGANIZATION = 100
# Seconds from the first failure. Not more than the 300 that caches without a counter of their own reset an entry to.
LOCKED_FOR = 300
_DAY = 24 * 60 * 60


class Secret(enum.StrEnum):
    """A kind of secret. Failures of each kind are counted separately, and each kind can lock out."""

    PASSWORD = "password"  # noqa: S105 - the kind's name
    CODE = "code"
    # No guess: a request for an e-mail with a link, of which each counts.
    LINK = "link"


class Guess(enum.StrEnum):
    """What an organization's people try, whose refusal tells of another organization."""

    NETWORK = "network"
    NAME = "name"


# In a day, of one organization.
DAILY_GUESSES = {Guess.NETWORK: 100, Guess.NAME: 20}


class LockedOut(Refused):
    """The secret was not checked, because there were too many failures."""

    default_message = "Too many wrong passwords or codes. Try again in five minutes"


def guess[Found](secret: Secret, *, username: str, address: str, look: Callable[[], Found | None]) -> Found | None:
    """Return the result of `look` for a correct secret, None for a wrong one; raises LockedOut without checking.

    `look` returns None (or False) for a wrong secret. Nothing of the counts is undone by a transaction that is rolled back.
    """
    if is_locked_out(username=username, address=address):
        raise LockedOut
    found = look()
    if not found:
        count_failure(secret, username=username, address=address)
        return None
    forget_failures(secret, username=username, address=address)
    return found


def is_locked_out(*, username: str, address: str) -> bool:
    """Return whether this name is locked out from this address."""
    network = network_of(address)
    by_name, by_address = [_key_of_name(each, username, network) for each in Secret], _key("address", network)
    counts = _counters().get_many([*by_name, by_address])
    return any(counts.get(key, 0) >= FAILURES_OF_NAME for key in by_name) or (
        counts.get(by_address, 0) >= FAILURES_OF_ADDRESS
    )


def count_failure(secret: Secret, *, username: str, address: str) -> None:
    """Count a wrong secret."""
    network = network_of(address)
    for key in (_key_of_name(secret, username, network), _key("address", network)):
        _count(_counters(), key)


def forget_failures(secret: Secret, *, username: str, address: str) -> None:
    """After a correct secret, reset the name's failures of this kind from this address, but not the address's own."""
    _counters().delete(_key_of_name(secret, username, network_of(address)))


def count_link(*, address: str) -> bool:
    """Count an e-mail with links to set passwords, and return whether it may be sent: no mailbox is flooded.

    By the mailbox, not by the account: several can have one address, which their people enter themselves.
    """
    return _count(_counters(), _key("link", mailbox_of(address))) <= LINKS_OF_NAME


def count_notice(*, address: str, organization_id: int) -> bool:
    """Count an e-mail that tells an account's mailbox of an invitation, and return whether it may be sent."""
    mailbox = mailbox_of(address)
    return (
        # Not as links to set passwords: who invites somebody again and again keeps no such link from them.
        _count(_counters(), _key("notice", mailbox)) <= LINKS_OF_NAME
        and _count_of_day(_key("daily notice", str(organization_id), mailbox)) <= DAILY_OF_NAME
    )


def count_invitation(*, address: str, organization_id: int | None) -> bool:
    """Count an invitation to an e-mail address, by an organization or the platform, and return whether it may be sent."""
    mailbox = mailbox_of(address)
    of_organization = 0
    if organization_id is not None:
        # First: what is refused anyway counts against no mailbox, and leaves no entry for each that somebody makes up.
        of_organization = _count(_counters(), _key("invitations", str(organization_id)))
    if (
        of_organization > INVITATIONS_OF_ORGANIZATION
        or _count(_counters(), _key("invitation", mailbox)) > LINKS_OF_NAME
    ):
        return False
    if organization_id is None:
        return True
    # Of this organization: no other keeps anybody from being invited for a day.
    return (
        _count_of_day(_key("daily invitation", str(organization_id), mailbox)) <= DAILY_OF_NAME
        and _count_of_day(_key("daily invitations", str(organization_id))) <= DAILY_OF_ORGANIZATION
    )


def count_address_link(*, address: str, user_id: int) -> bool:
    """Count an e-mail that asks a mailbox whether it is this account's, and return whether it may be sent.

    By the account too: whoever has one could write to any number of mailboxes, once to each.
    """
    return (
        _count_of_day(_key("daily address links", str(user_id))) <= DAILY_OF_NAME
        and _count(_counters(), _key("invitation", mailbox_of(address))) <= LINKS_OF_NAME
    )


def count_test(*, address: str, organization_id: int) -> bool:
    """Count a test of an alert channel of this e-mail address, by an organization, and return whether it may be sent."""
    of_address = _count_of_day(_key("daily test", str(organization_id), mailbox_of(address)))
    of_organization = _count_of_day(_key("daily tests", str(organization_id)))
    return of_address <= DAILY_TESTS_OF_NAME and of_organization <= DAILY_TESTS_OF_ORGANIZATION


def count_guess(what: Guess, *, organization_id: int, on: datetime.date) -> bool:
    """Count what an organization's people try on this day, and return whether it may be answered."""
    return _count_of_day(_key("guess", what, str(organization_id), on.isoformat())) <= DAILY_GUESSES[what]


def count_wrong_key(*, key: str, address: str) -> bool:
    """Count a wrong API key, and return whether the limit is exceeded."""
    network = network_of(address)
    of_key, of_address = _count(cache, _key("api key", key, network)), _count(cache, _key("api keys", network))
    return of_key > WRONG_KEYS_OF_KEY or of_address > WRONG_KEYS_OF_ADDRESS


def _counters() -> BaseCache:
    return caches["lockout"]


def _count(counters: BaseCache, key: str, *, timeout: int | None = None) -> int:
    timeout = LOCKED_FOR if timeout is None else timeout
    counters.add(key, 0, timeout=timeout)
    try:
        return counters.incr(key)
    except ValueError:
        # It expired between the two.
        counters.set(key, 1, timeout=timeout)
        return 1


def _count_of_day(key: str) -> int:
    """Count what may be sent or tried, until a day without any."""
    count = _count(_counters(), key, timeout=_DAY)
    # Some caches end an entry five minutes after `incr`.
    _counters().touch(key, timeout=_DAY)
    return count


def _key_of_name(secret: Secret, username: str, network: str) -> str:
    return _key("name", secret, fold(username), network)


def _key(*parts: str) -> str:
    # Hashed: names are of any length and any characters, and a cache need not know them.
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"lockout:{digest}"
