"""Patterns of reply rules: words next to, after and near each other, alternatives, beginnings, sets and what must be absent."""

import pytest

from stats.intake import patterns


def holds(pattern, text):
    lexicon = patterns.Lexicon({"BOX": ["mailbox", "inbox", "邮箱"]})
    return patterns.compiled(pattern, lexicon).holds(lexicon.find(text))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("mailbox full", "Your MAILBOX is full!", True),
        ("mailbox full", "full mailbox", False),
        ("mailbox full", "mailbox almost full", False),
        ("mailbox full", "mailbox <address> full", True),
        ("from <ip>", "mail from <ip> refused", True),
        ("<ip> refused", "mail from <ip> refused", True),
        ("from ~ <ip> ~ refused", "mail from <ip> refused", True),
        ("mailbox/inbox full", "inbox full", True),
        ("mailbox ~ full", "mailbox one two three four five full", True),
        ("mailbox ~ full", "mailbox one two three four five six full", False),
        ("mailbox ~ full", "full mailbox", False),
        ("mailbox ~~ full", "full one two three four five mailbox", True),
        ("mailbox ~~ full ~ now", "full mailbox now", True),
        ("mailbox ~~ full ~ now", "now full mailbox", False),
        ("reject*", "rejecting", True),
        ("reject*", "unreject", False),
        ("a_b | mailbox", "mailbox", True),
        ("mailbox + full", "full of letters is the mailbox", True),
        ("mailbox + full", "mailbox", False),
        ("mailbox + ! full | closed", "mailbox open", True),
        ("mailbox + ! full | closed", "mailbox closed", False),
        ("! full", "mailbox", True),
        ("", "", True),
        ("BOX ~ full", "the inbox is full", True),
        ("BOX ~ 不存在", "邮箱目前不存在", True),
        ("不存在", "不在存", False),
        ("doesnt exist", "it doesn't exist", True),
        ("boite pleine", "BOÎTE PLEINE", True),
        ("utilisateur existe", "l’utilisateur existe", True),
        ("recipient not found", "RecipientNotFound", True),
        ("fully qualified", "fully-qualified", True),
    ],
)
def test_a_pattern_holds_for_what_it_says(pattern, text, expected):
    assert holds(pattern, text) is expected


@pytest.mark.parametrize("pattern", ["~ a1", "full ~", "full ~ ~ box", "the", "NONE", "mail-box*", "full | ", "..."])
def test_it_rejects_a_pattern_that_cannot_be_read(pattern):
    with pytest.raises(patterns.BadPattern):
        holds(pattern, "")


def test_words_after_the_first_two_hundred_are_not_read():
    assert holds("full", "no " * 199 + "full") is True
    assert holds("full", "no " * 200 + "full") is False
