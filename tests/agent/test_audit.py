"""Copies of suppression lists are compared with the panel's by sums that both databases and the agent compute alike."""

import contextlib
import datetime
import pathlib
import random
from collections.abc import Iterator
from typing import Any

import agent_audit
import pytest
from agent_suppressions import Suppressions
from django.test import Client
from django.utils import timezone

from nodes.publishing import publish
from suppressions import acts, checksums
from suppressions.models import Suppression
from tests.cast import ANN, NOW, SYSTEM, make_pool
from tests.nodes.platform import make_site

pytestmark = [pytest.mark.django_db, pytest.mark.storage]
HOUR = agent_audit.SECONDS_BETWEEN


@pytest.fixture
def site(acme: Any, globex: Any) -> Any:
    site = make_site(acme, globex, make_pool)
    publish(actor=ANN, now=NOW)
    now = timezone.now()
    some = random.Random(5)
    for server in (acme.server, None):
        for ends in (None, now + datetime.timedelta(days=1, microseconds=999_999), now + datetime.timedelta(days=400)):
            # Ends of all fractions of a second: none may be rounded up by either side.
            ends = ends and ends.replace(microsecond=some.choice([0, 1, 499_999, 999_499, 999_999]))
            acts.suppress(
                organization=acme.organization, server=server, reason="api", at=now, actor=SYSTEM, expires_at=ends,
                addresses=[f"user{some.randrange(10**9)}@gmail.com" for _ in range(7)],
            )  # fmt: skip
    gone = Suppression.objects.first()
    assert gone is not None
    acts.remove_one(suppression=gone, at=now, actor=SYSTEM)
    return site


@pytest.fixture
def lists(tmp_path: pathlib.Path) -> Iterator[Suppressions]:
    with contextlib.closing(Suppressions(str(tmp_path / "suppressions.db"))) as opened:
        yield opened


def pull(site: Any, lists: Suppressions, now: float) -> dict[str, Any]:
    """Let the agent ask the panel once; return the answer."""
    headers = {"Authorization": f"Bearer {site.key}"}
    asked = lists.have(now)
    answer = Client().post("/api/node/v1/suppressions", asked, content_type="application/json", headers=headers)
    lists.take(answer.json(), now)
    return answer.json()


def told(lists: Suppressions) -> dict[str, int]:
    return lists.told()["suppressions"]


def numbers(lists: Suppressions) -> list[tuple[int, int]]:
    return lists._db.execute("select number, is_whole from list").fetchall()


def test_a_copy_of_a_list_has_the_same_sum(site: Any, acme: Any, lists: Suppressions) -> None:
    now = timezone.now()
    pull(site, lists, now.timestamp())
    for until in (now, now + datetime.timedelta(days=2), now + datetime.timedelta(days=401)):
        until = until.replace(microsecond=0)
        here = agent_audit.checksum(lists._db, 1, int(until.timestamp()))
        there = checksums.checksum(acme.organization.pk, until=until)
        assert here == (there.entries, there.digest)
    assert checksums.checksum(acme.organization.pk, until=now).entries == 41


def test_it_is_compared_once_an_hour(site: Any, lists: Suppressions) -> None:
    now = timezone.now().timestamp()
    pull(site, lists, now)
    assert told(lists) == {"lists": 1, "loading": 0, "compared": 0, "entries": 0, "differed": 0}
    assert lists.told()["suppressions_compared_at"] is None
    [compared] = pull(site, lists, now)["lists"]
    assert compared["sum"]["entries"] == 41
    assert told(lists) == {"lists": 1, "loading": 0, "compared": 1, "entries": 41, "differed": 0}
    assert lists.told()["suppressions_compared_at"] is not None
    assert pull(site, lists, now + HOUR - 1)["lists"] == []
    assert lists.have(now + HOUR)["have"] == {
        each: {"number": 43, "whole": True, "compare": True} for each in lists.have(now)["have"]
    }


@pytest.mark.parametrize(
    "harm",
    [
        "delete from entry where digest = (select min(digest) from entry)",
        "update entry set expires_at = expires_at + 1 where digest = (select min(digest) from entry where expires_at > 0)",
        "update entry set expires_at = null where digest = (select min(digest) from entry where expires_at > 0)",
        "update or ignore entry set server = '' where digest = (select max(digest) from entry where server != '')",
        "update entry set digest = zeroblob(32) where digest = (select max(digest) from entry)",
        "insert into entry values (1, zeroblob(32), '', null, 0)",
    ],
)
def test_a_copy_that_differs_is_fetched_again(site: Any, lists: Suppressions, harm: str) -> None:
    now = timezone.now().timestamp()
    pull(site, lists, now)
    whole = numbers(lists)
    before = sorted(lists._db.execute("select digest, server, expires_at from entry"))
    lists._db.execute(harm)
    harmed = sorted(lists._db.execute("select digest, server, expires_at from entry"), key=str)
    assert harmed != sorted(before, key=str)
    pull(site, lists, now)
    assert told(lists)["differed"] == 1
    assert lists.told()["suppressions_differed_at"] is not None
    # What is there holds until the list is complete again.
    assert numbers(lists) == [(0, 0)]
    assert sorted(lists._db.execute("select digest, server, expires_at from entry"), key=str) == harmed
    pull(site, lists, now)
    assert numbers(lists) == whole
    assert sorted(lists._db.execute("select digest, server, expires_at from entry"), key=str) == sorted(before, key=str)
    assert pull(site, lists, now)["lists"] == []


def test_an_agent_of_before_and_a_panel_of_before_go_on(site: Any, lists: Suppressions) -> None:
    now = timezone.now().timestamp()
    answer = pull(site, lists, now)
    for each in answer["lists"]:
        # As a panel without sums answers.
        del each["sum"]
    lists.take(answer, now)
    assert told(lists)["compared"] == 0
    assert numbers(lists) == [(43, 1)]
