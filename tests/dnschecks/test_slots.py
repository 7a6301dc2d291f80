"""How many may wait for DNS at once, and that nobody takes all of it."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.slots import Slots
from dnschecks.slots import TooManyChecks


def test_it_works() -> None:
    slots = Slots(TooManyChecks)
    with slots.taken("acme", slots=2), pytest.raises(TooManyChecks), slots.taken("acme", slots=2):
        pytest.fail("acme alone has taken everything")
    with slots.taken("acme", slots=2):
        pass


@pytest.mark.parametrize(("number", "alone"), [(1, 1), (2, 1), (3, 2), (4, 2), (8, 4)])
def test_one_alone_takes_half_and_a_second_still_gets_a_place(number: int, alone: int) -> None:
    slots = Slots(TooManyChecks)
    held = []
    for _ in range(alone):
        held.append(slots.taken("acme", slots=number))
        held[-1].__enter__()
    with pytest.raises(TooManyChecks), slots.taken("acme", slots=number):
        pass
    if number > 1:
        with slots.taken("globex", slots=number):
            pass
    for each in held:
        each.__exit__(None, None, None)
    with slots.taken("acme", slots=number):
        pass


def test_a_place_is_given_back_when_what_it_was_for_fails() -> None:
    slots = Slots(TooManyChecks)
    with pytest.raises(ZeroDivisionError), slots.taken("acme", slots=1):
        raise ZeroDivisionError
    with slots.taken("globex", slots=1):
        pass


def test_many_threads_never_hold_more_than_there_are() -> None:
    slots, lock = Slots(TooManyChecks), threading.Lock()
    now: Counter[int] = Counter()
    most = 0

    def ask(number: int) -> None:
        nonlocal most
        who = number % 5
        try:
            with slots.taken(who, slots=4):
                with lock:
                    now[who] += 1
                    most = max(most, now.total())
                with lock:
                    now[who] -= 1
        except TooManyChecks:
            pass

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, range(2_000)))
    assert 1 <= most <= 4
    with slots.taken("afterwards", slots=1):
        pass
