"""What the sink sees is what the policy says: addresses, names, weights, connections, hourly limits, pauses.

The tests share a machine of each kind, and each publishes the next revision.
"""

import contextlib
import datetime
import itertools
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nodes.policy.model import Deferral, Overlay, Policy, Suspension
from tests.mta.background import beside
from tests.mta.machine import Machine
from tests.mta.policies import ACME, ADDRESSES, GLOBEX, PASSWORD, policy, published
from throttling.limits import LimitRule

pytestmark = [pytest.mark.server, pytest.mark.live]
REVISIONS = itertools.count(1)
HOUR = 3600
# p = 0.001 with two degrees of freedom.
CHI_SQUARED = 13.82


def asked(machine: Machine, **said: Any) -> Policy:
    return policy(machine.kind, revision=next(REVISIONS), **said)


@pytest.fixture(autouse=True)
def agent(machine: Machine) -> None:
    """Whichever test comes first starts it."""
    if machine.agent is None:
        machine.start_agent()


def test_each_server_sends_by_its_pool_alone(machine: Machine) -> None:
    machine.publish(published(asked(machine, pools={7: (11, 12), 8: (13,)}, tenants={ACME: 7, GLOBEX: 8})))
    assert machine.report()["error"] == ""

    machine.send(ACME, PASSWORD, [f"a{number}@d{number % 3}.example" for number in range(20)], sender="x@acme.example")
    machine.send(
        GLOBEX, PASSWORD, [f"g{number}@d{number % 3}.example" for number in range(20)], sender="x@globex.example"
    )
    machine.until(lambda: len(machine.sink.record.accepted()) == 40, 30, "all mail")

    assert {(act.sender, act.source, act.helo) for act in machine.sink.record.acts} == {
        ("x@acme.example", ADDRESSES[11], "mta11.sluice.example"),
        ("x@acme.example", ADDRESSES[12], "mta12.sluice.example"),
        ("x@globex.example", ADDRESSES[13], "mta13.sluice.example"),
    }
    machine.until(lambda: kinds(machine) == {"incoming": 40, "sent": 40}, 20, "all events")
    assert {(each["server"], each["ip"]) for each in machine.panel.events.values() if each["type"] == "sent"} == {
        (ACME, ADDRESSES[11]),
        (ACME, ADDRESSES[12]),
        (GLOBEX, ADDRESSES[13]),
    }


def test_outcomes_become_events_with_their_reasons(machine: Machine) -> None:
    machine.obey(published(asked(machine)))
    machine.forget()
    names = ("fine", "nobody", "full", "tempfail")
    machine.send(ACME, PASSWORD, [f"{name}{number}@mixed.example" for name in names for number in range(3)])
    machine.until(lambda: kinds(machine) == {"incoming": 12, "sent": 3, "bounced": 3, "deferred": 6}, 30, "all events")

    outcomes = [each for each in machine.panel.events.values() if each["type"] != "incoming"]
    assert {
        (each["type"], each["code"], each.get("enhanced"), each["ip"], each["rule"], each["attempt"])
        for each in outcomes
    } == {
        ("sent", 250, "2.0.0" if machine.kind == "postfix" else None, ADDRESSES[11], 0, 1),
        ("bounced", 550, "5.1.1", ADDRESSES[11], 0, 1),
        ("deferred", 452, "4.2.2", ADDRESSES[11], 0, 1),
        ("deferred", 451, "4.7.1", ADDRESSES[11], 0, 1),
    }
    assert all(
        each["seconds"] >= 0 and each["mx"] == "mx.sink.example" and each["from"] == "news@acme.example"
        for each in outcomes
    )
    truth = Counter((act.to, act.code) for act in machine.sink.record.acts if act.sender)
    assert Counter((each["to"], each["code"]) for each in outcomes) == truth


def test_a_recipient_cannot_forge_an_outcome(machine: Machine) -> None:
    machine.obey(published(asked(machine)))
    machine.forget()
    to = '"odd>, relay=x[203.0.113.99]:25, delay=1, delays=1/0/0/0, dsn=5.1.1, status=bounced (host x said: 550)"@odd.example'
    with machine.session(ACME, PASSWORD) as client:
        client.mail("news@acme.example")
        code, _ = client.docmd("RCPT", f"TO:<{to}>")
        if code != 250:
            # Haraka has no such recipients.
            assert (machine.kind, code) == ("haraka", 501)
            return
        client.data("Subject: x\r\n\r\nhello\r\n")
    machine.until(lambda: kinds(machine) == {"incoming": 1, "sent": 1}, 30, "both events")
    (sent,) = [each for each in machine.panel.events.values() if each["type"] == "sent"]
    assert (sent["to"].startswith('"odd>'), sent["mx"], sent["ip"]) == (True, "mx.sink.example", ADDRESSES[11])


def test_an_hourly_limit_holds_over_the_domains_of_its_rule(machine: Machine, request: pytest.FixtureRequest) -> None:
    rule = LimitRule(102, ("slow.example", "*.slow.example"), 10, HOUR)
    machine.obey(published(asked(machine, rules=(rule,))))
    machine.forget()

    many = 60 if request.config.getoption("--long") else 14
    machine.send(ACME, PASSWORD, [f"u{number}@{('', 'b.')[number % 2]}slow.example" for number in range(many + 5)])
    machine.until(lambda: len(machine.sink.record.accepted("slow.example")) >= many, 100, f"{many} messages")
    times = [act.at for act in machine.sink.record.accepted("slow.example")][:many]

    # 3,600 an hour are 10 in any 10 seconds.
    most, seconds = most_within(times, 10.0), times[-1] - times[0]
    print(f"{machine.kind}: of 3,600 an hour {(many - 1) / seconds:.3f} were used, at most {most} in 10 s")
    assert most <= 10
    assert (many - 1) / seconds >= (0.9 if machine.kind == "haraka" else 0.8)
    # A shard's clock starts anew at a reload: one message may be early (docs/agent.md). Of few messages that is much.
    assert (many - 2) / seconds <= 1
    assert {act.domain for act in machine.sink.record.accepted("slow.example")} == {"slow.example", "b.slow.example"}
    sent = [each for each in list(machine.panel.events.values()) if each["type"] == "sent"]
    assert {each["rule"] for each in sent if each["to"].endswith("slow.example")} == {102}


def test_weights_and_connections(machine: Machine) -> None:
    rule = LimitRule(103, ("[*.]narrow.example",), 3, 0)
    machine.obey(
        published(
            asked(
                machine,
                rules=(rule,),
                pools={7: (11, 12, 13), 8: (14,)},
                weights={11: 50, 12: 25, 13: 25},
                tenants={ACME: 7, GLOBEX: 8},
            )
        )
    )
    machine.forget()
    machine.sink.seconds = 0.3
    machine.send(GLOBEX, PASSWORD, [f"u{number}@{('', 'b.')[number % 2]}narrow.example" for number in range(40)])
    machine.until(lambda: len(machine.sink.record.accepted("narrow.example")) == 40, 60, "all mail")
    machine.sink.seconds = 0.0
    print(f"{machine.kind}: of 3 connections at most {machine.sink.record.peak[ADDRESSES[14]]} were used")
    assert machine.sink.record.peak[ADDRESSES[14]] == 3

    machine.forget()
    machine.send(ACME, PASSWORD, [f"u{number}@d{number % 20}.wide.example" for number in range(400)])
    machine.until(lambda: len(machine.sink.record.accepted("wide.example")) == 400, 60, "all mail")
    drawn = Counter(act.source for act in machine.sink.record.accepted("wide.example"))
    expected = {ADDRESSES[11]: 200, ADDRESSES[12]: 100, ADDRESSES[13]: 100}
    chi_squared = sum((drawn[ip] - number) ** 2 / number for ip, number in expected.items())
    print(f"{machine.kind}: weights 2 : 1 : 1 became {[drawn[ip] for ip in expected]}, chi-squared {chi_squared:.2f}")
    assert chi_squared < CHI_SQUARED


@pytest.mark.long
def test_a_pause_reaches_the_wire_within_ten_seconds(machine: Machine) -> None:
    asked_for = asked(machine, pools={7: (11, 12)})
    machine.obey(published(asked_for))
    machine.forget()
    with mail_flowing(machine):
        machine.until(
            lambda: set(machine.sink.record.connections) == {ADDRESSES[11], ADDRESSES[12]}, 20, "both addresses"
        )
        paused_at = time.time()
        machine.panel.publish(published(asked_for, overlay=Overlay(number=2, paused=(11,))))
        time.sleep(10)
        seen = machine.sink.record.connections[ADDRESSES[11]]
        time.sleep(5)
        assert machine.sink.record.connections[ADDRESSES[11]] == seen
        assert machine.sink.record.opened[ADDRESSES[12]][-1] > paused_at + 10
        last = max(machine.sink.record.opened[ADDRESSES[11]]) - paused_at
        print(f"{machine.kind}: the last connection of the paused address came {last:.1f} s after the pause")
        # All of them: mail waits, and goes on when that is over.
        machine.panel.publish(published(asked_for, overlay=Overlay(number=3, paused=(11, 12))))
        time.sleep(10)
        seen = sum(machine.sink.record.connections.values())
        time.sleep(3)
        assert sum(machine.sink.record.connections.values()) == seen
        machine.panel.publish(published(asked_for, overlay=Overlay(number=4)))
        machine.until(
            lambda: (
                machine.sink.record.connections[ADDRESSES[11]] > 0
                and sum(machine.sink.record.connections.values()) > seen + 10
            ),
            20,
            "mail",
        )


@pytest.mark.long
def test_a_suspended_server_is_refused_at_once(machine: Machine) -> None:
    asked_for = asked(machine, pools={7: (11,), 8: (13,)}, tenants={ACME: 7, GLOBEX: 8})
    machine.obey(published(asked_for))
    machine.send(ACME, PASSWORD, ["a@d.example"])
    machine.obey(published(asked_for, overlay=Overlay(number=2, suspended=(Suspension(ACME),))))

    with pytest.raises(Exception, match="535"), machine.session(ACME, PASSWORD):
        pass
    machine.send(GLOBEX, PASSWORD, ["g@d.example"])


def test_a_send_limit_is_never_passed(machine: Machine) -> None:
    # A server that sent nothing today: these tests share a machine.
    asked_for = asked(machine, tenants={"fresh/mail": 7}, send_limit_a_day=5)
    machine.obey(published(asked_for))
    machine.forget()
    if machine.kind == "haraka":
        # It counts by itself: what is above waits in the queue, and new mail with the client.
        with machine.session("fresh/mail", PASSWORD) as open_session, contextlib.suppress(smtplib.SMTPSenderRefused):
            for number in range(12):
                open_session.sendmail("x@fresh.example", [f"m{number}@d{number}.example"], "Subject: x\r\n\r\nx\r\n")
        machine.until(lambda: len(machine.sink.record.accepted()) == 5, 30, "what the limit allows")
        time.sleep(5)
        assert len(machine.sink.record.accepted()) == 5
        with pytest.raises(smtplib.SMTPSenderRefused, match="send limit of 5 messages a day"):
            machine.send("fresh/mail", PASSWORD, ["late@d.example"])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    overlay = Overlay(number=2, deferred=(Deferral("fresh/mail", end, "This server has reached its send limit"),))
    machine.obey(published(asked_for, overlay=overlay))
    with pytest.raises(
        (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused), match="This server has reached its send limit"
    ):
        machine.send("fresh/mail", PASSWORD, ["late@d.example"])


@pytest.mark.long
def test_without_the_panel_nothing_changes_for_mail_over_a_restart_too(machine: Machine) -> None:
    machine.obey(published(asked(machine, pools={7: (12,)})))
    if machine.kind == "postfix":
        machine.until(
            lambda: (machine.state / "policy.json").read_text().count(ADDRESSES[12]) > 0, 30, "the policy on disk"
        )
    machine.panel.unavailable = 1.0
    kept = machine.panel.policy
    machine.panel.policy = None
    machine.kill_agent()
    if machine.kind == "postfix":
        machine.inside.end_processes()
    # No earlier: events of the tests before may have been on their way.
    machine.forget()
    machine.start_agent()
    machine.until(machine.answers, 30, "the submission service")
    machine.send(ACME, PASSWORD, [f"a{number}@away.example" for number in range(5)])
    machine.until(lambda: len(machine.sink.record.accepted("away.example")) == 5, 30, "all mail")
    assert {act.source for act in machine.sink.record.accepted("away.example")} == {ADDRESSES[12]}
    assert machine.panel.events == {}

    # What happened meanwhile is told afterwards.
    machine.panel.unavailable = 0.0
    machine.panel.policy = kept
    machine.until(
        lambda: (
            len(
                [
                    each
                    for each in list(machine.panel.events.values())
                    if each.get("to", "").endswith("@away.example") and each["type"] == "sent"
                ]
            )
            == 5
        ),
        60,
        "all events",
    )


def kinds(machine: Machine) -> dict[str, int]:
    return dict(Counter(event["type"] for event in list(machine.panel.events.values())))


def most_within(times: list[float], seconds: float) -> int:
    """Return the most moments in any half-open window of this length."""
    return max(sum(start <= at < start + seconds for at in times) for start in times)


@contextmanager
def mail_flowing(machine: Machine, every: float = 0.1) -> Iterator[None]:
    """Submit a message every so many seconds."""

    def flow(is_over: threading.Event) -> None:
        with machine.session(ACME, PASSWORD) as client:
            for number in itertools.count():
                if is_over.wait(every):
                    return
                client.sendmail(
                    "news@acme.example", [f"flow{number}@d{number % 7}.example"], "Subject: x\r\n\r\nhello\r\n"
                )

    with beside(flow):
        yield
