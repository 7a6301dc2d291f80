"""How many may wait for DNS at once, and that nobody takes all of it."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from dnschecks.places import Places, TooManyChecks


def test_it_works() -> None:
    places = Places()
    with places.taken("acme", places=2), pytest.raises(TooManyChecks), places.taken("acme", places=2):
        pytest.fail("acme alone has taken everything")
    with places.taken("acme", places=2):
        pass


@pytest.mark.parametrize(("number", "alone"), [(1, 1), (2, 1), (3, 2), (4, 2), (8, 4)])
def test_one_alone_takes_half_and_a_second_still_gets_a_place(number: int, alone: int) -> None:
    places = Places()
    held = []
    for _ in range(alone):
        held.append(places.taken("acme", places=number))
        held[-1].__enter__()
    with pytest.raises(TooManyChecks), places.taken("acme", places=number):
        pass
    if number > 1:
        with places.taken("globex", places=number):
            pass
    for each in held:
        each.__exit__(None, None, None)
    with places.taken("acme", places=number):
        pass


def test_a_place_is_given_back_when_what_it_was_for_fails() -> None:
    places = Places()
    with pytest.raises(ZeroDivisionError), places.taken("acme", places=1):
        raise ZeroDivisionError
    with places.taken("globex", places=1):
        pass


def test_many_threads_never_hold_more_than_there_are() -> None:
    places, lock = Places(), threading.Lock()
    now: Counter[int] = Counter()
    most = 0

    def ask(number: int) -> None:
        nonlocal most
        who = number % 5
        try:
            with places.taken(who, places=4):
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
    with places.taken("afterwards", places=1):
        pass
