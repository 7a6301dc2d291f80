"""Parses Postfix's log into events, with state per message. Standard library only, Python 3.9.

The same file runs in Sluice and, copied, on the nodes. Every line is read by Postfix's own grammar: an address may hold
`>, status=sent (`, a reply or a SASL name anything, and none of them may forge another field. Ids are made of the line
alone, so that reading again after a lost offset makes the same events.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container
from typing import Any

if __package__:
    from agent import log_attempts, postfix_lines
    from agent.log_state import Changing, Messages
    from agent.log_times import BadStamp, Times
    from agent.postfix_messages import Held, Message, queue_key, recipient_sum
else:
    # Copied to a node, with these beside it.
    import log_attempts  # type: ignore[import-not-found,no-redef,unused-ignore]
    import postfix_lines  # type: ignore[import-not-found,no-redef,unused-ignore]
    from log_state import Changing, Messages  # type: ignore[import-not-found,no-redef,unused-ignore]
    from log_times import BadStamp, Times  # type: ignore[import-not-found,no-redef,unused-ignore]
    from postfix_messages import Held, Message, queue_key, recipient_sum  # type: ignore[import-not-found,no-redef,unused-ignore]

# Postfix's own default for maximal_queue_lifetime, and a day.
LIFETIME = 6 * 86400
# How long the server of a finished message is remembered for the instance that took it over, in the log's time.
MEMORY = 86400
MOST_REMEMBERED = 50_000
MOST_HELD = 50_000
# Messages whose state is kept: it is stored with each delivery of the log.
MOST_MESSAGES = 200_000
# Recipients of one message that are counted: what a line says is believed up to here.
MOST_RECIPIENTS = 50_000
# Characters of a sender or a user's name that are kept: longer ones are neither.
LONGEST_NAME = 400

Out = dict[str, Any]
_KINDS = {"sent": "sent", "deferred": "deferred", "bounced": "bounced"}


class Reader:
    """Reads the lines of the Postfix instances of one machine, or of several.

    `line` returns a list of outcomes: `{"event": …, "tag": …, "vmta_id": …, "warnings": […]}`, `{"ignored": word}` or
    `{"refused": code, "message": …}`. `tags` are further syslog names that stand for an address; `tenant_of` says which
    server a client without a SASL user is, by its address.
    """

    def __init__(
        self,
        time_zone: str = "UTC",
        state: dict[str, Any] | None = None,
        now: float = 0.0,
        tags: Container[str] = (),
        tenant_of: Callable[[str], str | None] | None = None,
    ) -> None:
        state = state or {}
        self._tenant_of = tenant_of
        self.times = Times(time_zone, now, state.get("clock"))
        self.tags = tags
        self.messages = Messages(Message, "touched", state.get("messages", {}))
        self.gone = Changing(state.get("gone", {}))
        # By the queue id that is waited for: since when, which messages wait, and their events.
        self.held = {key: Held.from_json(values) for key, values in state.get("held", {}).items()}
        self.count_held = sum(len(each.outs) for each in self.held.values())
        self.count_probed = sum(len(each.probe or ()) for each in self.messages.having("probe"))
        self._tail = state.get("tail", "").encode("utf-8", "surrogateescape")
        self._due = state.get("due", 0)
        self._handlers: dict[str, Callable[..., list[Out]]] = {
            "smtpd": self._smtpd,
            "pickup": self._pickup,
            "qmgr": self._qmgr,
            "nqmgr": self._qmgr,
            "oqmgr": self._qmgr,
            "postsuper": self._postsuper,
        }

    def state(self, *, whole: bool = True) -> dict[str, Any]:
        """Return what is needed to go on, as JSON's types; not `whole`: without messages and gone, which tell their changes."""
        return {
            "clock": self.times.clock,
            "due": self._due,
            **({"messages": self.messages.texts(), "gone": dict(self.gone)} if whole else {}),
            "held": {key: each.as_json() for key, each in self.held.items()},
            "tail": self._tail.decode("utf-8", "surrogateescape"),
        }

    def feed(self, data: bytes) -> list[Out]:
        """Read a piece of the log, cut anywhere: what follows the last line feed waits for the next piece."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        return [out for line in lines for out in self.line(line)]

    @staticmethod
    def head(raw: bytes) -> tuple[str, str] | None:
        """Return stamp and queue id of a line ("" where it has none); None where it is not one of a mail log."""
        text = raw.decode("utf-8", "surrogateescape")
        head = postfix_lines.head(text)
        if head is None:
            return None
        qid = postfix_lines.NAMED.match(text, head.end())
        return head[1], qid[1] if qid else ""

    def finish(self) -> list[Out]:
        """Return what is held: events whose first instance's lines never came, without a server."""
        return [out for orig in list(self.held) for out in self._resolve(orig, None)]

    def line(self, raw: bytes, where: Any = None, *, whole: bool = True) -> list[Out]:
        """Read one line, of bytes, without its line feed. `where` comes back in its outcomes.

        Not `whole`: the input ended without a line feed, so the line may have been cut.
        """
        # A machine that lost its power leaves NULs where the lines before were to be.
        raw = (raw.lstrip(b"\0") or raw).rstrip(b"\r")
        text = raw.decode("utf-8", "surrogateescape")
        head = postfix_lines.head(text)
        if head is None:
            if not text or text.isspace():
                return []
            if postfix_lines.OF_A_DELIVERY.search(text) and not postfix_lines.OF_ANOTHER.match(text):
                message = "The line is one of a delivery, and does not begin as those of a mail log do"
                return [{"refused": "invalid_line", "message": message, "where": where}]
            if whole and postfix_lines.ANY_HEAD.match(text):
                return []
            return [{"refused": "invalid_line", "message": "The line is not one of a mail log", "where": where}]
        handler = self._handlers.get(head[4], self._delivery)
        try:
            outs = handler(head, text, raw, where, whole=whole)
        except BadStamp:
            return [{"refused": "invalid_at", "message": "The line's time cannot be read", "where": where}]
        clock = self.times.clock
        if clock is not None and clock >= self._due:
            self._due = clock // 3600 * 3600 + 3600
            outs = outs + self._forget()
        return outs

    # Lines

    def _smtpd(self, head: re.Match[str], text: str, raw: bytes, where: Any, *, whole: bool) -> list[Out]:
        match = postfix_lines.CLIENT.match(text, head.end())
        if match is None or not whole:
            return []
        key = queue_key(match[1], head[2])
        at = self.times.of(head[1], match[1])
        server = orig = None
        rest = text[(postfix_lines.SASL_METHOD.match(text, match.end()) or match).end() :]
        if rest.startswith("sasl_username="):
            # The rest is the name: sasl_sender is of the client's making, and so would be all behind it.
            server = rest[len("sasl_username=") :].split(", sasl_sender=", 1)[0][:LONGEST_NAME] or None
        else:
            # XFORWARD: the queue id at the instance before this one.
            forwarded = postfix_lines.ORIG.match(rest)
            orig = queue_key(forwarded[1], head[2]) if forwarded else None
            if orig is None and self._tenant_of is not None:
                server = self._tenant_of(match[0].rpartition("[")[2].partition("]")[0])
        message = self._begin(key, Message(server, int(at)))
        message.zone = self.times.zone_off(at, match[1])
        if orig is not None:
            message.incoming = True  # counted by the instance before
            known, message.server = self._server_of(orig)
            if not known:
                message.waits = orig
                self.held.setdefault(orig, Held(int(at))).keys.append(key)
        return [] if message.waits else self._resolve(key, message.server)

    def _pickup(self, head: re.Match[str], text: str, raw: bytes, where: Any, *, whole: bool) -> list[Out]:
        match = postfix_lines.PICKUP.match(text, head.end())
        if match is None or not whole:
            return []
        key = queue_key(match[1], head[2])
        at = int(self.times.of(head[1], match[1]))
        before = queue_key(match[2], head[2]) if match[2] else ""
        old = self.messages.pop(before, None)
        if old is not None:
            # postsuper -r: the same message under a new id, with the recipients that are left.
            old.touched, old.nrcpt, old.done = at, 0, set()
            self.messages[key] = old
            if old.waits:
                self.held[old.waits].keys.append(key)
            else:
                self._keep_gone(before, old)
        elif not before or (key not in self.messages and before not in self.gone):
            # Requeued, and its first lines are not here: it was counted then. Else this line is read again.
            message = self._begin(key, Message(None, at))
            message.incoming, message.probe = bool(before), None if before else []
            return self._resolve(key, message.server)
        return []

    def _qmgr(self, head: re.Match[str], text: str, raw: bytes, where: Any, *, whole: bool) -> list[Out]:
        if not whole and not text.endswith((")", "removed", "sender")):
            return []
        match = postfix_lines.ACTIVE.match(text, head.end())
        if match:
            key = queue_key(match[1], head[2])
            message = self.messages.get(key)
            at = self.times.of(head[1], match[1])
            if message is None:
                if not match[2]:
                    # Neither received nor picked up: a notification that Postfix made.
                    message = self._begin(key, Message(None, int(at)))
                    message.own = message.incoming = True
                return []
            message.touched, message.sender = int(at), match[2][:LONGEST_NAME]
            message.nrcpt = message.nrcpt or min(int(match[3]), MOST_RECIPIENTS)
            if message.incoming:
                return []
            message.incoming = True
            outs = [
                self._event(message, "incoming", at, match[1], raw, str(number), where)
                for number in range(message.nrcpt)
            ]
            if message.probe is not None and self.count_probed + len(outs) <= MOST_HELD:
                message.probe = outs
                self.count_probed += len(outs)
                return []
            message.probe = None
            return self._out(message, outs)
        match = postfix_lines.EXPIRED.match(text, head.end())
        if match:
            return self._end(head, match, raw, where, match[3])
        match = postfix_lines.REMOVED.match(text, head.end())
        if match:
            self.times.of(head[1], match[1])
            self._removed(queue_key(match[1], head[2]))
        return []

    def _postsuper(self, head: re.Match[str], text: str, raw: bytes, where: Any, *, whole: bool) -> list[Out]:
        match = postfix_lines.REMOVED.match(text, head.end())
        if match is None:
            return []
        outs = self._end(head, match, raw, where, "removed from the queue by the administrator", numbered=True)
        self._removed(queue_key(match[1], head[2]))
        return outs

    def _delivery(self, head: re.Match[str], text: str, raw: bytes, where: Any, *, whole: bool) -> list[Out]:
        found = postfix_lines.delivery(text, head.end(), whole=whole)
        if found is None:
            return []
        if isinstance(found, postfix_lines.Unread):
            return [{"refused": found.code, "message": found.message, "where": where}]
        return self._outcome(head, found, raw, where)

    # What became of recipients

    def _outcome(self, head: re.Match[str], found: postfix_lines.Delivery, raw: bytes, where: Any) -> list[Out]:
        message = self.messages.get(queue_key(found.qid, head[2]))
        at = self.times.of(head[1], found.qid)
        if message is None:
            return [{"ignored": "unknown_message", "where": where}]
        message.touched = int(at)
        if message.own:
            return [{"ignored": "own_notification", "where": where}]
        before = self._unprobed(message)
        kind = _KINDS.get(found.status)
        if kind is None:
            # deliverable, undeliverable: nothing was sent, and the message was none.
            return [{"ignored": "probe", "where": where}]
        tag, word = postfix_lines.sorted_out(head[3], head[4], kind, found, self.tags)
        if word == "handover":
            message.handed = True
        tried = word is None and (kind == "deferred" or bool(tag))
        attempt = log_attempts.note(message.attempts, found.recipient, tag, raw, tried=tried)
        if kind != "deferred":
            message.attempts.pop(found.recipient, None)
            message.done.add(recipient_sum(found.recipient))
        outs = self._out(message, before)
        if word:
            return [*outs, {"ignored": word, "where": where}]
        out = self._event(message, kind, at, found.qid, raw, "", where, tag)
        event = out["event"]
        event["to"] = found.recipient
        postfix_lines.explain(event, found)
        if attempt:
            event["attempt"] = attempt
        return outs + self._out(message, [out])

    def _end(
        self, head: re.Match[str], match: re.Match[str], raw: bytes, where: Any, reply: str, *, numbered: bool = False
    ) -> list[Out]:
        """Return a bounce for every recipient that is still open; the log has no line for each."""
        message = self.messages.get(queue_key(match[1], head[2]))
        at = self.times.of(head[1], match[1])
        if message is None or message.own:
            return []
        outs = self._unprobed(message)
        named = sorted(message.attempts.items())
        unnamed = max(0, message.nrcpt - len(message.done) - len(named))
        for number, (recipient, attempt) in enumerate(named + [(None, None)] * unnamed):
            tag = attempt[0] if attempt else ""
            salt = str(number) if numbered or recipient is None else recipient
            out = self._event(message, "bounced", at, match[1], raw, salt, where, tag)
            if recipient is not None:
                out["event"]["to"] = recipient
                message.done.add(recipient_sum(recipient))
            out["event"]["reply"] = reply
            outs.append(out)
        message.attempts = {}
        message.nrcpt = len(message.done)
        return self._out(message, outs)

    def _event(
        self, message: Message, kind: str, at: float, qid: str, raw: bytes, salt: str, where: Any, tag: str = ""
    ) -> Out:
        digest = hashlib.sha256(raw + b"\0" + salt.encode("utf-8", "surrogateescape")).hexdigest()[:20]
        event: dict[str, Any] = {"id": qid + "-" + digest, "type": kind, "at": self.times.text(at)}
        if message.server is not None:
            event["server"] = message.server
        if message.sender is not None:
            event["from"] = message.sender
        out: Out = {"event": event, "where": where}
        if tag:
            out["tag"] = tag
            known = postfix_lines.tag(tag)
            if known:
                out["vmta_id"], event["rule"] = known
        if message.zone:
            off = f"The log's time is {message.zone} s off the queue id's: check the time zone"
            out["warnings"] = [["time_zone", off]]
        return out

    # Who handed it over

    def _out(self, message: Message, outs: list[Out]) -> list[Out]:
        if message.waits is None or not outs:
            return outs
        self.held[message.waits].outs.extend(outs)
        self.count_held += len(outs)
        released = []
        while self.count_held + len(self.held) > MOST_HELD:
            released += self._resolve(next(iter(self.held)), None)
        return released

    def _server_of(self, key: str) -> tuple[bool, str | None]:
        """Return whether the message is known, and its server. One that waits itself is not known yet."""
        message = self.messages.get(key)
        if message is not None:
            return message.waits is None, message.server
        if key in self.gone:
            return True, self.gone[key][0]
        return False, None

    def _resolve(self, orig: str, server: str | None) -> list[Out]:
        """Return what waited for a message, now that its server is known, or is not going to be."""
        held = self.held.pop(orig, None)
        if held is None:
            return []
        self.count_held -= len(held.outs)
        outs = held.outs
        for out in outs:
            if server is not None:
                out["event"]["server"] = server
        for key in held.keys:
            message = self.messages.get(key)
            if message is not None and message.waits == orig:
                message.waits, message.server = None, server
            outs = outs + self._resolve(key, server)
        return outs

    def _begin(self, key: str, message: Message) -> Message:
        """Keep the state of a message; of too many the one that was kept for the longest time goes."""
        old = self.messages.pop(key, None)
        if old is None and len(self.messages) >= MOST_MESSAGES:
            old = self.messages.pop(next(iter(self.messages)))
        if old is not None:
            self._unprobed(old)
        self.messages[key] = message
        return message

    def _unprobed(self, message: Message) -> list[Out]:
        """Return what waited for the message's first outcome, which waits no longer."""
        outs, message.probe = message.probe or [], None
        self.count_probed -= len(outs)
        return outs

    def _removed(self, key: str) -> None:
        message = self.messages.pop(key, None)
        if message is not None:
            self._unprobed(message)
            if message.handed and message.waits is None:
                self._keep_gone(key, message)

    def _keep_gone(self, key: str, message: Message) -> None:
        self.gone[key] = [message.server, message.touched]
        while len(self.gone) > MOST_REMEMBERED:
            del self.gone[next(iter(self.gone))]

    def _forget(self) -> list[Out]:
        """Drop what no line can come for any more, once an hour of the log's own time. Returns what was held too long."""
        clock = self.times.clock or 0
        oldest, older = clock - LIFETIME, clock - MEMORY
        for key in self.messages.older(oldest):
            self._unprobed(self.messages.pop(key))
        for key in [key for key, value in self.gone.items() if value[1] < older]:
            del self.gone[key]
        late = [orig for orig, each in self.held.items() if each.since < older]
        return [out for orig in late for out in self._resolve(orig, None)]
