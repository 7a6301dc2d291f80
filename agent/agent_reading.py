"""Reads the MTA's logs and adds their events to the spool. Python 3.9, standard library only."""

from __future__ import annotations

import json
import os
import time

import postfix_log
from agent_credentials import Logins
from agent_tail import Tail

LINES_AT_A_TIME = 4000


class Known:
    """Resolves user names and tags in the log, by the applied policy."""

    def __init__(self):
        self._logins = Logins({})
        self._addresses = {}

    def learn(self, overlay, addresses):
        """Take over what a policy says."""
        self._logins, self._addresses = Logins(overlay), addresses

    def tenant(self, client):
        """Return the server of a client's network, or None."""
        return self._logins.of_client(client, time.time())

    def address(self, tag):
        """Return the address of a syslog tag, or None."""
        return self._addresses.get((tag or "").replace("sluice-", "", 1))


class Reading:
    """Follows the MTA's logs; `once` reads a piece of each.

    Each Postfix instance has a log of its own: `postfix logrotate` renames and compresses one while another instance would
    still write to it. The reader puts together what belongs together.
    """

    def __init__(self, spool, logs, kind, most_spooled, known, now):
        self._spool, self._logs, self._most = spool, logs, most_spooled
        self._kind, self._known, self._now = kind, known, now
        self._tails = {}
        self._reader = self._new_reader()

    def once(self):
        """Read up to some thousand lines a log; tell whether there were any. A full spool stops it: the logs keep the rest."""
        if self._spool.waiting()[0] >= self._most:
            return False
        places, events = {}, []
        self._reader.begin(time.time())
        for log in self._logs():
            if log not in self._tails:
                self._tails[log] = Tail(log, self._spool.place(log))
            lines, place = self._tails[log].lines(LINES_AT_A_TIME)
            if lines:
                places[log] = place
                events += [event for line in lines for event in self._reader.events(line)]
        if not places:
            return False
        try:
            self._spool.keep(places, self._reader.state(), events, self._reader.changes())
        except BaseException:
            # Not kept (the disk is full): the reader is put back to where the logs are.
            for tail in self._tails.values():
                tail.rewind()
            self._reader = self._new_reader()
            raise
        self._reader.written()
        for log, place in places.items():
            self._tails[log].advance(place)
        return True

    def forget_read(self, kept):
        """Delete generations of logs that were read long ago, but for the newest so many."""
        for tail in self._tails.values():
            tail.forget_read(kept)

    def position(self):
        """Return how far the logs are read, for people."""
        return ", ".join(
            f"{os.path.basename(log)} {tail.place[0][:8]} at {tail.place[1]}"
            for log, tail in sorted(self._tails.items())
            if tail.place is not None
        )

    def _new_reader(self):
        if self._kind == "haraka":
            return _Native()
        return _Postfix(self._spool, self._known, self._now)


class _Postfix:
    def __init__(self, spool, known, now):
        state = spool.recall("reader") or {}
        # Agents of before kept all of it in the state: it is written once more, in its own rows.
        is_whole = "messages" in state
        if not is_whole:
            gone = {key: json.loads(value) for key, value in spool.kept("gone").items()}
            state = {**state, "messages": spool.kept("messages"), "gone": gone}
        self._reader = postfix_log.Reader(time_zone="UTC", state=state, now=now, tenant_of=known.tenant)
        self._known = known
        self._changing = {"messages": self._reader.messages, "gone": self._reader.gone}
        for each in self._changing.values() if is_whole else ():
            each.changed.update(each)

    def begin(self, now):
        self._reader.times.now = now

    def events(self, line):
        for out in self._reader.line(line.rstrip(b"\n")):
            event = out.get("event")
            # Mail without a tenant (notifications, local mail) is not an event.
            if event is None or "server" not in event:
                continue
            ip = self._known.address(out.get("tag"))
            if ip:
                event["ip"] = ip
            yield event

    def state(self):
        return self._reader.state(whole=False)

    def changes(self):
        return {name: each.changes() for name, each in self._changing.items()}

    def written(self):
        for each in self._changing.values():
            each.changed.clear()


class _Native:
    """The plug-in writes events as they are sent."""

    def begin(self, now):
        """An event says its whole time itself."""

    def events(self, line):
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict) and event.get("server"):
            yield event

    def state(self):
        return None

    def changes(self):
        return {}

    def written(self):
        """There is no state."""
