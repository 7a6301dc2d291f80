"""A domain's DNS records as a zone file (RFC 1035, 5)."""

from collections.abc import Iterable

from servers.dns_records import DNSRecord

TTL = 3600
# A TXT record is made of strings of at most 255 bytes (RFC 1035, 3.3.14).
LONGEST_STRING = 255


UNCHECKED = (
    "; These records have not been checked yet. If the domain has SPF, MX or DMARC records, wait for the check:",
    "; these are proposed without them, and would stand beside them.",
)


def zone_file(domain: str, records: Iterable[DNSRecord], *, is_checked: bool = True) -> str:
    """Return the records as lines with absolute names, below a comment that says for what they are.

    `is_checked`: DNS was asked before, so what the domain has in it is in the records.
    """
    lines = [f"; DNS records of {domain}", *(() if is_checked else UNCHECKED), f"$TTL {TTL}"]
    for record in records:
        lines.append(f"; {record.purpose}")
        lines.append(f"{record.name}. IN {record.type} {data(record)}")
    return "\n".join(lines) + "\n"


def data(record: DNSRecord) -> str:
    """Return the record's data as a master file has it: strings quoted and split, hosts with the last dot."""
    match record.type:
        case "TXT":
            return " ".join(quoted(part) for part in strings(record.value))
        case "MX":
            return f"{record.priority} {record.value}."
        case _:
            return f"{record.value}."


def strings(text: str) -> list[str]:
    """Return the text in parts that fit a TXT record's strings."""
    return [text[at : at + LONGEST_STRING] for at in range(0, len(text), LONGEST_STRING)] or [""]


def quoted(text: str) -> str:
    """Return the text as a quoted string; what is not printable ASCII becomes a decimal escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if " " <= each <= "~" else f"\\{ord(each) % 256:03d}" for each in escaped) + '"'
