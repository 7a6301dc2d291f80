"""Mail to suppressed recipients is stopped at submission, by real MTAs: refused or dropped, and reported as held."""

import contextlib
import hashlib
import hmac
import os
import signal
import smtplib
import sqlite3
import uuid
from typing import Any

import pytest

from nodes.policy.model import Policy
from tests.mta.machine import Machine
from tests.mta.policies import ACME, GLOBEX, PASSWORD, policy, published

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
ORGANIZATIONS = {ACME: str(uuid.UUID(int=1)), GLOBEX: str(uuid.UUID(int=2))}
SERVERS = {ACME: str(uuid.UUID(int=11)), GLOBEX: str(uuid.UUID(int=12))}
KEYS = {ACME: bytes(range(32)), GLOBEX: bytes(range(1, 33))}
GONE, WELL, OTHER = "gone@one.example", "well@one.example", "other@two.example"


def asked(machine: Machine, pools: int, revision: int) -> Policy:
    return policy(
        machine.kind,
        pools={7: (11,)} if pools == 1 else {7: (11,), 8: (13,)},
        tenants={ACME: 7, GLOBEX: 7 if pools == 1 else 8},
        revision=revision,
    )


def digest(server: str, address: str) -> str:
    return hmac.new(KEYS[server], address.encode(), hashlib.sha256).hexdigest()


def lists(number: int, at_submission: str, **suppressed: list[str]) -> dict[str, Any]:
    """Return what the panel answers: the whole list of acme, and one of globex that has other addresses."""
    entries = {ACME: suppressed.get("acme", []), GLOBEX: suppressed.get("globex", [])}
    return {
        "servers_digest": "d",
        "servers": {name: {"server": SERVERS[name], "organization": ORGANIZATIONS[name]} for name in ORGANIZATIONS},
        "lists": [
            {
                "organization": ORGANIZATIONS[name],
                "key": KEYS[name].hex(),
                "at_submission": at_submission,
                "number": number,
                "is_restart": True,
                "is_complete": True,
                "entries": [[digest(name, address), SERVERS[name], None, False] for address in addresses],
            }
            for name, addresses in entries.items()
        ],
        "is_complete": True,
    }


def begin(machine: Machine, pools: int, number: int, at_submission: str) -> None:
    """Have the machine's MTA run, and know that GONE is suppressed for acme and OTHER for globex."""
    if machine.agent is None:
        machine.start_agent()
    machine.obey(published(asked(machine, pools, number), number=number))
    machine.until(machine.answers, 30, "the submission service")
    machine.panel.lists = lists(number, at_submission, acme=[GONE], globex=[OTHER])
    is_so = f"select count(*) from list where number = {number} and is_whole and at_submission = '{at_submission}'"
    machine.until(lambda: read(machine, is_so) == 2, 20, "the lists")
    machine.forget()


def read(machine: Machine, sql: str) -> int:
    with contextlib.closing(sqlite3.connect(machine.state / "suppressions.db")) as db:
        return int(db.execute(sql).fetchone()[0])


def say(machine: Machine, server: str, *recipients: str) -> list[int]:
    """Send one message to all of the recipients, as far as the MTA takes them; return the code of each."""
    codes = []
    with machine.session(server, PASSWORD) as client:
        assert client.mail("news@acme.example")[0] == 250
        for to in recipients:
            code, text = client.rcpt(to)
            codes.append(code)
            if code != 250:
                assert text == b"5.7.1 Sluice: this recipient is suppressed, no mail is sent to it"
        if 250 in codes:
            assert client.data("Subject: hello\r\n\r\nhello\r\n")[0] == 250
    return codes


def held(machine: Machine) -> list[tuple[Any, ...]]:
    found = [each for each in list(machine.panel.events.values()) if each["type"] == "held"]
    assert all(each["reply"].startswith("550 5.7.1 Sluice: ") and each["code"] == 550 for each in found)
    return sorted((each["server"], each["from"], each["to"]) for each in found)


def sent(machine: Machine) -> list[str]:
    return sorted(act.to for act in machine.sink.record.acts)


@pytest.fixture(params=[1, 2], ids=["one pool", "two pools"])
def pools(request: pytest.FixtureRequest) -> int:
    return int(request.param)


_number = iter(range(1, 100))


def test_a_suppressed_recipient_is_refused_and_the_others_get_their_mail(machine: Machine, pools: int) -> None:
    begin(machine, pools, next(_number), "refuse")
    assert say(machine, ACME, GONE.upper(), WELL, OTHER) == [550, 250, 250]
    assert say(machine, ACME, GONE) == [550]
    assert say(machine, GLOBEX, GONE, OTHER) == [250, 550]
    machine.until(lambda: len(sent(machine)) == 3, 30, "the mail")
    machine.until(lambda: len(held(machine)) == 3, 20, "the events")
    assert sent(machine) == [GONE, OTHER, WELL]
    assert held(machine) == [
        (ACME, "news@acme.example", GONE.upper()),
        (ACME, "news@acme.example", GONE),
        (GLOBEX, "news@acme.example", OTHER),
    ]


def test_a_suppressed_recipient_is_dropped_and_the_others_get_their_mail(machine: Machine, pools: int) -> None:
    begin(machine, pools, next(_number), "drop")
    assert say(machine, ACME, GONE, WELL) == [250, 250]
    assert say(machine, ACME, GONE) == [250]
    assert say(machine, GLOBEX, GONE) == [250]
    machine.until(lambda: len(sent(machine)) == 2, 30, "the mail")
    machine.until(lambda: len(held(machine)) == 2, 20, "the events")
    assert sent(machine) == [GONE, WELL]
    assert [each["server"] for each in list(machine.panel.events.values()) if each["type"] == "sent"].count(ACME) <= 1
    assert held(machine) == [(ACME, "news@acme.example", GONE)] * 2


def test_mail_is_taken_while_nobody_knows_the_lists(machine: Machine) -> None:
    begin(machine, 1, next(_number), "refuse")
    assert say(machine, ACME, GONE) == [550]
    # The agent would start another at once.
    machine.kill_agent()
    os.kill(int((machine.state / "stops.lock").read_text()), signal.SIGKILL)
    assert say(machine, ACME, GONE) == [250]
    machine.start_agent()

    def is_refused() -> bool:
        # The agent that comes back reloads Postfix, which ends sessions.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            return say(machine, ACME, GONE) == [550]
        return False

    machine.until(is_refused, 40, "the lists")
