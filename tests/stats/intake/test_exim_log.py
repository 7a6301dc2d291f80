import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import exim_log
from agent.exim_log import LIFETIME, Reader
from tests.examples import examples
from tests.slowness import on_this_machine
from tests.stats.intake.goldens import NOW

ID = "1xWm25-0001Jb-36"
AT = "2026-11-27 02:49:53.963 +0000 [5059] "


HOST = " H=(app.example) [127.0.0.1] I=[127.0.0.1]:18330 P=esmtpa"
LOGIN = " A=plain:acme/marketing"
REST = " S=323 id=ei-0@acme.example"


def arrival(sender="news@acme.example", host=HOST, login=LOGIN, rest=REST, to=" for u0@big.example"):
    return f"{AT}{ID} <= {sender}{host}{login}{rest}{to}"


def delivered(
    flag="=>", to="u0@big.example", fields=' C="250 2.0.0 Ok: queued as 1"', interface=" I=[192.0.2.71]:37199"
):
    host = " H=mx1.big.example [198.51.100.10]:25"
    return f"{AT}{ID} {flag} {to} F=<news@acme.example> P=<news@acme.example> R=out T=out_smtp{host}{interface}{fields}"


def deferred(
    to="u0@big.example", errno="-44", reason="SMTP error from remote mail server after RCPT TO:<x@y>: 451 4.7.1 later"
):
    host = " H=mx1.big.example [198.51.100.10]:25 I=[192.0.2.79]:34871"
    return f"{AT}{ID} == {to} R=out T=out_smtp defer ({errno}){host} DT=0.000s: {reason}"


def read(*lines, reader=None):
    reader = reader or Reader(now=NOW)
    return [out for line in lines for out in reader.line(line.encode("utf-8", "surrogateescape"))]


def kinds(outs):
    return [
        (out["event"]["type"], out["event"]["to"]) if "event" in out else out.get("ignored") or out["refused"]
        for out in outs
    ]


IN, OUT = ("incoming", "u0@big.example"), ("sent", "u0@big.example")


def test_it_works():
    incoming, sent = read(arrival(), delivered(fields=' C="250 2.0.0 Ok" QT=0.081s DT=0.015s'))
    assert incoming["event"]["server"] == "acme/marketing"
    event = sent["event"]
    assert event.pop("id").startswith(f"{ID}-")
    assert event == {
        "type": "sent",
        "at": "2026-11-27T02:49:53.963Z",
        "server": "acme/marketing",
        "ip": "192.0.2.71",
        "from": "news@acme.example",
        "to": "u0@big.example",
        "seconds": 0.081,
        "code": 250,
        "enhanced": "2.0.0",
        "reply": "250 2.0.0 Ok",
        "mx": "mx1.big.example",
        "attempt": 1,
    }


# Each with all that log_selector = +all adds, in the order of Exim's receive.c and deliver.c.
ALL_ARRIVAL = arrival(
    host=" DS H=mail.client.example (app.client.example) [192.0.2.5]:40123 I=[192.0.2.1]:587 TFO* U=app P=esmtpsa L.-"
    ' X=TLS1.3:TLS_AES_256_GCM_SHA384:256* CV=no DN="CN=app, O=ACME" SNI="mx.acme.example"',
    login=" A=plain:acme/marketing:news@acme.example PRDR PRX=192.0.2.9 K",
    rest=' S=323 M8S=8 DKIM=acme.example ARC RT=0.020s Q=bulk id=ei-0@acme.example T="News for you@home.example"'
    " from <news@acme.example>",
)
ALL_TO = (
    "u0@big.example (list@acme.example, all@acme.example) <everybody@acme.example> F=<news@acme.example> Q=bulk"
    " P=<news@acme.example> R=out T=out_smtp S=1093"
)
ALL_REMOTE = (
    " H=mx1.big.example DS [198.51.100.10]:25* PRX=[192.0.2.9]:1080 I=[192.0.2.71]:37199 TFO*"
    ' X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=dane DN="CN=mx1.big.example" A=cram_md5:relay:news@acme.example L* PRDR K'
)


def test_everything_that_log_selector_adds_is_read():
    incoming, sent = read(
        ALL_ARRIVAL, f'{AT}{ID} => {ALL_TO}{ALL_REMOTE} C="250 2.0.0 Ok: queued as 1" QT=1h5m DT=2m7s'
    )
    assert (incoming["event"]["server"], incoming["event"]["to"]) == ("acme/marketing", "u0@big.example")
    event = sent["event"]
    said = {name: event.get(name) for name in ("server", "to", "ip", "mx", "code", "reply")}
    assert said == {
        "server": "acme/marketing",
        "to": "u0@big.example",
        "ip": "192.0.2.71",
        "mx": "mx1.big.example",
        "code": 250,
        "reply": "250 2.0.0 Ok: queued as 1",
    }


def test_deferrals_and_failures_with_everything_that_log_selector_adds():
    late = f"{AT}{ID} == {ALL_TO} defer (-44){ALL_REMOTE} DT=2m7s: SMTP error from remote mail server after end of data: 451 no"
    _, deferred_, failed = read(arrival(), late, f"{AT}{ID} ** {ALL_TO}{ALL_REMOTE}: retry timeout exceeded DT=5m")
    said = [
        {name: out["event"].get(name) for name in ("type", "to", "ip", "mx", "reply")} for out in (deferred_, failed)
    ]
    place = {"to": "u0@big.example", "ip": "192.0.2.71", "mx": "mx1.big.example"}
    assert said == [
        {"type": "deferred", **place, "reply": "451 no"},
        {"type": "bounced", **place, "reply": "retry timeout exceeded"},
    ]


def test_a_delivery_to_a_host_is_never_counted_without_it():
    assert kinds(read(arrival(), delivered().replace("H=mx1", "H=new field mx1"))) == [IN, "invalid_line"]


@pytest.mark.parametrize(
    "begin", ["Nov 27 02:49:53 mx1 exim[5059]: ", "2026-11-27T02:49:53.963512+00:00 mx1 exim4[5059]: "]
)
def test_a_log_that_went_through_syslog(begin):
    lines = [begin + line for line in (arrival(), delivered(), f"{AT}Start queue run: pid=1")]
    assert kinds(read(*lines)) == [IN, OUT]


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("(110): Connection timed out H=mx1.big.example [198.51.100.10]", "Connection timed out"),
        ("(110): Connection timed out", "Connection timed out"),
        ("(110) H=mx1.big.example [198.51.100.10]:25 DT=2m7s: Connection timed out", "Connection timed out"),
        (
            "(-1): lowest numbered MX record points to local host: x",
            "lowest numbered MX record points to local host: x",
        ),
        # Before Exim 4.94 the same number was of another reason.
        ("(-51): retry time not reached", None),
        ("(-53) DT=0s: retry time not reached for any host for 'big.example'", None),
    ],
)
def test_what_a_deferral_says(said, reply):
    _, out = read(arrival(), f"{AT}{ID} == u0@big.example R=out T=out_smtp defer {said}")
    assert (out["event"]["reply"] if "event" in out else out["ignored"]) == (reply or "retry_time_not_reached")


@pytest.mark.parametrize(
    "line",
    [
        "=> u0 <u0@big.example> R=local_user T=mail_spool",
        "=> |/usr/bin/vacation <u0@big.example> R=userforward T=address_pipe",
        "=> /dev/null <u0@big.example> R=aliases T=**bypassed**",
        "** |/usr/bin/vacation <u0@big.example> R=userforward T=address_pipe: Child process returned 1",
        "== /var/mail/u0 <u0@big.example> R=local T=spool defer (-22): mailbox is full",
    ],
)
def test_what_stays_on_this_machine_counts_for_the_address_that_was_given(line):
    _, out = read(arrival(), f"{AT}{ID} {line}")
    assert out["event"]["to"] == "u0@big.example"


def test_what_a_loss_of_power_leaves_is_no_part_of_a_line():
    assert kinds(read("\0" * 300 + arrival(), delivered())) == [IN, OUT]


def test_of_an_hour_that_comes_twice_the_message_says_which():
    """Without log_timezone, both messages were delivered at 02:30: before and after the clock was set back."""
    lines = [
        line.replace(ID, key).replace(AT, "2026-10-25 02:30:00 ")
        for key in ("1xKm7b-0001Jb-36", "1xKn3f-0001Jb-36")
        for line in (arrival(), delivered())
    ]
    reader = Reader("Europe/Berlin", now=NOW)
    found = [[out["event"]["at"] for out in read(*lines, reader=reader)] for _ in "12"]
    # Read again, when the reader's clock is later, each event is the same.
    assert found == [["2026-10-25T00:30:00.000Z"] * 2 + ["2026-10-25T01:30:00.000Z"] * 2] * 2


@pytest.mark.parametrize(
    "message_id", ["x A=plain:globex/news", "x for v@big.example", 'x" for v@big.example', "x S=1 for v@a.example"]
)
def test_a_message_id_forges_nothing(message_id):
    (out,) = read(arrival(rest=f" S=323 id={message_id}"))
    assert (out["event"]["server"], out["event"]["to"]) == ("acme/marketing", "u0@big.example")


def test_a_subject_forges_nothing():
    (out,) = read(arrival(rest=' S=323 id=a@b T="x for v@big.example"'))
    assert kinds([out]) == [IN]


@pytest.mark.parametrize("helo", ["x) [1.2.3.4] P=esmtpa A=plain:globex/news S=1 id=(", "a b", "x A=plain:globex/news"])
def test_a_helo_name_forges_nothing(helo):
    (out, *_) = read(arrival(host=f" H=({helo}) [192.0.2.9]:4711 P=esmtp", login=""))
    assert out.get("refused") == "invalid_line" or "server" not in out["event"]


@pytest.mark.parametrize(
    "sender", ['"x A=plain:globex/news S=1 for v@w"@evil.example', '"<= a H=b [192.0.2.1]"@evil.example', "é@x.example"]
)
def test_a_sender_forges_nothing(sender):
    (out,) = read(arrival(sender=sender))
    assert (out["event"]["from"], out["event"]["server"], out["event"]["to"]) == (
        sender,
        "acme/marketing",
        "u0@big.example",
    )


def test_recipients_with_spaces_and_words_in_them():
    recipients = ['"odd > for user"@big.example', "b@[192.0.2.1]", "u0@big.example"]
    assert kinds(read(arrival(to=" for " + " ".join(recipients)))) == [("incoming", each) for each in recipients]


@pytest.mark.parametrize("local", ['"x F=<a@b> I=[192.0.2.1]:1 C=250"', r'"a\" => b"'])
def test_a_recipient_forges_no_address(local):
    to = f"{local}@big.example"
    outs = read(arrival(to=f" for {to}"), delivered(to=to))
    assert kinds(outs) == [("incoming", to), ("sent", to)]
    assert outs[1]["event"]["ip"] == "192.0.2.71"


def test_a_reply_forges_no_address():
    reason = "SMTP error from remote mail server after RCPT TO:<x@y>: 450 I=[192.0.2.1]:25 defer (-52) => v@w"
    (_, out) = read(arrival(), deferred(reason=reason))
    assert (out["event"]["ip"], out["event"]["code"], out["event"]["type"]) == ("192.0.2.79", 450, "deferred")


def test_a_login_with_a_space_is_no_other_login():
    (out,) = read(arrival(login=" A=plain:evil acme/marketing"))
    assert out["event"]["server"] == "evil"


def test_without_recipients_an_arrival_is_told_of_and_deliveries_count():
    assert kinds(read(arrival(to=""), delivered())) == ["arrival_without_recipients", OUT]


@pytest.mark.parametrize("flag", ["=>", "->", ">>"])
def test_deliveries(flag):
    assert kinds(read(arrival(), delivered(flag))) == [IN, OUT]


@pytest.mark.parametrize("errno", ["-52", "-53", "-54"])
def test_no_attempt_is_ignored(errno):
    assert kinds(read(arrival(), deferred(errno=errno, reason="retry time not reached"))) == [
        IN,
        "retry_time_not_reached",
    ]


def test_attempts_are_numbered_and_an_expiry_counts_by_the_last_address():
    times_out = f"{AT}{ID} ** u0@big.example F=<news@acme.example> R=out T=out_smtp: retry timeout exceeded"
    second = deferred().replace("[5059]", "[5060]")
    outs = read(arrival(), deferred(), second, deferred(errno="-54", reason="retry time not reached"), times_out)
    assert [out["event"].get("attempt") for out in outs if "event" in out] == [None, 1, 2, None]
    assert (outs[-1]["event"]["type"], outs[-1]["event"]["ip"]) == ("bounced", "192.0.2.79")
    assert outs[-1]["event"]["reply"] == "retry timeout exceeded"


def test_a_removal_counts_each_open_recipient():
    removed = f"{AT}{ID} removed by root"
    outs = read(
        arrival(to=" for a@x.example b@x.example c@x.example"),
        delivered(to="b@x.example"),
        deferred(to="c@x.example"),
        removed,
    )
    bounces = [out["event"] for out in outs if out["event"]["type"] == "bounced"]
    assert [(each["to"], each.get("ip")) for each in bounces] == [("a@x.example", None), ("c@x.example", "192.0.2.79")]


def test_a_redirected_recipient_is_no_longer_open():
    outs = read(arrival(), delivered(to="final@x.example <u0@big.example>"), f"{AT}{ID} removed by root")
    assert kinds(outs) == [IN, ("sent", "final@x.example")]


def test_its_own_bounces_count_nothing():
    own = f"{AT}{ID} <= <> R=1xWm26-0001KM-1P U=Debian-exim P=local S=1931 for news@acme.example"
    assert kinds(read(own, delivered(to="news@acme.example"), f"{AT}{ID} Completed")) == ["own_notification"]


def test_a_delivery_on_the_machine_counts_without_an_address():
    local = f"{AT}{ID} => bob <bob@acme.example> R=localuser T=local_delivery"
    (_, out) = read(arrival(to=" for bob@acme.example"), local)
    assert out["event"]["type"] == "sent"
    assert "ip" not in out["event"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("garbage", "invalid_line"),
        (f"2026-13-27 02:49:53 {ID} Completed", "invalid_at"),
        (f"{AT}{ID} => ", "invalid_line"),
        (f"{AT}{ID} == u0@big.example R=out", "invalid_line"),
    ],
)
def test_it_refuses_what_cannot_be_read_and_loses_nothing_beside_it(line, code):
    assert kinds(read(arrival(), line, delivered())) == [IN, code, OUT]


def test_a_last_line_without_an_end_may_have_been_cut():
    reader = Reader(now=NOW)
    read(arrival(), reader=reader)
    assert kinds(reader.line(delivered().encode()[:-3], whole=False)) == ["truncated"]


@pytest.mark.parametrize(
    ("stamp", "zone", "at"),
    [
        ("2026-11-27 03:49:53", "Europe/Berlin", "2026-11-27T02:49:53.000Z"),
        ("2026-11-27 02:49:53.5", "UTC", "2026-11-27T02:49:53.500Z"),
        ("2026-11-26 21:49:53 -0500", "UTC", "2026-11-27T02:49:53.000Z"),
    ],
)
def test_times(stamp, zone, at):
    (out,) = read(arrival().replace(AT, f"{stamp} "), reader=Reader(zone, now=NOW))
    assert out["event"]["at"] == at


def test_long_message_ids_of_newer_versions():
    long = "1xWm25-000000001Jb-36AB"
    assert kinds(read(arrival().replace(ID, long), delivered().replace(ID, long))) == [IN, OUT]


def test_state_forgets():
    reader = Reader(now=NOW)
    read(arrival(), reader=reader)
    reader.times.clock += LIFETIME
    read("2026-12-06 10:00:00 +0000 1xWm25-0001Jb-37 Completed", reader=reader)
    assert reader.messages == {}


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=examples(100), deadline=None)
def test_no_bytes_break_it(junk, start, length):
    reader = Reader(now=NOW)
    for line in (arrival(), delivered(), deferred(), f"{AT}{ID} removed by root", f"{AT}{ID} Completed"):
        raw = line.encode()
        for out in reader.feed(raw[:start] + junk + raw[start + length :] + b"\n"):
            assert {"event", "ignored", "refused"} & set(out)
    assert json.loads(json.dumps(reader.state())) == reader.state()


@pytest.mark.parametrize("junk", ['"', '"\\', " for ", " for a", "<", "[", " H=", " a@b", "(", ": ", " S=1"])
def test_no_line_takes_long(junk):
    long = junk * 5_000
    began = time.process_time()
    read(
        arrival(sender=long), arrival(rest=f" S=323 id={long}"), arrival(to=f" for {long}"), arrival(host=f" H={long}"),
        delivered(to=long), delivered(fields=long), deferred(reason=long), deferred(to=long), deferred(errno=long),
    )  # fmt: skip
    assert time.process_time() - began < on_this_machine(1.5)


def test_a_line_that_says_for_thousands_of_times_is_read_as_fast_as_others():
    """A sender can make up such a Message-ID. It took 21 seconds: each was read to the line's end."""
    began = time.process_time()
    assert kinds(read(arrival(rest=" S=323 id=" + " for a" * 10_000 + " <", to=""))) == ["arrival_without_recipients"]
    assert kinds(read(arrival(rest=" S=323 id=" + " for a <" * 5_000))) == [("incoming", "u0@big.example")]
    assert time.process_time() - began < on_this_machine(0.5)


def test_the_state_of_a_log_is_bounded(monkeypatch):
    """It is read and written with each delivery of the log, however small that is."""
    monkeypatch.setattr(exim_log, "MOST_MESSAGES", 3)
    reader = Reader(now=NOW)
    long = "x" * 30_000
    for number in range(5):
        read(arrival(sender=long, login=f" A=plain:{long}").replace("Jb-36", f"Jb-0{number}"), reader=reader)
    assert [key[-1] for key in reader.messages] == ["2", "3", "4"]
    assert len(json.dumps(reader.state())) < 3 * 1_200
