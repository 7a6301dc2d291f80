"""A request while it arrives: which of its bytes are there, and whether they are all."""

import re

# Bytes of a request line and headers. What is longer is cut, so that Django refuses it in the words of its address.
LONGEST_HEAD = 64 * 1024
CUT_TARGET = 40 * 1024
# gunicorn's own limits of headers, where it would answer with a page of its own.
MOST_FIELDS, LONGEST_FIELD = 100, 8_190
# Bytes of one body that are read ahead: as many as an endpoint takes. A longer one is handed over at once, and refused unread.
LONGEST_BODY = 17 * 1024 * 1024
# Chunks of one body: each costs gunicorn's parser some time, however short it is.
MOST_CHUNKS = 100_000
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*0*([0-9]{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:[^\r\n]*chunked", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_TARGET = re.compile(rb"/[!-~]{0,2000}")
# The header of what is put in the place of a head that cannot be read (config.middleware.MalformedHeads).
MALFORMED = b"X-Sluice-Malformed"
_CRLF, _END_OF_HEAD = b"\r\n", b"\r\n\r\n"


class Arriving:
    """One request while it arrives: its bytes so far, and whether they are all."""

    def __init__(self, held: bytes, *, deadline: float) -> None:
        self.held = bytearray(held)
        self.deadline = deadline
        # The number of bytes of the whole request; None while unknown.
        self.whole: int | None = None
        # Where the next chunk of a chunked body begins; None for other bodies.
        self.chunk_at: int | None = None
        self.expects_continue = False
        self._has_head = False
        self._chunks = 0

    def is_whole(self) -> bool:
        """Return whether the request can be processed: it is complete, or it will be refused."""
        if not self._has_head:
            end = self.held.find(_END_OF_HEAD)
            if not 0 <= end <= LONGEST_HEAD:
                if len(self.held) <= LONGEST_HEAD:
                    return False
                self._cut()
                return True
            head = bytes(self.held[: end + 2])
            if _has_too_much(head):
                self._cut()
                return True
            self._read_head(head, end + len(_END_OF_HEAD))
        if self.chunk_at is not None and self.whole is None:
            self._read_chunks()
        if self.whole is None:
            return len(self.held) > LONGEST_BODY
        return len(self.held) >= self.whole or self.whole > LONGEST_BODY

    def _read_head(self, head: bytes, body_at: int) -> None:
        self._has_head = True
        if _CHUNKED.search(head):
            self.chunk_at = body_at
        else:
            length = _LENGTH.search(head)
            self.whole = body_at + int(length[1]) if length else body_at
        self.expects_continue = _EXPECTS.search(head) is not None

    def _read_chunks(self) -> None:
        """Step over the chunks that are there. A malformed one ends the request, and one too many: it is refused."""
        while self.chunk_at is not None:
            end = self.held.find(_CRLF, self.chunk_at, self.chunk_at + 1_024)
            if end < 0:
                if len(self.held) - self.chunk_at > 1_024:
                    self.whole = len(self.held)
                return
            try:
                size = int(self.held[self.chunk_at : end].partition(b";")[0], 16)
            except ValueError:
                size = -1
            if size < 0 or self._chunks >= MOST_CHUNKS:
                self.whole = len(self.held)
                return
            if size == 0:
                # The last chunk, and trailers up to an empty line.
                last = self.held.find(_END_OF_HEAD, end)
                if last >= 0:
                    self.whole = last + len(_END_OF_HEAD)
                elif len(self.held) - end > LONGEST_HEAD:
                    self.whole = len(self.held)
                return
            if end + 2 + size + 2 > len(self.held):
                return
            self.chunk_at = end + 2 + size + 2
            self._chunks += 1

    def _cut(self) -> None:
        """Make a head that is too long one that Django refuses for its length, by the rules of its address."""
        self._has_head = True
        method, _, rest = bytes(self.held[:CUT_TARGET]).split(_CRLF)[0].partition(b" ")
        target = rest.partition(b" ")[0].ljust(CUT_TARGET, b"-")
        self.held[:] = b"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (method, target)
        self.whole = len(self.held)


def refused(held: bytes) -> bytes:
    """Return a head that Django refuses by the rules of its address, in place of one that cannot be read."""
    parts = held[:CUT_TARGET].lstrip(_CRLF).split(_CRLF)[0].split(b" ")
    target = parts[1] if len(parts) > 1 and _TARGET.fullmatch(parts[1]) else b"/"
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s: 1\r\nConnection: close\r\n\r\n" % (target, MALFORMED)


def _has_too_much(head: bytes) -> bool:
    """Whether a head has more headers, or a longer one, than gunicorn reads."""
    fields = head.split(_CRLF)[1:-1]
    return len(fields) > MOST_FIELDS or any(len(field) + len(_CRLF) > LONGEST_FIELD for field in fields)
