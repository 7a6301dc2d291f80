"""Configuration changes from the audit trail: whether there can be any, and which."""

from typing import Any

from core.models import AuditEntry

# Entries with lower numbers than the newest that may still be committed: a sequence gives numbers before it is known who
# commits first.
_WINDOW = 1_000
# So many of the newest entries are kept in a revision.
MOST_CHANGES = 100
# Publishing itself changes no configuration.
_IGNORED = ("nodes.revision", "nodes.publication")


def state() -> tuple[str, int]:
    """Return a text that changes with every added entry, and the newest entry's id: 2 short queries.

    The newest id alone would miss an act that took its number earlier and commits later: so entries are counted too.
    """
    entries = AuditEntry.objects.exclude(target_type__in=_IGNORED).order_by("-pk")
    newest = entries.values_list("pk", flat=True).first() or 0
    return f"{newest}:{entries.filter(pk__gt=newest - _WINDOW).count()}", newest


def since(audit_id: int) -> dict[str, Any]:
    """Return the number of entries after this one, and short forms of the newest, newest first."""
    found = AuditEntry.objects.filter(pk__gt=audit_id).exclude(target_type__in=_IGNORED).order_by("-pk")
    columns = ("pk", "at", "actor_label", "act", "target_type", "target_id", "target_label")
    newest = found.values_list(*columns)[:MOST_CHANGES]
    return {
        "count": found.count(),
        "newest": [
            {
                "id": pk,
                "at": at.isoformat(),
                "actor": actor,
                "act": act,
                "type": kind,
                "target": target,
                "label": label,
            }
            for pk, at, actor, act, kind, target, label in newest
        ],
    }
