"""Classifies a day's replies again by the current rules, before a rebuild."""

from stats.intake.explanations import classifier, reason_of
from stats.ledger import keys, storage
from stats.models import Provider, Signature


def reclassify(day: int) -> int:
    """Update the classes of a day's events by their signatures' current classes; return the number of changes.

    In the rebuild's transaction. A signature whose row is the rest (`other`) has no text to classify, and is left alone.
    """
    held = storage.keys_between(keys.least_key(day), keys.least_key(day + 1))
    found = storage.fetch(
        f"SELECT DISTINCT signature_id, provider_id, reason FROM stats_event WHERE {held} AND signature_id <> 0"
    )
    if not found:
        return 0
    rules, providers = classifier(), dict(Provider.objects.values_list("id", "name"))
    signatures = Signature.objects.in_bulk({signature for signature, _, _ in found})
    changed = 0
    for signature, provider, reason in sorted(found):
        row = signatures.get(signature)
        if row is None or not (row.text or row.code or row.enhanced):
            continue
        right = reason_of(row, providers.get(provider), rules)
        if right != reason:
            changed += storage.execute(
                f"UPDATE stats_event SET reason = {right:d} WHERE {held} AND signature_id = {signature:d}"
                f" AND provider_id = {provider:d} AND reason = {reason:d}"
            )
    return changed
