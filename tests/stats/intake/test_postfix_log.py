import json

import pytest

from agent import postfix_log
from agent.postfix_log import MOST_HELD, MOST_RECIPIENTS, Reader
from tests.stats.intake.goldens import NOW

QID = "4jbHZJ098gzMVFV"
OTHER = "4jbHZH6x1vzMVFP"
STAMP = "Nov 27 02:35:04 node1 "


def client(qid=QID, rest=", sasl_method=PLAIN, sasl_username=acme/marketing", name="localhost[127.0.0.1]"):
    return f"{STAMP}postfix/smtpd[1]: {qid}: client={name}{rest}"


def active(qid=QID, sender="news@acme.example", nrcpt=1):
    return f"{STAMP}postfix/qmgr[2]: {qid}: from=<{sender}>, size=368, nrcpt={nrcpt} (queue active)"


def delivery(
    qid=QID, to="u1@big.example", status="sent", reason="250 2.0.0 Ok", tag="sluice-a11-r102", dsn="2.0.0", daemon="smtp",
    relay="mx1.big.example[198.51.100.10]:25", stamp=STAMP,
):  # fmt: skip
    return (
        f"{stamp}{tag}/{daemon}[3]: {qid}: to=<{to}>, relay={relay}, delay=0.3, delays=0.1/0.1/0.05/0.05, dsn={dsn},"
        f" status={status} ({reason})"
    )


def read(*lines, reader=None, **kwargs):
    reader = reader or Reader(now=NOW, **kwargs)
    return [out for line in lines for out in reader.line(line.encode("utf-8", "surrogateescape"))]


def kinds(outs):
    """Return what became of lines, shortly."""
    return [
        (out["event"]["type"], out["event"].get("to")) if "event" in out else out.get("ignored") or out["refused"]
        for out in outs
    ]


def test_it_works():
    *_, out = read(client(), active(), delivery())
    event = out["event"]
    assert event.pop("id").startswith(f"{QID}-")
    assert event == {
        "type": "sent",
        "at": "2026-11-27T02:35:04.000Z",
        "server": "acme/marketing",
        "from": "news@acme.example",
        "to": "u1@big.example",
        "code": 250,
        "enhanced": "2.0.0",
        "reply": "250 2.0.0 Ok",
        "mx": "mx1.big.example",
        "seconds": 0.3,
        "attempt": 1,
        "rule": 102,
    }
    assert (out["tag"], out["vmta_id"]) == ("sluice-a11-r102", 11)


@pytest.mark.parametrize(
    "local", ['"odd > user, status=sent"', '"a>, relay=none, status=bounced (x)"', r'"q\">, relay="', "é"]
)
def test_an_address_forges_nothing(local):
    address = f"{local}@big.example"
    reason = "host mx1.big.example[198.51.100.10] said: 550 5.1.1 no (in reply to RCPT TO command)"
    outs = read(client(), active(), delivery(to=address, status="bounced", dsn="5.1.1", reason=reason))
    assert kinds(outs) == [("incoming", None), ("bounced", address)]
    assert (outs[1]["event"]["code"], outs[1]["event"]["reply"]) == (550, "550 5.1.1 no")


def test_a_domain_literal_forges_nothing():
    address = "u@[x>, relay=y[1.2.3.4]:25, delay=1, delays=1/1/1/1, dsn=2.0.0, status=sent (250 ok)"
    outs = read(client(), active(), delivery(to=address, status="bounced", dsn="5.1.1"))
    assert kinds(outs) == [("incoming", None), "invalid_line"]


def test_an_address_in_internal_form_counts_where_it_can_be_read_in_one_way_only():
    """As info_log_addr_form = internal writes it, and versions before 3.5."""
    address = "odd > user, x@big.example"
    assert kinds(read(client(), active(), delivery(to=address))) == [("incoming", None), ("sent", address)]
    forged = "a b>, relay=x, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)@evil.example"
    outs = read(client(), active(), delivery(to=forged, status="bounced", dsn="5.1.1", reason="no"))
    assert kinds(outs) == [("incoming", None), "invalid_line"]


def test_a_reply_forges_nothing():
    reason = (
        "host mx1.big.example[198.51.100.10] said: 450 4.7.1 to=<x@y.example>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0,"
        " status=sent (250 ok) (in reply to RCPT TO command)"
    )
    outs = read(client(), active(), delivery(status="deferred", dsn="4.7.1", reason=reason))
    assert kinds(outs) == [("incoming", None), ("deferred", "u1@big.example")]
    assert outs[1]["event"]["code"] == 450


def test_a_reply_does_not_pass_for_trouble_of_ones_own():
    reason = "host mx1.big.example[198.51.100.10] said: 450 server configuration error (in reply to RCPT TO command)"
    assert kinds(read(client(), active(), delivery(status="deferred", reason=reason)))[1] == (
        "deferred",
        "u1@big.example",
    )


@pytest.mark.parametrize(
    "sender", ["a>, status=expired, returned to sender", '"x>, size=1, nrcpt=9 (queue active)"@a.example', "a b@c", ""]
)
def test_a_sender_forges_nothing(sender):
    outs = read(client(), active(sender=sender), delivery())
    assert kinds(outs) == [("incoming", None), ("sent", "u1@big.example")]
    assert outs[0]["event"]["from"] == sender


@pytest.mark.parametrize(
    ("rest", "server"),
    [
        (
            ", sasl_method=PLAIN, sasl_username=acme/marketing, sasl_sender=x, sasl_username=globex/news",
            "acme/marketing",
        ),
        (f", sasl_method=PLAIN, sasl_username=acme/marketing, sasl_sender=x, orig_queue_id={OTHER}", "acme/marketing"),
        # A login of such a name names no server of ours.
        (", sasl_method=PLAIN, sasl_username=evil, sasl_username=acme/marketing", "evil, sasl_username=acme/marketing"),
        (f", sasl_method=PLAIN, sasl_username=evil, orig_queue_id={OTHER}", f"evil, orig_queue_id={OTHER}"),
        (f", sasl_sender=x, orig_queue_id={OTHER}", None),
        (f", sasl_method=PLAIN, sasl_sender=x, orig_queue_id={OTHER}", None),
        (f", orig_client=x, orig_queue_id={OTHER}", None),
        ("", None),
    ],
)
def test_a_login_or_a_sender_of_a_login_forges_no_tenant(rest, server):
    read(victim := client(qid=OTHER), active(qid=OTHER))
    outs = read(victim, active(qid=OTHER), client(rest=rest), active(), delivery())
    assert [out["event"].get("server") for out in outs[1:]] == [server, server]


def test_a_name_of_a_client_forges_nothing():
    outs = read(client(name="a,_sasl_username=acme/marketing[192.0.2.1]", rest=""), active(), delivery())
    assert kinds(outs) == ["unknown_message"]


def test_hostile_senders_by_sendmail_take_over_no_message():
    forged = f"{STAMP}postfix/pickup[4]: {QID}: uid=1000 from=<a> orig_id={OTHER}>"
    outs = read(client(qid=OTHER), active(qid=OTHER), forged, active(), delivery())
    assert "server" not in outs[-1]["event"]


def test_other_programs_and_other_lines_say_nothing():
    outs = read(
        client(),
        active(),
        f"{STAMP}sshd[1]: postfix/smtp[3]: {QID}: to=<a@b>, relay=none",
        f"{STAMP}dovecot: imap-login: {delivery()}",
        f"{STAMP}postfix/cleanup[1]: {QID}: message-id=<x> to=<a@b.example>, relay=none, status=sent (x)",
        f"{STAMP}postfix/smtp[1]: {QID}: host mx1.big.example[198.51.100.10] said: 452 4.2.2 full (in reply to RCPT TO)",
        f"{STAMP}postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 no; from=<a@b> to=<c@d> proto=ESMTP",
        "",
    )
    assert kinds(outs) == [("incoming", None)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("garbage", "invalid_line"),
        ("\0\0\0", "invalid_line"),
        ("Nov 27 02:35", "invalid_line"),
        (delivery()[:-1], "truncated"),
        (delivery()[:-30], "truncated"),
        (delivery()[:100], "truncated"),
        (delivery(stamp="Xyz 27 02:35:04 node1 "), "invalid_at"),
        (delivery(stamp="Feb 30 02:35:04 node1 "), "invalid_at"),
        (delivery(stamp="2026-13-27T02:35:04Z node1 "), "invalid_at"),
    ],
)
def test_it_refuses_what_cannot_be_read_and_loses_nothing_beside_it(line, code):
    assert kinds(read(client(), active(), line, delivery())) == [("incoming", None), code, ("sent", "u1@big.example")]


def test_a_line_that_the_logging_path_cut_counts():
    """syslog(3) and rsyslog cut at their limits; what happened stands before the reply."""
    line = delivery(status="bounced", dsn="5.7.1", reason="host a[192.0.2.1] said: 550 " + "x" * 2000)[:1024]
    outs = read(client(), active(), line)
    assert kinds(outs)[1] == ("bounced", "u1@big.example")
    assert outs[1]["event"]["code"] == 550


def test_a_last_line_without_an_end_counts_only_when_it_is_whole():
    cut = delivery(status="bounced", reason="host a[192.0.2.1] said: 550 no (in reply to RCPT TO command)").encode()
    reader = Reader(now=NOW)
    read(client(), active(), reader=reader)
    assert kinds(reader.line(cut[:-1], whole=False)) == ["truncated"]
    assert kinds(reader.line(cut, whole=False)) == [("bounced", "u1@big.example")]


def test_only_attempts_at_receivers_count():
    own = [
        delivery(status="deferred", relay="none", reason="server configuration error"),
        delivery(status="deferred", relay="none", reason="mail transport unavailable", daemon="error", tag="postfix"),
        delivery(status="deferred", relay="none", reason="deferred transport", daemon="error", tag="postfix"),
        delivery(
            status="deferred", relay="none", reason="delivery temporarily suspended: x", daemon="error", tag="postfix"
        ),
    ]
    assert kinds(read(client(), active(), *own)) == [("incoming", None), *["own_deferral"] * 4]
    receivers = [
        delivery(status="deferred", relay="none", reason=f"connect to mx.x.example[192.0.2.1]:25: {word}")
        for word in ("Connection refused", "Connection timed out", "No route to host")
    ]
    outs = read(client(), active(), *receivers)
    assert [out["event"]["attempt"] for out in outs[1:]] == [1, 2, 3]


def test_hand_overs_to_another_instance_or_a_filter_do_not_count():
    local = "127.0.0.1[127.0.0.1]:18306"
    outs = read(
        client(),
        active(),
        delivery(
            tag="postfix-front", relay="none", status="deferred", reason="connect to 127.0.0.1[127.0.0.1]:1: refused"
        ),
        delivery(tag="postfix-front", relay=local, status="deferred", reason="host 127.0.0.1[127.0.0.1] said: 451 no"),
        delivery(tag="postfix-front", relay=local),
    )
    assert kinds(outs) == [("incoming", None), "own_deferral", "own_deferral", "handover"]
    # What the next instance refuses goes nowhere else.
    outs = read(client(), active(), delivery(tag="postfix-front", relay=local, status="bounced", dsn="5.1.1"))
    assert kinds(outs)[1] == ("bounced", "u1@big.example")
    assert "tag" not in outs[1]


def test_a_tag_that_stands_for_an_address_may_deliver_on_the_loopback():
    """As tests, and make demo-mta, do."""
    local = "127.0.0.1[127.0.0.1]:2525"
    assert kinds(read(client(), active(), delivery(relay=local)))[1] == ("sent", "u1@big.example")
    assert kinds(read(client(), active(), delivery(relay=local, tag="east"), tags={"east"}))[1] == (
        "sent",
        "u1@big.example",
    )


def expired(word="expired"):
    return f"{STAMP}postfix/qmgr[2]: {QID}: from=<news@acme.example>, status={word}, returned to sender"


@pytest.mark.parametrize("word", ["expired", "force-expired"])
def test_an_expiry_counts_each_open_recipient_by_its_last_address(word):
    outs = read(
        client(),
        active(nrcpt=4),
        delivery(to="done@big.example"),
        delivery(
            to="twice@big.example", status="deferred", reason="host a[192.0.2.1] said: 450 no", tag="sluice-a11-r0"
        ),
        delivery(
            to="twice@big.example", status="deferred", reason="host a[192.0.2.1] said: 450 no", tag="sluice-a12-r0"
        ),
        delivery(to="own@big.example", status="deferred", reason="server configuration error"),
        expired(word),
        expired(word),
    )
    bounces = [out for out in outs if out.get("event", {}).get("type") == "bounced"]
    assert [(out["event"].get("to"), out.get("vmta_id")) for out in bounces] == [
        ("own@big.example", None),
        ("twice@big.example", 12),
        (None, None),
    ]
    assert bounces[0]["event"]["reply"] == f"{word}, returned to sender"
    assert len({out["event"]["id"] for out in bounces}) == 3


def test_a_removal_by_the_administrator_counts_each_open_recipient():
    removed = f"{STAMP}postfix/postsuper[9]: {QID}: removed"
    outs = read(client(), active(nrcpt=3), delivery(to="done@big.example"), removed, removed, delivery())
    assert kinds(outs) == [
        *[("incoming", None)] * 3, ("sent", "done@big.example"), ("bounced", None), ("bounced", None), "unknown_message",
    ]  # fmt: skip


def test_an_address_verification_counts_nothing():
    probe = delivery(status="deliverable", dsn="2.1.5", reason="250 2.1.5 ok")
    pickup = f"{STAMP}postfix/pickup[4]: {QID}: uid=0 from=<news@acme.example>"
    assert kinds(read(pickup, active(), probe)) == ["probe"]
    assert kinds(read(pickup, active(), delivery())) == [("incoming", None), ("sent", "u1@big.example")]


@pytest.mark.parametrize(
    ("tag", "vmta_id", "rule"),
    [("sluice-a11-r0", 11, 0), ("sluice-a7-r31", 7, 31), ("sluice-a7-r31-2", 7, 31), ("sluice-a7", None, None)],
)
def test_tags(tag, vmta_id, rule):
    out = read(client(), active(), delivery(tag=tag))[1]
    assert (out.get("vmta_id"), out["event"].get("rule"), out["tag"]) == (vmta_id, rule, tag)


def test_short_queue_ids_of_two_machines_are_two_messages():
    other = [
        line.replace("node1", "node2").replace("acme/marketing", "globex/news") for line in (client("3C0452A09E5"),)
    ]
    outs = read(client("3C0452A09E5"), *other, active("3C0452A09E5"), active("3C0452A09E5").replace("node1", "node2"))
    assert [out["event"]["server"] for out in outs] == ["acme/marketing", "globex/news"]


def test_a_short_queue_id_that_comes_again_is_another_message():
    lines = (client("3C0452A09E5"), active("3C0452A09E5"), delivery("3C0452A09E5"))
    removed = f"{STAMP}postfix/qmgr[2]: 3C0452A09E5: removed"
    later = [line.replace("02:35:04", "02:36:04").replace("acme/marketing", "globex/news") for line in lines]
    outs = read(*lines, removed, *later)
    assert [out["event"]["server"] for out in outs] == ["acme/marketing"] * 2 + ["globex/news"] * 2


def test_a_line_does_not_make_as_many_events_as_it_says():
    """One line of a hundred bytes made a billion events, one for each recipient that it named."""
    assert len(read(client(), active(nrcpt=999_999_999))) == MOST_RECIPIENTS


def test_what_waits_for_a_first_outcome_is_bounded():
    """Messages of the machine's own are held back until they have an outcome: of many recipients, of few messages only."""
    reader = Reader(now=NOW)

    def pickup(number):
        return f"{STAMP}postfix/pickup[1]: {qid(number)}: uid=0 from=<root>"

    def qid(number):
        return f"4jbHZJ098gzMV{number}"

    half = MOST_HELD // 2
    for number in (111, 112):
        assert read(pickup(number), active(qid(number), nrcpt=half), reader=reader) == []
    assert len(read(pickup(113), active(qid(113), nrcpt=2), reader=reader)) == 2
    # A message that is gone, or begins anew, makes room.
    assert read(f"{STAMP}postfix/qmgr[2]: {qid(111)}: removed", pickup(112), reader=reader) == []
    assert read(active(qid(112), nrcpt=half), pickup(114), active(qid(114), nrcpt=half), reader=reader) == []
    again = Reader(now=NOW, state=json.loads(json.dumps(reader.state())))
    assert again.count_probed == reader.count_probed == 2 * half


def test_the_state_of_a_log_is_bounded(monkeypatch):
    """It is read and written with each delivery of the log, however small that is."""
    monkeypatch.setattr(postfix_log, "MOST_MESSAGES", 3)
    reader = Reader(now=NOW)
    long = "x" * 60_000
    for qid in ("4jbHZJ098gzMVFV", "4jbHZJ098gzMVFW", "4jbHZJ098gzMVFX", "4jbHZJ098gzMVFY"):
        login = f", sasl_method=PLAIN, sasl_username={long}"
        read(client(qid, login), active(qid, sender=long), reader=reader)
    assert list(reader.messages) == ["4jbHZJ098gzMVFW", "4jbHZJ098gzMVFX", "4jbHZJ098gzMVFY"]
    assert len(json.dumps(reader.state())) < 3 * 1_000


def test_a_message_of_a_pool_that_is_requeued_before_its_front_was_read_gets_the_tenant():
    """It waited under its former id: its next line broke the whole log."""
    front, former, now = "4jbHZN0dDhzMVFQ", "4jbHZQ4zsczMWXW", "4jbHbk6426zMXLH"
    requeued = f"{STAMP}postfix/pickup[4]: {now}: uid=103 from=<news@acme.example> orig_id={former}"
    lines = [
        client(former, f", orig_queue_id={front}, orig_client=x[192.0.2.7]"),
        active(former),
        requeued,
        active(now),
    ]
    outs = read(*lines, client(front), delivery(now))
    assert [(out["event"]["type"], out["event"]["server"]) for out in outs] == [("sent", "acme/marketing")]
