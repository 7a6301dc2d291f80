"""Lines of Postfix as the logs of other systems begin them."""

import re

import pytest

from tests.stats.intake.test_postfix_log import STAMP, active, client, delivery, kinds, read

# How other syslogs, and other programs that show logs, begin the same lines.
BEGINNINGS = {
    "busybox": ("Nov 27 02:35:04 node1 mail.info ", "[3]: "),
    "FreeBSD": ("Nov 27 02:35:04 <mail.info> node1 ", "[3]: "),
    "illumos": ("Nov 27 02:35:04 node1 ", "[3]: [ID 197553 mail.info] "),
    "with its priority": ("<22>Nov 27 02:35:04 node1 ", "[3]: "),
    "RFC 5424": ("<22>1 2026-11-27T02:35:04.518649+00:00 node1 ", " 3 - -  "),
    "RFC 5424 in a file": ("1 2026-11-27T02:35:04.518Z node1 ", ' 3 - [origin ip="192.0.2.1"] \ufeff'),
    "docker logs -t": ("2026-11-27T02:35:04.123456789Z Nov 27 02:35:04 node1 ", "[3]: "),
    "Kubernetes": ("2026-11-27T02:35:04.123456789Z stdout F Nov 27 02:35:04 node1 ", "[3]: "),
    "after a loss of power": ("\0" * 300 + STAMP, "[3]: "),
    "short-precise": ("Nov 27 02:35:04.518649 node1 ", "[3]: "),
    "short-iso": ("2026-11-27T02:35:04+0000 node1 ", "[3]: "),
    "short-unix": ("1795746904.518649 node1 ", "[3]: "),
    "without an offset": ("2026-11-27 02:35:04.518 node1 ", "[3]: "),
}


@pytest.mark.parametrize("begin", BEGINNINGS)
def test_lines_of_every_syslog_are_read(begin):
    before, after = BEGINNINGS[begin]
    lines = [
        re.sub(r"\[\d\]: ", lambda _: after, line.replace(STAMP, before), count=1)
        for line in (client(), active(), delivery())
    ]
    outs = read(*lines)
    assert kinds(outs) == [("incoming", None), ("sent", "u1@big.example")]
    assert outs[1]["event"]["at"][:19] == "2026-11-27T02:35:04"


@pytest.mark.parametrize(
    "line",
    [
        # rsyslog cuts the program's name at the slash, unless parser.permitSlashInProgramName is on.
        "<22>1 2026-11-27T02:35:04.518649+00:00 node1 postfix 3 - -  " + delivery().partition("]: ")[2],
        "Fri 2026-11-27 02:35:04 UTC " + delivery(stamp="node1 "),
        "mail-1  | " + delivery(),
    ],
)
def test_a_delivery_whose_line_begins_otherwise_is_refused_and_never_passed_over(line):
    (out,) = read(line)
    assert (out["refused"], out["message"]) == (
        "invalid_line",
        "The line is one of a delivery, and does not begin as those of a mail log do",
    )


def test_what_journalctl_says_between_is_no_line_of_the_log():
    assert read("-- Boot 6a1cb7cbe7604a0d9d3f2f4d3a6f0f11 --", "-- Logs begin at Thu 2026-11-26 02:35:04 UTC. --") == []
