"""Suppression lists at a node: kept by difference, looked up by digest, and asked by Postfix (milter) and Haraka (JSON)."""

import asyncio
import contextlib
import hmac
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from agent_credentials import Logins
from agent_milter import Milter, Questions, Stopped
from agent_sockets import listen
from agent_spool import Spool
from agent_suppressions import Suppressions, normalized

from suppressions import addresses
from tests.agent.conftest import AGENT

KEY = bytes(range(32))
NOW = 1_800_000_000.0
GONE, WELL = "gone@one.example", "well@one.example"


@pytest.fixture
def lists(tmp_path: pathlib.Path) -> Iterator[Suppressions]:
    with contextlib.closing(Suppressions(str(tmp_path / "suppressions.db"))) as opened:
        yield opened


def digest(address: str) -> str:
    return hmac.new(KEY, address.encode(), "sha256").hexdigest()


def part(*entries: Any, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "organization": "o1", "key": KEY.hex(), "at_submission": "refuse", "number": number, "is_restart": False,
        "is_complete": True, "entries": list(entries), **more,
    }  # fmt: skip


def answer(*parts: dict[str, Any], servers: Any = None) -> dict[str, Any]:
    named = {"acme/mail": {"server": "u1", "organization": "o1"}, "acme/news": {"server": "u2", "organization": "o1"}}
    return {"servers_digest": "d1", "servers": servers or named, "lists": list(parts), "is_complete": True}


def entry(address: str, server: str | None = "u1", expires: float | None = None, *, removed: bool = False) -> list[Any]:
    return [digest(address), server, expires, removed]


def found(lists: Suppressions, *asked: tuple[str, str]) -> list[str | None]:
    return [lists.find(server, address, NOW) for server, address in asked]


def test_it_works(lists: Suppressions) -> None:
    lists.take(answer(part(entry(GONE), entry("all@one.example", None), number=2)), NOW)
    assert found(
        lists,
        ("acme/mail", GONE.upper()),
        ("acme/news", GONE),
        ("acme/mail", "all@one.example"),
        ("acme/news", "all@one.example"),
        ("acme/mail", WELL),
        ("globex/mail", GONE),
        ("acme/mail", ""),
    ) == ["refuse", None, "refuse", "refuse", None, None, None]
    assert lists.have(NOW) == {"servers_digest": "d1", "have": {"o1": {"number": 2, "whole": True, "compare": True}}}


def test_a_difference_adds_and_removes(lists: Suppressions) -> None:
    lists.take(answer(part(entry(GONE), entry(WELL), number=2)), NOW)
    lists.take(answer(part(entry(WELL, removed=True), entry("new@one.example"), number=4)), NOW)
    asked = [("acme/mail", each) for each in (GONE, WELL, "new@one.example")]
    assert found(lists, *asked) == ["refuse", None, "refuse"]
    lists.take(answer(part(number=5, at_submission="drop")), NOW)
    assert found(lists, *asked) == ["drop", None, "drop"]


def test_an_entry_ends_by_itself(lists: Suppressions) -> None:
    lists.take(answer(part(entry(GONE, expires=NOW + 10), entry(WELL, expires=NOW))), NOW)
    assert found(lists, ("acme/mail", GONE), ("acme/mail", WELL)) == ["refuse", None]
    assert lists.find("acme/mail", GONE, NOW + 10) is None
    lists.take(answer(), NOW + 4_000)
    lists.take(answer(part(entry(GONE), number=2)), NOW + 4_000)
    assert found(lists, ("acme/mail", GONE)) == ["refuse"]


def test_what_is_there_holds_until_a_new_list_is_complete(lists: Suppressions) -> None:
    lists.take(answer(part(entry(GONE), entry(WELL), number=9)), NOW)
    asked = [("acme/mail", each) for each in (GONE, WELL, "new@one.example")]
    lists.take(answer(part(entry(WELL), number=1, is_restart=True, is_complete=False)), NOW)
    assert lists.have(NOW)["have"] == {"o1": {"number": 1, "whole": False}}
    assert found(lists, *asked) == ["refuse", "refuse", None]
    lists.take(answer(part(entry("new@one.example"), number=2)), NOW)
    assert lists.have(NOW)["have"] == {"o1": {"number": 2, "whole": True, "compare": True}}
    assert found(lists, *asked) == [None, "refuse", "refuse"]


def test_lists_of_those_whose_mail_leaves_elsewhere_go(lists: Suppressions, tmp_path: pathlib.Path) -> None:
    lists.take(answer(part(entry(GONE))), NOW)
    lists.take(answer(servers={"globex/mail": {"server": "u9", "organization": "o9"}}), NOW)
    assert found(lists, ("acme/mail", GONE)) == [None]
    assert lists.have(NOW)["have"] == {}
    with contextlib.closing(sqlite3.connect(tmp_path / "suppressions.db")) as db:
        assert db.execute("select count(*) from entry").fetchone() == (0,)


def test_an_answer_that_cannot_be_read_changes_nothing(lists: Suppressions) -> None:
    lists.take(answer(part(entry(GONE))), NOW)
    with pytest.raises(ValueError, match="hexadecimal"):
        lists.take(answer(part(entry(WELL), ["not hexadecimal", None, None, False], number=2)), NOW)
    assert found(lists, ("acme/mail", GONE), ("acme/mail", WELL)) == ["refuse", None]
    assert lists.have(NOW)["have"] == {"o1": {"number": 1, "whole": True, "compare": True}}


@pytest.mark.parametrize(
    "address",
    [
        "bob@gmail.com",
        "Bob.Ross+x@GMAIL.com.",
        "JOSE\u0301@example.com",
        "bob@B\u00fccher.example",
        "\u00c4@\u65e5\u672c.jp",
    ],
)
def test_addresses_are_normalized_as_the_panel_does_it(address: str) -> None:
    assert normalized(address) == addresses.normalized(address)


# --- Postfix ----------------------------------------------------------------------------------------------------------


class Postfix:
    """The other side of a milter's socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def tell(self, packet: bytes) -> None:
        self.writer.write(struct.pack(">I", len(packet)) + packet)

    async def hear(self) -> bytes:
        (length,) = struct.unpack(">I", await asyncio.wait_for(self.reader.readexactly(4), 10))
        return await self.reader.readexactly(length)

    async def ask(self, packet: bytes) -> bytes:
        self.tell(packet)
        return await self.hear()

    async def message(self, user: bytes, *recipients: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the answers to each recipient, and those to the end of the message."""
        self.tell(b"DM{auth_type}\0PLAIN\0{auth_authen}\0" + user + b"\0" if user else b"DMi\0x\0")
        assert await self.ask(b"M<news@acme.example>\0SIZE=100\0") == b"c"
        answers = [await self.ask(b"R<" + each + b">\0") for each in recipients]
        self.tell(b"E")
        end = [await self.hear()]
        while end[-1][:1] == b"-":
            end.append(await self.hear())
        return answers, end


def milter(lists: Suppressions, spool: Spool, folder: pathlib.Path, say: Any) -> Stopped:
    """Have `say` speak to a milter as Postfix; return what was stopped."""
    stopped = Stopped(spool)
    logins = Logins({"networks": [{"id": 1, "server": "acme/news", "network": "198.51.100.0/24"}]})

    async def run() -> None:
        path = str(folder / "sluice-milter")
        server, _ = await listen(lambda *streams: Milter(lists, lambda: logins, stopped, *streams).serve(), path)
        postfix = Postfix(*await asyncio.open_unix_connection(path))
        assert await postfix.ask(b"O" + struct.pack(">III", 6, 0x1FF, 0x1FFFFF)) == b"O" + struct.pack(
            ">III", 6, 0x08, 0x372
        )
        await say(postfix)
        postfix.writer.close()
        server.close()

    asyncio.run(run())
    return stopped


REFUSED = b"y550 5.7.1 Sluice: this recipient is suppressed, no mail is sent to it\0"


def test_postfix_is_told_to_refuse_a_recipient(lists: Suppressions, spool: Spool, tmp_path: pathlib.Path) -> None:
    lists.take(answer(part(entry(GONE))), NOW)

    async def say(postfix: Postfix) -> None:
        assert await postfix.message(b"acme/mail", GONE.encode(), WELL.encode()) == ([REFUSED, b"c"], [b"c"])
        assert await postfix.message(b"acme/news", GONE.encode()) == ([b"c"], [b"c"])
        assert await postfix.message(b"", GONE.encode()) == ([b"c"], [b"c"])

    milter(lists, spool, tmp_path, say).write()
    [(_, body)] = spool.batch(10)
    event = json.loads(body)
    assert event.pop("id").startswith("suppressed/")
    assert event.pop("at").endswith("Z")
    assert event == {
        "type": "held",
        "server": "acme/mail",
        "from": "news@acme.example",
        "to": GONE,
        "code": 550,
        "enhanced": "5.7.1",
        "reply": "550 5.7.1 Sluice: this recipient is suppressed, no mail is sent to it",
    }


def test_postfix_is_told_to_take_a_recipient_out(lists: Suppressions, spool: Spool, tmp_path: pathlib.Path) -> None:
    lists.take(answer(part(entry(GONE), entry("b@one.example"), at_submission="drop")), NOW)
    gone, other, well = GONE.encode(), b"b@one.example", WELL.encode()

    async def say(postfix: Postfix) -> None:
        taken_out = [b"-<" + gone + b">\0", b"-<" + other + b">\0", b"c"]
        assert await postfix.message(b"acme/mail", gone, well, other) == ([b"c"] * 3, taken_out)
        # Nobody is left: the message goes nowhere.
        assert await postfix.message(b"acme/mail", gone, other) == ([b"c"] * 2, [b"d"])
        assert await postfix.message(b"acme/mail", well) == ([b"c"], [b"c"])
        # A message that was given up leaves nothing behind.
        postfix.tell(b"DM{auth_authen}\0acme/mail\0")
        assert await postfix.ask(b"M<news@acme.example>\0") == b"c"
        assert await postfix.ask(b"R<" + gone + b">\0") == b"c"
        postfix.tell(b"A")
        assert await postfix.message(b"acme/mail", well) == ([b"c"], [b"c"])

    milter(lists, spool, tmp_path, say).write()
    assert len(spool.batch(10)) == 5


def test_a_client_of_a_network_is_its_server(lists: Suppressions, spool: Spool, tmp_path: pathlib.Path) -> None:
    lists.take(answer(part(entry(GONE, "u2"))), NOW)

    async def say(postfix: Postfix) -> None:
        client = b"Capp.example\0004" + struct.pack(">H", 5000)
        assert await postfix.ask(client + b"198.51.100.9\0") == b"c"
        assert (await postfix.message(b"", GONE.encode()))[0] == [REFUSED]
        assert await postfix.ask(client + b"203.0.113.9\0") == b"c"
        assert (await postfix.message(b"", GONE.encode()))[0] == [b"c"]

    milter(lists, spool, tmp_path, say)


def test_nonsense_ends_the_connection_and_nothing_else(
    lists: Suppressions, spool: Spool, tmp_path: pathlib.Path
) -> None:
    async def say(postfix: Postfix) -> None:
        postfix.writer.write(b"\xff\xff\xff\xff")
        assert await asyncio.wait_for(postfix.reader.read(), 10) == b""

    milter(lists, spool, tmp_path, say)


def test_stopped_attempts_are_bounded(spool: Spool) -> None:
    spool.add([{"id": str(each)} for each in range(3)], 3)
    spool.add([{"id": "more"}], 3)
    assert [json.loads(body)["id"] for _, body in spool.batch(10)] == ["0", "1", "2"]


# --- Haraka -----------------------------------------------------------------------------------------------------------

SCRIPT = """
const { Suppressions } = require(process.argv[1] + '/sluice_suppressions.js')
const asked = new Suppressions(process.argv[2])
Promise.all([['acme/mail', 'GONE@one.example'], ['acme/mail', 'well@one.example'], ['none', 'gone@one.example']]
    .map(([server, to]) => asked.ask(server, to))).then((found) => { console.log(JSON.stringify(found)); process.exit() })
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here (20 or newer)")
@pytest.mark.parametrize(("is_there", "expected"), [(True, ["refuse", None, None]), (False, [None, None, None])])
def test_harakas_plug_in_asks(lists: Suppressions, tmp_path: pathlib.Path, is_there: Any, expected: Any) -> None:
    lists.take(answer(part(entry(GONE))), NOW)

    async def run() -> bytes:
        path = str(tmp_path / "sluice-suppressions")
        server, _ = await listen(lambda *streams: Questions(lists, *streams).serve(), path)
        if not is_there:
            os.unlink(path)
        command = ["node", "-e", SCRIPT, str(AGENT / "haraka"), str(tmp_path)]
        program = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        said, _ = await asyncio.wait_for(program.communicate(), 60)
        server.close()
        return said

    assert json.loads(asyncio.run(run())) == expected
