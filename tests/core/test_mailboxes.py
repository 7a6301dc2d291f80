"""Addresses of one mailbox count as one, whatever the spelling."""

import pytest
from django.core.cache import caches

from core import lockout
from core.mailboxes import mailbox_of


@pytest.mark.parametrize(
    "address",
    [
        "Victim@Example.com", "victim+1@example.com", "victim+a+b@example.com", '"victim"@example.com',
        '"v\\ict\\im"@example.com', '"victim+1"@example.com', "vic.tim@example.com", " victim@example.com ",
        "victim@ｅxample.com",
    ],
)  # fmt: skip
def test_spellings_of_one_mailbox_are_one(address):
    assert mailbox_of(address) == "victim@example.com"


def test_domains_are_one_in_both_writings():
    assert mailbox_of("ann@bücher.example") == mailbox_of("ann@xn--bcher-kva.example")


@pytest.mark.parametrize("text", ["", "@", "+@", '"@x', "ann@", "ann@\udcff.example", "ann@" + "é" * 300, "no address"])
def test_any_text_has_a_form(text):
    assert isinstance(mailbox_of(text), str)


def test_others_are_others():
    found = {
        mailbox_of(each)
        for each in ("ann@a.example", "bob@a.example", "ann@b.example", "username ann", "username a.nn")
    }
    assert len(found) == 5


def test_no_spelling_gets_a_mailbox_more_mail():
    spellings = ["v@example.com", "v+1@example.com", '"v"@example.com', '"\\v"@example.com', "v+2@example.com"]
    sent = [lockout.count_invitation(address=each, organization_id=None) for each in spellings]
    assert sent == [True] * lockout.LINKS_OF_NAME + [False] * 2
    tests = [lockout.count_test(address=f"v+{n}@example.com", organization_id=1) for n in range(12)]
    assert tests.count(True) == lockout.DAILY_TESTS_OF_NAME
    notices = [lockout.count_notice(address=f"v+{n}@example.com", organization_id=1) for n in range(5)]
    assert notices.count(True) == lockout.LINKS_OF_NAME
    # Links to set a password come all the same.
    assert lockout.count_link(address="v@example.com")


def test_what_is_refused_anyway_counts_against_no_mailbox():
    """Nor does it fill the cache of the lock-outs, whose entries are not evicted."""
    for number in range(lockout.INVITATIONS_OF_ORGANIZATION):
        assert lockout.count_invitation(address=f"{number}@example.com", organization_id=1)
    for number in range(lockout.DAILY_OF_NAME):
        assert lockout.count_address_link(address=f"other-{number}@example.com", user_id=1)
    for _ in range(lockout.LINKS_OF_NAME + 1):
        assert not lockout.count_invitation(address="victim@example.com", organization_id=1)
        assert not lockout.count_address_link(address="victim@example.com", user_id=1)
    assert caches["lockout"].get(lockout._key("invitation", "victim@example.com")) is None
    assert lockout.count_invitation(address="victim@example.com", organization_id=2)
