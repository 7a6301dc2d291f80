"""Names are found by the index that is unique, whatever the planner knows of their table."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stats.intake import numbering
from stats.models import RecipientDomain, Sender, SenderDomain, Signature

MODELS = (RecipientDomain, Sender, SenderDomain, Signature)

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


def explained(sql):
    """Return how the database would answer a query."""
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}")
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


@pytest.mark.parametrize("model", MODELS)
def test_a_table_that_was_empty_a_moment_ago(model):
    """10,000 domains took PostgreSQL minutes: it took the table for empty, and the index of days for as good as the other."""
    numbering.number(model, [(7, f"name{number}.example") for number in range(2_000)], {}, today=20_000)
    model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {model._meta.db_table}")
    names = [(7, f"other{number}.example") for number in range(100)]
    with CaptureQueriesContext(connection) as queries:
        numbering.number(model, names, {}, today=20_000)
    looks = [query["sql"] for query in queries if "known.name = wanted.name" in query["sql"]]
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "first_seen_day" in query["sql"]]
    assert len(looks) == 3
    assert len(counts) == 1
    for sql in looks:
        plan = explained(sql)
        assert "_day" not in plan, plan
        if connection.vendor == "postgresql":
            assert f"{model._meta.db_table}_unique" in plan, plan
    plan = explained(counts[0])
    assert f"{model._meta.db_table}_day" in plan, plan
