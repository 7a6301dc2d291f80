"""Parses DMARC policy records (RFC 7489, 6.3; its successor RFC 9989 where that is more liberal)."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from dnschecks.quoting import cut

POLICIES = ("none", "quarantine", "reject")
# The version comes first, its value exact in case (RFC 7489, 6.4: the name is not); a separator or the end follows.
_VERSION = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
# At a name that is for DMARC alone, whatever has one of its tags is meant for it.
_LOOKS_MEANT = re.compile(
    r"(?:v[ \t]*=[ \t]*)?dmarc|s?p[ \t]*=[ \t]*(?:none|quarantine|reject)|ru[af][ \t]*=[ \t]*mailto:", re.IGNORECASE
)
# Names of unknown tags may be anything: they are ignored.
_TAG = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)[ \t]*=[ \t]*(.*)\Z", re.DOTALL)
# RFC 7489, 6.2: an optional size limit follows the address, such as !10m.
_SIZE = re.compile(r"![0-9]+[kmgt]?\Z")
# Tags of a faulty record, and addresses of a tag, that are looked at.
MOST_TAGS = 100
_POLICY_TAGS = ("p", "sp", "np")
# What people write between tags instead of a semicolon. Longer texts than these are not put right.
_BETWEEN = re.compile(r"[;:,\s]+(?=[A-Za-z]{1,10}[ \t]*=)")
_LONGEST_REPAIRED = 1_000
_MODES = frozenset({"r", "s"})


class BadRecord(ValueError):
    """Receivers would ignore the record, or misinterpret it; has the reason."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force. `aspf` and `adkim` are "r" (relaxed) or "s" (strict).

    `np` is for names that do not exist, None: as for others. `psd`: "y" for a public suffix, "n" for an organizational domain,
    else "u".
    """

    p: str
    sp: str
    adkim: str
    aspf: str
    rua: tuple[str, ...]
    np: str | None = None
    psd: str = "u"
    # Of a hundred messages that fail, those to which receivers by RFC 7489 apply the policy; RFC 9989 has `t=y` instead.
    percent: int = 100
    is_testing: bool = False


def is_record(text: str) -> bool:
    """Whether receivers take this TXT record for a DMARC policy; others at the same name do not count."""
    return _VERSION.match(text) is not None


def looks_meant(text: str) -> bool:
    """Whether the record is meant as a DMARC policy, valid or not."""
    return _LOOKS_MEANT.match(text.strip()) is not None


def as_received(text: str) -> Policy | None:
    """Return the policy that receivers apply by a record, perhaps a faulty one; None: they ignore it.

    A faulty tag counts as absent (RFC 7489, 6.3). Without a valid `p=`, or with a faulty `sp=` or `np=`, the policy is none
    where there is an address for reports, and else there is no record (6.6.3; RFC 9989, 4.7).
    """
    if not is_record(text):
        return None
    kept, is_broken = _faultless(text)
    rua = [part for part in kept if _names(part, "rua")]
    if is_broken or not any(_names(part, "p") for part in kept):
        return parse(f"v=DMARC1; p=none; {rua[0]}") if rua else None
    return parse("; ".join(["v=DMARC1", *kept]))


def repaired(text: str) -> str:
    """Return a record without its faulty tags; "" where it then has no policy.

    Also one that receivers do not take for a record: with another separator, another spelling of the version, or none.
    """
    for each in (text, _put_right(text)):
        if is_record(each):
            kept, _ = _faultless(each)
            if any(_names(part, "p") for part in kept):
                return "; ".join(["v=DMARC1", *kept])
    return ""


def _put_right(text: str) -> str:
    """Return the tags of a text after the version, apart from each other as they should be."""
    if len(text) > _LONGEST_REPAIRED:
        return ""
    parts = [part.strip(" \t;:,") for part in _BETWEEN.split(text.strip())]
    return "; ".join(["v=DMARC1", *(part for part in parts if not _names(part, "v"))])


def _faultless(text: str) -> tuple[list[str], bool]:
    """Return the tags after the version that are right, the first of each name, and whether a policy was left out."""
    kept: dict[str, str] = {}
    is_broken = False
    for part in text.split(";")[1 : MOST_TAGS + 1]:
        part = part.strip(" \t")
        match = _TAG.match(part)
        if match is None or match[1].lower() in kept:
            continue
        name = match[1].lower()
        if _is_right(name, part):
            kept[name] = part
        elif name in _POLICY_TAGS:
            is_broken = True
        elif uris := [uri for uri in match[2].split(",")[:MOST_TAGS] if _is_right(name, f"{name}={uri}")]:
            kept[name] = f"{name}={','.join(uris)}"
    return list(kept.values()), is_broken


def _is_right(name: str, part: str) -> bool:
    try:
        parse(f"v=DMARC1; {part}" if name == "p" else f"v=DMARC1; p=none; {part}")
    except BadRecord:
        return False
    return True


def _names(part: str, tag: str) -> bool:
    return part.partition("=")[0].strip(" \t").lower() == tag


def parse(text: str) -> Policy:
    """Parse a record; raises BadRecord. Unknown tags are ignored, as receivers do."""
    if not is_record(text):
        raise BadRecord("it does not begin with “v=DMARC1;”")
    tags = _tags(text)
    rua = _report_addresses(tags, "rua")
    _report_addresses(tags, "ruf")
    p = tags.get("p", "").lower()
    if "p" not in tags:
        # Without a policy but with a report address, receivers apply p=none (RFC 7489, 6.6.3).
        if not rua:
            raise BadRecord("it names no policy (p=none, p=quarantine or p=reject)")
        p = "none"
    for tag in _POLICY_TAGS:
        if tag in tags and tags[tag].lower() not in POLICIES:
            raise BadRecord(f"“{tag}={_shown(tags[tag])}” is not none, quarantine or reject")
    for tag in ("adkim", "aspf"):
        if tag in tags and tags[tag].lower() not in _MODES:
            raise BadRecord(f"“{tag}={_shown(tags[tag])}” is not r (relaxed) or s (strict)")
    percent = tags.get("pct", "100")
    if not (percent.isascii() and percent.isdigit() and len(percent) <= 3 and int(percent) <= 100):
        raise BadRecord(f"“pct={_shown(percent)}” is not a number from 0 to 100")
    psd = tags.get("psd", "u").lower()
    return Policy(
        p=p,
        sp=tags.get("sp", p).lower(),
        adkim=tags.get("adkim", "r").lower(),
        aspf=tags.get("aspf", "r").lower(),
        rua=rua,
        np=tags["np"].lower() if "np" in tags else None,
        # Another word than y and n is as if there were none (RFC 9989, 4.7).
        psd=psd if psd in ("y", "n") else "u",
        percent=int(percent),
        is_testing=tags.get("t", "").lower() == "y",
    )


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip(" \t"):
            continue
        match = _TAG.match(part.strip(" \t"))
        if match is None:
            raise BadRecord(f"“{_shown(part.strip())}” is not a tag=value pair")
        name = match[1].lower()
        if name in tags:
            raise BadRecord(f"“{name}=” occurs twice")
        tags[name] = match[2].strip(" \t")
    return tags


def _report_addresses(tags: dict[str, str], tag: str) -> tuple[str, ...]:
    if tag not in tags:
        return ()
    found = []
    for uri in tags[tag].split(","):
        text = _SIZE.sub("", uri.strip(" \t"))
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if (
            parts.scheme.lower() not in ("mailto", "https", "http")
            or not (parts.path or parts.netloc)
            or " " in text
            or "\t" in text
        ):
            raise BadRecord(f"“{tag}={_shown(uri.strip())}” is not an address such as mailto:dmarc@example.com")
        if parts.scheme.lower() == "mailto" and "@" not in parts.path.strip("@"):
            raise BadRecord(f"“{tag}={_shown(uri.strip())}” names no mailbox")
        found.append(text)
    return tuple(found)


def _shown(text: str) -> str:
    return cut(text, 80)
