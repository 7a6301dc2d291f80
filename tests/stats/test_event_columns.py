"""Every column and field of an event is complete: each test says which part is missing (see CONTRIBUTING)."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from api.postal.schemas import EVENT
from stats.intake import details, reading
from stats.intake.ingest import Reporter, ingest
from stats.ledger.row import COLUMNS, Row
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import event

ROOT = Path(__file__).parents[2]


@pytest.mark.django_db
def test_a_row_has_a_value_for_each_column(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = []
    row_of = reading._row

    def noted(*given: Any) -> Row:
        rows.append(row_of(*given))
        return rows[-1]

    monkeypatch.setattr(reading, "_row", noted)
    # The database refuses a row that is too short: what is missing is said below.
    with contextlib.suppress(Exception):
        ingest([event(acme)], reporter=Reporter(), now=NOW)
    assert [len(row) for row in rows] == [len(COLUMNS)], (
        f"stats.intake.reading._row has to return a value for each of {', '.join(COLUMNS)}, in this order"
    )


def test_optional_fields_are_documented() -> None:
    assert EVENT["properties"].keys() >= details.FIELDS, "describe the field in EVENT of api/postal/schemas.py"
    page = (ROOT / "docs/statistics.md").read_text()
    unknown = sorted(name for name in EVENT["properties"] if f"`{name}`" not in page)
    assert not unknown, f"add {unknown} to the table of fields in docs/statistics.md"
