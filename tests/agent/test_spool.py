"""Lines, events and state are kept together or not at all; what was answered is gone."""

import pathlib
import sqlite3

import pytest
from agent_spool import Spool


def test_it_works(spool: Spool) -> None:
    spool.keep(
        {"mail.log": ("mark", 10)}, {"a": 1}, [{"id": "1", "at": "2026-11-27T00:00:00Z"}, {"id": "2", "at": "x"}]
    )

    assert spool.place("mail.log") == ("mark", 10)
    assert spool.recall("reader") == {"a": 1}
    assert spool.waiting() == (2, "2026-11-27T00:00:00Z")
    rows = spool.batch(10)
    spool.answered(rows, [(rows[1], "invalid_at", "no time")])
    assert spool.waiting() == (0, None)
    assert spool.recall("events_refused") == 1


def test_what_fails_keeps_nothing(spool: Spool) -> None:
    spool.keep({"mail.log": ("mark", 10)}, None, [{"id": "1"}])
    with pytest.raises(TypeError):
        spool.keep({"mail.log": ("mark", 20)}, {"not": object()}, [{"id": "2"}])

    assert spool.place("mail.log") == ("mark", 10)
    assert spool.waiting()[0] == 1


def test_a_full_disk_keeps_nothing_and_is_got_over(spool: Spool) -> None:
    spool._db.execute("pragma max_page_count = 20")
    events = [{"id": str(number), "text": "x" * 1000} for number in range(200)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        spool.keep({"mail.log": ("mark", 10)}, None, events)
    assert (spool.place("mail.log"), spool.waiting()[0]) == (None, 0)

    spool._db.execute("pragma max_page_count = 100000")
    spool.keep({"mail.log": ("mark", 10)}, None, events)
    assert spool.waiting()[0] == 200


def test_it_is_there_after_a_restart(tmp_path: pathlib.Path) -> None:
    first = Spool(str(tmp_path / "agent.db"))
    first.keep({"mail.log": ("mark", 10)}, None, [{"id": "1"}])
    first.remember("error", "a sentence")
    first.close()
    second = Spool(str(tmp_path / "agent.db"))

    assert (second.place("mail.log"), second.waiting()[0]) == (("mark", 10), 1)
    assert second.recall("error") == "a sentence"
    second.close()
