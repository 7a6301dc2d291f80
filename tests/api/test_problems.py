"""Every exception that a caller may be told of has its problem; every other has none."""

import sqlite3

import psycopg
import pytest
from django.core import exceptions as django
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
    models,
    transaction,
)
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404
from django.test.utils import isolate_apps
from rest_framework import exceptions as drf

from api.problems import RETRY_AFTER, SENTENCES, STATUSES, TOO_LONG, Code, Declined, Problem, decline, problem_from
from core import errors
from core.models import User


def test_every_code_has_a_status_and_a_sentence():
    assert set(STATUSES) == set(SENTENCES) == set(Code)


@pytest.mark.parametrize("code", [Code.TOO_MANY, Code.UNAVAILABLE])
def test_what_may_succeed_later_says_when_to_come_again(code):
    assert Problem.of(code).headers == {"Retry-After": str(RETRY_AFTER)}
    assert Problem.of(code, retry_after=60).headers == {"Retry-After": "60"}


FAULTS = (errors.Fault("name", "is too long"), errors.Fault("", "Nothing fits"))


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (Declined(Problem("Odd", ("Odd.",), 418)), Problem("Odd", ("Odd.",), 418)),
        (errors.Refused("No."), Problem(Code.CONFLICT, ("No.",), 409)),
        (
            errors.Invalid(*FAULTS),
            Problem(Code.INVALID, ("name is too long", "Nothing fits"), 422, faults=FAULTS),
        ),
        (errors.NotFound(), Problem(Code.NOT_FOUND, ("The record could not be found",), 404)),
        (errors.NotAllowed(), Problem(Code.NOT_ALLOWED, ("This is not allowed",), 403)),
        (
            errors.QuotaExceeded(),
            Problem(Code.OVER_QUOTA, ("The organization's quota is used up",), 403),
        ),
        (errors.Conflict("Gone."), Problem(Code.CONFLICT, ("Gone.",), 409)),
        (
            errors.InUse(errors.Dependency("server", 3, "A")),
            Problem(
                Code.IN_USE,
                ("It is used by server A",),
                409,
                dependencies=(errors.Dependency("server", 3, "A"),),
            ),
        ),
        (Http404(), Problem.of(Code.NOT_FOUND)),
        (django.PermissionDenied(), Problem.of(Code.NOT_ALLOWED)),
        (
            django.ValidationError({"name": ["is too long"], "__all__": ["Nothing fits"]}),
            Problem(Code.INVALID, ("name is too long", "Nothing fits"), 422, faults=FAULTS),
        ),
        (
            django.ValidationError("Nothing fits"),
            Problem(Code.INVALID, ("Nothing fits",), 422, faults=FAULTS[1:]),
        ),
        (django.TooManyFieldsSent(), Problem.of(Code.MALFORMED)),
        (django.RequestDataTooBig(), Problem.of(Code.TOO_LARGE, retry_after=RETRY_AFTER)),
        (drf.ParseError(), Problem.of(Code.MALFORMED)),
        (drf.UnsupportedMediaType("text/plain"), Problem.of(Code.MALFORMED)),
        (drf.NotAuthenticated(), Problem.of(Code.NOT_AUTHENTICATED)),
        (drf.AuthenticationFailed(), Problem.of(Code.WRONG_CREDENTIALS)),
        (drf.PermissionDenied(), Problem.of(Code.NOT_ALLOWED)),
        (drf.NotFound(), Problem.of(Code.NOT_FOUND)),
        (drf.MethodNotAllowed("PUT"), Problem.of(Code.WRONG_METHOD)),
        (drf.Throttled(wait=9.2), Problem.of(Code.TOO_MANY, retry_after=10)),
        (drf.Throttled(), Problem.of(Code.TOO_MANY, retry_after=RETRY_AFTER)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_knows(exc, expected):
    assert problem_from(exc) == expected


def test_nested_serializer_errors_keep_their_paths():
    exc = drf.ValidationError({"rules": [{}, {"domains": ["is empty"]}], "non_field_errors": ["Nothing fits"]})
    problem = problem_from(exc)
    assert problem.messages == ("rules[1].domains is empty", "Nothing fits")


def test_serializer_errors_that_are_no_list_keep_their_paths_too():
    exc = drf.ValidationError("x")
    exc.detail = {"name": "is odd", "rules": {"domains": "is empty"}}
    assert problem_from(exc) == Problem.of(
        Code.INVALID,
        "name is odd",
        "rules.domains is empty",
        faults=(errors.Fault("name", "is odd"), errors.Fault("rules.domains", "is empty")),
    )


def test_what_a_face_declines_is_the_problem_that_it_says():
    declined = decline(Code.TOO_MANY, "One at a time", "Come again", retry_after=9)
    assert problem_from(declined) == Problem(Code.TOO_MANY, ("One at a time", "Come again"), 429, retry_after=9)
    assert str(declined) == "One at a time; Come again"
    assert problem_from(decline(Code.CRASH)) == Problem(Code.CRASH, (SENTENCES[Code.CRASH],), 500)


@pytest.mark.parametrize(
    ("exc", "code"),
    [(drf.NotAuthenticated, Code.NOT_AUTHENTICATED), (drf.AuthenticationFailed, Code.WRONG_CREDENTIALS)],
)
def test_a_401_carries_the_challenge_of_the_view(exc, code):
    challenged = exc()
    # Rest framework's own views set it where their first authentication class has a header to ask with.
    challenged.auth_header = 'Basic realm="here"'
    assert problem_from(challenged) == Problem.of(code, authenticate='Basic realm="here"')
    assert problem_from(challenged).headers == {"WWW-Authenticate": 'Basic realm="here"'}


@pytest.mark.parametrize("exc", [KeyError("x"), ValueError(), AttributeError(), django.ObjectDoesNotExist()])
def test_a_bug_is_no_problem(exc):
    assert problem_from(exc) is None


def caused(exc, cause):
    exc.__cause__ = cause
    return exc


def sqlite_error(code):
    error = sqlite3.OperationalError("any words")
    error.sqlite_errorcode = code
    return error


SLOW = Problem.of(Code.UNAVAILABLE, TOO_LONG, retry_after=RETRY_AFTER)
AWAY = Problem.of(Code.UNAVAILABLE, retry_after=RETRY_AFTER)
TAKEN = Problem.of(Code.CONFLICT, "Another request changed the same records; try again")


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (caused(OperationalError(), psycopg.OperationalError("connection refused")), AWAY),
        (caused(OperationalError(), psycopg.errors.DeadlockDetected()), AWAY),
        (caused(OperationalError(), psycopg.errors.LockNotAvailable()), AWAY),
        (caused(OperationalError(), psycopg.errors.AdminShutdown()), AWAY),
        (caused(OperationalError(), psycopg.errors.QueryCanceled()), SLOW),
        (caused(OperationalError(), sqlite_error(sqlite3.SQLITE_BUSY)), AWAY),
        (caused(OperationalError(), sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT)), AWAY),
        (caused(OperationalError(), sqlite_error(sqlite3.SQLITE_CANTOPEN)), AWAY),
        (InterfaceError("connection already closed"), AWAY),
        (caused(IntegrityError(), psycopg.errors.UniqueViolation()), TAKEN),
        (caused(IntegrityError(), psycopg.errors.ForeignKeyViolation()), Problem.of(Code.IN_USE)),
        (caused(IntegrityError(), psycopg.errors.CheckViolation()), Problem.of(Code.INVALID)),
        (caused(DataError(), psycopg.errors.NumericValueOutOfRange()), Problem.of(Code.INVALID)),
        # Only a bug makes these.
        (caused(IntegrityError(), psycopg.errors.NotNullViolation()), None),
        (caused(ProgrammingError(), psycopg.errors.UndefinedTable()), None),
        (caused(DatabaseError(), psycopg.errors.InFailedSqlTransaction()), None),
        (caused(OperationalError(), sqlite_error(sqlite3.SQLITE_ERROR)), None),
        (ProgrammingError(), None),
    ],
    ids=lambda value: type(getattr(value, "__cause__", value)).__name__,
)  # fmt: skip
def test_it_knows_what_a_database_means(exc, expected):
    assert problem_from(exc) == expected


@pytest.mark.django_db
@pytest.mark.storage
def test_it_knows_a_real_unique_violation():
    User.objects.create(username="ada")
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        User.objects.create(username="ada")
    assert problem_from(caught.value) == TAKEN


@pytest.mark.django_db
@pytest.mark.storage
def test_a_missing_table_is_a_bug():
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")
    assert problem_from(caught.value) is None


@isolate_apps("tests")
def test_protected_records_become_sorted_dependencies():
    class Thing(models.Model):
        name = models.CharField()

        class Meta:
            app_label = "tests"

        def __str__(self):
            return self.name

    exc = ProtectedError("used", {Thing(pk=2, name="B"), Thing(pk=1, name="A")})
    assert problem_from(exc) == Problem.of(
        Code.IN_USE,
        "It is used by thing A, thing B",
        dependencies=(errors.Dependency("thing", 1, "A"), errors.Dependency("thing", 2, "B")),
    )


def test_the_statuses_are_those_of_http():
    """Said twice on purpose: clients go by these numbers, so that a slip in the table is a fault and no choice."""
    assert STATUSES == {
        Code.MALFORMED: 400,
        Code.INVALID: 422,
        Code.NOT_AUTHENTICATED: 401,
        Code.WRONG_CREDENTIALS: 401,
        Code.NOT_ALLOWED: 403,
        Code.NOT_FOUND: 404,
        Code.UNKNOWN_URL: 404,
        Code.WRONG_METHOD: 405,
        Code.CONFLICT: 409,
        Code.IN_USE: 409,
        Code.OVER_QUOTA: 403,
        Code.TOO_LARGE: 413,
        Code.TOO_MANY: 429,
        Code.UNAVAILABLE: 503,
        Code.CRASH: 500,
    }


def test_a_problem_does_not_change_after_it_was_made():
    with pytest.raises(AttributeError):
        Problem.of(Code.CRASH).status = 200


def test_headers_are_those_that_http_wants():
    assert Problem.of(Code.CRASH).headers == {}
    assert Problem.of(Code.UNAVAILABLE, retry_after=7).headers == {"Retry-After": "7"}
    assert Problem.of(Code.WRONG_CREDENTIALS, authenticate="Basic").headers == {"WWW-Authenticate": "Basic"}


def test_all_sentences_are_one_message():
    assert Problem.of(Code.INVALID, "name is too long", "Nothing fits").message == "name is too long; Nothing fits"


@pytest.mark.parametrize(("wait", "seconds"), [(None, RETRY_AFTER), (0, 1), (0.2, 1), (1.4, 2), (30, 30)])
def test_a_throttled_caller_waits_whole_seconds_and_at_least_one(wait, seconds):
    assert problem_from(drf.Throttled(wait)) == Problem.of(Code.TOO_MANY, retry_after=seconds)


def test_restricted_records_are_dependencies_as_protected_ones_are():
    user = User(pk=1, username="ada")
    assert problem_from(RestrictedError("used", {user})) == Problem.of(
        Code.IN_USE, "It is used by user ada", dependencies=(errors.Dependency("user", 1, "ada"),)
    )


def test_a_body_that_django_found_too_big_is_too_large_and_not_malformed():
    assert problem_from(django.RequestDataTooBig()) == Problem.of(Code.TOO_LARGE, retry_after=RETRY_AFTER)


def test_every_field_keeps_its_name_wherever_it_stands_in_the_alphabet():
    faults = (errors.Fault("A", "is odd"),)
    assert problem_from(django.ValidationError({"A": ["is odd"]})) == Problem.of(
        Code.INVALID, "A is odd", faults=faults
    )
