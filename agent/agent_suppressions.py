"""The suppression lists of a node's servers, in a SQLite file: what the panel sent, by difference, and look-ups of recipients.

It holds digests, never addresses. The agent writes; the process that answers the MTA (agent_stops.py) reads. Python 3.9,
standard library only.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import threading
import unicodedata

import agent_audit

REFUSE, DROP = "refuse", "drop"
# The panel's sentence: its classifier knows the word "Sluice" beside "suppressed".
REPLY_CODE, ENHANCED_CODE = 550, "5.7.1"
SENTENCE = "Sluice: this recipient is suppressed, no mail is sent to it"
SCHEMA = """
create table if not exists list(
    id integer primary key, organization text not null unique, secret blob not null, at_submission text not null,
    number integer not null, is_whole integer not null, generation integer not null
);
create table if not exists server(name text primary key, uuid text not null, organization text not null);
create table if not exists entry(
    list integer not null, digest blob not null, server text not null, expires_at real, generation integer not null,
    primary key (list, digest, server)
) without rowid;
create table if not exists memory(name text primary key, value text not null);
"""
SECONDS_BETWEEN_LOOKS = 3600
# The server of an entry that is for all servers of the organization.
ALL = ""


def normalized(address):
    """Return an address as the panel compares it; None where it is not one that a list can have."""
    local, at, domain = address.rpartition("@")
    local = unicodedata.normalize("NFC", local).lower()
    domain = domain.lower().rstrip(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return None
    return f"{local}@{domain}" if at and local and domain else None


class Suppressions:
    """The lists on disk. One connection for all threads, one at a time; other processes read beside it."""

    def __init__(self, path):
        self._lock = threading.RLock()
        self._forgotten_at = 0.0
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("pragma journal_mode=wal")
        # What is lost with the power comes from the panel again.
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(SCHEMA + agent_audit.SCHEMA)

    def close(self):
        """Close the file."""
        with self._lock:
            self._db.close()

    def have(self, now):
        """Return what the panel is asked with; once an hour also for its sum of each list."""
        with self._lock:
            rows = self._db.execute("select organization, number, is_whole from list").fetchall()
            digest = self._db.execute("select value from memory where name = 'servers_digest'").fetchone()
            have = {organization: {"number": number, "whole": bool(whole)} for organization, number, whole in rows}
            for organization, each in have.items():
                if each["whole"] and agent_audit.is_due(self._db, organization, now):
                    each["compare"] = True
        return {"servers_digest": digest[0] if digest else None, "have": have}

    def told(self):
        """Return what the report says of the lists."""
        with self._lock:
            return agent_audit.told(self._db)

    def take(self, answer, now):
        """Write what the panel answered: all of it or nothing."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                if answer["servers"] is not None:
                    self._take_servers(answer["servers"], answer["servers_digest"])
                for each in answer["lists"]:
                    self._take_list(each, now)
                # An end needs no word of the panel.
                if now - self._forgotten_at > SECONDS_BETWEEN_LOOKS:
                    self._db.execute("delete from entry where expires_at <= ?", (now,))
                    self._forgotten_at = now
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    def _take_servers(self, servers, digest):
        self._db.execute("delete from server")
        self._db.executemany(
            "insert into server values (?, ?, ?)",
            [(name, each["server"], each["organization"]) for name, each in servers.items()],
        )
        self._db.execute("insert or replace into memory values ('servers_digest', ?)", (digest,))
        # Of organizations whose mail leaves by other nodes now.
        if self._db.execute("delete from list where organization not in (select organization from server)").rowcount:
            self._db.execute("delete from entry where list not in (select id from list)")
            self._db.execute("delete from audit where organization not in (select organization from list)")

    def _take_list(self, each, now):
        db = self._db
        db.execute(
            "insert or ignore into list(organization, secret, at_submission, number, is_whole, generation)"
            " values (?, x'', '', 0, 0, 0)",
            (each["organization"],),
        )
        if each["is_restart"]:
            # What is there holds until the new list is complete.
            db.execute(
                "update list set generation = generation + 1, is_whole = 0 where organization = ?",
                (each["organization"],),
            )
        row = "select id, generation, is_whole from list where organization = ?"
        number, generation, was_whole = db.execute(row, (each["organization"],)).fetchone()
        db.executemany(
            "insert or replace into entry values (?, ?, ?, ?, ?)",
            [
                (number, bytes.fromhex(digest), server or ALL, expires, generation)
                for digest, server, expires, is_removed in each["entries"]
                if not is_removed
            ],
        )
        db.executemany(
            "delete from entry where list = ? and digest = ? and server = ?",
            [
                (number, bytes.fromhex(digest), server or ALL)
                for digest, server, _, is_removed in each["entries"]
                if is_removed
            ],
        )
        if each["is_complete"] and not was_whole:
            db.execute("delete from entry where list = ? and generation < ?", (number, generation))
        db.execute(
            "update list set secret = ?, at_submission = ?, number = ?, is_whole = ? where id = ?",
            (
                bytes.fromhex(each["key"]),
                each["at_submission"],
                each["number"],
                bool(was_whole) or each["is_complete"],
                number,
            ),
        )
        if each.get("sum") and each["is_complete"]:
            agent_audit.compare(db, number, each["organization"], each["sum"], now)

    def find(self, server, address, now):
        """Return REFUSE or DROP where the server (its SMTP user name) sends no mail to the address; None: it does.

        Two look-ups by key, however long the list is.
        """
        wanted = normalized(address)
        if wanted is None:
            return None
        with self._lock:
            whose = self._db.execute(
                "select list.id, list.secret, list.at_submission, server.uuid from server"
                " join list on list.organization = server.organization where server.name = ?",
                (server,),
            ).fetchone()
            if whose is None:
                return None
            number, secret, at_submission, uuid = whose
            digest = hmac.new(secret, wanted.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
            found = self._db.execute(
                "select 1 from entry where list = ? and digest = ? and server in ('', ?)"
                " and (expires_at is null or expires_at > ?) limit 1",
                (number, digest, uuid, now),
            ).fetchone()
        return None if found is None else (DROP if at_submission == DROP else REFUSE)
