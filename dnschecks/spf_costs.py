"""Counts the DNS look-ups of each term of an SPF record, to show which term to shorten (RFC 7208, 4.6.4)."""

from dnschecks.resolver import Resolver
from dnschecks.spf import MAX_LOOKUPS
from dnschecks.spf_macros import MacroString
from dnschecks.spf_record import BadRecord, Mechanism, Record, is_record, parse

# Records that are read for one table: a record that needs more is over the limit many times.
MOST_RECORDS = 3 * MAX_LOOKUPS
_LOOKING_UP = frozenset({"include", "a", "mx", "ptr", "exists"})


def costs(name: str, resolver: Resolver) -> list[tuple[str, int]]:
    """Return each term of the domain's record that needs look-ups, with those of the records that it includes, in order."""
    walk = _Walk(resolver)
    record = walk.record(name)
    return [] if record is None else walk.terms(record, (name,))


def circular(name: str, resolver: Resolver) -> str:
    """Return the term of the domain's record that leads to a record that includes itself; "" if there is none."""
    walk = _Walk(resolver)
    record = walk.record(name)
    for term, target in [] if record is None else walk.leading(record):
        walk.below(target, (name,))
        if walk.is_circular:
            return term
    return ""


def void_terms(name: str, resolver: Resolver) -> list[str]:
    """Return the terms of the domain's own record that ask for names without records, and so match nothing."""
    record = _Walk(resolver).record(name)
    return [each.text for each in (record.mechanisms if record else ()) if _is_void(each, name, resolver)]


def _is_void(mechanism: Mechanism, name: str, resolver: Resolver) -> bool:
    target = name if mechanism.target is None else _plain_name(mechanism.target)
    rdtypes = {"a": ("A", "AAAA"), "mx": ("MX",), "exists": ("A",)}.get(mechanism.name, ())
    if target is None or not rdtypes:
        return False
    answers = [resolver.ask(target, rdtype) for rdtype in rdtypes]
    return not any(each.records or each.is_failure for each in answers)


def includes(text: str, name: str) -> bool:
    """Whether a record itself includes the record of this name, or redirects to it; a malformed one does neither."""
    try:
        record = parse(text)
    except BadRecord:
        return False
    targets = [each.target for each in record.mechanisms if each.name == "include"]
    return any(each is not None and _plain_name(each) == name for each in [*targets, record.redirect])


def _plain_name(target: MacroString) -> str | None:
    """Return the name that a term leads to; None: it has macros, which stand for something else from mail to mail."""
    if not all(isinstance(piece, str) for piece in target.pieces):
        return None
    return target.expand_to_name(str).lower().removesuffix(".")


class _Walk:
    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.left = MOST_RECORDS
        # Whether a record was met again below itself.
        self.is_circular = False

    def record(self, name: str) -> Record | None:
        if not self.left:
            return None
        self.left -= 1
        found = [text for text in self.resolver.ask(name, "TXT").texts if is_record(text)]
        try:
            return parse(found[0]) if len(found) == 1 else None
        except BadRecord:
            return None

    def terms(self, record: Record, above: tuple[str, ...]) -> list[tuple[str, int]]:
        found = [
            (each.text, 1 + (self.below(each.target, above) if each.name == "include" else 0))
            for each in record.mechanisms
            if each.name in _LOOKING_UP
        ]
        # A redirect counts only where no `all` comes before it (6.1).
        if record.redirect is not None and not _has_all(record):
            found.append((f"redirect={record.redirect.text}", 1 + self.below(record.redirect, above)))
        return found

    def leading(self, record: Record) -> list[tuple[str, MacroString | None]]:
        """Return the terms that lead to other records, with their targets."""
        found = [(each.text, each.target) for each in record.mechanisms if each.name == "include"]
        if record.redirect is not None and not _has_all(record):
            found.append((f"redirect={record.redirect.text}", record.redirect))
        return found

    def below(self, target: MacroString | None, above: tuple[str, ...]) -> int:
        # What a macro stands for differs from mail to mail; a record that includes itself costs no end.
        name = None if target is None else _plain_name(target)
        if name is None:
            return 0
        self.is_circular = self.is_circular or name in above
        record = None if name in above else self.record(name)
        return 0 if record is None else sum(cost for _, cost in self.terms(record, (*above, name)))


def _has_all(record: Record) -> bool:
    return any(each.name == "all" for each in record.mechanisms)
