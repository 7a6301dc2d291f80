"""Stops mail to suppressed recipients at submission: a milter for Postfix, and questions in JSON for Haraka's plug-in.

A milter, because it can take one recipient out of a message and leave the others: an access policy of Postfix discards messages
whole. Where nobody answers, mail is taken (milter_default_action = accept). Python 3.9, standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import sqlite3
import struct
import time
import uuid

from agent_suppressions import DROP, ENHANCED_CODE, REPLY_CODE, SENTENCE

VERSION = 6
MAY_REMOVE_RECIPIENTS = 0x08
# What the milter is not asked: HELO, body, headers, their end, unknown commands, DATA.
SKIPPED = 0x02 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200
LARGEST_PACKET = 1024 * 1024
MOST_WAITING = 200_000
SECONDS_BETWEEN_WRITES = 0.2
REPLY = f"{REPLY_CODE} {ENHANCED_CODE} {SENTENCE}"


class Stopped:
    """Attempts that were stopped, written to the agent's spool as events: no client waits for the disk."""

    def __init__(self, spool):
        self._spool = spool
        self._events = []

    def add(self, server, sender, recipient):
        """Note that a server's mail to a recipient was stopped."""
        if len(self._events) < MOST_WAITING:
            at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._events.append(
                {
                    "id": f"suppressed/{uuid.uuid4()}",
                    "type": "held",
                    "at": at,
                    "server": server,
                    "from": sender,
                    "to": recipient,
                    "code": REPLY_CODE,
                    "enhanced": ENHANCED_CODE,
                    "reply": REPLY,
                }
            )

    def write(self):
        """Write what was noted; on failure (the disk is full) it is tried again."""
        events, self._events = self._events, []
        if not events:
            return
        try:
            self._spool.add(events, MOST_WAITING)
        except (OSError, sqlite3.Error):
            self._events = events + self._events


class Milter:
    """One connection: a process of Postfix, which takes messages one after another."""

    def __init__(self, lists, logins, stopped, reader, writer):
        self._lists, self._logins, self._stopped = lists, logins, stopped
        self._reader, self._writer = reader, writer
        self._client, self._user, self._sender = "", "", ""
        self._dropped, self._taken = [], 0

    async def serve(self):
        """Speak until the other side has enough."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, struct.error, ValueError):
            while True:
                (length,) = struct.unpack(">I", await self._reader.readexactly(4))
                if not 0 < length <= LARGEST_PACKET:
                    break
                packet = await self._reader.readexactly(length)
                command, body = packet[:1], packet[1:]
                if command == b"Q":
                    break
                for answer in self._answers(command, body):
                    self._writer.write(struct.pack(">I", len(answer)) + answer)
                await self._writer.drain()
        self._writer.close()

    def _answers(self, command, body):
        if command == b"O":
            version, actions, protocol = struct.unpack(">III", body[:12])
            return [
                b"O" + struct.pack(">III", min(version, VERSION), actions & MAY_REMOVE_RECIPIENTS, protocol & SKIPPED)
            ]
        if command == b"D":
            self._macros(body)
            return []
        if command in (b"A", b"K"):
            self._forget_message()
            return []
        if command == b"C":
            self._client = _address_of(body)
        elif command == b"M":
            self._forget_message()
            self._sender = _mailbox(body)
        elif command == b"R":
            return [self._recipient(body)]
        elif command == b"E":
            return self._end()
        return [b"c"]

    def _macros(self, body):
        stage, words = body[:1], body[1:].split(b"\0")
        named = dict(zip(words[::2], words[1::2]))
        if stage == b"M":
            self._user = named.get(b"{auth_authen}", b"").decode("utf-8", "replace")

    def _forget_message(self):
        self._sender, self._dropped, self._taken = "", [], 0

    def _recipient(self, body):
        server = self._user or self._logins().of_client(self._client, time.time())
        recipient = _mailbox(body)
        verdict = self._lists.find(server, recipient, time.time()) if server else None
        if verdict is None:
            self._taken += 1
            return b"c"
        self._stopped.add(server, self._sender, recipient)
        if verdict == DROP:
            self._dropped.append(body.split(b"\0", 1)[0])
            return b"c"
        return b"y" + REPLY.encode() + b"\0"

    def _end(self):
        dropped, taken = self._dropped, self._taken
        self._forget_message()
        if dropped and not taken:
            return [b"d"]
        return [*(b"-" + each + b"\0" for each in dropped), b"c"]


def _address_of(body):
    """Return the client's address of a CONNECT packet: host name, family, port, address."""
    _, _, rest = body.partition(b"\0")
    if rest[:1] not in (b"4", b"6"):
        return ""
    return rest[3:].split(b"\0", 1)[0].decode("ascii", "replace").replace("IPv6:", "")


def _mailbox(body):
    """Return the address of a MAIL or RCPT packet, without angle brackets."""
    text = body.split(b"\0", 1)[0].decode("utf-8", "replace")
    return text[1:-1] if text[:1] == "<" and text[-1:] == ">" else text


class Questions:
    """One connection of Haraka's plug-in: a line `{"n": 1, "server": …, "to": …}` is answered `{"n": 1, "stop": "refuse"}`."""

    def __init__(self, lists, reader, writer):
        self._lists, self._reader, self._writer = lists, reader, writer

    async def serve(self):
        """Answer until the other side has enough."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, asyncio.IncompleteReadError):
            while line := await self._reader.readline():
                asked = json.loads(line)
                stop = self._lists.find(str(asked["server"]), str(asked["to"]), time.time())
                self._writer.write(json.dumps({"n": asked["n"], "stop": stop}).encode() + b"\n")
                await self._writer.drain()
        self._writer.close()
