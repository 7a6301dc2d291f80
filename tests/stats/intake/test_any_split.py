"""A stateful reader gives the same events however its log is cut, joined, read again and gone on with."""

import io
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import exim_log, postfix_log
from stats.intake import sources
from tests.examples import examples
from tests.stats.intake.goldens import NOW, SAMPLES

LOGS = {
    "all-outcomes": ("postfix", SAMPLES / "postfix" / "all-outcomes.log"),
    "front-and-pools": ("postfix", SAMPLES / "postfix" / "front-and-pools.log"),
    "short-queue-ids": ("postfix", SAMPLES / "postfix" / "short-queue-ids.log"),
    "exim": ("exim", SAMPLES / "exim" / "mainlog-without-incoming_interface.log"),
}
READERS = {"postfix": postfix_log.Reader, "exim": exim_log.Reader}
each_log = pytest.mark.parametrize(("name", "path"), LOGS.values(), ids=LOGS)


def stored(reader):
    """Return the reader's state as a database or a file gives it back."""
    return json.loads(json.dumps(reader.state()))


def events(outs):
    return [out["event"] for out in outs if "event" in out]


def whole(name, data):
    reader = READERS[name](now=NOW)
    return events(reader.feed(data) + reader.finish())


def by_content(found):
    return sorted(json.dumps(event, sort_keys=True) for event in found)


@each_log
@given(data=st.data())
@settings(max_examples=examples(10), deadline=None)
def test_any_cut_with_a_restart_gives_the_same_events(name, path, data):
    log = path.read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))
    found, state = [], None
    for start, end in itertools.pairwise([0, *cuts, len(log)]):
        reader = READERS[name](now=NOW, state=state)
        found += reader.feed(log[start:end])
        state = stored(reader)
    found += READERS[name](now=NOW, state=state).finish()
    assert events(found) == whole(name, log)


@each_log
@given(data=st.data())
@settings(max_examples=examples(10), deadline=None)
def test_reading_all_again_gives_the_same_events(name, path, data):
    """After a crash the log is read from the start, with a state that is ahead of it."""
    log = path.read_bytes()
    end = data.draw(st.integers(0, len(log)))
    reader = READERS[name](now=NOW)
    reader.feed(log[: log.rfind(b"\n", 0, end) + 1])
    again = READERS[name](now=NOW, state=stored(reader))
    assert by_content(events(again.feed(log) + again.finish())) == by_content(whole(name, log))


@each_log
@given(data=st.data())
@settings(max_examples=examples(10), deadline=None)
def test_reading_a_part_again_gives_no_other_events(name, path, data):
    """An offset that was not stored: some lines are read twice. What comes of them is what came before."""
    lines = path.read_bytes().splitlines(keepends=True)
    start = data.draw(st.integers(0, len(lines)))
    end = data.draw(st.integers(start, len(lines)))
    reader = READERS[name](now=NOW)
    found = reader.feed(b"".join(lines[:end]))
    again = READERS[name](now=NOW, state=stored(reader))
    found += again.feed(b"".join(lines[start:])) + again.finish()
    identity = {(event["id"], event["type"], event["at"], event.get("to")) for event in events(found)}
    assert identity == {(e["id"], e["type"], e["at"], e.get("to")) for e in whole(name, b"".join(lines))}


def instances(log):
    """Return the log as the instances of a machine write it when each has a file: the front, and each pool."""
    files = {}
    for line in log.splitlines(keepends=True):
        tag = line.split(b" ")[4].partition(b"/")[0]
        files.setdefault(tag[:5] if tag.startswith(b"pool") else b"front", []).append(line)
    return [b"".join(lines) for lines in files.values()]


@given(order=st.permutations(range(3)), cut=st.integers(0, 60))
@settings(max_examples=examples(10), deadline=None)
def test_the_files_of_a_machine_may_come_in_any_order_one_after_the_other(order, cut):
    log = LOGS["front-and-pools"][1].read_bytes()
    files = instances(log)
    assert len(files) == 3
    found, state = [], None
    for number in order:
        lines = files[number].splitlines(keepends=True)
        for part in (lines[:cut], lines[cut:]):
            reader = postfix_log.Reader(now=NOW, state=state)
            found += reader.feed(b"".join(part))
            state = stored(reader)
    assert by_content(events(found)) == by_content(whole("postfix", log))
    assert stored(reader)["held"] == {}


@given(order=st.permutations(range(3)))
@settings(max_examples=examples(3), deadline=None)
def test_the_files_of_a_machine_may_be_given_together_in_any_order(order):
    log = LOGS["front-and-pools"][1].read_bytes()
    files = instances(log)
    reader = sources.make("postfix", sources.Settings(now=NOW))
    found = [
        outcome
        for outcome in reader.read([io.BytesIO(files[number]) for number in order])
        if type(outcome) is sources.Event
    ]
    assert by_content(event.fields for event in found) == by_content(whole("postfix", log))
    # Each outcome says which line of which stream it came from.
    for event in found:
        line = files[order[event.stream]].splitlines()[event.index]
        assert event.fields["id"].partition("-")[0].encode() in line


@pytest.mark.parametrize("name", ["all-outcomes", "short-queue-ids", "front-and-pools"])
@pytest.mark.parametrize("step", [7, 30, 90])
def test_lines_that_are_sent_again_keep_their_servers(name, step):
    """A sender that got no answer sends its last lines again; what they begin with has been forgotten by then, or moved on."""
    lines = LOGS[name][1].read_bytes().splitlines(keepends=True)
    found, state = set(), None
    for start in range(0, len(lines), step):
        for begin in (start, start, max(0, start - step // 2)):
            reader = sources.make("postfix", sources.Settings(now=NOW), state)
            part = [io.BytesIO(b"".join(lines[begin : start + step]))]
            events_ = [each.fields for each in reader.read(part) if type(each) is sources.Event]
            found |= {(event["id"], event["type"], event.get("server"), event.get("to")) for event in events_}
            state = json.loads(json.dumps(reader.state()))
    told = {
        (event["id"], event["type"], event.get("server"), event.get("to"))
        for event in whole("postfix", b"".join(lines))
    }
    assert found == told


def test_a_later_and_an_earlier_file_are_read_in_the_order_of_their_times():
    """As rotation leaves them: an expansion of `*` gives the newest first."""
    lines = LOGS["all-outcomes"][1].read_bytes().splitlines(keepends=True)
    reader = sources.make("postfix", sources.Settings(now=NOW))
    files = [b"".join(lines[200:]), b"".join(lines[:200])]
    found = [outcome.fields for outcome in reader.read(map(io.BytesIO, files)) if type(outcome) is sources.Event]
    assert by_content(found) == by_content(whole("postfix", b"".join(lines)))


def test_what_is_held_is_given_without_a_server_at_the_end():
    log = LOGS["front-and-pools"][1].read_bytes()
    pools = instances(log)[1:]
    reader = sources.make("postfix", sources.Settings(now=NOW))
    assert [outcome for outcome in reader.read(map(io.BytesIO, pools)) if type(outcome) is sources.Event] == []
    held = list(reader.finish())
    assert len(held) == 24
    assert not any("server" in event.fields for event in held)
    assert {event.fields["from"] for event in held} == {"news@acme.example", "alerts@initech.example"}
    assert reader.state()["held"] == {}


def test_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr(postfix_log, "MOST_HELD", 10)
    pools = b"".join(instances(LOGS["front-and-pools"][1].read_bytes())[1:])
    reader = postfix_log.Reader(now=NOW)
    found = events(reader.feed(pools))
    assert len(found) + sum(len(each.outs) for each in reader.held.values()) == 24
    assert len(reader.held) + reader.count_held <= 10


def test_state_is_small_and_forgets_after_the_queues_lifetime():
    reader = postfix_log.Reader(now=NOW)
    reader.feed((SAMPLES / "postfix" / "short-queue-ids.log").read_bytes())
    assert len(reader.messages) == 9
    reader.line(
        b"Dec  2 02:55:48 node1 postfix/smtpd[1]: 4jbHZH6x1vzMVFP: client=a[127.0.0.1], sasl_method=X, sasl_username=a/b"
    )
    assert len(reader.messages) == 10
    reader.line(
        b"Dec  3 04:55:48 node1 postfix/smtpd[1]: 4jbHZH6x1vzMVFP: client=a[127.0.0.1], sasl_method=X, sasl_username=a/b"
    )
    assert list(reader.messages) == ["4jbHZH6x1vzMVFP"]


def requeued(number: int, count: int) -> list[bytes]:
    """Return lines of messages that are deferred, requeued and expire."""
    stamp, ids = "2026-11-27T02:35:{:02d}Z node1 ", [f"4jbHZN0dDhzMV{digit}Q" for digit in "BCDF"]
    lines = [f"postfix/smtpd[1]: {ids[0]}: client=a[127.0.0.1], sasl_method=X, sasl_username=a/b"]
    for qid, following in zip(ids, [*ids[1:], ""], strict=True):
        lines.append(f"postfix/qmgr[2]: {qid}: from=<a@b.example>, size=1, nrcpt={count} (queue active)")
        lines += [
            f"sluice-a1-r0/smtp[3]: {qid}: to=<u{each}@c.example>, relay=mx.c.example[192.0.2.9]:25, delay=1, delays=0/0/0/1,"
            f" dsn=4.2.2, status=deferred (host mx.c.example[192.0.2.9] said: 452 4.2.2 {qid} full)"
            for each in range(number if qid == ids[0] else 0)
        ]
        end = f"postfix/pickup[4]: {following}: uid=1 from=<a@b.example> orig_id={qid}"
        lines.append(
            end if following else f"postfix/qmgr[2]: {qid}: from=<a@b.example>, status=expired, returned to sender"
        )
    lines.append(f"postfix/qmgr[2]: {ids[-1]}: removed")
    return [(stamp.format(second) + line + "\n").encode() for second, line in enumerate(lines)]


@pytest.mark.parametrize(("number", "count"), [(0, 1), (1, 1), (1, 3), (3, 3)])
def test_a_requeued_message_that_expired_is_not_counted_again_wherever_its_lines_are_read_again_from(number, count):
    lines = requeued(number, count)
    told = {event["id"] for event in whole("postfix", b"".join(lines))}
    for begin in range(len(lines)):
        reader = sources.make("postfix", sources.Settings(now=NOW))
        list(reader.read([io.BytesIO(b"".join(lines))]))
        again = sources.make("postfix", sources.Settings(now=NOW), json.loads(json.dumps(reader.state())))
        part = [io.BytesIO(b"".join(lines[begin:]))]
        assert {each.fields["id"] for each in again.read(part) if type(each) is sources.Event} <= told
