"""No shape of a record and no bytes break a reader."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats.intake import sources
from tests.examples import examples
from tests.stats.intake.test_vendors import kinds, read, sample


def test_native_events_are_not_touched():
    event = {"id": "1", "type": "sent", "at": "x", "unknown": [1], "to": 5}
    assert read("native", event) == [sources.Event(0, event)]
    assert read("native", {**event, "tags": {"tenant": "a/b"}}, tenant_field="tags.tenant")[0].fields["server"] == "a/b"


def test_haraka_fields_that_are_none_of_ours_are_left_out():
    record = {"id": "1", "type": "sent", "at": "x", "server": "a/b", "code": "250", "note": 1, "ip": None}
    assert read("haraka", record) == [
        sources.Event(0, {"id": "1", "type": "sent", "at": "x", "server": "a/b", "code": "250"})
    ]
    assert kinds(read("haraka", {"id": "1", "type": "sent", "at": "x", "from": ""})) == ["own_notification"]


STATELESS = ("native", "haraka", "kumomta", "greenarrow", "postal", "ses", "sendgrid")
WORDS = {
    "kumomta": sample("kumomta", "records.ndjson", 1),
    "greenarrow": sample("greenarrow", "batch.json", 0),
    "postal": sample("postal", "webhooks.ndjson", 0),
    "ses": sample("ses", "events.ndjson", 3),
    "sendgrid": sample("sendgrid", "batch.json", 1),
    "native": {"id": "1", "type": "sent", "at": "2026-11-27T02:35:04Z"},
    "haraka": {"id": "1", "type": "sent", "at": "2026-11-27T02:35:04Z"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("format", STATELESS)
@given(data=st.data())
@settings(max_examples=examples(50), deadline=None)
def test_no_shape_breaks_a_reader(format, data):  # noqa: A002
    """A real record in which any value, at any depth, is something else."""
    record = json.loads(json.dumps(WORDS[format]))
    for _ in range(data.draw(st.integers(1, 3))):
        where = record
        while True:
            key = data.draw(st.sampled_from(sorted(where))) if where else "x"
            if type(where.get(key)) is dict and where[key] and data.draw(st.booleans()):
                where = where[key]
                continue
            where[key] = data.draw(JSON)
            break
    told = {"tenant_field": data.draw(st.sampled_from(["", "meta.tenant", "tags.x", "a", "mail.headers.x"]))}
    for outcome in read(format, record, **told):
        if isinstance(outcome, sources.Event) and format not in ("native", "haraka"):
            assert 0 < len(outcome.fields["id"]) <= 128
            json.dumps(outcome.fields, allow_nan=False)
        assert all(type(each) is str for each in getattr(outcome, "texts", ()))


@pytest.mark.parametrize("format", sources.FORMATS)
@given(body=st.binary(max_size=300))
@settings(max_examples=examples(30), deadline=None)
def test_no_bytes_break_a_reader(format, body):  # noqa: A002
    reader = sources.make(format, sources.Settings())
    for outcome in [*reader.read([io.BytesIO(body)]), *reader.finish()]:
        assert isinstance(outcome, sources.Event | sources.Ignored | sources.Refused)
    json.dumps(reader.state())
