"""What a zone holds is its owner's choice: no check takes more than its seconds of work and its megabytes."""

import struct
import time
import tracemalloc

import pytest
from dnslib import DNSRecord

from dnschecks import spf, spf_record
from dnschecks.bounded_server import LONGEST_MESSAGE, MOST_BY_TCP
from dnschecks.resolver import MOST_SHOWN, MOST_WORK, Outcome, Resolver
from dnschecks.spf_macros import LONGEST_NAME, domain_spec
from tests.dns_server import LocalDNS, name_of, text_record
from tests.slowness import on_this_machine

pytestmark = pytest.mark.server

DEEP = "a." * 115 + "example.com"
ROW = struct.pack("!HHHIH", 0xC00C, 15, 1, 60, 4)


def mail_hosts(question: bytes, size: int) -> bytes:
    """Return an answer of nearly so many bytes: MX records, whose hosts are the name that was asked for."""
    end = question.index(b"\x00", 12) + 5
    number = (size - end) // 16
    rows = b"".join(ROW + struct.pack("!HH", each, 0xC00C) for each in range(number))
    return question[:2] + b"\x84\x00" + struct.pack("!HHHH", 1, number, 0, 0) + question[12:end] + rows


class LargeAnswers(LocalDNS):
    """A server whose answers by TCP have so many bytes; by UDP it says that they are there."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()
        self.tcp_only = True

    def reply(self, message: bytes, transport: str) -> bytes | None:
        told = super().reply(message, transport)
        return mail_hosts(message, self.size) if transport == "tcp" and DNSRecord.parse(message).q.qtype == 15 else told


def publish(dns: LocalDNS, name: str, text: str) -> None:
    dns.put([text_record(name_of(name), [text[at : at + 255].encode() for at in range(0, len(text), 255)])])


def test_an_answer_that_is_too_long_is_not_read() -> None:
    with LargeAnswers(65_535) as dns:
        resolver = Resolver([dns.address])
        began = time.thread_time()
        answer = resolver.ask("example.com", "MX")

    assert answer.outcome is Outcome.SERVER_FAILURE
    assert "and at most 16,384 are read" in answer.detail
    # To read it takes seconds.
    assert time.thread_time() - began < on_this_machine(0.5)


def test_all_answers_of_a_check_are_bounded() -> None:
    with LargeAnswers(LONGEST_MESSAGE) as dns:
        resolver = Resolver([dns.address])
        tracemalloc.start()
        answers = [resolver.ask(f"n{number}.example.com", "MX") for number in range(12)]
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    found = [each for each in answers if each.outcome is Outcome.FOUND]
    assert 0 < len(found) <= MOST_BY_TCP / LONGEST_MESSAGE + 1
    assert answers[-1].is_failure
    assert kept < 16 * 1024 * 1024
    # A page shows the first of them, and how many there are.
    assert found[0].raw.splitlines()[-1] == f"; {len(found[0].records) - MOST_SHOWN:,} more"
    assert len(found[0].raw.splitlines()) == MOST_SHOWN + 1


def test_a_check_takes_so_much_work_and_no_more() -> None:
    resolver = Resolver([])
    assert resolver.remaining() > 1
    resolver.work_until = time.thread_time() + 0.05
    while resolver.remaining():
        sum(range(10_000))

    assert resolver.limit_reached() == f"the check's limit of {MOST_WORK:g} seconds of work was reached"
    assert resolver.ask("example.com", "A").outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("term", ["exists:{}example.com", "include:{}example.com", "a:{}example.com"])
def test_a_record_of_thousands_of_macros_is_no_work(dns: LocalDNS, term: str) -> None:
    publish(dns, DEEP, "v=spf1 " + " ".join([term.format("%{d}." * 600)] * 4) + " -all")
    resolver = Resolver([dns.address])

    verdict = spf.evaluate("192.0.2.1", sender=DEEP, resolver=resolver)

    # Each term asks for a name that does not exist.
    assert verdict.result in (spf.Result.PERMERROR, spf.Result.FAIL)
    assert time.thread_time() < resolver.work_until - MOST_WORK + on_this_machine(0.5)


@pytest.mark.parametrize("value", ["a." * 200 + "com", "x" * 300, f"{'a' * 250}.com", f"com.{'a' * 253}", ""])
def test_a_long_name_loses_labels_from_the_left(value: str) -> None:
    expected = f"{value}.{value}.example.com"
    while len(expected) > LONGEST_NAME and "." in expected:
        expected = expected.split(".", 1)[1]

    assert domain_spec("%{d}.%{d}.example.com").expand_to_name(lambda _: value) == expected


def test_a_macro_that_asks_for_names_asks_once(dns: LocalDNS) -> None:
    dns.load("1.2.0.192.in-addr.arpa. 60 IN PTR host.example.com.\n")
    dns.load("\n".join(f"host.example.com. 60 IN A 192.0.2.{last}" for last in range(60)))
    publish(dns, "example.com", f"v=spf1 exists:{'%{p}.' * 2_000}example.com -all")
    resolver = Resolver([dns.address])

    verdict = spf.evaluate("192.0.2.1", sender="example.com", resolver=resolver)

    assert verdict.result is spf.Result.FAIL
    assert time.thread_time() < resolver.work_until - MOST_WORK + on_this_machine(0.5)


def test_an_evaluation_ends_when_the_work_is_done(dns: LocalDNS) -> None:
    publish(dns, "example.com", "v=spf1 " + "ip4:198.51.100.1 " * 500 + "-all")
    resolver = Resolver([dns.address])
    resolver.ask("example.com", "TXT")
    resolver.work_until = time.thread_time()

    verdict = spf.evaluate("192.0.2.1", sender="example.com", resolver=resolver)

    assert (verdict.result, verdict.reason) == (spf.Result.TEMPERROR, resolver.limit_reached())


def test_long_records_are_not_remembered() -> None:
    before = spf_record._remembered.cache_info().currsize
    for number in range(3):
        spf_record.parse(f"v=spf1 include:n{number}.example.com " + "a " * 4_000)

    assert spf_record._remembered.cache_info().currsize == before
