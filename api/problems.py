"""Problems, independent of the dialects: each dialect maps these codes to its own."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import singledispatch
from typing import TypedDict, Unpack

from django.core import exceptions as django
from django.db import Error as DatabaseFault
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions as drf

from api import database
from core import errors

logger = logging.getLogger(__name__)


class Code(StrEnum):
    """The kinds of problem that every dialect has a word for."""

    MALFORMED = "malformed"  # the request cannot be read at all: no JSON, a wrong type at the root
    INVALID = "invalid"  # it can be read, but breaks rules
    NOT_AUTHENTICATED = "not_authenticated"  # nobody said who is asking
    WRONG_CREDENTIALS = "wrong_credentials"  # who was said to be asking is not proven
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    UNKNOWN_URL = "unknown_url"
    WRONG_METHOD = "wrong_method"
    CONFLICT = "conflict"
    IN_USE = "in_use"
    OVER_QUOTA = "over_quota"  # the caller's organization has as much as it may have
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"
    CRASH = "crash"


# The statuses of HTTP's own words, which a dialect that says less by status (Postal) overrides, and what is said of each.
_KINDS: Mapping[Code, tuple[int, str]] = {
    Code.MALFORMED: (400, "The request could not be read"),
    Code.INVALID: (422, "The request is not valid"),
    Code.NOT_AUTHENTICATED: (401, "Authentication is required"),
    Code.WRONG_CREDENTIALS: (401, "The credentials are not valid"),
    Code.NOT_ALLOWED: (403, "You don't have permission to do this"),
    Code.NOT_FOUND: (404, "The record could not be found"),
    Code.UNKNOWN_URL: (404, "There is nothing at this URL"),
    Code.WRONG_METHOD: (405, "This URL does not answer this method"),
    Code.CONFLICT: (409, "The record's state does not admit this"),
    Code.IN_USE: (409, "The record is in use"),
    Code.OVER_QUOTA: (403, "The organization's quota is used up"),
    Code.TOO_LARGE: (413, "The request is too large"),
    Code.TOO_MANY: (429, "Too many requests; try again later"),
    Code.UNAVAILABLE: (503, "The service is busy; try again in a moment"),
    Code.CRASH: (500, "An internal error occurred"),
}
STATUSES: Mapping[str, int] = {code: status for code, (status, _) in _KINDS.items()}
SENTENCES: Mapping[str, str] = {code: sentence for code, (_, sentence) in _KINDS.items()}

# Seconds until another try is worth it, where nothing better is known.
RETRY_AFTER = 5
TOO_LONG = "This takes too long just now; ask for less, such as a shorter time span, or try again later"


class Facts(TypedDict, total=False):
    """What may be known of a problem beside its code and sentences."""

    faults: tuple[errors.Fault, ...]  # what is wrong with the input, one by one
    dependencies: tuple[errors.Dependency, ...]  # the records that refer to one that was to be deleted
    retry_after: int  # seconds until another try is worth it
    authenticate: str  # the challenge of a 401


@dataclass(frozen=True, slots=True)
class Problem:
    """One refused request.

    `code` is one of `Code` or, when a dialect refuses in words of its own, that dialect's word. `messages` are
    sentences for the caller, never empty. The rest is as in `Facts`; `data` is what a dialect's own refusal adds.
    """

    code: str
    messages: tuple[str, ...]
    status: int
    faults: tuple[errors.Fault, ...] = ()
    dependencies: tuple[errors.Dependency, ...] = ()
    retry_after: int | None = None
    authenticate: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, code: Code, *messages: str, **facts: Unpack[Facts]) -> "Problem":
        """Return a problem of a shared kind, with the status that goes with it."""
        return cls(code, messages or (SENTENCES[code],), STATUSES[code], **facts)

    @property
    def message(self) -> str:
        """All sentences as one text, for a dialect that has room for one."""
        return "; ".join(self.messages)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that HTTP wants beside the status."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        elif self.status in (STATUSES[Code.TOO_MANY], STATUSES[Code.UNAVAILABLE]):
            headers["Retry-After"] = str(RETRY_AFTER)
        if self.authenticate is not None:
            headers["WWW-Authenticate"] = self.authenticate
        return headers


class Declined(Exception):
    """Raised by a dialect to refuse with its own problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


def decline(code: Code, *messages: str, **facts: Unpack[Facts]) -> Declined:
    """Return the exception that refuses with a problem of a shared kind, ready to raise."""
    return Declined(Problem.of(code, *messages, **facts))


@singledispatch
def problem_from(exc: BaseException) -> Problem | None:
    """Return the problem that an exception stands for; None for a bug, which nobody may swallow."""
    return None


problem_from.register(Declined, lambda exc: exc.problem)


# --- the acts' own refusals -------------------------------------------------------------------------------------------

_REFUSALS: Mapping[type, Code] = {
    errors.Invalid: Code.INVALID,
    errors.NotFound: Code.NOT_FOUND,
    errors.NotAllowed: Code.NOT_ALLOWED,
    errors.InUse: Code.IN_USE,
    errors.QuotaExceeded: Code.OVER_QUOTA,
    errors.Busy: Code.TOO_MANY,
    # A rule that the act explains and that has no kind of its own.
    errors.Refused: Code.CONFLICT,
}


@problem_from.register
def _(exc: errors.Refused) -> Problem | None:
    code = next(_REFUSALS[kind] for kind in type(exc).__mro__ if kind in _REFUSALS)
    faults: tuple[errors.Fault, ...] = getattr(exc, "faults", ())
    return Problem(
        code,
        tuple(str(fault) for fault in faults) or (exc.message or SENTENCES[code],),
        STATUSES[code],
        faults=faults,
        dependencies=getattr(exc, "dependencies", ()),
        retry_after=getattr(exc, "retry_after", None),
    )


# --- Django's ---------------------------------------------------------------------------------------------------------


@problem_from.register(ProtectedError)
@problem_from.register(RestrictedError)
def _(exc: ProtectedError | RestrictedError) -> Problem | None:
    found = exc.protected_objects if isinstance(exc, ProtectedError) else exc.restricted_objects
    # Sorted, because Django hands over a set and an answer must not change between two calls.
    dependencies = tuple(
        sorted(
            (errors.Dependency(each._meta.model_name or "", each.pk, str(each)) for each in found),
            key=lambda dependency: (dependency.type, str(dependency.id)),
        )
    )
    return Problem.of(Code.IN_USE, errors.InUse(*dependencies).message, dependencies=dependencies)


@problem_from.register
def _(exc: django.ValidationError) -> Problem | None:
    by_field: Mapping[str, list[str]] = exc.message_dict if hasattr(exc, "error_dict") else {"": exc.messages}
    faults = tuple(
        # Django's name for "not one field".
        errors.Fault("" if path == django.NON_FIELD_ERRORS else path, message)
        for path, messages in by_field.items()
        for message in messages
    )
    return Problem.of(Code.INVALID, *(str(fault) for fault in faults), faults=faults)


problem_from.register(Http404, lambda exc: Problem.of(Code.NOT_FOUND))
problem_from.register(django.PermissionDenied, lambda exc: Problem.of(Code.NOT_ALLOWED))
# Too many fields in a query string or form, a disallowed host: the request, not the record, is wrong.
problem_from.register(django.SuspiciousOperation, lambda exc: Problem.of(Code.MALFORMED))
problem_from.register(django.RequestDataTooBig, lambda exc: Problem.of(Code.TOO_LARGE, retry_after=RETRY_AFTER))
# The client went away while sending; nobody will read this answer, and nothing is wrong here.
problem_from.register(UnreadablePostError, lambda exc: Problem.of(Code.MALFORMED, "The request's body ended early"))


# --- the database's ---------------------------------------------------------------------------------------------------

_MEANINGS = {
    database.Meaning.AWAY: Problem.of(Code.UNAVAILABLE, retry_after=RETRY_AFTER),
    # Also of one that waited for others' locks; nothing tells them apart.
    database.Meaning.TOO_LONG: Problem.of(Code.UNAVAILABLE, TOO_LONG, retry_after=RETRY_AFTER),
    database.Meaning.TAKEN: Problem.of(Code.CONFLICT, "Another request changed the same records; try again"),
    database.Meaning.REFERRED: Problem.of(Code.IN_USE),
    database.Meaning.REFUSED: Problem.of(Code.INVALID),
}


@problem_from.register
def _(exc: DatabaseFault) -> Problem | None:
    meaning = database.meaning_of(exc)
    if meaning is None:
        return None
    # An act should have refused before the database had to: operators read of it, callers get a plain answer.
    logger.warning("database_refused", exc_info=exc, extra={"meaning": meaning.value})
    return _MEANINGS[meaning]


# --- DRF's ------------------------------------------------------------------------------------------------------------

# By the framework's own word for each kind; what is not here (`error`) is a bug.
_DRF_CODES: Mapping[str, Code] = {
    "parse_error": Code.MALFORMED,
    "unsupported_media_type": Code.MALFORMED,
    "not_authenticated": Code.NOT_AUTHENTICATED,
    "authentication_failed": Code.WRONG_CREDENTIALS,
    "permission_denied": Code.NOT_ALLOWED,
    "not_found": Code.NOT_FOUND,
    "method_not_allowed": Code.WRONG_METHOD,
    "throttled": Code.TOO_MANY,
    "invalid": Code.INVALID,
}


@problem_from.register
def _(exc: drf.APIException) -> Problem | None:
    code = _DRF_CODES.get(exc.default_code)
    if code is None:
        return None
    facts: Facts = {}
    if code == Code.INVALID:
        facts["faults"] = tuple(faults_in(exc.detail))
    elif code == Code.TOO_MANY:
        wait: float | None = getattr(exc, "wait", None)
        facts["retry_after"] = RETRY_AFTER if wait is None else max(1, round(wait))
    elif challenge := getattr(exc, "auth_header", None):
        # The framework notes here what the view's authentication wants a 401 to carry.
        facts["authenticate"] = challenge
    return Problem.of(code, *(str(fault) for fault in facts.get("faults", ())), **facts)


def faults_in(detail: object, path: str = "") -> list[errors.Fault]:
    """Flatten a serializer's nested errors into faults whose paths read as the caller wrote the fields; a number is a place."""
    if isinstance(detail, Mapping):
        return [fault for key, inner in detail.items() for fault in faults_in(inner, _path_to(key, path))]
    if isinstance(detail, list):
        if any(isinstance(each, (list, Mapping)) for each in detail):
            return [fault for at, each in enumerate(detail) for fault in faults_in(each, f"{path}[{at}]")]
        return [errors.Fault(path, str(each)) for each in detail]
    return [errors.Fault(path, str(detail))]


def _path_to(key: object, path: str) -> str:
    if key == "non_field_errors":
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)
