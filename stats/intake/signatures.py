"""Masks the variable parts of an SMTP reply: addresses, numbers, ids. Pure.

A signature makes a million replies a few hundred texts that still say why; a sample hides only what names a mailbox or
could open something. Both take the text apart at its blanks and brackets, once, and judge each piece by itself: the time
grows with the length of the text, whatever it says, and a piece that was seen before costs one look-up.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address

from stats.intake.patterns import words

LONGEST_REPLY = 1_000
LONGEST_SIGNATURE = 240
# Beside it stand the codes, "550 5.100.100 ".
_LONGEST_TEXT = LONGEST_SIGNATURE - 14

ADDRESS, HOST, IP, NUMBER, ID, DATE = "<address>", "<host>", "<ip>", "<n>", "<id>", "<date>"
MARKS = frozenset((ADDRESS, HOST, IP, NUMBER, ID, DATE))
_COME_ONCE = frozenset((ADDRESS, IP, NUMBER, ID))
_SHOWN_IN_SAMPLES = frozenset((HOST, IP, NUMBER, DATE))

# They say who answers or who lists: they are few, and the reason is not readable without them.
_KEPT_HOSTS = words("""
    163.com abuseat.org aol.com apple.com barracudacentral.org charter.net cloudmark.com comcast.net dmarc.org gmx.com
    gmx.net google.com icloud.com invaluement.com mail.ru mailspike.net microsoft.com mimecast.com office.com office365.com
    openspf.org outlook.com proofpoint.com protonmail.ch qq.com senderbase.org senderscore.org sorbs.net spamcop.net
    spamhaus.org spamrats.com surbl.org t-online.de talosintelligence.com trendmicro.com uceprotect.net uribl.com web.de
    yahoo.com yandex.ru
""")
_WORDS_WITH_DIGITS = words("""
    7bit 7-bit 8bit 8-bit 8bitmime base64
    ipv4 ipv6 imap4 md5 o365 pop3 rfc1035 rfc2821 rfc2822 rfc4408 rfc5321 rfc5322 rfc7208 rfc7505
    rfc821 rfc822 sha1 sha256 smtputf8 ssl23 ssl3 sslv2 sslv3 tls1 tls1.0 tls1.1 tls1.2 tls1.3 tlsv1 tlsv1.0 tlsv1.1 tlsv1.2
    tlsv1.3 utf-8 utf8 x509
""")
_DATE_WORDS = words("Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr Jun Jul Aug Sep Oct Nov Dec GMT UTC")
# Exchange separates the words of its diagnostics by full stops.
_EXCHANGE = words("AGENT APPROVAL CAT DNS QUEUE RESOLVER ROUTING SMTP SMTPSEND STARTTLS STOREDRV TRANSPORT")
# Other numbers of three digits are numbers.
_REPLY_CODES = frozenset(map(str, (250, 354, *range(420, 460), *range(500, 600))))

# A mark or a word in angle brackets, the address of a page, or what stands between brackets and full-width signs.
_PIECE = re.compile(
    r"<[^\s<>]+>"
    r"|(?i:https?|ftp)://[^\s<>\"')\]}]*"
    r"|[^\s<>()\[\]{}\"',;|=\u3000-\u9fff\uff00-\uffef]+"
)
_QUOTED_LOCAL_PART = re.compile(r'"[^"\r\n]*"@[^\s<>()\[\]{}"\',;|=]*')
_PAGE = re.compile(r"(?i)((?:https?|ftp)://)([^/?#]*)")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
_BOTH_CODES = re.compile(r"([245]\d\d)[-_]([245]\.\d{1,3}\.\d{1,3})\Z")
_NUMBER = re.compile(r"[+-]?\d[\d.,:/%-]*\Z")
_UNITS = r"[kmg]i?b?|bytes?|s|secs?|ms|m|mins?|h|hrs?|hours?|d|days?|x|th|st|nd|rd"
_WITH_UNIT = re.compile(rf"\d[\d.,]*(?:{_UNITS})\Z", re.IGNORECASE)
_PROVIDER_CODE = re.compile(r"[A-Z]{1,4}-?\d{2,4}\Z")
_IPV4 = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?:/\d{1,3})?\Z")
_LABEL = re.compile(r"[\w-]+\Z")
_INNER = re.compile(r"([:/_&+*#!%~?\\$^-]+)")
_AROUND = ".:!?…-*#/&~+_"
_CODE = re.compile(r"(?<![\w.#/-])([245]\d\d)(?![\w./])")
_ENHANCED_ANYWHERE = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?![\w.]\w)")
_X = r"#?[245]\.\d{1,3}\.\d{1,3}(?![\w.])"
_CODES = re.compile(rf"(?<![\w./<-])(?:[245]\d\d(?=[\s-]|\Z)[ -]?(?:{_X})?|{_X})")
_SAME_AGAIN = re.compile(r"(<(?:address|host|ip|n|id|date)>)(?:[\s,:/-]{0,3}\1)+")
_DATE_AND_NUMBERS = re.compile(r"<date>(?:[\s,]{1,2}(?:<date>|<n>))+|<n>(?:[\s,]{1,2}<date>)+")
_BLANKS = re.compile(r"\s+")
# Ten addresses in one reply are many; more are not looked for among its other words.
_ADDRESSES_LOOKED_AT = 10
_LAST_WORD = re.compile(r"[\s<>()\[\]\"',;=:]")
_LONGEST_PLAIN = 120
_PLAIN = re.compile(
    r"[(\[\"']{0,2}([a-z]{1,12}=)?"
    r"(?:(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?::\d{1,5})?|(\d{1,40})[sm]?|([A-Z]{0,30}\d[A-Z\d]{8,40}))"
    r"[)\]\"'.,;:!?]{0,3}\Z"
)
_LONGEST_WORD = 24
_DIGITS_OF_AN_ID = 4
_FOUR_DIGITS = re.compile(r"\D*\d\D*\d\D*\d\D*\d")
# An id of several parts is longer than the one, and one of its parts is longer than the other.
_SHORT_ID = 12
_PART_OF_AN_ID = 3
# No word with digits and no provider's code is longer.
_LONGEST_WITH_DIGITS = 9
_PIECES_REMEMBERED = 20_000
# Longer pieces are made up, and would be most of what is remembered.
_LONGEST_REMEMBERED = 100


class Masker:
    """Masks texts. `ordinary` says that a word is one of the language of replies, and neither a mailbox nor an id."""

    def __init__(self, ordinary: Callable[[str], bool]) -> None:
        self._ordinary = ordinary
        self._masked = _Pieces(ordinary, shown=frozenset(), plain=True)
        self._shown = _Pieces(ordinary, shown=_SHOWN_IN_SAMPLES, plain=False)

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
        masked = " ".join(map(pieces.__getitem__, text.split()))
        return masked if len(masked) <= LONGEST_REPLY else _cut(masked)

    def _without_local_parts(self, text: str) -> str:
        """Mask quoted local parts, and unquoted ones ("Unknown local part jane in <jane@example.com>")."""
        if '"@' in text:
            text = _QUOTED_LOCAL_PART.sub(ADDRESS, text)
        names: list[str] = []
        at = text.find("@")
        for _ in range(_ADDRESSES_LOOKED_AT):
            if at < 0:
                break
            name = text[text.rfind(" ", 0, at) + 1 : at]
            if not name.isalnum():
                name = _LAST_WORD.split(name)[-1]
            if len(name) > 1 and text.count(name) > 1 and name not in names and not self._ordinary(name):
                names.append(name)
            at = text.find("@", at + 1)
        for name in names:
            text = _without(name, text)
        return text


def _without(name: str, text: str) -> str:
    """Mask a local part that is a separate word."""
    before, *after = text.split(name)
    kept = [before]
    for part in after:
        alone = not (before[-1:].isalnum() or before[-1:] in ("_", ".", "@", "-"))
        ended = not (part[:1].isalnum() or part[:1] in ("_", "@", "-") or (part[:1] == "." and part[1:2].isalnum()))
        kept += [ID if alone and ended else name, part]
        before = part
    return "".join(kept)


def _cut(masked: str) -> str:
    """Truncate without cutting a mark, so that masking is idempotent."""
    end = max(masked.rfind(" ", 0, LONGEST_REPLY), masked.rfind(">", 0, LONGEST_REPLY) + 1)
    return masked[: end if end > 0 else LONGEST_REPLY]


class _Pieces(dict[str, str]):
    """The masked form of a piece between spaces, with a cache. `plain`: nothing masked is shown."""

    def __init__(self, ordinary: Callable[[str], bool], *, shown: frozenset[str], plain: bool) -> None:
        super().__init__()
        self._ordinary = ordinary
        self._judge = _Judge(ordinary, shown=shown)
        self._plain = plain
        self.update((mark, mark) for mark in MARKS)

    def __missing__(self, piece: str) -> str:
        if self._plain:
            # The pieces that differ in each reply, without the general way: it is three times slower.
            if "@" in piece and len(piece) <= _LONGEST_PLAIN and piece.isascii():
                return ADDRESS
            found = _PLAIN.match(piece)
            if found is not None:
                name, ip, number, word = found.groups("")
                if ip:
                    return name + IP
                if number and number not in _REPLY_CODES:
                    return name + NUMBER
                if word and not self._ordinary(word):
                    return name + ID
            elif (
                len(piece) > _LONGEST_WITH_DIGITS and piece[0].isalnum() and piece[-1].isalnum() and self._is_id(piece)
            ):
                return ID
        masked = self._judge(piece)
        if masked not in _COME_ONCE and len(piece) <= _LONGEST_REMEMBERED:
            if len(self) >= _PIECES_REMEMBERED:
                self.clear()
            self[piece] = masked
        return masked

    def _is_id(self, piece: str) -> bool:
        """Return whether a long piece is an id by its letters, digits, full stops and hyphens; where in doubt, it is not."""
        core = piece.replace(".", "").replace("-", "")
        if not (core.isalnum() and core.isascii()) or core.isalpha() or core.isdigit() or _WITH_UNIT.match(piece):
            return False
        if core == piece:
            return not self._ordinary(piece)
        hyphens = piece.count("-")
        is_long = len(piece) > max(_SHORT_ID, _PART_OF_AN_ID * (hyphens + 1) + hyphens)
        return is_long and not piece.rpartition(".")[2].isalpha() and _FOUR_DIGITS.match(core) is not None


class _Judge:
    """Decides how a piece is shown; marks in `shown` are not replaced."""

    def __init__(self, ordinary: Callable[[str], bool], *, shown: frozenset[str]) -> None:
        self._ordinary = ordinary
        self._shown = shown

    def __call__(self, piece: str) -> str:
        if piece.isalpha() and len(piece) <= _LONGEST_WORD and piece not in _DATE_WORDS:
            return piece
        if piece.isalnum():
            return self._core(piece)
        return _PIECE.sub(self._replaced, piece)

    def _plain_number(self, digits: str) -> str:
        return digits if digits in _REPLY_CODES else self._as(NUMBER, digits)

    def _as(self, mark: str, piece: str) -> str:
        return piece if mark in self._shown else mark

    def _replaced(self, found: re.Match[str]) -> str:
        piece = found[0]
        if piece[0] == "<":
            return piece if piece in MARKS else self._bracketed(piece[1:-1])
        if "://" in piece:
            return self._page(piece)
        return self._judged(piece)

    def _bracketed(self, inner: str) -> str:
        if "@" in inner:
            return ADDRESS
        if inner.isalnum() and not inner.isdigit():
            # A mailbox without its domain: "<jane>: Recipient address rejected".
            return ID
        judged = self._judged(inner)
        return judged if judged in MARKS else f"<{judged}>"

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
        labels = host.split(".")
        return all(len(each) <= _LONGEST_WORD and sum(map(str.isdigit, each)) < _DIGITS_OF_AN_ID for each in labels)

    def _judged(self, piece: str) -> str:
        core = piece.strip(_AROUND)
        if core == piece:
            return self._core(core)
        if not core:
            return piece
        start = piece.index(core)
        before, after = piece[:start], piece[start + len(core) :]
        # Sendmail: "jane... User unknown".
        if after.startswith("...") and core.isalnum() and core.islower() and not self._ordinary(core):
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
        if _WITH_UNIT.match(core):
            return self._as(NUMBER, core)
        return self._composed(core)

    def _composed(self, core: str) -> str:
        if core.isalnum():
            return self._mixed(core)
        both = _BOTH_CODES.match(core)
        if both is not None:
            return core if self._shown else f"{both[1]} {both[2]}"
        if _NUMBER.match(core):
            return self._number(core)
        if _is_ip(core):
            return self._as(IP, core)
        return self._dotted(core) if "." in core else self._mixed(core)

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
        if labels[0] in _EXCHANGE and all(map(str.isalpha, labels)):
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
                return (host if self._shown else kept) + end
        return self._as(HOST, host) + (colon + self._as(NUMBER, port) if port.isdigit() else "") + end

    def _mixed(self, core: str) -> str:
        digits = sum(map(str.isdigit, core))
        if not digits:
            return core if len(core) <= 2 * _LONGEST_WORD or not core.isascii() else ID
        if core.isalnum():
            # What a rule names is kept: "RL000001", "TSS04".
            return core if self._ordinary(core) or (not core.isascii() and digits < _DIGITS_OF_AN_ID) else ID
        parts = _INNER.split(core)
        if digits >= _DIGITS_OF_AN_ID and len(core) > _SHORT_ID and max(map(len, parts)) > _PART_OF_AN_ID:
            return ID
        return "".join(part if at % 2 or not part else self._inner(part) for at, part in enumerate(parts))

    def _inner(self, part: str) -> str:
        if part.isalpha() or part.casefold() in _WORDS_WITH_DIGITS:
            return part
        return self._plain_number(part) if part.isdigit() else ID


def _is_ip(text: str) -> bool:
    if text.count(":") < 2:
        return _IPV4.match(text) is not None
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


def tidied(skeleton: str) -> str:
    """Return the masked text of a signature: without the codes in it, and where marks in a row are one."""
    text = _CODES.sub(" ", skeleton)
    text = _DATE_AND_NUMBERS.sub(DATE, text)
    text = _SAME_AGAIN.sub(r"\1", text)
    return _BLANKS.sub(" ", text).strip()[:_LONGEST_TEXT].rstrip()


def signature(code: str, enhanced: str, text: str) -> str:
    """Return the signature: the codes, once, and the tidied text."""
    return " ".join(each for each in (code, enhanced, text) if each)[:LONGEST_SIGNATURE]
