"""Where Postfix's queue has no room it refuses new mail for a time, and loses none."""

import smtplib
from collections.abc import Callable

import pytest

from tests.mta.disk import small_state
from tests.mta.machine import Machine
from tests.mta.policies import ACME, PASSWORD, policy, published

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
# docs/agent.md: one and a half times the largest message.
LEAST = 50 * 1024 * 1024 * 3 // 2


def test_a_full_queue_takes_no_mail_until_there_is_room(machine_of: Callable[..., Machine]) -> None:
    machine = machine_of("postfix", disk=small_state)
    machine.start_agent()
    machine.publish(published(policy("postfix")))
    assert machine.disk is not None

    machine.disk.fill_but(LEAST + 2_000_000)
    machine.send(ACME, PASSWORD, ["room@d.example"])
    machine.disk.fill_but(LEAST - 2_000_000)
    with pytest.raises(smtplib.SMTPSenderRefused, match=r"4\.3\.1 Insufficient system storage"):
        machine.send(ACME, PASSWORD, ["none@d.example"])
    machine.disk.free()
    machine.send(ACME, PASSWORD, ["again@d.example"])

    machine.until(lambda: len(machine.sink.record.accepted()) == 2, 30, "both messages")
    machine.until(lambda: len(machine.panel.events) == 4, 30, "their events")
