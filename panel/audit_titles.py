"""Titles of audit entries: "Server suspended", not "server.suspended"."""

from django.apps import apps
from django.utils.text import capfirst

from core.models import AuditEntry

# Acts that are called otherwise in older entries, or that read badly as they are.
_VERBS = {
    "updated": "changed",
    "made": "created",
    "ordered": "moved",
    "members_added": "got addresses",
    "members_removed": "lost addresses",
    "addresses_added": "got addresses",
    "second_factor_added": "switched the second factor on",
    "second_factor_removed": "switched the second factor off",
    "recovery_codes_renewed": "made new recovery codes",
    "password_set": "got a new password",
    "password_link_sent": "was sent a link to set a password",
    "link_sent": "was sent a link to confirm its address",
    "invited": "was invited to set a password",
    "password_changed": "changed the password",
    "default_changed": "default changed",
    "revealed": "key shown",
    "rotated": "key rotated",
}
# Acts whose verb means something else of other records.
_ALONE = {"set_aside.ended": "shown again"}


def noun(label: str) -> str:
    """Return the name of a model's records; audit entries outlive models."""
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label.rpartition(".")[2].replace("_", " ")


def title(entry: AuditEntry) -> str:
    """Return the title of an entry: the kind of record and the act."""
    verb = _ALONE.get(entry.act, entry.act.partition(".")[2] or entry.act)
    return f"{capfirst(noun(entry.target_type))} {_VERBS.get(verb, verb.replace('_', ' '))}"
