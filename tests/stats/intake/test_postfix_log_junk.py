"""Junk in lines of Postfix's log, and the syntax of the readers."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.postfix_log import Reader
from tests.examples import examples
from tests.slowness import on_this_machine
from tests.stats.intake.goldens import SAMPLES
from tests.stats.intake.test_postfix_log import NOW, QID, STAMP, active, client, delivery, expired, read


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=examples(100), deadline=None)
def test_no_bytes_break_it(junk, start, length):
    """Junk in the midst of a real line, at any place."""
    reader = Reader(now=NOW)
    for line in LINES:
        raw = line[:start] + junk + line[start + length :]
        for out in reader.feed(raw + b"\n"):
            assert {"event", "ignored", "refused"} & set(out)
    reader.finish()
    assert json.loads(json.dumps(reader.state())) == reader.state()


LINES = [
    line.encode()
    for line in (client(), active(), delivery(), expired(), f"{STAMP}postfix/postsuper[9]: {QID}: removed")
]


@pytest.mark.parametrize("junk", ['"', '"\\', ">, orig_to=<", ">, relay=a, ", "[", "((((", " orig_id=", "a@", "\\"])
def test_no_line_takes_long(junk):
    reader = Reader(now=NOW)
    lines = [
        client(name="x" + junk * 20_000),
        active(sender=junk * 20_000),
        delivery(to=junk * 20_000),
        delivery(reason=junk * 20_000),
        delivery(to=junk * 600),
        f"{STAMP}postfix/pickup[4]: {QID}: uid=1000 from=<{junk * 20_000}",
    ]
    began = time.process_time()
    read(*lines, reader=reader)
    assert time.process_time() - began < on_this_machine(1.5)


def test_the_oldest_python_of_a_node_can_read_it():
    """No syntax that came after 3.9: its own grammar checks it."""
    import ast

    for path in (SAMPLES.parents[3] / "agent").glob("*log*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))
