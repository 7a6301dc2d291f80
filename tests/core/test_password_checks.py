"""How many passwords are hashed at once."""

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from core import password_checks
from core.password_checks import TooManyPasswords, in_turn, once

HERE, THERE = "192.0.2.1", "198.51.100.1"


@pytest.fixture(autouse=True)
def eight_threads(settings):
    settings.SLUICE_WEB_THREADS = 8


def test_one_network_has_two_and_all_together_have_half_of_the_threads():
    with contextlib.ExitStack() as held:
        held.enter_context(in_turn("2001:db8::1"))
        held.enter_context(in_turn("2001:db8::2"))
        with pytest.raises(TooManyPasswords), in_turn("2001:db8::3"):
            pass
        held.enter_context(in_turn(THERE))
        # Of the last two, nobody gets the one that would leave none for somebody new.
        with pytest.raises(TooManyPasswords), in_turn(THERE):
            pass
        held.enter_context(in_turn(HERE))
        with pytest.raises(TooManyPasswords), in_turn("203.0.113.1"):
            pass
    assert not password_checks._slots._taken


def test_who_asks_the_same_at_the_same_moment_shares_the_answer(monkeypatch):
    began, waiting = threading.Event(), threading.Semaphore(0)

    class Shared(Future[bool]):
        def result(self, timeout=None):
            waiting.release()
            return super().result(timeout)

    monkeypatch.setattr(password_checks, "Future", Shared)

    def check():
        began.set()
        assert all(waiting.acquire(timeout=60) for _ in range(4))
        return True

    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(once, "right", HERE, check)
        assert began.wait(60)
        others = [threads.submit(once, "right", HERE, pytest.fail) for _ in range(4)]
        assert [each.result(60) for each in [first, *others]] == [True] * 5
    assert not password_checks._asked


def test_a_check_that_fails_fails_for_all_who_asked_and_is_forgotten():
    def fail():
        raise OSError("no memory")

    with pytest.raises(OSError, match="no memory"):
        once("wrong", HERE, fail)
    assert once("wrong", HERE, lambda: False) is False
