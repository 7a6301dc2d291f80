"""The records to publish, in view of what DNS answered last: a name has one SPF record, and other senders may be in it."""

import itertools
from dataclasses import replace

from dnschecks import spf_record, spf_repair
from dnschecks.checked import DNSStatus
from servers.dns_records import GUESSED_TERMS, DNSRecord, expected_of, records_of
from servers.models import Domain


def records_wanted(domain: Domain) -> list[DNSRecord]:
    """Return the records to publish, the SPF record with the senders that DNS has; raises NotFound for a deleted domain."""
    answer = ((domain.dns_answers or {}).get("spf") or {}).get("answer", "")
    is_right = domain.spf_status == DNSStatus.OK
    return [
        replace(each, value=_spf(each, answer, is_right=is_right)) if each.purpose == "spf" else each
        for each in records_of(expected_of(domain))
    ]


def _spf(record: DNSRecord, answer: str, *, is_right: bool) -> str:
    found = next(filter(spf_record.is_record, values_of(answer, record.type)), "")
    if is_right and found:
        return found
    return wanted_for(record, answer) or found or record.value


def wanted_for(record: DNSRecord, answer: str) -> str | None:
    """Return the value to publish; None: no record can be proposed, the sentence beside it says what to change.

    A name has one SPF record: it is completed, put right, and never replaced, since other senders are in it.
    """
    texts = values_of(answer, record.type) if record.purpose == "spf" else []
    if not any(map(spf_repair.is_meant, texts)):
        return record.value
    terms = record.value.split()[1:-1]
    wanted = spf_repair.completed(texts, [] if terms == GUESSED_TERMS else terms)
    try:
        spf_record.parse(wanted)
    except spf_record.BadRecord:
        return None
    return None if wanted in texts and sum(map(spf_repair.is_meant, texts)) == 1 else wanted


def values_of(answer: str, rdtype: str) -> list[str]:
    """Return the values of the records of this type: texts joined from their strings, hosts without the last dot."""
    lines = (line.split(" ", 4) for line in answer.splitlines())
    data = [parts[4] for parts in lines if len(parts) == 5 and parts[2:4] == ["IN", rdtype]]
    return [_text(each) if rdtype == "TXT" else each.rpartition(" ")[2].removesuffix(".").lower() for each in data]


def _text(data: str) -> str:
    """Join the quoted strings of a TXT record; a quotation mark or backslash in them stands behind a backslash."""
    kept, is_inside, signs = [], False, iter(data)
    for sign in signs:
        if sign == '"':
            is_inside = not is_inside
        elif is_inside:
            kept.append(sign)
            if sign == "\\":
                kept.extend(itertools.islice(signs, 1))
    return "".join(kept).replace('\\"', '"').replace("\\\\", "\\")
