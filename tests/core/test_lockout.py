"""Whom wrong passwords lock out, and whom they don't."""

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from django.core.cache import cache

from config.file_counters import FileCounters
from core import lockout
from core.lockout import (
    DAILY_GUESSES,
    FAILURES_OF_ADDRESS,
    FAILURES_OF_NAME,
    Guess,
    LockedOut,
    Secret,
    count_failure,
    count_guess,
    count_wrong_key,
    forget_failures,
    guess,
    is_locked_out,
)


def fail(times, username="ann", address="192.0.2.1"):
    for _ in range(times):
        count_failure(Secret.PASSWORD, username=username, address=address)


def test_a_name_is_locked_out_at_its_limit():
    fail(FAILURES_OF_NAME - 1)
    assert not is_locked_out(username="ann", address="192.0.2.1")
    fail(1)
    assert is_locked_out(username="ann", address="192.0.2.1")


def test_names_are_one_whatever_their_case():
    fail(5, "ann")
    fail(5, "ANN")
    assert is_locked_out(username="Ann", address="192.0.2.1")


def test_nobody_is_locked_out_elsewhere_or_under_another_name():
    fail(FAILURES_OF_NAME)
    assert not is_locked_out(username="ann", address="192.0.2.2")
    assert not is_locked_out(username="bob", address="192.0.2.1")


def test_an_address_that_tries_many_names_is_locked_out_for_all():
    for number in range(FAILURES_OF_ADDRESS):
        fail(1, f"user{number}")
    assert is_locked_out(username="somebody else", address="192.0.2.1")


def test_a_right_password_forgets_the_name_s_failures_only():
    fail(FAILURES_OF_NAME)
    forget_failures(Secret.PASSWORD, username="ann", address="192.0.2.1")
    assert not is_locked_out(username="ann", address="192.0.2.1")
    for number in range(FAILURES_OF_ADDRESS - FAILURES_OF_NAME):
        fail(1, f"user{number}")
    assert is_locked_out(username="ann", address="192.0.2.1")


def test_the_addresses_of_one_ipv6_network_are_one_client():
    fail(FAILURES_OF_NAME, address="2001:db8::1")
    assert is_locked_out(username="ann", address="2001:db8::ffff:1")
    assert not is_locked_out(username="ann", address="2001:db8:0:1::1")


def test_a_right_password_forgets_no_wrong_codes():
    for _ in range(FAILURES_OF_NAME):
        assert guess(Secret.PASSWORD, username="ann", address="192.0.2.1", look=lambda: "right") == "right"
        assert guess(Secret.CODE, username="ann", address="192.0.2.1", look=lambda: None) is None
    with pytest.raises(LockedOut):
        guess(Secret.PASSWORD, username="ann", address="192.0.2.1", look=lambda: pytest.fail("it was looked at"))


def test_no_number_of_made_up_keys_and_names_washes_a_lock_out_away():
    fail(FAILURES_OF_NAME)
    for number in range(450):
        count_wrong_key(key=f"key {number}", address="203.0.113.9")
        cache.set(f"anything-{number}", 1)
        fail(1, f"user{number}", f"198.51.100.{number % 250}")
    assert is_locked_out(username="ann", address="192.0.2.1")


def test_the_counts_have_a_cache_of_their_own(settings):
    assert settings.CACHES["lockout"] != settings.CACHES["default"]
    cache.clear()
    fail(FAILURES_OF_NAME)
    if not settings.REDIS_URL:
        cache.clear()
        assert is_locked_out(username="ann", address="192.0.2.1")


def test_counts_in_files_go_when_they_have_expired(tmp_path):
    counters = FileCounters(str(tmp_path), {})
    counters.set("old", 1, timeout=-1)
    counters.set("new", 1, timeout=300)
    counters.sweep()
    assert len(list(tmp_path.iterdir())) == 1
    assert counters.get("new") == 1


def test_names_and_addresses_of_any_kind_are_counted():
    for username, address in (("\x00\ud800" * 500, ""), ("", "unix socket")):
        fail(FAILURES_OF_NAME, username, address)
        assert is_locked_out(username=username, address=address)


@pytest.mark.storage
def test_it_ends(monkeypatch):
    monkeypatch.setattr(lockout, "LOCKED_FOR", -1)
    fail(FAILURES_OF_NAME + 1)
    assert not is_locked_out(username="ann", address="192.0.2.1")


def test_wrong_keys_are_too_many_beyond_the_limit_of_one_key(monkeypatch):
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_KEY", 2)
    said = [lockout.count_wrong_key(key="stale", address="192.0.2.1") for _ in range(3)]
    assert said == [False, False, True]
    assert not lockout.count_wrong_key(key="stale", address="192.0.2.2")
    assert not lockout.count_wrong_key(key="other", address="192.0.2.1")


def test_wrong_keys_are_too_many_beyond_the_limit_of_one_address(monkeypatch):
    monkeypatch.setattr(lockout, "WRONG_KEYS_OF_ADDRESS", 2)
    said = [lockout.count_wrong_key(key=f"key{number}", address="2001:db8::1") for number in range(3)]
    assert said == [False, False, True]
    # The same network.
    assert lockout.count_wrong_key(key="another", address="2001:db8::2")


def test_guesses_at_the_same_moment_all_count(tmp_path):
    """Each thread has a cache of its own, as each has in the panel, and processes have the same files."""

    def count(_):
        counters = FileCounters(str(tmp_path), {})
        counters.add("key", 0, timeout=60)
        for _ in range(10):
            counters.incr("key")
            counters.touch("key", timeout=60)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(count, range(16)))
    assert FileCounters(str(tmp_path), {}).get("key") == 160


def test_what_is_counted_of_a_day_ends_a_day_after_the_last(monkeypatch, tmp_path):
    # Valkey has a clock of its own.
    monkeypatch.setattr(lockout, "_counters", lambda: FileCounters(str(tmp_path), {}))
    day = datetime.date(2026, 11, 28)
    with time_machine.travel(datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC), tick=False) as clock:
        for _ in range(DAILY_GUESSES[Guess.NAME]):
            assert count_guess(Guess.NAME, organization_id=1, on=day)
            clock.shift(3_600)
        assert not count_guess(Guess.NAME, organization_id=1, on=day)
        clock.shift(24 * 3_600 + 1)
        assert count_guess(Guess.NAME, organization_id=1, on=day)
