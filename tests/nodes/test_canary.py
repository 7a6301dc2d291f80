"""A revision on trial: given to all when it holds, taken back by itself when it does not."""

import datetime

import pytest

from core.errors import Conflict
from core.models import AuditEntry
from nodes import publishing
from nodes.canary import watch
from nodes.models import Node, NodeReport, Publication, Revision
from nodes.publishing import Trial, publish, publish_if_changed, roll_back
from stats.intake.ingest import Reporter, ingest
from tests.cast import ANN, NOW
from tests.nodes.platform import rule
from tests.words import ip_addresses

pytestmark = [pytest.mark.storage, pytest.mark.django_db]
HOLD = datetime.timedelta(minutes=15)
END = NOW + HOLD


@pytest.fixture
def trial(site) -> Revision:
    """r2 on `here` alone; `there` keeps r1."""
    publish(actor=ANN, now=NOW)
    ip_addresses.update(site.second.pk, {"rules_new": [rule(["yahoo.com"], 1, 1)]}, actor=ANN)
    return publish(actor=ANN, now=NOW, trial=Trial(frozenset({site.here.pk}), HOLD))


def numbers() -> dict[str, int]:
    return dict(Node.objects.values_list("name", "revision__number"))


def mail(server: str, ip: str, *, sent: int, deferred: int) -> None:
    kinds = ["sent"] * sent + ["deferred"] * deferred
    at = (NOW + datetime.timedelta(minutes=1)).isoformat()
    events = [
        {
            "id": f"{ip} {number}",
            "type": kind,
            "at": at,
            "server": server,
            "ip": ip,
            "from": "a@b.example",
            "to": "b@gmail.com",
        }
        for number, kind in enumerate(kinds)
    ]
    assert ingest(events, reporter=Reporter(), now=NOW + HOLD).accepted == len(events)


def applied(node: Node, number: int) -> None:
    NodeReport.objects.filter(node=node).update(revision_applied=number)


def test_it_is_on_some_nodes_first(site, trial):
    assert (trial.number, trial.kind, numbers()) == (2, "canary", {"here": 2, "there": 1})
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.after["first_on"]) == ("revision.published", ["here"])
    # Nothing is published by itself meanwhile, nor tried beside it.
    ip_addresses.update(site.third.pk, {"rules_new": [rule(["web.de"], 1, 1)]}, actor=ANN)
    assert publishing.is_held()
    assert not publish_if_changed(now=NOW)
    with pytest.raises(Conflict, match="on trial already"):
        publish(actor=ANN, now=NOW, trial=Trial(frozenset({site.there.pk}), HOLD))
    assert watch(now=NOW) == ""


def test_it_is_on_all_nodes_when_it_holds(site, trial):
    applied(site.here, 2)
    mail("acme/transactional-server", "192.0.2.1", sent=97, deferred=3)
    mail("globex/globex-server", "192.0.2.3", sent=100, deferred=0)
    assert watch(now=END - datetime.timedelta(seconds=1)) == ""
    assert watch(now=END) == "r2 is on all nodes"
    assert numbers() == {"here": 2, "there": 2}
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.actor_label) == ("revision.trial_passed", "Sluice")
    assert entry.after == {
        "attempts": 100, "accepted_percent": 97.0, "others_attempts": 100, "others_accepted_percent": 100.0,
    }  # fmt: skip
    assert (watch(now=END), Publication.objects.get().canary, publishing.is_held()) == ("", None, False)


def test_it_goes_back_by_itself_when_receivers_accept_less(site, trial):
    applied(site.here, 2)
    mail("acme/transactional-server", "192.0.2.1", sent=80, deferred=20)
    mail("globex/globex-server", "192.0.2.3", sent=60, deferred=2)
    failure = watch(now=NOW + datetime.timedelta(minutes=2))
    assert failure == (
        "Of 100 attempts on here receivers accepted 80.0 %, of 62 on the other nodes 96.8 %: more than 5 points less"
    )
    assert numbers() == {"here": 3, "there": 3}
    assert (Revision.objects.first().kind, Revision.objects.first().repeats) == ("rollback", 1)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.act, entry.after["failure"], entry.after["back_by"]) == ("revision.trial_failed", failure, 3)
    assert watch(now=END) == ""


def test_a_few_attempts_say_nothing(site, trial):
    applied(site.here, 2)
    mail("acme/transactional-server", "192.0.2.1", sent=0, deferred=49)
    mail("globex/globex-server", "192.0.2.3", sent=60, deferred=0)
    assert watch(now=END) == "r2 is on all nodes"


def test_it_goes_back_where_it_was_not_applied_in_time(site, trial):
    applied(site.here, 1)
    assert watch(now=END - datetime.timedelta(seconds=1)) == ""
    assert watch(now=END) == "here did not apply it in time"
    assert numbers() == {"here": 3, "there": 3}


def test_publishing_and_going_back_end_a_trial(site, trial):
    assert publish(actor=ANN, now=NOW).number == 3
    assert (numbers(), Publication.objects.get().canary) == ({"here": 3, "there": 3}, None)
    ip_addresses.update(site.third.pk, {"rules_new": [rule(["web.de"], 1, 1)]}, actor=ANN)
    publish(actor=ANN, now=NOW, trial=Trial(frozenset({site.there.pk}), HOLD))
    assert numbers() == {"here": 3, "there": 4}
    roll_back(number=1, actor=ANN, now=NOW)
    assert (numbers(), Publication.objects.get().canary) == ({"here": 5, "there": 5}, None)


def test_there_must_be_something_to_go_back_to(site):
    with pytest.raises(Conflict, match="A trial needs an earlier revision"):
        publish(actor=ANN, now=NOW, trial=Trial(frozenset({site.here.pk}), HOLD))
    assert not Revision.objects.exists()
