"""Files of one log together: rotated, and as the journal gives them."""

import gzip
import io
import json

import pytest

from stats.intake import sources
from tests.stats.intake.goldens import NOW
from tests.stats.intake.test_postfix_log import active, client, delivery

SHORT = "3C0452A09E5"
SHOWN = "2026-11-27T02:35:04"


def read(*files):
    reader = sources.make("postfix", sources.Settings(now=NOW))
    outcomes = [*reader.read([io.BytesIO(each) for each in files]), *reader.finish()]
    return [
        (each.stream, each.fields["type"], each.fields.get("server")) if isinstance(each, sources.Event) else each
        for each in outcomes
    ]


def text(*lines, end="\n"):
    return "".join(line + end for line in lines).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_rotated_log_goes_before_its_successor_whatever_the_order(end, pack):
    """The log was rotated in the second in which the message came and went."""
    earlier = client("5C0452A09E6").replace("02:35:04", "02:35:03")
    before = pack(text(earlier, client(SHORT), end=end))
    after = text(active(SHORT), delivery(SHORT), end=end)
    sent = ["incoming", "sent"]
    assert read(before, after) == [(1, each, "acme/marketing") for each in sent]
    assert read(after, before) == [(0, each, "acme/marketing") for each in sent]


def entry(line, **changes):
    """A line of a log as `journalctl -o json` has it."""
    program, _, message = line.partition("node1 ")[2].partition(": ")
    identifier, _, pid = program.removesuffix("]").partition("[")
    fields = {
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": "1795746904518649",
        "_HOSTNAME": "node1",
        "SYSLOG_IDENTIFIER": identifier,
        "SYSLOG_PID": pid,
        "PRIORITY": "6",
        "MESSAGE": message,
    }
    return json.dumps(fields | changes)


def test_the_journal_is_read():
    reader = sources.make("postfix", sources.Settings(now=NOW))
    lines = text(entry(client()), entry(active()), entry(delivery()))
    found = [
        (each.fields["type"], each.fields["server"], each.fields["at"]) for each in reader.read([io.BytesIO(lines)])
    ]
    at = f"{SHOWN}.518Z"
    assert found == [("incoming", "acme/marketing", at), ("sent", "acme/marketing", at)]


def test_dockers_files_are_read():
    written = [json.dumps({"log": f"{each}\n", "stream": "stdout"}) for each in (client(), active(), delivery())]
    assert read(text(*written)) == [(0, each, "acme/marketing") for each in ("incoming", "sent")]


def test_a_message_of_the_journal_that_is_not_utf8_is_numbers():
    message = delivery(to="grün@big.example").partition("]: ")[2].encode("latin-1")
    lines = text(entry(client()), entry(active()), entry(delivery(), MESSAGE=list(message)))
    reader = sources.make("postfix", sources.Settings(now=NOW))
    assert [each.fields["type"] for each in reader.read([io.BytesIO(lines)])] == ["incoming", "sent"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{}",
        entry(delivery(), MESSAGE=None),
        entry(delivery(), MESSAGE=[1000]),
        entry(delivery(), __REALTIME_TIMESTAMP="soon"),
        entry(delivery(), __REALTIME_TIMESTAMP="9" * 30),
    ],
)
def test_it_rejects_what_is_no_entry_of_the_journal(line):
    (refused,) = read(text(line))
    assert refused.code == "invalid_line"
