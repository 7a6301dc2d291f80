"""Every column and field of an event is complete: each test says which part is missing (see CONTRIBUTING)."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from django.db import models

from api.postal.schemas import EVENT
from stats.intake import details, reading, sources
from stats.intake.directory import Directory, Reporter
from stats.intake.sources import haraka
from stats.ledger.row import COLUMNS, Row, packed
from tests.stats.conftest import NOW, Tenant
from tests.stats.events import event
from tests.stats.intake import goldens
from tests.stats.test_ingest import UNREADABLE, add_rule

ROOT = Path(__file__).parents[2]


# What is checked, and told to nobody.
NOT_KEPT = {"mx", "attempt"}


def rows_of(*events: dict[str, Any]) -> list[Row]:
    """Return the rows that are made of events. They are not stored: the database refuses one that is too short."""
    return list(reading.read(events, Directory(Reporter(), now=NOW), now=NOW).rows.values())


@pytest.mark.django_db
def test_a_row_has_a_value_for_each_column(acme: Tenant) -> None:
    assert [len(row) for row in rows_of(event(acme))] == [len(COLUMNS)], (
        f"_row of stats/intake/reading.py has to return a value for each of {', '.join(COLUMNS)}, in this order"
    )


@pytest.mark.django_db
def test_each_optional_field_reaches_the_row(acme: Tenant, globex: Tenant) -> None:
    two_values = {
        "code": (250, 550),
        "enhanced": ("4.2.2", "5.1.1"),
        "reply": ("mailbox full", "user unknown"),
        "seconds": (1, 100),
        "rule": (0, add_rule(acme.addresses[0].rules, "other.example")),
    }
    assert two_values.keys() == details.FIELDS - NOT_KEPT, (
        "add two values of each new field to two_values above, or name it in NOT_KEPT"
    )
    other_ip, other_day = globex.addresses[0].ipv4, "2026-03-10T15:30:00Z"
    other = {"from": "bob@brand.example", "ip": other_ip, "at": other_day, "to": "ann@yahoo.co.uk", "type": "sent"}
    told = rows_of(event(acme), event(globex, **other))
    for name, values in two_values.items():
        one, another = rows_of(*(event(acme, id=str(v), type="bounced", **{name: v}) for v in values))
        assert one[1:] != another[1:], f"_row of stats/intake/reading.py makes nothing of {name}"
        told += [one, another]
    same = [column for column, found in zip(COLUMNS, zip(*told, strict=True), strict=True) if len(set(found)) == 1]
    assert not same, f"_row of stats/intake/reading.py has one value of {same} for all events of this test"


def test_each_optional_field_has_a_reader() -> None:
    unread = set(details.Details._fields) - details.FIELDS
    assert not unread, f"add a reader of {sorted(unread)} to _READERS of stats/intake/details.py"
    lost = details.FIELDS - NOT_KEPT - set(details.Details._fields)
    assert not lost, f"add {sorted(lost)} to Details of stats/intake/details.py, or name it in NOT_KEPT above"


def test_some_format_reads_each_optional_field() -> None:
    """From the samples of real mail servers: a field that none reports is not worth a column."""
    said = {
        name
        for sample in goldens.ALL
        for outcome in goldens.read(sample)
        if isinstance(outcome, sources.Event)
        for name in outcome.fields
    }
    unsaid = sorted(details.FIELDS - said)
    assert not unsaid, (
        f"no sample of tests/stats/intake/samples/ has {unsaid}: read it in a format of stats/intake/sources/,"
        " or add it to the sample"
    )


def test_an_unreadable_value_of_each_optional_field_is_tried() -> None:
    assert UNREADABLE.keys() == details.FIELDS, (
        "add values that cannot be read to UNREADABLE of tests/stats/test_ingest.py"
    )


def test_harakas_plug_in_may_say_every_field() -> None:
    missing = sorted(EVENT["properties"].keys() - set(haraka.NAMES))
    assert not missing, f"add {missing} to NAMES of stats/intake/sources/haraka.py, and to what agent/haraka/ reports"
    assert set(haraka.NAMES) <= EVENT["properties"].keys(), "describe the field in EVENT of api/postal/schemas.py"


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
