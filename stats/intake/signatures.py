"""What remains of a reply when everything that differs from message to message is masked. Pure.

`signature` makes a million replies a few hundred texts that still say why; `sample` hides only what names a mailbox or could open something.
Both take the text apart at its blanks and brackets, once, and judge each piece by itself: the time grows with the length of the text,
whatever it says, and a piece that was seen before costs one look-up.
"""

import re
from collections.abc import Callable, Container
from ipaddress import ip_address

LONGEST_REPLY = 1_000
LONGEST_SIGNATURE = 240

ADDRESS, HOST, IP, NUMBER, ID, DATE = "<address>", "<host>", "<ip>", "<n>", "<id>", "<date>"
_SHOWN_IN_SAMPLES = frozenset((HOST, IP, NUMBER, DATE))

# Names that say who answers or who lists: they are few, and the reason is not readable without them.
_KEPT_HOSTS = frozenset(
    "abuseat.org aol.com apple.com barracudacentral.org bl.spamcop.net charter.net comcast.net cloudmark.com dmarc.org google.com gmx.com gmx.net"
    " icloud.com invaluement.com list.dsbl.org mail.ru mailspike.net mimecast.com microsoft.com office.com office365.com openspf.org"
    " outlook.com proofpoint.com protonmail.ch qq.com 163.com senderbase.org senderscore.org sorbs.net spamcop.net spamhaus.org spamrats.com"
    " surbl.org t-online.de talosintelligence.com trendmicro.com uceprotect.net uribl.com web.de yahoo.com yandex.ru zen.spamhaus.org".split()
)
# With digits, and yet words.
_WORDS_WITH_DIGITS = frozenset(
    "7bit 8bit 8bitmime base64 ipv4 ipv6 rfc822 rfc821 rfc2821 rfc2822 rfc5321 rfc5322 rfc1035 rfc7505 rfc4408 rfc7208 smtputf8 utf8 utf-8 sha1 sha256"
    " md5  pop3 imap4 tls1 x509 tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 tls1.0 tls1.1 tls1.2 tls1.3 sslv2 sslv3 ssl23 ssl3 o365 p2 ipv".split()
)
_DATE_WORDS = frozenset("Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr Jun Jul Aug Sep Oct Nov Dec GMT UTC".split())
# Exchange separates the words of its diagnostics by full stops.
_EXCHANGE = frozenset("RESOLVER ROUTING STOREDRV SMTPSEND QUEUE AGENT APPROVAL TRANSPORT STARTTLS SMTP DNS CAT".split())

# A mark, a word in angle brackets, an address of a page, or what stands between brackets. Each begins where the one before ended.
_PIECE = re.compile(
    r"<(?:address|host|ip|n|id|date)>|<[^\s<>]+>|(?i:https?|ftp)://[^\s<>\"')\]}]*|[^\s<>()\[\]{}\"',;|=\u3000-\u9fff\uff00-\uffef]+"
)
_QUOTED_LOCAL_PART = re.compile(r'"[^"\r\n]*"@[^\s<>()\[\]{}"\',;|=]*')
_PAGE = re.compile(r"(?i)((?:https?|ftp)://)([^/?#]*)")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
_BOTH_CODES = re.compile(r"([245]\d\d)[-_]([245]\.\d{1,3}\.\d{1,3})\Z")
# Reply codes in use; other numbers of three digits are numbers.
_REPLY_CODES = frozenset(
    "250 354 421 432 441 442 450 451 452 453 454 455 458 459 471 500 501 502 503 504 505 510 511 512 513 515 517 521 522 523 530 531 533 534 535"
    " 537 538 540 541 542 543 544 545 546 547 550 551 552 553 554 555 556 557 558 559 560 561 563 569 570 571 572 573 574 575 577 579 580 581"
    " 582 583 585 586 587 588 589 590 591 592 593 594 595 596 597 598 599".split()
)
_NUMBER = re.compile(r"[+-]?\d[\d.,:/%-]*\Z")
_WITH_UNIT = re.compile(r"\d[\d.,]*(?:[kmg]i?b?|bytes?|s|secs?|ms|m|mins?|h|hrs?|hours?|d|days?|x|th|st|nd|rd)\Z", re.IGNORECASE)
_PROVIDER_CODE = re.compile(r"[A-Z]{1,4}-?\d{2,4}\Z")
_LABEL = re.compile(r"[\w-]+\Z")
_INNER = re.compile(r"([:/_&+*#!%~?\\$^-]+)")
_AROUND = ".:!?…-*#/&~+_"
_CODE = re.compile(r"(?<![\w.#/-])([245]\d\d)(?![\w./])")
_ENHANCED_ANYWHERE = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?![\w.]\w)")
_CODES = re.compile(r"(?<![\w./<-])(?:[245]\d\d(?=[\s-]|\Z)[ -]?(?:#?[245]\.\d{1,3}\.\d{1,3}(?![\w.]))?|#?[245]\.\d{1,3}\.\d{1,3}(?![\w.]))")
_SAME_AGAIN = re.compile(r"(<(?:address|host|ip|n|id|date)>)(?:[\s,:/-]{0,3}\1)+")
_DATE_AND_NUMBERS = re.compile(r"<date>(?:[\s,]{1,2}(?:<date>|<n>))+|<n>(?:[\s,]{1,2}<date>)+")
_BLANKS = re.compile(r"\s+")
_LONGEST_WORD = 24
_DIGITS_OF_AN_ID = 4
_PIECES_REMEMBERED = 20_000


class Masker:
    """Masks texts. `ordinary` are words that are never a mailbox's name, though a local part may read so ("user@example.com")."""

    def __init__(self, ordinary: Container[str]) -> None:
        self._ordinary = ordinary
        self._masked = _Pieces(_Judge(ordinary, shown=frozenset()))
        self._shown = _Pieces(_Judge(ordinary, shown=_SHOWN_IN_SAMPLES))

    def skeleton(self, text: str) -> str:
        """Return the text with each piece masked; equal for replies that differ only in what is masked."""
        return self._apply(text, self._masked)

    def sample(self, text: str) -> str:
        """Return the text to show to people: without mailboxes, ids and the paths of pages. Doing it again changes nothing."""
        return self._apply(text, self._shown)

    def _apply(self, text: str, pieces: "_Pieces") -> str:
        text = text[:LONGEST_REPLY]
        if "@" in text:
            text = self._without_local_parts(text)
        return " ".join(filter(None, map(pieces.__getitem__, text.split())))

    def _without_local_parts(self, text: str) -> str:
        """Mask quoted local parts, and local parts that stand alone as well ("Unknown local part jane in <jane@example.com>")."""
        if '"@' in text:
            text = _QUOTED_LOCAL_PART.sub(ADDRESS, text)
        names = {_last_word(before) for before in text.split("@")[:-1]}
        alone = [name for name in names if len(name) > 1 and text.count(name) > 1 and name.casefold() not in self._ordinary]
        if alone:
            anywhere = re.compile(rf"(?<![\w.@])(?:{'|'.join(map(re.escape, sorted(alone, key=len, reverse=True)))})(?![\w@]|\.\w)")
            text = anywhere.sub(ID, text)
        return text


def _last_word(text: str) -> str:
    tail = text[-64:]
    return tail[max(map(tail.rfind, " <>()[]\"',;=:")) + 1 :]


class _Pieces(dict[str, str]):
    """What becomes of a piece between blanks, remembered where it may come again."""

    def __init__(self, judge: Callable[[str], str]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, piece: str) -> str:
        masked = self._judge(piece)
        # Ids, numbers and addresses come once.
        if len(masked) > 2 and masked[0] != "<":
            if len(self) >= _PIECES_REMEMBERED:
                self.clear()
            self[piece] = masked
        return masked


class _Judge:
    """Says what a piece is shown as; marks in `shown` are not put in the place of what they stand for."""

    def __init__(self, ordinary: Container[str], *, shown: frozenset[str]) -> None:
        self._ordinary = ordinary
        self._shown = shown

    def __call__(self, piece: str) -> str:
        if piece.isalpha() and len(piece) <= _LONGEST_WORD and piece not in _DATE_WORDS:
            return piece
        if piece.isdigit():
            return self._plain_number(piece)
        return _PIECE.sub(self._replaced, piece)

    def _plain_number(self, digits: str) -> str:
        return digits if digits in _REPLY_CODES else self._as(NUMBER, digits)

    def _as(self, mark: str, piece: str) -> str:
        return piece if mark in self._shown else mark

    def _replaced(self, found: re.Match[str]) -> str:
        piece = found[0]
        if piece[0] == "<":
            if piece[1:-1] in ("address", "host", "ip", "n", "id", "date"):
                return piece
            inner = piece[1:-1]
            if "@" in inner:
                return ADDRESS
            judged = self._judged(inner)
            return ID if judged == inner and inner.isalnum() and not inner.isdigit() else judged if judged[:1] == "<" else f"<{judged}>"
        if "://" in piece:
            return self._page(piece)
        return self._judged(piece)

    def _page(self, piece: str) -> str:
        page = _PAGE.match(piece)
        if page is None:
            return self._judged(piece)
        host = page[2].rpartition("@")[2].rpartition(":")[0] or page[2].rpartition("@")[2]
        host = host.rstrip(".").lower()
        if not host or _is_ip(host):
            return f"{page[1].lower()}{self._as(IP, host) if host else ''}/"
        return f"{page[1].lower()}{host if self._is_plain(host) else HOST}/"

    @staticmethod
    def _is_plain(host: str) -> bool:
        return all(len(label) <= _LONGEST_WORD and sum(map(str.isdigit, label)) < _DIGITS_OF_AN_ID for label in host.split("."))

    def _judged(self, piece: str) -> str:
        core = piece.strip(_AROUND)
        if core == piece:
            return self._core(core)
        if not core:
            return piece
        start = piece.index(core)
        before, after = piece[:start], piece[start + len(core) :]
        # Sendmail: "jane... User unknown".
        if after.startswith("...") and core.isalnum() and core.islower() and core not in self._ordinary:
            return before + ID + after
        return before + self._core(core) + after

    def _core(self, core: str) -> str:
        if "@" in core:
            return ADDRESS
        if core.isalpha():
            if core in _DATE_WORDS:
                return self._as(DATE, core)
            return core if len(core) <= _LONGEST_WORD or not core.isascii() else ID
        if core.casefold() in _WORDS_WITH_DIGITS or _PROVIDER_CODE.match(core) or _ENHANCED.match(core):
            return core
        if core.isdigit():
            return self._plain_number(core)
        both = _BOTH_CODES.match(core)
        if both is not None:
            return core if self._shown else f"{both[1]} {both[2]}"
        if _NUMBER.match(core):
            return self._number(core)
        if _is_ip(core):
            return self._as(IP, core)
        if _WITH_UNIT.match(core):
            return self._as(NUMBER, core)
        if "." in core:
            return self._dotted(core)
        return self._mixed(core)

    def _number(self, core: str) -> str:
        if core.count(".") == 3 and _is_ip(core.partition("/")[0].partition(":")[0]):
            return self._as(IP, core)
        if core.count(":") + core.count("-") + core.count("/") > 0:
            return self._as(DATE, core)
        return self._as(NUMBER, core)

    def _dotted(self, core: str) -> str:
        host, slash, path = core.partition("/")
        host, colon, port = host.partition(":")
        labels = host.split(".")
        if not all(map(_LABEL.match, labels)):
            return self._mixed(core)
        if labels[0] in _EXCHANGE:
            return core
        last = labels[-1]
        if not last.isalpha() or len(last) < 2:
            return self._mixed(core)
        if len(labels) == 2 and last.istitle() and labels[0].isalpha():
            # A full stop without a blank after it.
            return core if len(core) <= 2 * _LONGEST_WORD else ID
        end = slash if slash and not path else slash and "/"
        folded = host.lower()
        if labels[0].lower() == "www" and self._is_plain(folded):
            return folded + end
        for start in range(len(labels) - 1):
            kept = ".".join(labels[start:]).lower()
            if kept in _KEPT_HOSTS:
                return kept + end
        return self._as(HOST, host) + (colon + self._as(NUMBER, port) if port.isdigit() else "") + end

    def _mixed(self, core: str) -> str:
        digits = sum(map(str.isdigit, core))
        if not digits:
            return core if len(core) <= 2 * _LONGEST_WORD or not core.isascii() else ID
        parts = _INNER.split(core)
        if len(parts) == 1:
            return ID if core.isascii() or digits >= _DIGITS_OF_AN_ID else core
        if digits >= _DIGITS_OF_AN_ID and len(core) > 12 and max(map(len, parts)) > 3:
            return ID
        return "".join(part if at % 2 or not part else self._inner(part) for at, part in enumerate(parts))

    def _inner(self, part: str) -> str:
        if part.isalpha() or part.casefold() in _WORDS_WITH_DIGITS:
            return part
        return self._plain_number(part) if part.isdigit() else ID


def _is_ip(text: str) -> bool:
    if text.count(":") < 2 and text.count(".") != 3:
        return False
    address = text.partition("%")[0].partition("/")[0]
    if address[:5].casefold() == "ipv6:":
        address = address[5:]
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


def codes_of(skeleton: str) -> tuple[str, str]:
    """Return the first reply code and the first enhanced code of a skeleton, or ""."""
    code = _CODE.search(skeleton)
    enhanced = _ENHANCED_ANYWHERE.search(skeleton)
    return code[1] if code else "", enhanced[1] if enhanced else ""


def tidied(code: str, enhanced: str, skeleton: str) -> str:
    """Return the signature: the codes, once, and the masked text, where marks in a row are one."""
    text = _CODES.sub(" ", skeleton)
    text = _DATE_AND_NUMBERS.sub(DATE, text)
    text = _SAME_AGAIN.sub(r"\1", text)
    return _BLANKS.sub(" ", f"{code} {enhanced} {text}").strip()[:LONGEST_SIGNATURE].rstrip()
