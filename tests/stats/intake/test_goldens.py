import json

import pytest

from stats.intake import sources
from tests.stats.intake import goldens

NAMES = [f"{sample.format}/{sample.file}" for sample in goldens.ALL]
# Tags of the samples that stand for addresses: the laboratory's own names, which Sluice finds as names of VirtualMTAs.
ADDRESSES = {
    "postfix-i11": "192.0.2.11",
    "postfix-i12": "192.0.2.12",
    "postfix-t7": "192.0.2.99",
    "pool1-a": "192.0.2.82",
    "pool1-b": "192.0.2.83",
    "pool2-a": "192.0.2.84",
    "pool2-b": "192.0.2.85",
    "ip-192-0-2-11": "192.0.2.11",
}
# Late bounces are a type of their own now, and a feedback report without a tenant finds it by its sender's domain.
ADDED = {
    "kumomta/records.ndjson": ["late_bounce", "complaint"],
    "greenarrow/batch.json": ["late_bounce"],
    "postal/webhooks.ndjson": ["late_bounce"],
}


@pytest.mark.parametrize("sample", goldens.ALL, ids=NAMES)
def test_every_sample_is_read_whole(sample):
    with sample.outcomes.open() as file:
        assert [goldens.as_json(outcome) for outcome in goldens.read(sample)] == [json.loads(line) for line in file], (
            "if it is meant, `python -m tests.stats.intake.goldens` writes the outcomes anew"
        )


WITH_EVENTS = [sample for sample in goldens.ALL if sample.events.exists()]


@pytest.mark.parametrize("sample", WITH_EVENTS, ids=lambda sample: sample.path.name)
def test_it_says_at_least_what_the_laboratory_expected(sample):
    """In the laboratory's order, and with its ids; what is said besides is named above."""
    with sample.events.open() as file:
        expected = [json.loads(line) for line in file]
    events = [outcome for outcome in goldens.read(sample) if isinstance(outcome, sources.Event)]
    found = [{"server": sample.default, **each.fields} for each in events]
    ids = {each["id"] for each in expected}
    for each, event in zip(found, events, strict=True):
        if "ip" not in each and event.vmta:
            # The caller finds the address by the name of the VirtualMTA.
            each["ip"] = ADDRESSES[event.vmta.removesuffix("-d").removesuffix("-r1")]
    kept = [each for each in found if each["id"] in ids]
    assert [{name: each.get(name) for name in one} for each, one in zip(kept, expected, strict=True)] == expected
    # Of Postfix the rest is mail that names no tenant: from the machine itself, and without a login.
    added = [each["type"] for each in found if each["id"] not in ids and (each["server"] or sample.format != "postfix")]
    assert added == ADDED.get(f"{sample.format}/{sample.file}", [])
