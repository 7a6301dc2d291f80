"""What a host name in HELO may look like: the rule of GreenArrow's page, for every door that an address comes in by."""

import re

LENGTH = 200
# What DNS can name (RFC 1035, 2.3.4).
LABEL_LENGTH = 63
_CHARACTERS = re.compile(r"[A-Za-z0-9.-]*", re.ASCII)
_QUAD = re.compile(r"[0-9]+(\.[0-9]+){3}", re.ASCII)


def faults_of(hostname: str) -> list[str]:
    """Return what is wrong with it: it should be labels of letters, digits and hyphens with dots between them."""
    labels = hostname.split(".")
    faults = []
    if not 1 <= len(hostname) <= LENGTH:
        faults.append(f"must be from 1 to {LENGTH} characters in length")
    if not _CHARACTERS.fullmatch(hostname) or "" in labels[1:-1]:
        faults.append("must contain only letters, numbers and -, in labels with single dots between them")
    # An empty label at an end is a dot there; one within has been told of.
    if hostname and not all(
        label[:1].isalnum() and label[-1:].isalnum() for label in (labels[0], labels[-1], *filter(None, labels))
    ):
        faults.append("must start and end with a letter or number, and so must each of its labels")
    if any(len(label) > LABEL_LENGTH for label in labels):
        faults.append(f"must have labels of at most {LABEL_LENGTH} characters")
    # GreenArrow: four numbers are meant as an address, whether or not there is such a one.
    if _QUAD.fullmatch(hostname):
        faults.append("must not be an IPv4 address")
    return faults
