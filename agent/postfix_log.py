"""Lines of Postfix's log to events, with the state that one message's lines share. Standard library alone, Python 3.9.

The same file runs in Sluice and, copied, on the nodes. Every line is read by Postfix's own grammar: an address may hold
`>, status=sent (`, a reply or a SASL name anything, and none of them may forge another field. Ids are made of the line
alone, so that reading again after a lost offset makes the same events.
"""

import hashlib
import re
import zlib

if __package__:
    from agent import log_attempts
    from agent.log_times import BadStamp, Times
else:
    # Copied to a node, with these beside it.
    import log_attempts  # type: ignore[import-not-found,no-redef,unused-ignore]
    from log_times import BadStamp, Times  # type: ignore[import-not-found,no-redef,unused-ignore]

# Postfix's own default for maximal_queue_lifetime, and a day.
LIFETIME = 6 * 86400
# How long the server of a finished message is remembered for the instance that took it over, in the log's time.
MEMORY = 86400
MOST_REMEMBERED = 50_000
MOST_HELD = 50_000
# Logging paths cut a line at 1,024, 2,000 or more characters; what is cut earlier was cut by an accident.
CUT_BY_LOGGER = 900

_QID = (
    r"([0-9A-F]{6,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,20})"  # short | long
)
# Addresses in external form (info_log_addr_form, the default since 3.5): what is special stands in a quoted string.
_ADDRESS = (
    r'((?:(?:"(?:[^"\\]|\\.)*"|[^"<>\s,@\\\[\]])+(?:@(?:\[(?:[^\]\\]|\\.)*\]|[^\s<>,"@\[\]]*))?)?)'  # local@domain
)
_STAMP = (
    r"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|z|[+-]\d\d:?\d\d))"
)
_HEAD = re.compile(_STAMP + r" (\S+) ([\w.-]+(?:/[\w.-]+)*)/([\w-]+)\[\d+\]: ")
_ANY_HEAD = re.compile(_STAMP + r" \S+ \S")
_CLIENT = re.compile(_QID + r": client=[^\s\[\],]+\[[^\s\[\],]+\](?::\d+)?(?:, |$)")
_SASL_METHOD = re.compile(r"sasl_method=[\w-]+, ")
_ORIG = re.compile(r"orig_queue_id=" + _QID + r"(?=, orig_client=|$)")
_PICKUP = re.compile(_QID + r": uid=\d+ from=<.*>(?: orig_id=" + _QID + r")?$", re.DOTALL)
# Both end as Postfix ends them, and the sender can only stand before that.
_ACTIVE = re.compile(_QID + r": from=<(.*)>, size=\d+, nrcpt=(\d{1,9}) \(queue active\)$", re.DOTALL)
_EXPIRED = re.compile(_QID + r": from=<(.*)>, status=((?:force-)?expired, returned to sender)$", re.DOTALL)
_REMOVED = re.compile(_QID + r": removed$")
_STATUS = (
    r"relay=([^,\s]+), (?:conn_use=\d+, )?delay=([\d.]+), delays=[\d./]+, (?:tls=[^,\s]+, )?dsn=(\d\.\d{1,3}\.\d{1,3})"
    r", status=([a-z-]+) \("
)
_DELIVERY = re.compile(_QID + ": to=<" + _ADDRESS + ">, (?:orig_to=<" + _ADDRESS + ">, )?" + _STATUS)
_INTERNAL = re.compile(">, (?:orig_to=<.*?>, )?" + _STATUS, re.DOTALL)
_TO = re.compile(_QID + ": to=<")
_TAG = re.compile(r"sluice-a(\d{1,10})-r(\d{1,10})(?:$|[/-])")
_REPLY = re.compile(r"host [^\s\[]+\[[^\]\s]*\](?::\d+)? (?:said|refused to talk to me): (.*)$", re.DOTALL)
_IN_REPLY = re.compile(r" \(in reply to [A-Za-z ]+\)$")
_CODE = re.compile(r"([2-5]\d\d)(?:[ -]|$)")
_HOST = re.compile(r"([^\s\[]+)\[([^\]\s]*)\]")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|::1)\[(?:127\.|::1\])|connect to (?:localhost|127(?:\.\d{1,3}){3}|::1)\[")

_KINDS = {"sent": "sent", "deferred": "deferred", "bounced": "bounced"}
# What smtp(8) says where the trouble is on this machine. A receiver's words come after "host … said:".
_OWN_TROUBLE = (
    "server configuration error",
    "unsupported configuration",
    "local data error while talking to ",
    "TLS is required, but our TLS engine is unavailable",
    "unknown mail transport error",
    "mail transport unavailable",
    "deferred transport",
    "delivery temporarily suspended",
)


class Message:
    """What the lines of one queue id have said so far."""

    __slots__ = ("attempts", "done", "handed", "incoming", "nrcpt", "own", "probe", "sender", "server", "touched", "waits", "zone")

    def __init__(self, server, touched):
        self.server = server  # None: no SASL user
        self.touched = touched
        self.sender = None
        self.nrcpt = 0
        self.incoming = False  # counted, or not to be counted
        self.attempts = {}  # open recipients: [tag of the last attempt, attempts forgotten, sums of the attempts' lines …]
        self.done = set()  # sums of recipients with a final outcome
        self.handed = False  # to another instance
        self.own = False  # a notification made here
        self.probe = None  # `incoming` waits for the first outcome: it may be an address verification (sendmail -bv)
        self.waits = None  # the queue id at the instance before this one, whose lines were not seen yet
        self.zone = 0  # seconds by which the log's time is off

    def as_json(self):
        values = {name: getattr(self, name) for name in self.__slots__}
        values["done"] = sorted(self.done)
        return {name: value for name, value in values.items() if value or name == "touched"}

    @classmethod
    def from_json(cls, values):
        message = cls(None, 0)
        for name in cls.__slots__:
            if name in values:
                setattr(message, name, values[name])
        message.done = set(message.done)
        return message


class Held:
    """What waits until the lines of an earlier instance say whose it is."""

    __slots__ = ("keys", "outs", "since")

    def __init__(self, since, keys=(), outs=()):
        self.since, self.keys, self.outs = since, list(keys), list(outs)

    def as_json(self):
        return [self.since, self.keys, [dict(out, where=None) for out in self.outs]]

    @classmethod
    def from_json(cls, values):
        return cls(*values)


class Reader:
    """Reads the lines of the Postfix instances of one machine, or of several.

    `line` returns a list of outcomes: `{"event": …, "tag": …, "vmta_id": …, "warnings": […]}`, `{"ignored": word}` or
    `{"refused": code, "message": …}`. `tags` are further syslog names that stand for an address.
    """

    def __init__(self, time_zone="UTC", state=None, now=0.0, tags=()):
        state = state or {}
        self.times = Times(time_zone, now, state.get("clock"))
        self.tags = tags
        self.messages = {key: Message.from_json(values) for key, values in state.get("messages", {}).items()}
        self.gone = {key: tuple(value) for key, value in state.get("gone", {}).items()}
        # By the queue id that is waited for: since when, which messages wait, and their events.
        self.held = {key: Held.from_json(values) for key, values in state.get("held", {}).items()}
        self.count_held = sum(len(each.outs) for each in self.held.values())
        self._tail = state.get("tail", "").encode("utf-8", "surrogateescape")
        self._hour = state.get("hour", 0)
        self._parsed_tags = {}
        self._handlers = {
            "smtpd": self._smtpd,
            "pickup": self._pickup,
            "qmgr": self._qmgr,
            "nqmgr": self._qmgr,
            "oqmgr": self._qmgr,
            "postsuper": self._postsuper,
        }

    def state(self):
        """Return what is needed to go on, as JSON's types."""
        return {
            "clock": self.times.clock,
            "hour": self._hour,
            "messages": {key: message.as_json() for key, message in self.messages.items()},
            "gone": {key: list(value) for key, value in self.gone.items()},
            "held": {key: each.as_json() for key, each in self.held.items()},
            "tail": self._tail.decode("utf-8", "surrogateescape"),
        }

    def feed(self, data):
        """Read a piece of the log, cut anywhere: what follows the last line feed waits for the next piece."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        return [out for line in lines for out in self.line(line)]

    def finish(self):
        """Return what is held: events whose first instance's lines never came, without a server."""
        return [out for orig in list(self.held) for out in self._resolve(orig, None)]

    def line(self, raw, where=None, whole=True):
        """Read one line, of bytes, without its line feed. `where` comes back in its outcomes.

        Not `whole`: the input ended without a line feed, so the line may have been cut.
        """
        raw = raw.rstrip(b"\r")
        text = raw.decode("utf-8", "surrogateescape")
        head = _HEAD.match(text)
        if head is None:
            if not text or text.isspace() or (whole and _ANY_HEAD.match(text)):
                return []
            return [{"refused": "invalid_line", "message": "The line is not one of a mail log", "where": where}]
        handler = self._handlers.get(head[4], self._delivery)
        try:
            outs = handler(head, text, raw, where, whole)
        except BadStamp:
            return [{"refused": "invalid_at", "message": "The line's time cannot be read", "where": where}]
        if self.times.clock is not None and self.times.clock // 3600 > self._hour:
            self._hour = int(self.times.clock // 3600)
            outs = outs + self._forget()
        return outs

    # Lines

    def _smtpd(self, head, text, raw, where, whole):
        match = _CLIENT.match(text, head.end())
        if match is None or not whole:
            return []
        key = _key(match[1], head[2])
        at = self.times.of(head[1], match[1])
        server = orig = None
        rest = text[match.end() :]
        method = _SASL_METHOD.match(rest)
        if method:
            rest = rest[method.end() :]
        if rest.startswith("sasl_username="):
            # The rest is the name: sasl_sender is of the client's making, and so would be all behind it.
            server = rest[len("sasl_username=") :].split(", sasl_sender=", 1)[0]
        else:
            # XFORWARD: the queue id at the instance before this one.
            forwarded = _ORIG.match(rest)
            orig = _key(forwarded[1], head[2]) if forwarded else None
        message = self.messages[key] = Message(server, int(at))
        message.zone = self.times.zone_off(at, match[1])
        outs = []
        if orig is not None:
            message.incoming = True  # counted by the instance before
            known, message.server = self._server_of(orig)
            if not known:
                message.waits = orig
                self.held.setdefault(orig, Held(int(at))).keys.append(key)
        return outs if message.waits else self._resolve(key, message.server)

    def _pickup(self, head, text, raw, where, whole):
        match = _PICKUP.match(text, head.end())
        if match is None or not whole:
            return []
        key = _key(match[1], head[2])
        at = int(self.times.of(head[1], match[1]))
        old = self.messages.pop(_key(match[2], head[2]), None) if match[2] else None
        if old is None:
            message = self.messages[key] = Message(None, at)
            # Requeued, and its first lines are not here: it was counted then.
            message.incoming = bool(match[2])
            message.probe = [] if not match[2] else None
            return self._resolve(key, None)
        # postsuper -r: the same message under a new id, with the recipients that are left.
        old.touched, old.nrcpt, old.done = at, 0, set()
        self.messages[key] = old
        return []

    def _qmgr(self, head, text, raw, where, whole):
        if not whole and not text.endswith((")", "removed", "sender")):
            return []
        match = _ACTIVE.match(text, head.end())
        if match:
            key = _key(match[1], head[2])
            message = self.messages.get(key)
            at = self.times.of(head[1], match[1])
            if message is None:
                if not match[2]:
                    # Neither received nor picked up: a notification that Postfix made.
                    message = self.messages[key] = Message(None, int(at))
                    message.own = message.incoming = True
                return []
            message.touched, message.sender = int(at), match[2]
            message.nrcpt = message.nrcpt or int(match[3])
            if message.incoming:
                return []
            message.incoming = True
            outs = [
                self._event(message, "incoming", at, match[1], raw, str(number), where) for number in range(message.nrcpt)
            ]
            if message.probe is not None:
                message.probe = outs
                return []
            return self._out(message, outs)
        match = _EXPIRED.match(text, head.end())
        if match:
            return self._end(head, match, raw, where, match[3])
        match = _REMOVED.match(text, head.end())
        if match:
            key = _key(match[1], head[2])
            self.times.of(head[1], match[1])
            message = self.messages.pop(key, None)
            if message is not None:
                self._remember(key, message)
        return []

    def _postsuper(self, head, text, raw, where, whole):
        match = _REMOVED.match(text, head.end())
        if match is None:
            return []
        outs = self._end(head, match, raw, where, "removed from the queue by the administrator", numbered=True)
        message = self.messages.pop(_key(match[1], head[2]), None)
        if message is not None:
            self._remember(_key(match[1], head[2]), message)
        return outs

    def _delivery(self, head, text, raw, where, whole):
        if not _TO.match(text, head.end()):
            return []
        match = _DELIVERY.match(text, head.end())
        if match:
            qid, recipient, relay, delay, dsn, status = match.group(1, 2, 4, 5, 6, 7)
        else:
            # The address is in internal form, which has no grammar: it is read where it can be read in one way only.
            ends = list(_INTERNAL.finditer(text, head.end()))
            if len(ends) != 1:
                code, message = "invalid_line", "The delivery cannot be read, or can be read in several ways"
                if not whole or not ends:
                    code, message = "truncated", "The line of a delivery has been cut"
                return [{"refused": code, "message": message, "where": where}]
            match = ends[0]
            qid, (relay, delay, dsn, status) = _TO.match(text, head.end())[1], match.groups()
            recipient = text[_TO.match(text, head.end()).end() : match.start()]
        reason = text[match.end() :]
        if reason.endswith(")") and (whole or reason.count("(") + 1 == reason.count(")")):
            reason = reason[:-1]
        elif not whole or len(text) < CUT_BY_LOGGER:
            return [{"refused": "truncated", "message": "The line of a delivery has been cut", "where": where}]
        return self._outcome(head, qid, recipient, relay, float_of(delay), dsn, status, reason, raw, where)

    # What became of recipients

    def _outcome(self, head, qid, recipient, relay, delay, dsn, status, reason, raw, where):
        message = self.messages.get(_key(qid, head[2]))
        at = self.times.of(head[1], qid)
        if message is None:
            return [{"ignored": "unknown_message", "where": where}]
        message.touched = int(at)
        if message.own:
            return [{"ignored": "own_notification", "where": where}]
        kind = _KINDS.get(status)
        if kind is None:
            # deliverable, undeliverable: nothing was sent.
            message.probe = None
            return [{"ignored": "probe", "where": where}]
        before = message.probe or []
        message.probe = None
        tag, daemon = head[3], head[4]
        vmta_id, rule = self._tag(tag)
        names_address = vmta_id is not None or tag in self.tags
        # lmtp(8) and the like deliver on this machine, unless their name says by which address.
        remote = daemon == "smtp" or names_address
        word = None
        if remote and not names_address and _LOOPBACK.match(reason if relay == "none" else relay):
            if kind == "sent":
                message.handed, word = True, "handover"
            elif kind == "deferred":
                word = "own_deferral"
            # Refused by the next instance: a bounce of the server, by no address.
            tag, remote = "", False
        elif kind == "deferred" and (not remote or reason.startswith(_OWN_TROUBLE)):
            word = "own_deferral"
        elif daemon == "discard":
            word = "discard"
        if not remote:
            tag, vmta_id, rule = "", None, None
        if kind == "deferred":
            attempt = log_attempts.note(message.attempts, recipient, tag, raw, tried=word is None)
        else:
            attempt = log_attempts.note(message.attempts, recipient, tag, raw, tried=word is None and remote)
            message.attempts.pop(recipient, None)
            message.done.add(zlib.crc32(recipient.encode("utf-8", "surrogateescape")))
        outs = self._out(message, before)
        if word:
            return [*outs, {"ignored": word, "where": where}]
        out = self._event(message, kind, at, qid, raw, "", where, tag, vmta_id)
        event = out["event"]
        event["to"] = recipient
        _explain(event, relay, dsn, reason)
        event["seconds"] = delay
        if attempt:
            event["attempt"] = attempt
        if rule is not None:
            event["rule"] = rule
        return outs + self._out(message, [out])

    def _end(self, head, match, raw, where, reply, numbered=False):
        """Return a bounce for every recipient that is still open; the log has no line for each."""
        message = self.messages.get(_key(match[1], head[2]))
        at = self.times.of(head[1], match[1])
        if message is None or message.own:
            return []
        outs = message.probe or []
        message.probe = None
        named = sorted(message.attempts.items())
        unnamed = max(0, message.nrcpt - len(message.done) - len(named))
        for number, (recipient, attempt) in enumerate(named + [(None, None)] * unnamed):
            tag = attempt[0] if attempt else ""
            vmta_id, rule = self._tag(tag)
            salt = str(number) if numbered or recipient is None else recipient
            out = self._event(message, "bounced", at, match[1], raw, salt, where, tag, vmta_id)
            if recipient is not None:
                out["event"]["to"] = recipient
                message.done.add(zlib.crc32(recipient.encode("utf-8", "surrogateescape")))
            out["event"]["reply"] = reply
            if rule is not None:
                out["event"]["rule"] = rule
            outs.append(out)
        message.attempts = {}
        message.nrcpt = len(message.done)
        return self._out(message, outs)

    def _event(self, message, kind, at, qid, raw, salt, where, tag="", vmta_id=None):
        digest = hashlib.sha256(raw + b"\0" + salt.encode("utf-8", "surrogateescape")).hexdigest()[:20]
        event = {"id": qid + "-" + digest, "type": kind, "at": self.times.text(at)}
        if message.server is not None:
            event["server"] = message.server
        if message.sender is not None:
            event["from"] = message.sender
        out = {"event": event, "where": where}
        if tag:
            out["tag"] = tag
        if vmta_id is not None:
            out["vmta_id"] = vmta_id
        if message.zone:
            out["warnings"] = [["time_zone", "The log's time is %d s off the queue id's: check the time zone" % message.zone]]
        return out

    # Who handed it over

    def _out(self, message, outs):
        if message.waits is None or not outs:
            return outs
        self.held[message.waits].outs.extend(outs)
        self.count_held += len(outs)
        released = []
        while self.count_held + len(self.held) > MOST_HELD:
            released += self._resolve(next(iter(self.held)), None)
        return released

    def _server_of(self, key):
        """Return whether the message is known, and its server. One that waits itself is not known yet."""
        message = self.messages.get(key)
        if message is not None:
            return message.waits is None, message.server
        if key in self.gone:
            return True, self.gone[key][0]
        return False, None

    def _resolve(self, orig, server):
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

    def _remember(self, key, message):
        if message.handed and message.waits is None:
            self.gone[key] = (message.server, message.touched)
            while len(self.gone) > MOST_REMEMBERED:
                del self.gone[next(iter(self.gone))]

    def _forget(self):
        """Drop what no line can come for any more, once an hour of the log's own time. Returns what was held too long."""
        oldest, older = self.times.clock - LIFETIME, self.times.clock - MEMORY
        for key in [key for key, message in self.messages.items() if message.touched < oldest]:
            del self.messages[key]
        for key in [key for key, value in self.gone.items() if value[1] < older]:
            del self.gone[key]
        late = [orig for orig, each in self.held.items() if each.since < older]
        return [out for orig in late for out in self._resolve(orig, None)]

    def _tag(self, tag):
        known = self._parsed_tags.get(tag)
        if known is None:
            match = _TAG.match(tag)
            known = (int(match[1]), int(match[2])) if match else (None, None)
            if len(self._parsed_tags) > 10_000:
                self._parsed_tags.clear()
            self._parsed_tags[tag] = known
        return known


def _key(qid, host):
    # A short id is an inode and some microseconds: it comes again, and on another machine too.
    return qid if len(qid) > 10 and qid[10] == "z" else host + "/" + qid


def float_of(text):
    try:
        return float(text)
    except ValueError:
        return 0.0


def _explain(event, relay, dsn, reason):
    said = _REPLY.match(reason)
    reply = _IN_REPLY.sub("", said[1]) if said else reason
    if said or event["type"] == "sent":
        code = _CODE.match(reply)
        if code:
            event["code"] = int(code[1])
    event["enhanced"] = dsn
    event["reply"] = reply[: log_attempts.MAX_REPLY]
    host = _HOST.match(relay)
    if host:
        event["mx"] = host[1]
