"""Log-ins in Dovecot's protocol, by digests."""

import asyncio
import base64
import datetime
import hashlib
import ipaddress
import json
import pathlib
import time
from random import Random
from typing import Any

import pytest
from agent_credentials import Ends, Logins
from agent_logins import PasswordDelay, Server

from tests.slowness import on_this_machine

PASSWORD = "correct horse battery staple"
DIGEST = hashlib.sha256(PASSWORD.encode()).hexdigest()
NOW = 1_795_800_000.0


def logins(**overlay: Any) -> Logins:
    return Logins({"credentials": [{"id": 1, "server": "acme/mail", "sha256": DIGEST, "expires_at": None}], **overlay})


@pytest.mark.parametrize(
    ("user", "password", "overlay", "expected"),
    [
        ("acme/mail", PASSWORD, {}, True),
        ("acme/mail", "wrong", {}, False),
        ("acme/mail", "", {}, False),
        ("acme/other", PASSWORD, {}, False),
        ("", PASSWORD, {}, False),
        ("acme/mail", PASSWORD, {"suspended": [{"server": "acme/mail", "until": None}]}, False),
        ("acme/mail", PASSWORD, {"suspended": [{"server": "acme/mail", "until": "2999-01-01T00:00:00Z"}]}, False),
        ("acme/mail", PASSWORD, {"suspended": [{"server": "acme/mail", "until": "2020-01-01T00:00:00Z"}]}, True),
        ("acme/mail", PASSWORD, {"suspended": [{"server": "acme/other", "until": None}]}, True),
        ("acme/mail", PASSWORD, {"credentials": []}, False),
        (
            "acme/mail",
            PASSWORD,
            {"credentials": [{"server": "acme/mail", "sha256": DIGEST, "expires_at": "2020-01-01T00:00:00Z"}]},
            False,
        ),
    ],
)
def test_who_may_log_in(user: str, password: str, overlay: dict[str, Any], expected: bool) -> None:
    assert logins(**overlay).accepts(user, password.encode(), NOW) is expected


def test_the_narrowest_network_wins_then_the_older_credential() -> None:
    found = logins(
        networks=[
            {"id": 3, "server": "a/wide", "network": "192.0.2.0/24", "expires_at": None},
            {"id": 2, "server": "b/narrow", "network": "192.0.2.128/25", "expires_at": None},
            {"id": 1, "server": "c/older", "network": "192.0.2.0/24", "expires_at": None},
            {"id": 4, "server": "d/six", "network": "2001:db8::/32", "expires_at": "2020-01-01T00:00:00Z"},
        ]
    )

    assert [found.of_client(ip, NOW) for ip in ("192.0.2.200", "192.0.2.1", "198.51.100.1", "2001:db8::1", "x")] == [
        "b/narrow",
        "c/older",
        None,
        None,
        None,
    ]


def test_it_finds_what_a_search_of_all_networks_finds() -> None:
    chance = Random(7)
    networks = []
    for number in range(400):
        size, bits = chance.choice([(32, chance.randint(0, 32)), (128, chance.randint(0, 128))])
        few = chance.choice([0, 1, 2**31, 2**100, 2**127 + 2**20]) % 2**size
        network = ipaddress.ip_network(((few >> (size - bits)) << (size - bits), bits))
        if size == 128 and network.version == 4:
            network = ipaddress.IPv6Network((int(network.network_address), bits))
        end = chance.choice([None, None, "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
        networks.append({"id": number, "server": f"s/{number}", "network": str(network), "expires_at": end})
    found = logins(networks=networks)
    kept = [
        (ipaddress.ip_network(each["network"]), each["id"], each["server"])
        for each in networks
        if each["expires_at"] is None or each["expires_at"] > "2027"
    ]
    kept.sort(key=lambda each: (-each[0].prefixlen, each[1]))
    for text in ("0.0.0.0", "0.0.0.1", "128.0.0.0", "128.0.0.1", "::", "::1", "0:0:10::", "8000::10:0", "8000::1"):
        client = ipaddress.ip_address(text)
        assert found.of_client(text, NOW) == next((server for net, _, server in kept if client in net), None)

    first: dict[str, str] = {}
    for network, _, server in kept:
        first.setdefault(str(network), server)
    holding = found.networks(NOW)
    assert dict(holding) == first
    lengths = [int(network.partition("/")[2]) for network, _ in holding]
    assert lengths == sorted(lengths, reverse=True)


def test_whoever_connects_is_looked_for_without_a_search_of_all_networks() -> None:
    """Of one organization there may be a hundred thousand, and the other tenants' clients wait meanwhile."""
    networks = [
        {"id": n, "server": "a/b", "network": f"10.{n >> 8 & 255}.{n & 255}.{(n >> 16) * 4}/30"} for n in range(100_000)
    ]
    found = logins(networks=networks)
    # The thread's own time, a thousandth of the bound; a search of all takes a hundred times the bound.
    began = time.thread_time()
    for _ in range(1_000):
        assert found.of_client("192.0.2.1", NOW) is None

    assert time.thread_time() - began < on_this_machine(2)


def test_each_end_of_a_network_is_told_once() -> None:
    def at(second: int) -> str:
        return f"2026-07-27T10:00:{second:02}Z"

    start = datetime.datetime.fromisoformat(at(0)).timestamp()
    overlay = {"networks": [{"expires_at": each} for each in (at(20), None, at(10), at(30), at(1))]}
    ends = Ends()

    told = [ends.passed(overlay, start + second) for second in (5, 9, 10, 11, 31, 40)]
    assert told == [False, False, True, False, True, False]
    # Another overlay, of which nothing ends later.
    assert not ends.passed({"networks": overlay["networks"]}, start + 41)


def test_networks_that_ended_hold_again_when_the_clock_is_set_back() -> None:
    def at(second: int) -> str:
        return f"2026-11-22T12:00:{second:02}Z"

    start = datetime.datetime.fromisoformat(at(0)).timestamp()
    overlay = {"networks": [{"expires_at": at(20)}]}
    ends = Ends()
    year = 365 * 86_400
    told = [ends.passed(overlay, start + second) for second in (5, year, 6, 7, 3, 19, 20)]
    assert told == [False, True, True, False, False, False, True]


def test_wrong_passwords_are_slowed_up_to_what_postfix_waits_for() -> None:
    brake = PasswordDelay()
    waits = []
    for _ in range(40):
        brake.wrong("192.0.2.1", 100.0)
        waits.append(brake.seconds("192.0.2.1", 100.0))

    assert waits[:5] == [1, 2, 4, 8, 8]
    assert max(waits) == 8
    assert brake.seconds("192.0.2.2", 100.0) == 0
    assert brake.seconds("192.0.2.1", 500.0) == 0
    brake.right("192.0.2.1")
    assert brake.seconds("192.0.2.1", 100.0) == 0


def test_who_has_an_ipv6_address_has_its_network() -> None:
    brake = PasswordDelay()
    for client in ("2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1", "odd:address", ""):
        brake.wrong(client, 100.0)

    seconds = {client: brake.seconds(client, 100.0) for client in ("2001:db8:0:0:3::", "2001:db8:0:1::", "192.0.2.1")}
    assert seconds == {"2001:db8:0:0:3::": 2, "2001:db8:0:1::": 0, "192.0.2.1": 1}
    assert brake.seconds("::ffff:192.0.2.2", 100.0) == 0
    brake.right("2001:db8::9")
    assert brake.seconds("2001:db8::1", 100.0) == 0


def test_wrong_passwords_of_many_clients_cost_no_more_each() -> None:
    """Anybody can try: all log-ins wait for the one process that counts."""
    brake = PasswordDelay()
    began = time.thread_time()
    for number in range(30_000):
        brake.wrong(f"2001:db8:{number >> 8:x}:{number & 255:x}::1", 100.0 + number / 1000)

    assert time.thread_time() - began < on_this_machine(5)
    # The latest is remembered.
    assert brake.seconds(f"2001:db8:{29_999 >> 8:x}:{29_999 & 255:x}::2", 130.0) == 1
    assert len(brake._wrong) <= 10_000


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LOOPBACK, ELSEWHERE = "service=smtp\tnologin\trip=127.0.0.1", "service=smtp\tnologin\trip=198.51.100.7"
PLAIN = f"resp={encoded(chr(0) + 'acme/mail' + chr(0) + PASSWORD)}"
WRONG = f"resp={encoded(chr(0) + 'acme/mail' + chr(0) + 'wrong')}"


@pytest.mark.server
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([f"AUTH\t1\tPLAIN\t{LOOPBACK}\t{PLAIN}"], ["OK\t1\tuser=acme/mail"]),
        ([f"AUTH\t1\tPLAIN\t{ELSEWHERE}\tsecured\t{PLAIN}"], ["OK\t1\tuser=acme/mail"]),
        ([f"AUTH\t1\tPLAIN\t{ELSEWHERE}\t{PLAIN}"], ["FAIL\t1"]),
        ([f"AUTH\t7\tPLAIN\t{LOOPBACK}\t{WRONG}"], ["FAIL\t7"]),
        ([f"AUTH\t1\tPLAIN\t{LOOPBACK}\tresp=!!!"], ["FAIL\t1"]),
        (
            [f"AUTH\t1\tPLAIN\t{LOOPBACK}", f"CONT\t1\t{PLAIN[5:]}"],
            ["CONT\t1\t", "OK\t1\tuser=acme/mail"],
        ),
        (
            [f"AUTH\t1\tLOGIN\t{LOOPBACK}", f"CONT\t1\t{encoded('acme/mail')}", f"CONT\t1\t{encoded(PASSWORD)}"],
            [f"CONT\t1\t{encoded('Username:')}", f"CONT\t1\t{encoded('Password:')}", "OK\t1\tuser=acme/mail"],
        ),
        ([f"AUTH\t1\tPLAIN\t{LOOPBACK}\tresp={encoded(chr(0) + 'a' + chr(9) + 'b' + chr(0) + 'x')}"], ["FAIL\t1"]),
        (["CONT\t9\tabc", f"AUTH\t1\tPLAIN\t{LOOPBACK}\t{PLAIN}"], ["OK\t1\tuser=acme/mail"]),
    ],
)
def test_it_speaks_dovecots_protocol(said: list[str], expected: list[str], tmp_path: pathlib.Path) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"credentials": [{"server": "acme/mail", "sha256": DIGEST, "expires_at": None}]}))
    server = Server(str(overlay), str(tmp_path / "logins.json"))

    async def talk() -> list[str]:
        path = str(tmp_path / "socket")
        listening = await asyncio.start_unix_server(server.connected, path)
        reader, writer = await asyncio.open_unix_connection(path)
        greeting = [await reader.readline() for _ in range(7)]
        assert greeting[:3] == [b"VERSION\t1\t2\n", b"MECH\tPLAIN\tplaintext\n", b"MECH\tLOGIN\tplaintext\n"]
        assert greeting[-1] == b"DONE\n"
        writer.write(b"VERSION\t1\t1\nCPID\t42\n")
        found = []
        for line in said:
            writer.write(line.encode() + b"\n")
            if not line.startswith("CONT\t9"):
                found.append((await asyncio.wait_for(reader.readline(), 5)).decode().rstrip("\n"))
        writer.close()
        listening.close()
        return found

    assert asyncio.run(talk()) == expected
    server.write_counts()
    is_accepted = expected[-1].startswith("OK")
    assert json.loads((tmp_path / "logins.json").read_text()) == {"accepted": is_accepted, "refused": not is_accepted}


def test_credentials_taken_away_are_seen_at_once(tmp_path: pathlib.Path) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"credentials": [{"server": "acme/mail", "sha256": DIGEST, "expires_at": None}]}))
    server = Server(str(overlay), str(tmp_path / "logins.json"))
    assert server.logins().accepts("acme/mail", PASSWORD.encode(), time.time())

    beside = tmp_path / "new"
    beside.write_text(json.dumps({"credentials": []}))
    beside.rename(overlay)
    assert not server.logins().accepts("acme/mail", PASSWORD.encode(), time.time())
