"""A log is followed through rotation and compression, and every line is read once."""

import gzip
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import agent_tail
import pytest
from agent_tail import Tail


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_tail, "SECONDS_OF_GRACE", 0.0)


@pytest.fixture
def tail_of() -> Iterator[Callable[..., Tail]]:
    with ExitStack() as stack:

        def make(*arguments: Any) -> Tail:
            tail = Tail(*arguments)
            stack.callback(tail.close)
            return tail

        yield make


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "mail.log"


def write(path: pathlib.Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def rotate(log: pathlib.Path, suffix: str, *, is_compressed: bool = True) -> None:
    old = log.with_name(f"{log.name}.{suffix}")
    log.rename(old)
    if is_compressed:
        stat = old.stat()
        with old.open("rb") as plain, gzip.open(f"{old}.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        os.utime(f"{old}.gz", ns=(stat.st_atime_ns, stat.st_mtime_ns))
        old.unlink()


def rest(tail: Tail, most: int = 1000) -> list[str]:
    found: list[str] = []
    for _ in range(20):
        lines, place = tail.lines(most)
        tail.advance(place)
        found += [line.decode().rstrip("\n") for line in lines]
    return found


def test_it_reads_what_is_added_and_no_half_line(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    assert rest(tail) == []
    write(log, "one", "two")
    assert rest(tail) == ["one", "two"]
    with log.open("a") as file:
        file.write("thr")
    assert rest(tail) == []
    with log.open("a") as file:
        file.write("ee\n")
    assert rest(tail) == ["three"]


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_it_goes_on_over_rotations(
    log: pathlib.Path, tail_of: Callable[..., Tail], is_compressed: bool, is_restarted: bool
) -> None:
    tail = tail_of(str(log))
    write(log, "one", "two")
    assert rest(tail) == ["one", "two"]
    write(log, "three")
    rotate(log, "20261127-025300", is_compressed=is_compressed)
    write(log, "four")
    rotate(log, "20261127-025400", is_compressed=is_compressed)
    write(log, "five")
    if is_restarted:
        tail = tail_of(str(log), tail.place)

    assert rest(tail) == ["three", "four", "five"]
    assert tail.lost == 0


def test_what_could_not_be_kept_is_read_again(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    write(log, "one", "two")
    tail.lines(1000)
    tail.rewind()

    assert rest(tail) == ["one", "two"]


def test_numbered_generations_are_read_oldest_first(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    for number, line in ((2, "one"), (1, "two")):
        path = log.with_name(f"mail.log.{number}")
        write(path, line)
        os.utime(path, (1000 - number, 1000 - number))
    write(log, "three")

    assert rest(tail_of(str(log))) == ["one", "two", "three"]


def test_a_generation_that_is_gone_is_counted(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    write(log, "one")
    tail = tail_of(str(log))
    rest(tail)
    place = tail.place
    log.unlink()
    write(log, "another")
    tail = tail_of(str(log), place)

    assert rest(tail) == ["another"]
    assert tail.lost == 1


def test_a_half_compressed_file_is_read_from_the_plain_one(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    write(log, "one")
    rest(tail)
    write(log, "two")
    old = log.with_name("mail.log.20261127")
    log.rename(old)
    old.with_name(old.name + ".gz").write_bytes(gzip.compress(old.read_bytes())[:15])
    write(log, "three")

    assert rest(tail_of(str(log), tail.place)) == ["two", "three"]


def test_a_new_file_with_an_old_inode_is_another_file(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    for number in range(6):
        write(log, f"line {number}")
        assert rest(tail) == [f"line {number}"]
        rotate(log, f"2026112{number}")

    assert tail.lost == 0


def test_read_generations_are_deleted_but_for_some(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    for number in range(5):
        write(log, f"line {number}")
        rest(tail)
        rotate(log, f"2026112{number}")
    write(log, "last")
    rest(tail)
    tail.forget_read(2)

    assert sorted(path.name for path in log.parent.iterdir()) == [
        "mail.log",
        "mail.log.20261123.gz",
        "mail.log.20261124.gz",
    ]


def test_it_goes_on_where_the_live_file_is_not_begun(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    write(log, "one")
    assert rest(tail) == ["one"]
    rotate(log, "20261127-025300")
    write(log, "two")
    rotate(log, "20261127-025400")

    assert rest(tail) == ["two"]
    write(log, "three")
    assert rest(tail) == ["three"]


def test_a_rotated_file_is_left_when_postfix_has_left_it(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    """On a busy machine postlogd learns late that its file was renamed."""
    write(log, "one")
    tail = tail_of(str(log))
    with postlogd(log):
        rotate(log, "1", is_compressed=False)
        write(log, "three")
        assert rest(tail) == ["one"]
        write(log.with_name(f"{log.name}.1"), "two")
        assert rest(tail) == ["two"]
        tail.forget_read(kept=9)
        assert [each.name for each in log.parent.iterdir() if each.suffix == ".gz"] == []
    assert rest(tail) == ["three"]


@contextmanager
def postlogd(log: pathlib.Path) -> Iterator[None]:
    """Run a process of that name that has the log open."""
    program = (
        "import sys; open('/proc/self/comm', 'w').write('postlogd'); log = open(sys.argv[1]); print(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        yield
        child.kill()


def test_read_generations_are_compressed(log: pathlib.Path, tail_of: Callable[..., Tail]) -> None:
    tail = tail_of(str(log))
    for name in ("1", "2"):
        write(log, f"of {name}")
        assert rest(tail) == [f"of {name}"]
        rotate(log, name, is_compressed=False)
    write(log, "live")
    assert rest(tail) == ["live"]
    before = agent_tail.generations(str(log))

    tail.forget_read(kept=9)

    assert agent_tail.generations(str(log)) == [f"{before[0]}.gz", f"{before[1]}.gz", str(log)]
    assert rest(tail_of(str(log))) == ["of 1", "of 2", "live"]
