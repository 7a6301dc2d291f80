"""What came of a question: against a real DNS server that behaves well, badly, or not at all."""

import socket
from typing import Any

import pytest

from dnschecks.name_servers import BadServer, server_of
from dnschecks.resolver import Answer, Outcome, Resolver
from tests.clock import Clock
from tests.dns_server import GARBLED, REFUSED, SERVFAIL, SILENT, TRUNCATED, LocalDNS

pytestmark = pytest.mark.server

ZONE = """
example.com. 60 IN A 192.0.2.1
example.com. 60 IN A 192.0.2.2
example.com. 60 IN MX 20 Backup.Example.COM.
example.com. 60 IN MX 10 mx.example.com.
example.com. 60 IN TXT "v=spf1 " "-all"
example.com. 60 IN TXT "second"
www.example.com. 60 IN CNAME Host.Example.COM.
host.example.com. 60 IN A 192.0.2.7
away.example.com. 60 IN CNAME host.example.org.
host.example.org. 60 IN A 192.0.2.8
nowhere.example.com. 60 IN CNAME gone.example.org.
loop-a.example.com. 60 IN CNAME loop-b.example.com.
loop-b.example.com. 60 IN CNAME loop-a.example.com.
self.example.com. 60 IN CNAME self.example.com.
a.deep.example.com. 60 IN A 192.0.2.9
*.wild.example.com. 60 IN A 192.0.2.10
null.example.com. 60 IN MX 0 .
1.2.0.192.in-addr.arpa. 60 IN PTR Mail.Example.COM.
xn--bcher-kva.example. 60 IN A 192.0.2.11
"""


def long_zone(records: int) -> str:
    return "\n".join(f'long.example.com. 60 IN TXT "{number:03d} {"x" * 200}"' for number in range(records))


def ask(name: str, rdtype: str, **kwargs) -> Answer:
    return Resolver(**kwargs).ask(name, rdtype)


def test_it_works(dns: LocalDNS) -> None:
    dns.load(ZONE)
    answer = ask("example.com", "A")

    assert answer.outcome == Outcome.FOUND
    assert not answer.is_failure
    assert sorted(answer.addresses) == ["192.0.2.1", "192.0.2.2"]
    assert sorted(answer.raw.splitlines()) == ["example.com. 60 IN A 192.0.2.1", "example.com. 60 IN A 192.0.2.2"]
    assert answer.describe() == answer.raw


def test_it_reads_each_type_in_its_own_words(dns: LocalDNS) -> None:
    dns.load(ZONE)

    assert ask("example.com", "MX").exchanges == [(10, "mx.example.com"), (20, "backup.example.com")]
    assert ask("null.example.com", "MX").exchanges == [(0, "")]
    assert ask("1.2.0.192.in-addr.arpa", "PTR").targets == ["mail.example.com"]
    assert ask("www.example.com", "CNAME").targets == ["host.example.com"]
    # The strings of one record are joined without a blank; records stay apart.
    assert sorted(ask("example.com", "TXT").texts) == ["second", "v=spf1 -all"]


@pytest.mark.parametrize("name", ["example.com", "example.com.", "EXAMPLE.com", "Example.Com."])
def test_it_does_not_care_how_a_name_is_written(dns: LocalDNS, name: str) -> None:
    dns.load(ZONE)
    assert sorted(ask(name, "A").addresses) == ["192.0.2.1", "192.0.2.2"]


def test_it_asks_for_internationalised_names_by_their_a_labels(dns: LocalDNS) -> None:
    dns.load(ZONE)
    assert ask("xn--bcher-kva.example", "A").addresses == ["192.0.2.11"]


@pytest.mark.parametrize(
    ("name", "rdtype", "outcome"),
    [
        ("missing.example.com", "A", Outcome.NO_NAME),
        ("example.com", "AAAA", Outcome.NO_DATA),
        # Nothing at the name itself, but something below it: the name exists (RFC 8020).
        ("deep.example.com", "A", Outcome.NO_DATA),
        ("nowhere.example.com", "A", Outcome.NO_NAME),
        ("www.example.com", "AAAA", Outcome.NO_DATA),
        ("any.wild.example.com", "A", Outcome.FOUND),
        ("loop-a.example.com", "A", Outcome.CNAME_LOOP),
        ("self.example.com", "A", Outcome.CNAME_LOOP),
    ],
)
@pytest.mark.parametrize("follows_cnames", [True, False])
def test_it_tells_facts_apart(settings, name: str, rdtype: str, outcome: Outcome, follows_cnames: bool) -> None:
    with LocalDNS(ZONE, follows_cnames=follows_cnames) as dns:
        answer = ask(name, rdtype, servers=[dns.address])

    assert answer.outcome == outcome
    assert not answer.is_failure


@pytest.mark.parametrize("follows_cnames", [True, False])
def test_it_follows_cnames_whoever_does_the_work(follows_cnames: bool) -> None:
    with LocalDNS(ZONE, follows_cnames=follows_cnames) as dns:
        answer = ask("away.example.com", "A", servers=[dns.address])

    assert answer.addresses == ["192.0.2.8"]
    assert answer.raw == ("away.example.com. 60 IN CNAME host.example.org.\nhost.example.org. 60 IN A 192.0.2.8")


def test_it_believes_a_recursive_server_that_a_cname_leads_to_nothing() -> None:
    with LocalDNS(ZONE, recursion_available=True) as dns:
        assert ask("www.example.com", "AAAA", servers=[dns.address]).outcome == Outcome.NO_DATA
        assert dns.questions() == {("www.example.com", "AAAA"): 1}


def test_it_gives_up_a_chain_of_cnames_that_never_ends(dns: LocalDNS) -> None:
    dns.follows_cnames = False
    dns.load("\n".join(f"c{n}.example.com. 60 IN CNAME c{n + 1}.example.com." for n in range(30)))
    assert ask("c0.example.com", "A").outcome == Outcome.CNAME_LOOP
    assert len(dns.questions()) == 11


@pytest.mark.parametrize(
    "name",
    ["a" * 64 + ".example.com", "a..example.com", ".example.com", ".".join(["abcdefghi"] * 26), "ü" * 40 + ".com"],
)
def test_a_name_that_dns_cannot_carry_does_not_exist(dns: LocalDNS, name: str) -> None:
    answer = ask(name, "A")

    assert (answer.outcome, answer.is_failure) == (Outcome.NO_NAME, False)
    assert answer.describe() == f"({name} A: no such name, not a name that DNS can carry)"
    assert dns.questions() == {}


def test_it_asks_again_over_tcp_when_the_answer_is_truncated(dns: LocalDNS) -> None:
    dns.load(long_zone(40))
    answer = ask("long.example.com", "TXT")

    assert len(answer.texts) == 40
    assert dict(dns.asked) == {("long.example.com", "TXT", "udp"): 1, ("long.example.com", "TXT", "tcp"): 1}


def test_an_answer_that_fits_a_packet_needs_no_tcp(dns: LocalDNS) -> None:
    # More than the 512 bytes of plain DNS, fewer than the 1,232 that we say we take.
    dns.load(long_zone(4))
    assert len(ask("long.example.com", "TXT").texts) == 4
    assert dict(dns.asked) == {("long.example.com", "TXT", "udp"): 1}


def test_truncation_by_principle_is_no_failure(dns: LocalDNS) -> None:
    dns.load(ZONE)
    dns.fault("example.com", TRUNCATED)
    assert sorted(ask("example.com", "A").addresses) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("kind", "outcome", "detail"),
    [
        (SERVFAIL, Outcome.SERVER_FAILURE, "SERVFAIL from 127.0.0.1 port"),
        (REFUSED, Outcome.SERVER_FAILURE, "REFUSED from 127.0.0.1 port"),
        (SILENT, Outcome.TIMEOUT, "no answer in time"),
        (GARBLED, Outcome.TIMEOUT, "no answer in time"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_what_a_broken_server_does_is_a_failure(dns: LocalDNS, kind: str, outcome: Outcome, detail: str) -> None:
    dns.load(ZONE)
    dns.fault("example.com", kind)
    answer = ask("example.com", "A")

    assert (answer.outcome, answer.is_failure) == (outcome, True)
    assert answer.detail.startswith(detail)
    assert (answer.records, answer.raw) == ((), "")
    assert answer.describe().startswith(f"(example.com A: {outcome}, {detail}")


def test_a_server_that_is_not_there_is_a_failure() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = ask("example.com", "A", servers=[f"127.0.0.1:{port}"], question_timeout=0.4)
    assert answer.is_failure


def test_the_second_server_answers_where_the_first_fails(dns: LocalDNS) -> None:
    dns.load(ZONE)
    with LocalDNS() as broken:
        broken.fault("example.com", SERVFAIL)
        answer = ask("example.com", "A", servers=[broken.address, dns.address])

    assert answer.outcome == Outcome.FOUND
    assert broken.questions() == {("example.com", "A"): 1}


def test_one_check_asks_each_question_once(dns: LocalDNS) -> None:
    dns.load(ZONE)
    resolver = Resolver()
    for name in ("example.com", "EXAMPLE.com."):
        resolver.ask(name, "A")
        resolver.ask(name, "MX")
    resolver.ask("missing.example.com", "A")
    resolver.ask("missing.example.com", "A")

    assert dns.questions() == {("example.com", "A"): 1, ("example.com", "MX"): 1, ("missing.example.com", "A"): 1}


def test_the_time_limit_holds_for_all_questions_together(dns: LocalDNS, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        dns.fault(f"s{number}.example.com", SILENT)
    clock, waited = Clock(), []
    monkeypatch.setattr("dnschecks.resolver.time", clock)
    resolver = Resolver(time_limit=0.6, question_timeout=0.4)
    resolve = resolver._stub.resolve

    def resolved(*given: Any, lifetime: float, **more: Any) -> Any:
        waited.append(lifetime)
        clock.sleep(lifetime)
        return resolve(*given, lifetime=lifetime, **more)

    monkeypatch.setattr(resolver._stub, "resolve", resolved)
    answers = [resolver.ask(f"s{number}.example.com", "A") for number in range(10)]

    # The third is not asked.
    assert waited == pytest.approx([0.4, 0.2])
    assert {each.outcome for each in answers} == {Outcome.TIMEOUT}
    assert answers[-1].detail == "the check's time limit of 0.6 seconds was reached"
    assert resolver.remaining() == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        (" 192.0.2.53:5353 ", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:DB8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_servers_are_named_by_address_and_port(text: str, expected: tuple[str, int]) -> None:
    assert server_of(text) == expected


@pytest.mark.parametrize(
    "text", ["", "ns.example.com", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:x", "1.2.3", "[ns]:53"]
)
def test_it_rejects_what_names_no_server(text: str) -> None:
    with pytest.raises(BadServer):
        server_of(text)
