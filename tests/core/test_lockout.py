"""Whom wrong passwords lock out, and whom they don't."""

import pytest

from core import lockout
from core.lockout import FAILURES_OF_ADDRESS, FAILURES_OF_NAME, count_failure, forget_failures, is_locked_out


def fail(times, username="ann", address="192.0.2.1"):
    for _ in range(times):
        count_failure(username=username, address=address)


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
    forget_failures(username="ann", address="192.0.2.1")
    assert not is_locked_out(username="ann", address="192.0.2.1")
    for number in range(FAILURES_OF_ADDRESS - FAILURES_OF_NAME):
        fail(1, f"user{number}")
    assert is_locked_out(username="ann", address="192.0.2.1")


def test_the_addresses_of_one_ipv6_network_are_one_client():
    fail(FAILURES_OF_NAME, address="2001:db8::1")
    assert is_locked_out(username="ann", address="2001:db8::ffff:1")
    assert not is_locked_out(username="ann", address="2001:db8:0:1::1")


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
