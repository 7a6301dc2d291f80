"""Replies get the class that their meaning has, one signature for all that differ only in names and numbers, and a reason."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stats.intake import patterns, replies, reply_prefixes, signatures

HERE = Path(__file__)
OWN = [line.split("|", 1) for line in HERE.with_name("replies.txt").read_text(encoding="utf-8").splitlines()]
COLLECTION = Path("shared/mta/replies.tsv")
# What the table reached, less what a change of a few rules may cost.
LEAST_OF_THE_COLLECTION = 0.97


@pytest.mark.parametrize(("name", "text"), OWN, ids=[text[:60] for _, text in OWN])
def test_a_reply_has_the_class_of_its_meaning(name, text):
    assert replies.classify(None, None, text).name == name


@pytest.mark.parametrize(
    "wrapping",
    [
        "host mx.example.net[192.0.2.1] said: {} (in reply to RCPT TO command)",
        "host mx.example.net[2001:db8::1] said: {} (in reply to end of DATA command)",
        "host mx.example.net[192.0.2.1] refused to talk to me: {}",
        "SMTP error from remote mail server after RCPT TO:<jane@example.net>: host mx.example.net [192.0.2.1]: {}",
        "SMTP error from remote mail server after pipelined MAIL FROM:<joe@example.org> SIZE=2048: {}",
        "SMTP error from remote mail server after end of data: host mx.example.net [192.0.2.1]: {}",
        "192.0.2.1 does not like recipient. Remote host said: {} Giving up on 192.0.2.1.",
        "Connected to 192.0.2.1 but sender was rejected. Remote host said: {}",
        "... while talking to mx.example.net.: >>> RCPT To:<jane@example.net> <<< {}",
        "Remote server returned '{}'",
        "Diagnostic-Code: smtp; {}",
        "{} (delivery attempts: 0)",
    ],
)
def test_what_an_mta_writes_around_a_reply_changes_nothing(wrapping):
    alone = {text: replies.classify(None, None, text) for _, text in OWN[::5] if text[:1] in "45"}
    assert len(alone) > 100
    changed = {
        text for text, one in alone.items() if replies.classify(None, None, wrapping.format(text))[::2] != one[::2]
    }
    assert changed == set()


def test_every_class_is_among_the_replies_of_this_test():
    assert {name for name, _ in OWN} == set(replies.CLASSES)


def test_it_is_right_on_the_collection_of_real_replies():
    found = [above / COLLECTION for above in HERE.parents if (above / COLLECTION).exists()]
    if not found:
        pytest.skip("the collection of real replies (shared/mta/replies.tsv) is not beside this checkout")
    rows = [line.split("\t") for line in found[0].read_text(encoding="utf-8").splitlines()[1:]]
    wrong = [
        (row[0], row[5], classified.name, classified.rule)
        for row in rows
        if (classified := replies.classify(row[1] or None, row[2] or None, row[4], row[3])).name != row[5]
    ]
    assert len(wrong) <= len(rows) * (1 - LEAST_OF_THE_COLLECTION), wrong


def test_it_answers_class_signature_and_rule():
    text = "550 5.1.1 <jane.doe@example.net>: User unknown (queue id 4C1F2A9B03, 192.0.2.7)"
    class_, signature, rule = replies.classify("550", "5.1.1", text)
    assert (class_, signature, rule) == (
        "no_such_mailbox",
        "550 5.1.1 <address> User unknown (queue id <id> <ip>",
        "no_such_mailbox.user",
    )


@pytest.mark.parametrize(
    ("code", "enhanced", "name", "rule"),
    [
        ("550", "5.1.1", "no_such_mailbox", "code.mailbox"),
        ("552", None, "mailbox_full", "digits.full"),
        ("421", "4.4.2", "connection", "code.connection"),
        ("", "", "other", "digits.other"),
        (None, "5.2.2", "mailbox_full", "code.full"),
    ],
)
def test_codes_decide_where_no_word_does(code, enhanced, name, rule):
    assert replies.classify(code, enhanced, "") == (name, f"{code or ''} {enhanced or ''}".strip(), rule)


def test_the_text_outranks_the_codes():
    assert replies.classify("550", "5.1.1", "mailbox is full").name == "mailbox_full"
    assert replies.classify("554", "5.7.1", "user unknown").name == "no_such_mailbox"


def test_codes_of_the_text_count_where_none_are_given():
    assert replies.classify(None, None, "host mx.example.net[192.0.2.1] said: 552-5.2.2 zzz").rule == "code.full"


def test_replies_that_differ_in_names_and_numbers_have_one_signature():
    texts = [
        "451 4.7.1 <jane@example.net>: try again in 300 s, id 9F3A11C0D2, see https://mx.example.org/x?id=81237123",
        "451 4.7.1 <joe.bloggs+x@example.com>: try again in 37 s, id 1C22E0A7B9, see https://mx.example.org/y/zz?u=joe",
    ]
    assert {replies.classify(None, None, text).signature for text in texts} == {
        "451 4.7.1 <address> try again in <n> s, id <id> see https://mx.example.org/"
    }


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("jane@example.net", "<address>"),
        ('<"odd > user"@example.net>: no', "<<address>>: no"),
        ("Unknown local part jane in <jane@example.net>", "Unknown local part <id> in <address>"),
        ("user@example.net: User unknown", "<address>: User unknown"),
        ("<jane>: Recipient address rejected", "<id>: Recipient address rejected"),
        ("jane... User unknown", "<id>... User unknown"),
        ("see https://help.example.net/why?token=abc&to=jane for more", "see https://help.example.net/ for more"),
        ("queued as 4C1F2A9B03 in 12 s", "queued as <id> in 12 s"),
        ("listed: 192.0.2.1 (2001:db8::1)", "listed: 192.0.2.1 (2001:db8::1)"),
        ("邮箱jane@example.net不存在", "邮箱<address>不存在"),
    ],
)
def test_a_sample_shows_no_mailbox_and_no_token(text, masked):
    assert replies.mask(text) == masked


@pytest.mark.parametrize(
    ("text", "skeleton"),
    [
        ("from [192.0.2.1]:25 and 2001:db8::25", "from [<ip>]:<n> and <ip>"),
        ("on 2026-11-27 12:30:00", "on <date>"),
        ("Fri, 27 Nov 2026", "<date>"),
        ("mx17.example.net refused 12MB", "<host> refused <n>"),
        ("blocked using zen.spamhaus.org", "blocked using spamhaus.org"),
        ("part of their network is on our block list (S3150)", "part of their network is on our block list (S3150)"),
        ("STOREDRV.Deliver.Exception; full", "STOREDRV.Deliver.Exception; full"),
        ("a1-20020a05622a1a0100b003ab.12 - gsmtp", "<id> - gsmtp"),
    ],
)
def test_a_signature_keeps_what_says_why(text, skeleton):
    assert replies.classify(None, None, text).signature == skeleton


def test_an_operators_rule_comes_first():
    rule = replies.Rule("mine.1", "", "5xx", "mailbox/inbox ~ asleep", "inactive", "our own")
    classifier = replies.with_rules([rule])
    assert classifier.classify("550", None, "the inbox is fast asleep") == (
        "inactive",
        "550 the inbox is fast asleep",
        "mine.1",
    )
    assert classifier.classify("450", None, "the inbox is fast asleep").rule != "mine.1"
    assert classifier.classify(None, None, "550 No such user").rule == "no_such_mailbox.such"


def test_a_rule_of_a_provider_holds_for_its_replies_alone():
    classifier = replies.with_rules([replies.Rule("theirs", "Example", "", "code x7/QZ201806281", "blocked")])
    assert classifier.classify(None, None, "code (QZ201806281)", "example").name == "blocked"
    assert classifier.classify(None, None, "code x7 zzz", "example").name == "blocked"
    assert classifier.classify(None, None, "code x7 zzz", "other").name == "other"
    assert classifier.classify(None, None, "code x7 zzz").name == "other"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (replies.Rule("r", "", "", "a b", "unknown_class"), "rule r: there is no class unknown_class"),
        (replies.Rule("r", "", "55", "mailbox", "other"), "rule r: 55 is not a reply code or an enhanced code"),
        (replies.Rule("r", "", "", "NOWHERE full", "other"), "rule r: there is no word set NOWHERE"),
        (replies.Rule("r", "", "", "~ full", "other"), "rule r: “~” stands between two words: ~ full"),
        (replies.Rule("r", "", "", "full ~", "other"), "rule r: a phrase ends in a word: full ~"),
        (replies.Rule("r", "", "", "full |  | empty", "other"), "rule r: a phrase ends in a word: an empty one"),
        (replies.Rule("r", "", "", "the/full", "other"), "rule r: “the” is not a word that is searched for in replies"),
    ],
)
def test_it_rejects_a_rule_that_cannot_be_read(rule, message):
    with pytest.raises(replies.BadRule, match=f"^{re.escape(message)}$"):
        replies.with_rules([rule])


def test_the_table_names_its_rules_once_and_its_sources():
    rules = replies.built_in_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.source for rule in rules)
    assert replies.VERSION == 1


PIECES = """
550 5.1.1 user unknown mailbox full <jane@example.net> [192.0.2.1]: 2001:db8::1 id=9F3A11C0D2 https://example.net/a?b=1 Mon, 27
Nov 2026 12:30:00 a1b2-c3d4 <jane> "a b"@x 邮箱 mx1.example.net:25 1,000.5MB O'Brien 550-5.7.1 (#4.4.2) @ <> <n> < jane jane@x
"""
ANY_TEXT = st.text(max_size=400) | st.lists(st.sampled_from(PIECES.split()), max_size=60).map(" ".join)


@given(ANY_TEXT, st.sampled_from([None, "", "550", "4xx", "x"]), st.sampled_from([None, "", "5.1.1", "5.1", "..."]))
def test_any_text_has_a_class_and_a_bounded_signature(text, code, enhanced):
    classified = replies.classify(code, enhanced, text)
    assert classified.name in replies.CLASSES
    assert len(classified.signature) <= signatures.LONGEST_SIGNATURE


@given(ANY_TEXT)
def test_a_signature_has_no_mailbox_no_number_and_no_ip(text):
    signature = replies.classify(None, None, text).signature
    assert "@" not in signature
    assert not re.search(r"[0-9]{5}", signature)
    assert not re.search(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", signature)


CLASSIFIER = replies.with_rules([])
# Ids, host names, numbers and words with digits, without what may stand around them.
PIECES = st.from_regex(r"[abZ01-9]{1,14}([.-]{1,2}[abszZ019]{1,14}){0,3}", fullmatch=True)


@given(PIECES)
@example("a1b2c3d4e5f6-7a8b9c0d1e2fsi123456789b3a.12")
@example("1234567890.5s")
@example("a1-b2-c3-d4-e5")
@example("mx1234.example")
@example("8bitmime8bitmime")
def test_the_short_way_masks_an_id_as_the_general_one(piece):
    masker = signatures.Masker(CLASSIFIER._lexicon.names)
    assert masker._masked[piece] == masker._masked._judge(piece)


@given(ANY_TEXT)
@example("<address>" * 200)
@example("a@b,c " * 300)
@example("x@y" * 400)
def test_masking_twice_is_masking_once(text):
    once = replies.mask(text)
    assert replies.mask(once) == once
    assert len(once) <= signatures.LONGEST_REPLY


# No time is measured: what is counted is how often functions are called, and how regular expressions are built.
ADVERSARIES = [
    *(
        "a",
        "1",
        "a ",
        "1 ",
        "@",
        "a@",
        "a@b ",
        "<",
        ">",
        "<a",
        "<a>",
        '"',
        '"@',
        '"a"@',
        ".",
        "a.",
        "1.",
        "1.2.3.4 ",
        ":",
        "a:1:",
    ),
    *(
        "::",
        "http://",
        "http://a.",
        "-",
        "a1-",
        "a1 ",
        "=",
        "user ",
        "user unknown ",
        "mailbox not ",
        "mailbox full quota ",
        "550 ",
    ),
    *(
        "5.1.1 ",
        "550-5.1.1 ",
        "<n> ",
        "Mon, 1 Jan 2026 ",
        "d'",
        "aA",
        "é",
        "邮",
        "用户不存",
        "connection from ip blocked ",
        "\0",
        "\n",
    ),
    *("rate limit exceeded too many ", "jane@x jane ", "a@x a "),
]


def forget(classifier):
    """Empty everything that is remembered of earlier replies."""
    for memory in (
        classifier._by_text,
        classifier._by_skeleton,
        classifier._masker._masked,
        classifier._masker._shown,
        classifier._lexicon._known,
    ):
        memory.clear()


def calls_for(text):
    """Return how many functions are called to classify a text that nothing is remembered of."""
    forget(CLASSIFIER)
    number = 0

    def count(_frame, _event, _argument):
        nonlocal number
        number += 1

    sys.setprofile(count)
    try:
        CLASSIFIER.classify("550", "5.1.1", text)
        CLASSIFIER.mask(text)
    finally:
        sys.setprofile(None)
    return number


@pytest.mark.parametrize("unit", ADVERSARIES)
def test_twice_the_text_is_at_most_twice_the_work(unit):
    half = calls_for((unit * 500)[:500])
    assert calls_for((unit * 1000)[:1000]) <= 2 * half + 200


def test_what_is_longer_than_a_reply_is_cut():
    assert calls_for("a1 b@c " * 100_000) == calls_for(("a1 b@c " * 200)[:1000])


def expressions():
    for module in (patterns, signatures, replies, reply_prefixes):
        for name, value in vars(module).items():
            for at, each in enumerate(value.values() if isinstance(value, dict) else [value]):
                if isinstance(each, re.Pattern):
                    yield pytest.param(each.pattern, id=f"{module.__name__.rpartition('.')[2]}.{name}.{at}")


@pytest.mark.parametrize("pattern", list(expressions()))
def test_no_regular_expression_repeats_what_repeats(pattern):
    from re import _parser as parser

    def check(tree, *, repeated):
        for operation, argument in tree:
            unbounded = str(operation) in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] > signatures.LONGEST_SIGNATURE
            assert not (repeated and unbounded), "a repetition without a bound within another"
            for part in argument if isinstance(argument, (tuple, list)) else ():
                for inner in part if isinstance(part, list) else [part]:
                    if isinstance(inner, parser.SubPattern):
                        check(inner, repeated=repeated or unbounded)

    check(parser.parse(pattern), repeated=False)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(replies, "_REMEMBERED", 10)
    monkeypatch.setattr(signatures, "_PIECES_REMEMBERED", 20)
    monkeypatch.setattr(patterns, "_WORDS_REMEMBERED", 30)
    classifier = replies.with_rules([])
    words = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(100, 200)]
    for word in words:
        assert classifier.classify(None, None, f"550 user {word} unknown").name == "no_such_mailbox"
    assert len(classifier._by_text) <= 10
    assert len(classifier._by_skeleton) <= 10
    assert len(classifier._masker._masked) <= 20
    assert len(classifier._lexicon._known) <= 30


def test_what_is_remembered_is_bounded_in_characters(monkeypatch):
    """By number alone, made-up replies of a thousand characters stayed in memory as hundreds of megabytes."""
    monkeypatch.setattr(replies, "_CHARACTERS_REMEMBERED", 5_000)
    classifier = replies.Classifier(replies.built_in_rules(), replies.built_in_words())
    for number in range(50):
        classifier.classify("550", None, f"{chr(0x4E00 + number)} " * 450)
        classifier.classify("550", None, "ж" * 900 + chr(0x430 + number % 30))
    assert sum(len(key[2]) for memory in (classifier._by_text, classifier._by_skeleton) for key in memory) < 12_000
    remembered = (classifier._masker._masked, classifier._lexicon._known)
    assert max(len(text) for memory in remembered for text in memory) <= 100


@pytest.mark.parametrize(
    "said",
    [
        # Wrapped at other places: the codes at each line's beginning are not between the words.
        ["554 5.7.1 Campaign cancelled", "554-5.7.1 Campaign\n554 5.7.1 cancelled"],
        ["550 5.2.2 " + "see our pages " * 30 + end for end in ("mailbox full", "greylisted")],
    ],
)
def test_replies_of_one_signature_have_one_class(said):
    """By its signature's first reply, a rebuild classifies all of them."""
    assert len({replies.classify(None, None, each)[:2] for each in said}) == 1
