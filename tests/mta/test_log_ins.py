"""Who may log in at a node: servers with the passwords that the panel made, clients of their networks, and nobody else."""

import base64
import smtplib
import time
from typing import Any

import pytest

from nodes.policy.model import Policy
from tests.mta.machine import Machine
from tests.mta.policies import ACME, GLOBEX, PASSWORD, policy, published
from tests.mta.small_panel import credential

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
WRONG = "hunter2-is-not-it"


def asked(machine: Machine, revision: int) -> Policy:
    return policy(machine.kind, pools={7: (11,), 8: (13,)}, tenants={ACME: 7, GLOBEX: 8}, revision=revision)


def logs_in(machine: Machine, server: str, password: str, mechanism: str = "PLAIN") -> bool:
    with machine.session(None) as client:
        client.user, client.password = server, password
        try:
            code, _ = client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
        except smtplib.SMTPAuthenticationError as refusal:
            code = refusal.smtp_code
        assert code in (235, 535)
        return code == 235


def test_passwords_of_the_panel_work_and_others_do_not(machine: Machine) -> None:
    machine.start_agent()
    said: dict[str, Any] = {
        "credentials": [
            credential(ACME, PASSWORD, 1),
            credential(ACME, "old-" + PASSWORD, 2, expires_at="2020-01-01T00:00:00Z"),
            credential(GLOBEX, "other-" + PASSWORD, 3, expires_at="2999-01-01T00:00:00Z"),
        ],
        "networks": [],
    }
    machine.obey(published(asked(machine, 1), **said))
    machine.until(machine.answers, 30, "the submission service")

    assert logs_in(machine, ACME, PASSWORD)
    assert logs_in(machine, ACME, PASSWORD, "LOGIN")
    assert logs_in(machine, GLOBEX, "other-" + PASSWORD)
    assert not logs_in(machine, ACME, "old-" + PASSWORD)
    assert not logs_in(machine, GLOBEX, PASSWORD)
    assert not logs_in(machine, "nobody/here", PASSWORD)


def test_a_wrong_password_is_slowed_counted_and_never_logged(machine: Machine) -> None:
    counted = refused(machine)
    started = time.monotonic()
    for _ in range(3):
        assert not logs_in(machine, "acme/guess", WRONG)

    # At least 1 and 2 seconds before the second and third answer.
    assert time.monotonic() - started >= 3
    machine.until(lambda: refused(machine) >= counted + 3, 40, "the count")
    everything = b"".join(path.read_bytes() for path in machine.folder.rglob("*") if path.is_file())
    for secret in (WRONG, PASSWORD):
        assert secret.encode() not in everything
        assert base64.b64encode(secret.encode())[:16] not in everything


def refused(machine: Machine) -> int:
    return int(machine.panel.reports[-1]["logins"]["refused"]) if machine.panel.reports else 0


@pytest.mark.parametrize(
    "said",
    [
        {"credentials": []},
        {"suspended": [{"server": ACME, "until": None}]},
        {"suspended": [{"server": ACME, "until": "2999-01-01T00:00:00Z"}]},
        {"credentials": [credential(ACME, PASSWORD, expires_at="2020-01-01T00:00:00Z")]},
    ],
    ids=["held or deleted", "suspended", "suspended until", "expired"],
)
def test_what_is_taken_away_is_refused_within_seconds(machine: Machine, said: dict[str, Any]) -> None:
    number = machine.panel.policy["overlay"]["number"] if machine.panel.policy else 1
    machine.panel.publish(published(asked(machine, 1), number=number + 1))
    machine.until(lambda: logs_in(machine, ACME, PASSWORD), 30, "a log-in")

    machine.panel.publish(published(asked(machine, 1), **{"number": number + 2, **said}))
    assert machine.until(lambda: not logs_in(machine, ACME, PASSWORD), 10, "the refusal") < 10


def test_log_ins_go_on_while_the_agent_is_stopped(machine: Machine) -> None:
    machine.panel.publish(published(asked(machine, 1), number=machine.panel.policy["overlay"]["number"] + 1))
    machine.until(lambda: logs_in(machine, ACME, PASSWORD), 30, "a log-in")
    machine.stop_agent()
    time.sleep(3)
    assert logs_in(machine, ACME, PASSWORD)
    machine.send(ACME, PASSWORD, ["a@stopped.example"])
    machine.start_agent()
    assert logs_in(machine, ACME, PASSWORD)
    # What happened meanwhile is told afterwards.
    machine.until(lambda: "sent" in [each["type"] for each in list(machine.panel.events.values())], 30, "the event")
    machine.forget()


def test_a_client_of_a_network_needs_no_password(machine: Machine) -> None:
    number = machine.panel.policy["overlay"]["number"] if machine.panel.policy else 1
    machine.obey(
        published(
            asked(machine, 1),
            number=number + 1,
            networks=[
                {"id": 1, "server": GLOBEX, "network": "127.9.0.0/16", "expires_at": None},
                {"id": 2, "server": ACME, "network": "127.9.9.0/24", "expires_at": None},
                {"id": 3, "server": ACME, "network": "127.9.8.0/24", "expires_at": "2020-01-01T00:00:00Z"},
            ],
        )
    )
    for source, to in (("127.9.9.1", "a@narrow.example"), ("127.9.8.1", "b@wide.example")):
        with machine.session(None, source=source) as client:
            client.sendmail("x@any.example", [to], "Subject: x\r\n\r\nhello\r\n")
    machine.until(lambda: len(machine.sink.record.accepted()) == 2, 30, "all mail")

    assert {(act.to, act.source) for act in machine.sink.record.acts} == {
        ("a@narrow.example", "203.0.113.11"),
        ("b@wide.example", "203.0.113.13"),
    }
    machine.until(
        lambda: sum(each["type"] == "sent" for each in list(machine.panel.events.values())) == 2, 20, "events"
    )
    assert {(each["to"], each["server"]) for each in machine.panel.events.values() if each["type"] == "sent"} == {
        ("a@narrow.example", ACME),
        ("b@wide.example", GLOBEX),
    }
    with machine.session(None) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("x@any.example", ["a@narrow.example"], "Subject: x\r\n\r\nhello\r\n")
