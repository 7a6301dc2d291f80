"""Parses DMARC policy records (RFC 7489, 6.3; its successor RFC 9989 where that is more liberal)."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

POLICIES = ("none", "quarantine", "reject")
# The version comes first and is exact in case; a separator or the end follows.
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_LOOKS_MEANT = re.compile(r"v[ \t]*=[ \t]*dmarc", re.IGNORECASE)
_TAG = re.compile(r"([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(.*)\Z", re.DOTALL)
# RFC 7489, 6.2: an optional size limit follows the address, such as !10m.
_SIZE = re.compile(r"![0-9]+[kmgt]?\Z")
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


def is_record(text: str) -> bool:
    """Whether receivers take this TXT record for a DMARC policy; others at the same name do not count."""
    return _VERSION.match(text) is not None


def looks_meant(text: str) -> bool:
    """Whether the record is meant as a DMARC policy, valid or not."""
    return _LOOKS_MEANT.match(text.strip()) is not None


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
    for tag in ("p", "sp", "np"):
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
        if parts.scheme.lower() not in ("mailto", "https", "http") or not (parts.path or parts.netloc):
            raise BadRecord(f"“{tag}={_shown(uri.strip())}” is not an address such as mailto:dmarc@example.com")
        if parts.scheme.lower() == "mailto" and "@" not in parts.path.strip("@"):
            raise BadRecord(f"“{tag}={_shown(uri.strip())}” names no mailbox")
        found.append(text)
    return tuple(found)


def _shown(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
