"""Classifying receivers' replies: a million replies of few kinds, and the worst reply of a thousand characters."""

import random
import statistics
import time
from collections.abc import Iterator

from stats.intake import replies
from tests.benchmarks.ratios import Ratio
from tests.stats.intake.test_replies import ADVERSARIES

REPLIES = 1_000_000
SIGNATURES = 500
WORDS = "mailbox full quota user unknown rejected policy blocked list rate limited later spam content relay denied"
ROUNDS = 9


def measure() -> Iterator[Ratio]:
    """Yield seconds of a core."""
    texts = _texts()
    classifier = replies.with_rules(())
    began = time.process_time()
    for text in texts:
        classifier.classify(None, None, text)
    seconds = time.process_time() - began
    signatures = len({classifier.classify(None, None, text).signature for text in texts})
    yield Ratio(f"a million replies of {signatures:,} signatures: seconds of a core", seconds, 5, is_at_most=True)
    yield Ratio(
        "the worst reply of 1,000 characters: milliseconds of a core",
        max(map(_slowest, ADVERSARIES)),
        1,
        is_at_most=True,
    )


def _texts() -> list[str]:
    """Return replies of so many kinds; each names another mailbox, and many the client's address or an id."""
    chance, words = random.Random(14), WORDS.split()
    kinds = [" ".join(chance.choices(words, k=9)) for _ in range(SIGNATURES)]
    ends = ["", "", " (192.0.2.{ip})", " {id:012x}-{id:012x}si{n}b3a.{ip} - gsmtp"]
    texts = []
    for _ in range(REPLIES):
        kind = chance.randrange(SIGNATURES)
        n, ip, id_ = chance.randrange(10**6), chance.randrange(256), chance.randrange(16**12)
        text = f"550 5.7.1 <user{n}@example{n % 999}.com>: {kinds[kind]}{ends[kind % len(ends)]}"
        texts.append(text.format(ip=ip, id=id_, n=n))
    return texts


def _slowest(unit: str) -> float:
    """Return the milliseconds of a reply that repeats a unit, with a memory that does not have it."""
    taken = []
    for number in range(ROUNDS):
        classifier, text = _FRESH, f"{number} {unit * 1000}"[:1000]
        began = time.process_time()
        classifier.classify("550", "5.7.1", text)
        taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)


_FRESH = replies.with_rules(())
