"""Organizations take turns: thousands of webhooks of one, that answer slowly, hold up no other's."""

import random
import time
from typing import Any

import pytest
from django.utils import timezone

from servers.models import Webhook
from tests.factories import OrganizationFactory, ServerFactory
from tests.webhooks.conftest import make_deliveries, make_hook
from tests.webhooks.receivers import answers
from webhooks import claiming
from webhooks.models import Circuit, Lease
from webhooks.sending import Sent, run
from webhooks.turns import LEAST_OF_A_GROUP, MOST, Turns, with_a_place


def test_organizations_take_turns() -> None:
    turns = Turns()
    for number in range(10, 15):
        turns.add(1, number)
    turns.add(2, 20)

    assert [turns.next(lambda _: True) for _ in range(6)] == [20, 10, 20, 11, 20, 12]
    assert [turns.next(lambda pk: pk in (14, 20)) for _ in range(3)] == [20, 14, 20]
    assert turns.next(lambda pk: pk > 20) is None

    turns.remove(2, 20)
    assert [turns.next(lambda _: True) for _ in range(3)] == [10, 11, 12]


def test_of_each_group_some_have_a_place_in_any_case() -> None:
    """Those of one that does not answer take no place of those that do, of its own organization either."""
    rows = [(1, False)] * 300 + [(1, True), (2, True)] * 5
    found = list(with_a_place(rows, lambda row: row, [(1, False)] * 2))

    assert [certain for _, certain in found].index(False) == 2 * LEAST_OF_A_GROUP + LEAST_OF_A_GROUP - 2
    assert {row: sum(certain for each, certain in found if each == row) for row in set(rows)} == {
        (1, False): LEAST_OF_A_GROUP - 2,
        (1, True): LEAST_OF_A_GROUP,
        (2, True): LEAST_OF_A_GROUP,
    }


@pytest.mark.storage
@pytest.mark.server
@pytest.mark.django_db
def test_many_slow_receivers_of_one_organization_hold_up_no_other(
    receive: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def slowly(peer: Any) -> None:
        time.sleep(0.1)
        answers()(peer)

    claim, write = claiming.claim, claiming.write
    in_hands: list[int] = [0]

    def claimed(webhook_id: int, number: int, **more: Any) -> Any:
        found = claim(webhook_id, number, **more)
        in_hands.append(in_hands[-1] + len(found))
        return found

    def written(calls: Any, chance: random.Random) -> None:
        in_hands.append(in_hands[-1] - len(calls))
        write(calls, chance)

    monkeypatch.setattr(claiming, "claim", claimed)
    monkeypatch.setattr(claiming, "write", written)

    slow, fast = receive(slowly, host="0.0.0.0"), receive(host="127.0.0.2")
    server = ServerFactory(organization=OrganizationFactory())
    hooks = [
        Webhook(server=server, name=f"{n}", url=f"http://127.0.{1 + n // 200}.{1 + n % 200}:{slow.port}/", sign=False)
        for n in range(600)
    ]
    Webhook.objects.bulk_create(hooks)
    other = make_hook(fast.url, sign=False)
    at = timezone.now()
    Circuit.objects.bulk_create(Circuit(webhook=each, answered_at=at) for each in [*hooks, other])
    for each in hooks:
        make_deliveries(each, 1)
    make_deliveries(other, 10)

    assert run(clock=timezone.now, seconds=600, chance=random.Random(1)) == Sent(delivered=610)

    # Before the threads have called three slow ones each, of some twenty.
    assert sum(each.at < fast.got[-1].at for each in slow.got) <= 3 * settings.SLUICE_WEBHOOK_THREADS
    # And no more of the others are in a worker's hands at a time than it can do with.
    assert max(in_hands) <= MOST + 10
    assert not Lease.objects.exists()
