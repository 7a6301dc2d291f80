"""Compares the suppression lists of a node with the panel's, once an hour; a list that differs is fetched anew.

Lists come by difference, so one that has gone wrong (a disk that lied, a file that was restored) would stay wrong. The panel
answers with its own sum at the number that the answer brings the list to, so both are of the same moment.
Python 3.9, standard library only.
"""

from __future__ import annotations

import datetime
import hashlib
import json

SCHEMA = """
create table if not exists audit(organization text primary key, at real not null, entries integer not null);
"""
SECONDS_BETWEEN = 3600
_LENGTH = 32
# The first four bytes of a digest as a number. SQLite has no function for it: a byte's value is its place among all bytes.
_BYTES = "x'" + bytes(range(256)).hex() + "'"
_NUMBER = " + ".join(
    f"(instr({_BYTES}, substr(digest, {place}, 1)) - 1) * {256 ** (4 - place)}" for place in range(1, 5)
)
# As the panel does it: suppressions/checksums.py says why.
_SUMS = (
    "select server, count(*), sum(number), sum(number % 65536 * coalesce(ends % 1000003, 0)) from"
    " (select server, NUMBER as number, cast(expires_at as integer) as ends from entry"
    # The limit keeps SQLite from computing the number at each place where it stands.
    " where list = ? and (expires_at is null or expires_at > ?) limit -1) group by server order by server"
).replace("NUMBER", _NUMBER)


def is_due(db, organization, now):
    """Tell whether the panel is to be asked for its sum; a clock that was set back is no reason to wait."""
    row = db.execute("select at from audit where organization = ?", (organization,)).fetchone()
    return row is None or not 0 <= now - row[0] < SECONDS_BETWEEN


def checksum(db, number, until):
    """Return how many entries of a list end after a time (seconds since 1970), and the digest of them."""
    groups = [list(row) for row in db.execute(_SUMS, (number, until))]
    text = json.dumps(groups, separators=(",", ":"))
    return sum(group[1] for group in groups), hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def compare(db, number, organization, told, now):
    """Compare a whole list with the panel's sum; begin it anew where they differ. What is there holds until then."""
    entries, digest = checksum(db, number, told["until"])
    is_equal = (entries, digest) == (told["entries"], told["digest"])
    db.execute("insert or replace into audit values (?, ?, ?)", (organization, now, entries))
    if not is_equal:
        db.execute("update list set generation = generation + 1, number = 0, is_whole = 0 where id = ?", (number,))
        db.execute("insert or replace into memory values ('differed_at', ?)", (str(now),))
        db.execute(
            "insert into memory values ('differed', '1')"
            " on conflict (name) do update set value = cast(value as integer) + 1"
        )


def told(db):
    """Return what the report says: counts, the time of the oldest comparison, and that of the latest difference."""
    lists, loading = db.execute("select count(*), coalesce(sum(not is_whole), 0) from list").fetchone()
    compared, entries, oldest = db.execute(
        "select count(*), coalesce(sum(entries), 0), min(at) from audit"
        " where organization in (select organization from list)"
    ).fetchone()
    memory = dict(db.execute("select name, value from memory where name in ('differed', 'differed_at')"))
    return {
        "suppressions": {
            "lists": lists,
            "loading": loading,
            "compared": compared,
            "entries": entries,
            "differed": int(memory.get("differed", 0)),
        },
        "suppressions_compared_at": _iso(oldest),
        "suppressions_differed_at": _iso(memory.get("differed_at")),
    }


def _iso(seconds):
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(int(float(seconds)), datetime.timezone.utc).isoformat()
