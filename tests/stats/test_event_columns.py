"""Every column and field of an event is complete: each test says which part is missing (see CONTRIBUTING)."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from django.db import models

from api.postal.schemas import EVENT
from stats.intake import details, reading
from stats.intake.ingest import Reporter, ingest
from stats.intake.sources import haraka
from stats.ledger.row import COLUMNS, Row, packed
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import event
from tests.stats.test_ingest import UNREADABLE, add_rule

ROOT = Path(__file__).parents[2]


# What is checked, and told to nobody.
NOT_KEPT = {"mx", "attempt"}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows that are made from now on."""
    made: list[Row] = []
    row_of = reading._row

    def noted(*given: Any) -> Row:
        made.append(row_of(*given))
        return made[-1]

    monkeypatch.setattr(reading, "_row", noted)
    return made


@pytest.mark.django_db
def test_a_row_has_a_value_for_each_column(acme: Tenant, rows: list[Row]) -> None:
    # The database refuses a row that is too short: what is missing is said below.
    with contextlib.suppress(Exception):
        ingest([event(acme)], reporter=Reporter(), now=NOW)
    assert [len(row) for row in rows] == [len(COLUMNS)], (
        f"stats.intake.reading._row has to return a value for each of {', '.join(COLUMNS)}, in this order"
    )


@pytest.mark.django_db
def test_each_optional_field_reaches_the_row(acme: Tenant, rows: list[Row]) -> None:
    two_values = {
        "code": (250, 550),
        "enhanced": ("4.2.2", "5.1.1"),
        "reply": ("mailbox full", "user unknown"),
        "seconds": (1, 100),
        "rule": (0, add_rule(acme.addresses[0].rules, "other.example")),
    }
    assert two_values.keys() == details.FIELDS - NOT_KEPT, (
        "add two values of each new field here, or name it in NOT_KEPT"
    )
    for name, values in two_values.items():
        rows.clear()
        events = [event(acme, id=f"{name}-{value}", type="bounced", **{name: value}) for value in values]
        ingest(events, reporter=Reporter(), now=NOW)
        one, other = rows
        assert one[1:] != other[1:], f"stats.intake.reading._row makes nothing of {name}"


def test_an_unreadable_value_of_each_optional_field_is_tried() -> None:
    assert UNREADABLE.keys() == details.FIELDS, "add what cannot be read to UNREADABLE of tests/stats/test_ingest.py"


def test_harakas_plug_in_may_say_every_field() -> None:
    assert set(haraka.NAMES) == EVENT["properties"].keys(), "NAMES of stats/intake/sources/haraka.py has every field"


@pytest.mark.parametrize(
    ("column", "is_number"), [(models.TextField(), False), (models.CharField(), False), (models.IntegerField(), True)]
)
def test_a_column_is_a_number(column: "models.Field[Any, Any]", is_number: bool) -> None:
    column.name = "new"
    with contextlib.nullcontext() if is_number else pytest.raises(TypeError, match=r"Event\.new .* numbers only"):
        packed(column)


def test_optional_fields_are_documented() -> None:
    assert EVENT["properties"].keys() >= details.FIELDS, "describe the field in EVENT of api/postal/schemas.py"
    page = (ROOT / "docs/statistics.md").read_text()
    unknown = sorted(name for name in EVENT["properties"] if f"`{name}`" not in page)
    assert not unknown, f"add {unknown} to the table of fields in docs/statistics.md"
