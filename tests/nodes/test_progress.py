"""What a node's state follows from."""

import datetime

import pytest

from nodes.models import Node, NodeReport, Revision
from nodes.progress import SILENT_AFTER, progress_of

NOW = datetime.datetime(2026, 3, 11, 15, 30, tzinfo=datetime.UTC)


def node_and_report(**report) -> tuple[Node, NodeReport]:
    return Node(name="mta1", revision=Revision(number=2)), NodeReport(
        **{"at": NOW, "revision_applied": 2, "overlay_applied": 0} | report
    )


@pytest.mark.parametrize(
    ("report", "state"),
    [
        ({}, "applied"),
        ({"at": None}, "never seen"),
        ({"at": NOW - SILENT_AFTER - datetime.timedelta(seconds=1)}, "silent"),
        ({"error": "Postfix does not start"}, "failing"),
        ({"body": {"drift": ["front/main.cf"]}}, "failing"),
        ({"revision_applied": 1}, "behind"),
        ({"overlay_applied": 1}, "behind"),
    ],
)
def test_it_works(report, state):
    node, told = node_and_report(**report)
    assert progress_of(node, told, at=NOW).state == state


def test_a_time_that_is_still_to_come_is_now():
    found = progress_of(*node_and_report(at=NOW + datetime.timedelta(hours=2)), at=NOW)
    assert (found.state, found.seen_at) == ("applied", NOW)
