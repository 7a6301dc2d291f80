"""Of what a log's reader remembers of messages, only what lines are about is taken apart, put together and written."""

import json
from typing import Any

import agent_reading
import pytest
from agent_reading import Known
from agent_spool import Spool

from agent import exim_log, log_state, postfix_log, postfix_messages

NOW = 1_795_900_000.0
STAMP = "Nov 28 20:26:40"


def queued(number: int) -> list[bytes]:
    qid = f"{number:08X}"
    return [
        f"{STAMP} mx postfix/smtpd[1]: {qid}: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=acme/mail".encode(),
        f"{STAMP} mx postfix/qmgr[1]: {qid}: from=<n{number}@acme.example>, size=1, nrcpt=1 (queue active)".encode(),
    ]


def sent(number: int) -> bytes:
    return (
        f"{STAMP} mx postfix/smtp[1]: {number:08X}: to=<ann@example.com>, relay=mx.example.com[203.0.113.9]:25, delay=1,"
        " delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
    ).encode()


def new_reader(spool: Spool) -> Any:
    reader = agent_reading._Postfix(spool, Known(), NOW)
    reader.begin(NOW)
    return reader


def keep(spool: Spool, reader: Any, lines: list[bytes]) -> list[Any]:
    events = [event for line in lines for event in reader.events(line)]
    spool.keep({"mail.log": ("mark", 1)}, reader.state(), events, reader.changes())
    reader.written()
    return events


def test_the_agent_writes_what_has_changed_alone(spool: Spool) -> None:
    reader = new_reader(spool)
    keep(spool, reader, [line for number in range(300) for line in queued(number)])
    assert len(spool.kept("messages")) == 300

    list(reader.events(sent(7)))
    assert list(reader.changes()["messages"]) == ["mx/00000007"]
    list(reader.events(f"{STAMP} mx postfix/qmgr[1]: 00000007: removed".encode()))
    assert reader.changes()["messages"] == {"mx/00000007": None}
    keep(spool, reader, [])

    assert len(spool.kept("messages")) == 299
    assert "messages" not in spool.recall("reader")
    assert len(json.dumps(spool.recall("reader"))) < 1_000


def test_after_a_restart_it_goes_on_where_it_was(spool: Spool) -> None:
    keep(spool, new_reader(spool), [line for number in range(3) for line in queued(number)])
    [event] = keep(spool, new_reader(spool), [sent(1)])

    assert (event["type"], event["server"], event["from"]) == ("sent", "acme/mail", "n1@acme.example")
    # What is older is forgotten first, also then.
    assert list(new_reader(spool)._reader.messages)[-1] == "mx/00000001"


def test_the_state_of_an_older_agent_is_taken_over(spool: Spool) -> None:
    reader = postfix_log.Reader(now=NOW)
    for line in queued(1):
        reader.line(line)
    message = reader.messages.get("mx/00000001")
    old = {**reader.state(), "messages": {"mx/00000001": message.as_json()}, "gone": {"mx/0000000F": ["acme/mail", 1]}}
    spool.remember("reader", old)

    [event] = keep(spool, new_reader(spool), [sent(1)])
    assert event["server"] == "acme/mail"
    assert list(spool.kept("messages")) == ["mx/00000001"]
    assert spool.kept("gone") == {"mx/0000000F": '["acme/mail", 1]'}
    assert new_reader(spool)._reader.gone == {"mx/0000000F": ["acme/mail", 1]}


@pytest.mark.parametrize("kind", ["postfix", "exim"])
def test_what_no_line_is_about_stays_as_it_was_stored(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small delivery costs little, however much mail of whichever customer is queued."""
    if kind == "postfix":
        module, message = postfix_log, postfix_messages.Message
        lines = [line for number in range(500) for line in queued(number)]
        more = sent(7)
    else:
        module, message = exim_log, exim_log.Message
        lines = [
            f"2026-11-28 20:26:40 1vP{number:03}-00000000001-1abc <= a@acme.example H=a [192.0.2.1] P=esmtpsa A=plain:acme S=1"
            " for ann@example.com".encode()
            for number in range(500)
        ]
        more = lines[7].replace(b" <= a@acme.example", b" Completed")[:60]
    reader = module.Reader(now=NOW)
    for line in lines:
        reader.line(line)
    state = json.loads(json.dumps(reader.state()))
    assert len(state["messages"]) == 500
    opened = []
    from_json = message.from_json
    monkeypatch.setattr(message, "from_json", lambda values: opened.append(values) or from_json(values))

    again = module.Reader(now=NOW, state=state)
    again.line(more)
    after = again.state()["messages"]

    assert len(opened) <= 1
    assert sum(after[key] == text for key, text in state["messages"].items() if key in after) >= 499


def test_messages_are_forgotten_by_their_time() -> None:
    messages = log_state.Messages(postfix_messages.Message, "touched", {})
    for number, at in enumerate((10, 20, 30)):
        messages[f"{number}"] = postfix_messages.Message("acme/mail", at)
    again = log_state.Messages(postfix_messages.Message, "touched", messages.texts())

    assert messages.older(20) == again.older(20) == ["0"]
    again.get("0").touched = 40
    assert again.older(25) == ["1"]
    assert again.changed == {"0"}
    assert again.pop("2").touched == 30
    assert again.pop("2") is None
    assert again.changes() == {"0": '40 {"server":"acme/mail","touched":40}', "2": None}


def test_of_too_much_text_the_oldest_messages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders as long as an address may be, of 200,000 messages, took a process more memory than a request may."""
    monkeypatch.setattr(log_state, "MOST_TEXT", 1_000)
    reader = postfix_log.Reader(now=NOW)
    for number in range(20):
        for line in queued(number):
            reader.line(line)
    kept = reader.state()["messages"]
    size = sum(len(key) + len(text) for key, text in kept.items())
    assert 900 < size <= 1_000
    assert list(kept) == [f"mx/{number:08X}" for number in range(20 - len(kept), 20)]
    [event] = [out["event"] for out in postfix_log.Reader(now=NOW, state={**reader.state()}).line(sent(19))]
    assert event["server"] == "acme/mail"
