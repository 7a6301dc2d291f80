"""What the MTA's user puts into its folder leads the agent, which is root, to no other file."""

import asyncio
import gzip
import json
import os
import pathlib
import socket
import stat

import agent_files
import agent_haraka
import agent_sockets
import agent_tail
import pytest
from agent_haraka import Haraka
from agent_tail import Tail

SECRET = "root:$y$j9T$secret\n"
POLICY = {
    "format": 1,
    **{name: {} for name in ("limits", "sources", "draws", "pools", "rules", "tenants")},
    "limit": [],
}


@pytest.fixture
def others(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file that is none of the MTA's user."""
    path = tmp_path / "shadow"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "haraka"
    path.mkdir()
    return path


def is_untouched(path: pathlib.Path) -> bool:
    found = path.stat()
    return path.read_text() == SECRET and stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == os.geteuid()


@pytest.mark.parametrize("name", ["sluice.json", "sluice-overlay.json", "sluice-written.json"])
def test_a_policy_is_written_beside_a_link(
    folder: pathlib.Path, others: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_haraka, "addresses_present", set)
    (folder / f"{name}.new").symlink_to(others)
    Haraka(str(folder)).apply({"files": {"sluice.json": json.dumps(POLICY)}, "overlay": {}}, 0.0, lambda: True)

    assert is_untouched(others)
    assert json.loads((folder / "sluice.json").read_text()) == POLICY
    assert not (folder / name).is_symlink()


def test_a_socket_is_given_away_and_not_what_takes_its_place(
    folder: pathlib.Path, others: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's owner is fast: the link is there as soon as somebody listens."""
    path, started = folder / "sluice-suppressions", asyncio.start_unix_server
    (folder / "sluice-suppressions.new").symlink_to(others)

    async def swapped(*given: object, **named: object) -> object:
        found = await started(*given, **named)
        assert stat.S_IMODE((folder / "sluice-suppressions.new").stat().st_mode) == 0o660
        (folder / "sluice-suppressions.new").unlink()
        (folder / "sluice-suppressions.new").symlink_to(others)
        return found

    async def listen() -> None:
        (await agent_sockets.listen(None, str(path)))[0].close()

    monkeypatch.setattr(asyncio, "start_unix_server", swapped)
    given: list[object] = []
    monkeypatch.setattr(os, "chown", lambda *arguments, **_: given.append(arguments))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(OSError, match="is not the socket that was made"):
        asyncio.run(listen())

    assert given == []
    assert others.read_text() == SECRET


def test_a_log_that_is_a_link_is_neither_read_nor_compressed(folder: pathlib.Path, others: pathlib.Path) -> None:
    log = folder / "sluice-events.ndjson"
    log.symlink_to(others)
    (folder / "sluice-events.ndjson.1").symlink_to(others)
    tail = Tail(str(log))

    assert tail.lines(10)[0] == []
    with pytest.raises(OSError, match="symbolic links"):
        agent_tail.compress(str(folder / "sluice-events.ndjson.1"))
    assert sorted(each.name for each in folder.iterdir()) == ["sluice-events.ndjson", "sluice-events.ndjson.1"]


def test_a_log_is_compressed_beside_a_link_and_stays_as_private(folder: pathlib.Path, others: pathlib.Path) -> None:
    log = folder / "sluice-events.ndjson.1"
    log.write_text("{}\n")
    log.chmod(0o640)
    (folder / "sluice-events.ndjson.1.new").symlink_to(others)
    agent_tail.compress(str(log))
    packed = folder / "sluice-events.ndjson.1.gz"

    assert is_untouched(others)
    assert gzip.decompress(packed.read_bytes()) == b"{}\n"
    assert stat.S_IMODE(packed.stat().st_mode) == 0o640


def test_a_pipe_keeps_nobody_waiting(folder: pathlib.Path) -> None:
    for name in ("sluice-status.json", "sluice-events.ndjson"):
        os.mkfifo(folder / name)

    assert Haraka(str(folder)).version() == ""
    assert Tail(str(folder / "sluice-events.ndjson")).lines(10)[0] == []
    with pytest.raises(OSError, match="is not a file"):
        agent_files.opened(str(folder / "sluice-status.json"))


def test_a_socket_can_be_connected_to(folder: pathlib.Path) -> None:
    path = str(folder / "sluice-suppressions")

    async def listen() -> None:
        found, inode = await agent_sockets.listen(lambda _, writer: writer.close(), path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        assert agent_sockets.is_ours(path, inode)
        found.close()

    asyncio.run(listen())
