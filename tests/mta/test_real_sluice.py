"""A node of a whole, running Sluice (on SQLite): what is saved there is obeyed here, and what happens here is counted there."""

import pathlib
import smtplib
import statistics
import time
from collections import Counter
from typing import Any

import pytest

from tests.mta.inside_sluice import act
from tests.mta.machine import Machine
from tests.mta.policies import ADDRESSES
from tests.mta.reach import reachable
from tools import panel

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
SERVER = "acme/mail"
KIND_OF = {250: "sent", 550: "bounced", 452: "deferred", 451: "deferred"}


def test_what_is_saved_is_obeyed_and_what_happens_is_counted(machine: Machine, tmp_path: pathlib.Path) -> None:
    with panel.running(tmp_path, static=False) as sluice, reachable(machine.inside, sluice.url) as url:
        made = act(sluice, "prepare", machine.kind, ADDRESSES[11], ADDRESSES[12])
        machine.key_file.write_text(made["key"])
        machine.url = url
        machine.start_agent()
        machine.until(lambda: (machine.state / "policy.json").exists(), 60, "the first policy")
        machine.until(machine.answers, 30, "the submission service")
        names = ("fine", "nobody", "full", "tempfail")
        machine.send(SERVER, made["password"], [f"{name}{n}@d{n}.example" for name in names for n in range(25)])
        machine.until(lambda: len({act.to for act in machine.sink.record.acts if act.sender}) == 100, 60, "all mail")

        # Sink = Sluice.
        truth = Counter(KIND_OF[each.code] for each in machine.sink.record.acts if each.sender)
        expected = {"incoming": 100, **truth}
        machine.until(lambda: act(sluice, "counts")["events"] == expected, 60, f"{expected}")
        assert act(sluice, "counts")["without_address"] == 0
        assert act(sluice, "counts")["version"] == "1.0"

        # A mailbox that does not exist is not written to again.
        machine.until(lambda: stops(machine, made["password"], "nobody3@d3.example"), 30, "the suppression")
        assert not stops(machine, made["password"], "fine3@d3.example")
        machine.until(lambda: act(sluice, "counts")["suppressed"] >= 1, 30, "the held message")

        # From Save to the sink.
        seconds = [change(machine, sluice, made, round_) for round_ in range(20)]
        print(
            f"{machine.kind}: from Save to the sink: median {statistics.median(seconds):.1f} s, most {max(seconds):.1f} s"
        )
        assert statistics.median(seconds) <= 15

        act(sluice, "hold", str(made["credential"]))
        machine.until(lambda: not logs_in(machine, made["password"]), 20, "the refusal of a held credential")


def change(machine: Machine, sluice: panel.Panel, made: dict[str, Any], round_: int) -> float:
    """Pause one address and resume the other, and return how long the one that is paused was still used."""
    paused, used = ((11, 12), (12, 11))[round_ % 2]
    numbers = made["addresses"]
    saved = act(sluice, "pause", str(numbers[ADDRESSES[paused]]), str(numbers[ADDRESSES[used]]))["saved"]
    with machine.session(SERVER, made["password"]) as client:
        while time.time() < saved + 30:
            client.sendmail("news@acme.example", [f"r{round_}@d.example"], "Subject: x\r\n\r\nhello\r\n")
            time.sleep(0.2)
            recent = [at for at in machine.sink.record.opened[ADDRESSES[paused]] if at > saved]
            other = [at for at in machine.sink.record.opened[ADDRESSES[used]] if at > saved]
            last = max(recent, default=saved)
            if other and time.time() - last > 2 and max(other) > last:
                return max(last, min(other)) - saved
    raise AssertionError("the change did not reach the sink within 30 s")


def stops(machine: Machine, password: str, to: str) -> bool:
    """Tell whether the MTA refuses a recipient as suppressed."""
    with machine.session(SERVER, password) as client:
        client.mail("news@acme.example")
        code, text = client.rcpt(to)
        client.rset()
    return code == 550 and b"suppressed" in text


def logs_in(machine: Machine, password: str) -> bool:
    try:
        with machine.session(SERVER, password):
            return True
    except smtplib.SMTPAuthenticationError:
        return False
