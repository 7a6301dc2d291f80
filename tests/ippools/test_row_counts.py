"""The numbers of VirtualMTAs and addresses that PostgreSQL keeps are those of their rows, whoever writes at the same moment."""

import contextlib

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from ippools import row_counts
from ippools.models import IPAddress, VirtualMTA
from tests.factories import IPAddressFactory, RelayServerFactory
from throttling.models import ThrottlingTemplate

pytestmark = [pytest.mark.storage]
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite counts the rows")
INSERT = (
    "INSERT INTO ippools_virtualmta (kind, name, name_key, is_default, created_at, updated_at)"
    " VALUES ('relay_server', %s, %s, false, now(), now())"
)


def assert_right():
    for model in (VirtualMTA, IPAddress):
        assert row_counts.rows_of(model) == model.objects.count(), model


def parts():
    """Return how many rows the sums are made of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ippools_rowcount WHERE table_name = 'ippools_virtualmta'")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_it_works():
    assert row_counts.rows_of(VirtualMTA) == 0
    addresses = IPAddressFactory.create_batch(3)
    RelayServerFactory()
    assert (row_counts.rows_of(VirtualMTA), row_counts.rows_of(IPAddress)) == (4, 3)
    addresses[0].delete()
    assert (row_counts.rows_of(VirtualMTA), row_counts.rows_of(IPAddress)) == (3, 2)
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        IPAddressFactory()
        raise ZeroDivisionError
    IPAddress.objects.update(hostname="other.example")
    assert_right()
    assert row_counts.rows_of(ThrottlingTemplate) == ThrottlingTemplate.objects.count()


@on_postgresql
@pytest.mark.django_db
def test_it_does_not_count_the_rows():
    IPAddressFactory()
    with CaptureQueriesContext(connection) as captured:
        assert row_counts.rows_of(IPAddress) == 1
    assert [each["sql"] for each in captured if '"ippools_ipaddress"' in each["sql"]] == []


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_moment_do_not_wait_for_each_other():
    others = [connections["default"].copy(f"other-{number}") for number in range(3)]
    try:
        for number, each in enumerate(others):
            each.set_autocommit(False)
            with each.cursor() as cursor:
                # Should one wait for another, it is refused.
                cursor.execute("SET LOCAL lock_timeout = '5s'")
                for name in (f"{number}-first", f"{number}-second"):
                    cursor.execute(INSERT, [name, name])
        assert row_counts.rows_of(VirtualMTA) == 0
        others[1].commit()
        others[2].rollback()
        assert row_counts.rows_of(VirtualMTA) == 2
        others[0].commit()
        assert row_counts.rows_of(VirtualMTA) == 4
    finally:
        for each in others:
            each.close()
    assert parts() == 2
    VirtualMTA.objects.filter(name="0-first").delete()
    assert (row_counts.rows_of(VirtualMTA), parts()) == (3, 1)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_table_that_is_emptied_has_no_rows():
    RelayServerFactory.create_batch(2)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ippools_virtualmta CASCADE")
    assert_right()
    RelayServerFactory()
    assert row_counts.rows_of(VirtualMTA) == 1
